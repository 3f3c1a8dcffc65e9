"""Train networks for the same time on the same data, and compare what they have learnt.

    python tools/analysis/equal_time.py CONFIG [CONFIG ...] --setting SETTING --seconds 600

for example with configs/_base_/settings/synthetic_128.py as the setting.

Of each CONFIG only the model is taken; data, augmentation, optimizer and schedule are those of the
setting, for all alike. First a training step of each network is timed, one network at a time; the
steps that fit into the time are then trained by tools/train.py and scored by tools/test.py, so the
result doesn't depend on what else the machine does meanwhile. What is done is skipped when the
tool is started again; in another setting it needs another work directory.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

import torch
from mmengine.config import Config
from tqdm import tqdm

from tfinet_mm.analysis.equal_time import (
    Speed,
    combine,
    format_comparison,
    keep_speed,
    measure_speed,
    measured_speed,
    measurements,
    read_scores,
    with_steps,
)
from tfinet_mm.utils.command import add_config_options, add_traceback_option, run_command
from tfinet_mm.utils.config.loading import load_config
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.manifest import RunManifest

TOOLS = Path(__file__).resolve().parents[1]


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', help='configs whose networks are compared')
    parser.add_argument('--setting', required=True, help='config of data, optimizer and schedule')
    parser.add_argument(
        '--seconds', type=float, required=True, help='training time of a network on this machine'
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='default: 0 1 2')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/equal_time'))
    parser.add_argument(
        '--threads', type=int, default=1, help='CPU threads of a training (default: 1)'
    )
    parser.add_argument(
        '--processes', type=int, default=1, help='trainings side by side (default: 1)'
    )
    parser.add_argument(
        '--pretrained',
        action='store_true',
        help="start backbones from their config's weights (default: all from scratch)",
    )
    add_config_options(parser, 'set values in the setting')
    add_traceback_option(parser)
    args = parser.parse_args(arguments)
    names = [Path(config).stem for config in args.configs]
    if len(set(names)) != len(names):
        parser.error(f'two configs have the same name: {names}')
    return args


def run_logged(command: Sequence[str], log: Path, threads: int) -> None:
    """Run a command with its output in a file.

    Raises:
        RuntimeError: It failed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Processes side by side that spin while waiting for their threads slow each other down.
    env = {**os.environ, 'OMP_NUM_THREADS': str(threads), 'OMP_WAIT_POLICY': 'PASSIVE'}
    with log.open('a') as file:
        file.write(f'$ {shlex.join(command)}\n')
        file.flush()
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=env).returncode
    if code:
        raise RuntimeError(f'"{shlex.join(command)}" ended with status {code}; see {log}')


def train_and_score(folder: Path, seed: int, threads: int) -> dict[str, float]:
    """Train one network with one seed and score its last checkpoint, unless that is done.

    Returns:
        The scores in percent.
    """
    run = folder / f'seed_{seed}'
    scores, log, config = scores_file(folder, seed), run / 'log.txt', str(folder / 'config.py')
    if (found := read_scores(scores)) is None:
        train = [sys.executable, str(TOOLS / 'train.py'), config, '--work-dir', str(run)]
        run_logged([*train, '--seed', str(seed), '--resume'], log, threads)
        checkpoint = (run / 'last_checkpoint').read_text().strip()
        test = [sys.executable, str(TOOLS / 'test.py'), config, checkpoint]
        run_logged([*test, '--work-dir', str(run / 'test'), '--json', str(scores)], log, threads)
        found = read_scores(scores)
    if found is None:
        raise RuntimeError(f'{scores} holds no scores after a test; see {log}')
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, train, score, print the table."""
    args = parse_args(arguments)
    torch.set_num_threads(args.threads)
    setting = load_config(args.setting, args.cfg_options)
    networks = {
        Path(path).stem: combine(load_config(path), setting, args.pretrained)
        for path in args.configs
    }
    with measurements(args.work_dir) as manifest:
        compare(networks, manifest, args)


def compare(
    networks: Mapping[str, Config], manifest: RunManifest, args: argparse.Namespace
) -> None:
    """Measure, train and score what isn't yet, and print the table."""
    # Nothing is written to a finished folder, which may be read-only.
    finished = manifest.lock_unless(lambda: is_finished(networks, manifest, args))
    speeds: dict[str, Speed] = {}
    folders: dict[str, Path] = {}
    for name, cfg in networks.items():
        speed = measured_speed(manifest, name, cfg, args.threads)
        if speed is None:
            print(f'Timing a training step of {name}', flush=True)
            speed = measure_speed(cfg)
        speeds[name], steps = speed, speed.steps(args.seconds)
        folders[name] = folder_of(args, name, speed)
        if not finished:
            keep_speed(manifest, name, cfg, speed)
            with whole_file(folders[name] / 'config.py') as part:
                with_steps(cfg, steps).dump(str(part))
        print(f'{name}: {speed.seconds:.3f} s a step, {steps} steps', flush=True)

    # Seed by seed, so that a table of all networks is there as early as can be.
    jobs = [(name, seed) for seed in args.seeds for name in folders]
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in folders}
    with ThreadPoolExecutor(args.processes) as pool:
        futures = {
            pool.submit(train_and_score, folders[name], seed, args.threads): name
            for name, seed in jobs
        }
        with tqdm(total=len(futures), unit='training') as progress:
            for future in as_completed(futures):
                scores[futures[future]].append(future.result())
                progress.update()
    table = format_comparison(speeds, args.seconds, scores)
    with (
        suppress(*((OSError,) if finished else ())),
        whole_file(args.work_dir / 'table.md') as part,
    ):
        part.write_text(table + '\n')
    print(table)


def is_finished(
    networks: Mapping[str, Config], manifest: RunManifest, args: argparse.Namespace
) -> bool:
    """Return whether all scores are there; refuses measurements of another setting."""
    speeds = {
        name: measured_speed(manifest, name, cfg, args.threads) for name, cfg in networks.items()
    }
    return all(
        speed is not None
        and read_scores(scores_file(folder_of(args, name, speed), seed)) is not None
        for name, speed in speeds.items()
        for seed in args.seeds
    )


def folder_of(args: argparse.Namespace, name: str, speed: Speed) -> Path:
    """Return the folder of a network's trainings."""
    return args.work_dir / f'{name}_{speed.steps(args.seconds)}'


def scores_file(folder: Path, seed: int) -> Path:
    """Return where the scores of a training are."""
    return folder / f'seed_{seed}' / 'scores.json'


if __name__ == '__main__':
    run_command(main)
