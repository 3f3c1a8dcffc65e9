"""Run the command ``tfinet``, which has one word for each of the tools."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from tfinet_mm.errors import StackError
from tfinet_mm.utils.check_env import explain_missing
from tfinet_mm.utils.project_files import project_folder
from tfinet_mm.version import __version__

TOOLS = dict(
    predict=('predict.py', 'map the change between two images, scenes or folders'),
    finish=('finish_scene.py', 'give a predicted scene another threshold, or other classes'),
    series=('predict_series.py', 'map when each place changed, from more than two dates'),
    train=('train.py', 'train a network from a config'),
    test=('test.py', 'score a network on a data set'),
    check=('check_dataset.py', 'find mistakes in a data set before training'),
    browse=('browse_dataset.py', 'draw pairs with their labels, as a training sees them'),
    report=('report.py', 'write an HTML page over a folder of predictions'),
    serve=('serve.py', 'serve a page on this machine to drop two images on'),
    score=('score_maps.py', 'score the maps of any program, or compare two methods'),
    assess=('assess.py', 'draw points to label, and estimate areas with intervals'),
    areas=('scene_areas.py', 'areas of a scene by class, within polygons too'),
    tiles=('tiles.py', 'write the maps of a scene as tiles for the web'),
    stac=('stac_item.py', 'write a STAC item of a scene'),
    recipe=('recipe.py', 'run the SenseEarth recipe: train, pseudo-label, train again, test'),
    correct=('dataset/make_labels.py', 'make labels of polygons that were corrected in QGIS'),
    fit=('fit_corrections.py', 'fit the land cover of a network to such labels, in seconds'),
    label=('pseudo_label.py', 'make pseudo labels of unchanged pixels'),
    export=('export.py', 'export a network for ONNX Runtime, OpenVINO or torch.export'),
    weights=('export_weights.py', 'write a file of weights from a checkpoint'),
    convert=('convert_checkpoint.py', 'convert a published checkpoint'),
    generate=('dataset/make_synthetic.py', 'generate a data set of labelled pairs'),
    scene=('dataset/make_scene.py', 'generate a pair of GeoTIFFs with labels'),
    mosaic=('mosaic.py', 'put several rasters of one date together'),
    score_scene=('analysis/score_scene.py', 'score the maps of a scene against labels'),
    flops=('analysis/get_flops.py', 'count parameters and operations of a network'),
    benchmark=('analysis/benchmark.py', 'measure time and memory of networks'),
)
"""Script below the folder ``tools`` and what it does, by the word of the command line."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a tool by its word; its own options follow, ``--help`` lists them.

    Args:
        arguments: The words of the command line after ``tfinet``.

    Raises:
        SystemExit: 2 if the word is none of :data:`TOOLS`; otherwise the tool's own status.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ('-h', '--help'):
        print(_overview())
        return
    if words[0] == '--version':
        print(f'tfinet {__version__}')
        return
    if words[0] not in TOOLS:
        near = get_close_matches(words[0], TOOLS, n=1)
        hint = f'did you mean {near[0]}?' if near else f'choose from {", ".join(TOOLS)}'
        print(f'tfinet: there is no command {words[0]!r}; {hint}', file=sys.stderr)
        raise SystemExit(2)
    _run_script(project_folder('tools') / TOOLS[words[0]][0], f'tfinet {words[0]}', words[1:])


def _run_script(path: Path, name: str, arguments: Sequence[str]) -> None:
    """Run a script as Python does, but under another name, which its help shows."""
    spec = spec_from_file_location('__main__', path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{path} can't be run; install tfinet-mm again")
    module = module_from_spec(spec)
    # Processes that a tool starts look for its functions here.
    sys.modules['__main__'] = module
    sys.argv = [name, *arguments]
    try:
        with explain_missing():
            spec.loader.exec_module(module)
    except StackError as error:
        print(f'{name}: {error}', file=sys.stderr)
        raise SystemExit(2) from None


def _overview() -> str:
    lines = [f'  {word:11} {purpose}' for word, (_, purpose) in TOOLS.items()]
    return '\n'.join(
        [
            'usage: tfinet COMMAND [options]',
            '',
            'Semantic change detection: where the land cover changed, and from what to what.',
            '',
            *lines,
            '',
            'tfinet COMMAND --help shows the options of a command.',
        ]
    )
