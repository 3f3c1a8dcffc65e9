"""The commands that README and docs show, and what is done with each.

A command is run as it is written, on data made for it, unless :data:`PARSED_ONLY` says why its
options are only read by the program's own parser, or :data:`LEFT_OUT` why not even that.
"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

PARSED_ONLY = {
    r'tools/dist_train\.sh|tools/dist_test\.sh': (
        'several processes, each with a start of its own: two train and test in '
        'tests/tools/test_dist.py'
    ),
    r'tools/dist_predict\.sh': (
        'several processes, each with a start of its own: two predict in '
        'tests/tools/test_predict.py'
    ),
    r'tools/dist_pseudo_label\.sh': (
        'several processes, each with a start of its own: two label in '
        'tests/tools/test_pseudo_label.py'
    ),
    r'tools/slurm_\w+\.sh': 'a cluster: tests/tools/test_dist.py has a stand-in for srun',
    r'predict\.py .*--(jobs|executor)': (
        'several processes, or a cluster: tests/apis/test_command_jobs.py'
    ),
    r'predict network\.onnx': (
        'an exported network: tests/apis/test_exported_network.py has a tiny one'
    ),
    r'predict .*--backend': 'exports for a while: tests/apis/test_export_cache.py has a small one',
    r'predict .*--(quality|bad-values)': (
        "maps of the reader's clouds: tests/apis/test_command_scenes.py has some"
    ),
    r'--calibrate platt|calibrated\.pth': (
        'a network that tells change apart: tests/tools/test_calibrate.py fits a small one'
    ),
    r'tfinet mosaic': 'tiles of the reader: tests/scenes/test_mosaic.py has some',
    r'predict\.py .*https://': 'a server: tests/scenes/test_places.py has one of its own',
    r'assess(\.py)? estimate': 'labels of people: tests/tools/test_assess.py has some',
    r'tfinet stac|stac_item\.py': ('a scene of the reader: tests/scenes/test_stac.py has one'),
    r'tfinet tiles|tools/tiles\.py': (
        'a scene of the reader: tests/scenes/tiles/test_tiles.py has one'
    ),
    r'tfinet areas|scene_areas\.py': (
        'a scene and polygons of the reader: tests/tools/test_scene_areas.py has some'
    ),
    r'make_labels\.py|_corrections\.py|corrected\.safetensors': (
        'corrections of people: tests/scenes/corrections/test_dataset.py makes some, and '
        'tests/apis/test_correcting.py fits a network to such'
    ),
    r'corrections/run\.py': (
        'predicts and fits for minutes: its parts in tests/projects/test_corrections.py'
    ),
    r'configs/second/': 'SECOND, which readers download: tests/test_configs.py builds its networks',
    r'equal_time/run\.py': 'trains every network: tests/projects/test_equal_time.py',
    r'pretrain/run\.py': 'hours of training: in small in tests/projects/test_pretrain.py',
    r'pretrain/score_real\.py': 'downloaded data: made-up pairs in tests/projects/test_pretrain.py',
    r'labels_saved/run\.py (generated|second)': (
        'trains for hours: its parts in tests/projects/test_labels_saved.py'
    ),
    r'supervision/run\.py train': (
        'trains for long: its parts in tests/projects/test_supervision.py'
    ),
    r'pseudo_label\.py configs/senseearth/': (
        'checkpoints of two large networks: small ones label in tests/tools/test_pseudo_label.py'
    ),
    r'benchmark_scene\.py configs/tfinet_r18_fpn\.py best\.pth': (
        'the checkpoint of a training of that network: another network is timed in its place'
    ),
    r'recipe_study/summarize\.py': (
        'reads whole recipes: tests/projects/test_summarize.py has their tables'
    ),
    r'checkpoint=(open-mmlab|torchvision)://': (
        'downloads weights: every config trains a step in tests/test_configs.py'
    ),
    r'mine/dataset_config\.py': 'data of the reader: tests/test_extending.py has such data',
    r'benchmark\.py configs/tfinet_hrnet': (
        'large networks: tests/tools/analysis/test_benchmark.py measures a small one'
    ),
    r'speed/gpu\.py': 'minutes of measuring: tests/projects/test_speed.py measures a small network',
    r'train\.py .*--compile on': (
        'compiles for a minute: tests/models/detectors/test_compiled.py compiles a small network'
    ),
    r'benchmark\.py .*--compile off on': (
        'compiles for minutes: tests/models/detectors/test_compiled.py compiles a small network'
    ),
    r'benchmark\.py .*--modes .*train .*float16$': 'trains in float16, which needs a GPU',
    r'export\.py .*--out': (
        'seconds of tracing for each network: tests/apis/test_network_export.py exports a small one'
    ),
    r'tensorboard --logdir': 'serves until it is stopped',
    r'tfinet serve|serve\.py': (
        'serves until it is stopped: tests/integrations/serve/test_command.py starts it'
    ),
}
"""Why the command that a regular expression is found in isn't run; its options are parsed."""

LEFT_OUT = {
    r'^curl': 'a server: tests/integrations/serve/test_documented.py has one for these commands',
    r'^docker': 'an image and a network: tests/test_dockerfile.py reads its words',
    r'pre-commit install': 'comes from the package index with the line before it',
    r'torchgeo/run\.py': 'needs torchgeo: tests/projects/test_torchgeo.py runs it where it is',
    r'gdalbuildvrt|gdal_translate': "GDAL's own programs, which the package does without",
    r'qgis_process': 'needs QGIS: tests/integrations/qgis/test_plugin.py has one',
    r'pip install --no-deps (-r|"?git)': 'comes from the package index and from GitHub',
    r'python -m build': 'comes from the package index; tests/test_wheel.py builds with pip',
}
"""Why a command is neither run nor parsed."""

SHORT = {
    'tools/train.py': (
        '--cfg-options train_cfg.max_epochs=1 train_cfg.val_interval=1 '
        'train_dataloader.batch_size=2 train_dataloader.num_workers=0 '
        'train_dataloader.persistent_workers=False val_dataloader.num_workers=0 '
        'val_dataloader.persistent_workers=False'
    ),
    'tools/test.py': (
        '--cfg-options test_dataloader.num_workers=0 test_dataloader.persistent_workers=False'
    ),
    'tools/check_dataset.py': '--workers 0',
    'tools/browse_dataset.py': '--number 2',
    # Of two commands of a page that predict into one folder a reader takes one.
    'tools/predict.py': '--overwrite',
    'tools/predict_series.py': '--overwrite',
    'tools/pseudo_label.py': '--overwrite',
    'tools/recipe.py': '--dry-run',
    'tools/dataset/make_synthetic.py': '--train 8 --val 2 --size 64 --workers 1',
    'tools/dataset/make_scene.py': '--size 96',
    'tools/analysis/benchmark.py': '--shape 64 64 --batch-size 2 --repeats 1 --pairs 2',
    'tools/analysis/benchmark_scene.py': '--size 96 --window 96 --bare 1',
}
"""Options that make a tool's run short and repeatable; the last of an option given twice counts."""

VALUES = dict(
    CONFIG='tiny.py',
    CONFIG1='tiny.py',
    CONFIG2='other.py',
    ENSEMBLE_CONFIG='ensemble.py',
    RECIPE='configs/senseearth/recipe_synthetic.py',
    CHECKPOINT='tiny.pth',
    CHECKPOINT1='tiny.pth',
    CHECKPOINT2='other.pth',
    BEFORE='before.tif',
    AFTER='after.tif',
    LABELS='labels',
    PRED='pred',
    OTHER_PRED='other_pred',
    PAIRS='PAIRS',
    OUT='maps',
    DIR='folder',
    FILE='file.json',
    WORK_DIR='work_dirs/tiny',
    GPUS='2',
    PARTITION='part',
    JOB_NAME='job',
    URL='url',
    PIXELS='64',
    H='64',
    W='64',
    VRT='VRT',
    B='3',
    N='2',
)
"""A value for each word in capitals that stands for one of the reader's."""


def pages() -> list[Path]:
    """Return the pages whose commands are for readers."""
    patterns = ('README.md', '*/README.md', 'projects/*/README.md', 'CONTRIBUTING.md')
    patterns += ('docs/*.md', 'tfinet_mm/weights/*.md')
    found = {path for pattern in patterns for path in ROOT.glob(pattern)}
    return sorted(path for path in found if path.parent.name[:1] not in '._')


def blocks(page: Path) -> list[str]:
    """Return the blocks of commands of a page, as they are written."""
    text = page.read_text(encoding='utf-8')
    made = []
    for indent, kind, block in re.findall(
        r'^( *)```(bash|sh|shell|console)\n(.*?)^\1```', text, re.M | re.S
    ):
        block = re.sub(f'^{indent}', '', block, flags=re.M)
        if kind == 'console':
            block = ''.join(f'{line}\n' for line in re.findall(r'^\$ (.*)$', block, re.M))
        made.append(block)
    return made


def lines() -> Iterator[tuple[str, str]]:
    """Yield page and line of every command."""
    for page in pages():
        for block in blocks(page):
            for line in block.splitlines():
                if line.strip():
                    yield page.relative_to(ROOT).as_posix(), line


def files(page: Path) -> dict[str, str]:
    """Return the Python files that a page tells the reader to write, by their names."""
    text = page.read_text(encoding='utf-8')
    return dict(re.findall(r'^```python\n# ([\w/]+\.py)\n(.*?)^```', text, re.M | re.S))


def filled_in(block: str, version: str) -> str:
    """Return a block with the reader's words in place of those in capitals.

    Of what is in brackets, options of no name and repetitions are left out.

    Raises:
        ValueError: A word in capitals has no value in :data:`VALUES`.
    """
    made = []
    for line in block.replace('X.Y.Z', version).splitlines():
        command, mark, comment = re.match(r'(.*?)(\s#.*|)()$', line).groups()
        command += comment
        command = re.sub(r' \[(options|[^\]]*\.\.\.)[^\]]*\]', '', command)
        command = re.sub(r'\[((?:--[\w-]+ )?[A-Z][A-Z_ ]*)\]', r'\1', command)
        unknown = re.findall(r'(?<![\w$"./=-])[A-Z][A-Z_0-9]*(?![\w=:.])', command)
        if missing := {word for word in unknown if word not in VALUES}:
            raise ValueError(f'{sorted(missing)} in {line!r} have no value in pages.VALUES')
        made.append(re.sub(r'(?<![\w$"./=-])[A-Z][A-Z_0-9]*(?![\w=:])', _value, command) + mark)
    return '\n'.join(made) + '\n'


def _value(found: re.Match) -> str:
    return VALUES.get(found[0], found[0])


def reason(table: dict[str, str], command: str) -> str | None:
    """Return what a table says of a command, None if it isn't in there."""
    return next((why for pattern, why in table.items() if re.search(pattern, command)), None)


def shortened(script: str, words: list[str]) -> list[str]:
    """Return the words after a script with those that make its run short."""
    name = script[script.find('tools/') :]
    more = SHORT.get(name, '').split()
    end = words.index('--') if '--' in words else len(words)
    words, rest = words[:end], words[end:]
    if more[:1] == ['--cfg-options'] and '--cfg-options' in words:
        # argparse takes the last list only, so the words go to the end of the first.
        place = words.index('--cfg-options') + 1
        while place < len(words) and '=' in words[place]:
            place += 1
        return [*words[:place], *more[1:], *words[place:], *rest]
    return [*words, *more, *rest]
