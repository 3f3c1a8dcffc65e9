"""Make the weights of the package again, from ImageNet's and generated pairs alone.

    python projects/pretrain/run.py [--work-dir work_dirs/pretrain] [--out weights.safetensors]

The stages run one after the other: trainings, each from the weights of an earlier stage, and
averages of two stages. The weights of the last stage are exported, and their P(changed) is
calibrated. A later run resumes the training that was interrupted and skips finished stages. Seeds
are fixed. ``--only first`` runs one stage, for example on a machine with a GPU.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CONFIGS = HERE / 'configs'
TOOLS = HERE.parents[1] / 'tools'


@dataclass(frozen=True)
class Average:
    """Weights of two trainings, ``share`` being that of the second, 0..1."""

    first: str
    second: str
    share: float


STAGES: dict[str, str | Average | None] = dict(
    first=None,
    second='first',
    both=Average('first', 'second', 0.7),
    third='both',
    final=Average('both', 'third', 0.7),
)
"""Start of each stage: ImageNet's weights (None), those of another stage, or an average of two."""

LAST = 'final'

VIEWS: dict[str, tuple[list[str], list[str]]] = {
    'one': ([], []),
    'default': (['--tta'], ['tta_model.transforms=["identity"]']),
    'all': (['--tta'], []),
}
"""Sets of views to calibrate, as options of tools/test.py and values for its config: --no-tta of
predictions, the default, and --tta."""

TRAIN, TEST, EXPORT, AVERAGE = (
    TOOLS / 'train.py', TOOLS / 'test.py', TOOLS / 'export_weights.py', HERE / 'average_weights.py'
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the unfinished stages, and write the weights."""
    parser = argparse.ArgumentParser(description='Make the weights of the package again')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/pretrain'))
    parser.add_argument('--out', type=Path, help='file to write (WORK_DIR/NAME.safetensors)')
    parser.add_argument('--only', nargs='+', choices=tuple(STAGES), help='stages to run')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], help='values for the config of every training'
    )
    args = parser.parse_args(arguments)
    for name, begin in STAGES.items():
        if args.only and name not in args.only:
            continue
        out = weights_of(args.work_dir, name)
        if out.is_file():
            print(f'{name} is finished: {out}', flush=True)
        elif isinstance(begin, Average):
            first, second = (
                weights_of(args.work_dir, part) for part in (begin.first, begin.second)
            )
            run(AVERAGE, first, second, out, '--share', begin.share)
        else:
            train(name, args.work_dir, begin, args.cfg_options)
    if args.only and LAST not in args.only:
        return
    out = args.out or args.work_dir / 'tfinet_lite0_fpn_generated.safetensors'
    config = CONFIGS / 'base.py'
    made = args.work_dir / 'uncalibrated.safetensors'
    last = weights_of(args.work_dir, LAST)
    run(EXPORT, last, made, '--config', config, '--license', 'Apache-2.0')
    for name in VIEWS:
        made = calibrate(name, args.work_dir, made, args.cfg_options)
    shutil.copyfile(made, out)


def train(name: str, work_dir: Path, begin: str | None, options: Sequence[str]) -> None:
    """Train one stage, or the rest of it, and keep its averaged weights.

    Args:
        name: Name of the stage and of its config.
        work_dir: Folder of all stages.
        begin: Stage whose weights it starts from; None for ImageNet's.
        options: ``key=value`` for its config.

    Raises:
        CalledProcessError: The training stopped with an error.
    """
    values = list(options)
    if begin is not None:
        values.append(f'load_from={weights_of(work_dir, begin)}')
    cfg_options = ['--cfg-options', *values] if values else []
    folder = work_dir / name
    config = CONFIGS / f'{name}.py'
    run(TRAIN, config, '--amp', '--resume', '--work-dir', folder, *cfg_options)
    last = max(folder.glob('epoch_*.pth'), key=lambda path: int(path.stem.split('_')[1]))
    # The average of a checkpoint with itself keeps its weights alone, those of MMEngine's EMAHook.
    run(AVERAGE, last, last, weights_of(work_dir, name))


def calibrate(name: str, work_dir: Path, weights: Path, options: Sequence[str]) -> Path:
    """Calibrate P(changed) of exported weights for one set of views.

    Args:
        name: Name of the set.
        work_dir: Folder of all stages.
        weights: The weights, with the calibrations of other sets.
        options: ``key=value`` for the config.

    Returns:
        The file with all of these calibrations and the new one.

    Raises:
        CalledProcessError: The fit stopped with an error.
    """
    words, values = VIEWS[name]
    out = work_dir / f'calibrated_{name}.safetensors'
    # The tool overwrites no file, and an earlier one may be of other weights.
    out.unlink(missing_ok=True)
    fit = [
        '--calibrate',
        'temperature',
        '--calibrated',
        out,
        '--work-dir',
        work_dir / 'calibration',
    ]
    set_values = [*options, *values]
    cfg_options = ['--cfg-options', *set_values] if set_values else []
    run(TEST, CONFIGS / 'calibration.py', weights, *words, *fit, *cfg_options)
    return out


def run(script: Path, *arguments: Any) -> None:
    """Run a script with this Python."""
    subprocess.run([sys.executable, str(script), *map(str, arguments)], check=True)


def weights_of(work_dir: Path, name: str) -> Path:
    """Return the path of the weights of a stage."""
    return work_dir / f'{name}.pth'


if __name__ == '__main__':
    main()
