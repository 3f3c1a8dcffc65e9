"""Train networks for the same time on the same data, and compare their scores.

    python projects/equal_time/run.py CONFIG [CONFIG ...] --setting SETTING --seconds 600

for example with projects/equal_time/setting.py as the setting.

Only the model is taken from each CONFIG; data, augmentation, optimizer and schedule are those of
the setting. Without one, each CONFIG is taken whole, with its weights to begin with, and the
table has the difference to the first one, seed by seed.

First a training step of each network is timed, one network at a time. The number of steps that
fits into the time is then trained by tools/train.py and scored by tools/test.py, so the result
doesn't depend on the load of the machine during the training. A later run skips what is finished;
another setting needs another work directory.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from tqdm import tqdm

from tfinet_mm.analysis.benchmark import build_model
from tfinet_mm.analysis.complexity import count_parts
from tfinet_mm.analysis.timing import timed
from tfinet_mm.engine.precision import check_training
from tfinet_mm.errors import ManifestError
from tfinet_mm.evaluation.mean_std import mean_and_std
from tfinet_mm.models.members import network_bands
from tfinet_mm.utils.class_names import class_name, with_paths, written_name
from tfinet_mm.utils.command import add_config_options, add_traceback_option, run_command
from tfinet_mm.utils.config.check import check_config
from tfinet_mm.utils.config.loading import load_config
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.manifest import RunManifest, read_json

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
SCORES = ('Score', 'SeK', 'mIoU', 'Fscd')
SPEEDS_FILE = 'speeds.json'
FIX = 'choose another --work-dir for these'


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'configs',
        nargs='+',
        help='configs whose networks are compared; one named twice counts once',
    )
    parser.add_argument(
        '--setting',
        help='config of data, optimizer and schedule (default: those of each config)',
    )
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
    if args.pretrained and not args.setting:
        parser.error('--pretrained belongs to --setting; a whole config has its own weights')
    # Such as the first one, to compare with, and all that match a pattern.
    args.configs = list({os.path.normpath(one): one for one in args.configs}.values())
    names = [Path(config).stem for config in args.configs]
    if len(set(names)) != len(names):
        parser.error(f'two configs have the same name: {names}')
    return args


def run_logged(command: Sequence[str], log: Path, threads: int) -> None:
    """Run a command with its output in a file.

    Raises:
        RuntimeError: The command failed.
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
    """Train one network with one seed and score its last checkpoint, unless it has scores.

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
    networks = read_configs(args)
    for cfg in networks.values():
        check_config(cfg)
    with measurements(args.work_dir) as manifest:
        compare(networks, manifest, args)


def read_configs(args: argparse.Namespace) -> dict[str, Config]:
    """Return the config of each training, by name."""
    if args.setting is None:
        whole = {Path(path).stem: load_config(path, args.cfg_options) for path in args.configs}
        for cfg in whole.values():
            check_by_steps(cfg)
        return {name: with_plain_values(cfg) for name, cfg in whole.items()}
    # It may lack a whole model: its parts are checked in combination with each network's.
    setting = load_config(args.setting, args.cfg_options, only=())
    return {
        Path(path).stem: combine(load_config(path), setting, args.pretrained)
        for path in args.configs
    }


def compare(
    networks: Mapping[str, Config], manifest: RunManifest, args: argparse.Namespace
) -> None:
    """Do the missing measurements, trainings and tests, and print the table."""
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

    # Seed by seed, so that scores of all networks are there as early as possible.
    jobs = [(name, seed) for seed in args.seeds for name in folders]
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in folders}
    with ThreadPoolExecutor(args.processes) as pool:
        futures = {
            pool.submit(train_and_score, folders[name], seed, args.threads): name
            for name, seed in jobs
        }
        with tqdm(total=len(futures), unit='training') as progress:
            for future in as_completed(futures):
                future.result()
                progress.update()
    for future, name in futures.items():
        scores[name].append(future.result())
    first = None if args.setting else next(iter(networks))
    table = format_comparison(speeds, args.seconds, scores, first)
    with (
        suppress(*((OSError,) if finished else ())),
        whole_file(args.work_dir / 'table.md') as part,
    ):
        part.write_text(table + '\n')
    print(table)


def is_finished(
    networks: Mapping[str, Config], manifest: RunManifest, args: argparse.Namespace
) -> bool:
    """Return whether all scores are there; refuse measurements of another setting."""
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
    """Return the path of the scores of a training."""
    return folder / f'seed_{seed}' / 'scores.json'


@dataclass(frozen=True)
class Speed:
    """Cost of a network in a setting.

    Attributes:
        seconds: Median time of a training step in seconds, loading included.
        pairs: Pairs in a step.
        parameters: Number of parameters.
        gflop: 10^9 operations of the forward pass of a 512 x 512 pair.
        threads: CPU threads that the step was timed with.
    """

    seconds: float
    pairs: int
    parameters: int
    gflop: float
    threads: int = 1

    def steps(self, budget: float) -> int:
        """Return the number of training steps that fit into ``budget`` seconds, at least one.

        Example:
            >>> Speed(seconds=0.4, pairs=8, parameters=1, gflop=1.0).steps(60)
            150
        """
        return max(math.floor(budget / self.seconds + 1e-9), 1)


def combine(network: Config, setting: Config, pretrained: bool = False) -> Config:
    """Combine the model of one config with the setting (data, optimizer, schedule) of another.

    Args:
        network: Config whose ``model`` is taken.
        setting: Config that everything else comes from. Entries of its ``model``,
            such as ``autocast``, override those of the network.
        pretrained: Keep the pretrained weights of the backbone's config.

    Returns:
        A new config.

    Raises:
        ValueError: The setting does not train by iterations.
    """
    check_by_steps(setting)
    cfg = copy.deepcopy(setting)
    overrides = cfg.get('model', {})
    cfg.model = copy.deepcopy(network.model)
    cfg.merge_from_dict({'model': overrides})
    if not pretrained:
        cfg.model.backbone.init_cfg = None
    return with_plain_values(cfg)


def check_by_steps(cfg: Config) -> None:
    """Refuse a config that trains by epochs.

    Raises:
        ValueError: It does.
    """
    if class_name(cfg.train_cfg.get('type')) != 'IterBasedTrainLoop':
        raise ValueError(
            f'{cfg.filename} trains by {written_name(cfg.train_cfg.get("type"))}; '
            'networks of different speed are given different numbers of steps: use an '
            'IterBasedTrainLoop and a sampler of type InfiniteSampler'
        )


def with_plain_values(cfg: Config) -> Config:
    """Return a config that can be dumped: classes of MMEngine's new style become their paths."""
    values = with_paths(cfg)
    return cfg if values == cfg.to_dict() else Config(values, filename=cfg.filename)


def measure_speed(cfg: Config, repeats: int = 10) -> Speed:
    """Time training steps of a combined config on its own data.

    Args:
        cfg: Config of :func:`combine`.
        repeats: Number of timed steps; three untimed ones come before them.

    Raises:
        FileNotFoundError: The data is missing.
        ValueError: The setting trains in float16 and doesn't scale the loss.
    """
    # The same check as in tools/train.py.
    cfg = copy.deepcopy(cfg)
    check_training(cfg)
    model = build_model(cfg, cfg.model.get('autocast') or 'float32')
    bands = network_bands(cfg)
    device = next(model.parameters()).device
    whole = count_parts(model, torch.zeros(1, 2 * bands, 512, 512, device=device))[0]
    model.train()
    optimizer = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    loader = Runner.build_dataloader(copy.deepcopy(cfg.train_dataloader), seed=0)
    batches: Iterator[Any] = itertools.chain.from_iterable(itertools.repeat(loader))

    def step() -> None:
        model.train_step(next(batches), optimizer)

    seconds = statistics.median(timed(step, warmup=3, repeats=repeats, seconds=120))
    return Speed(
        seconds,
        cfg.train_dataloader.batch_size,
        whole.parameters,
        whole.flop / 1e9,
        torch.get_num_threads(),
    )


def with_steps(cfg: Config, steps: int) -> Config:
    """Return a combined config that trains for some steps, with schedules that end at the last."""
    cfg = copy.deepcopy(cfg)
    schedulers = cfg.param_scheduler
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        # A warm-up keeps its length; what ends with the training ends with this one.
        if scheduler.end == cfg.train_cfg.max_iters:
            scheduler.end = steps
    cfg.train_cfg.max_iters = steps
    return cfg


def measurements(folder: str | Path) -> RunManifest:
    """Return the manifest of a comparison: each network's speed, and its config."""
    return RunManifest(folder, SPEEDS_FILE, 'measurements', FIX, informative=())


def measured_speed(manifest: RunManifest, name: str, cfg: Config, threads: int) -> Speed | None:
    """Return the speed of a network as it was measured before, or None.

    Args:
        manifest: Manifest of :func:`measurements`.
        name: Name of the network.
        cfg: Config of :func:`combine`.
        threads: CPU threads of this run.

    Raises:
        ManifestError: It was measured with another config or number of threads; or the
            file is damaged.
    """
    found = (manifest.read() or {}).get(name)
    if found is None:
        return None
    speed = Speed(**{key: found[key] for key in Speed.__dataclass_fields__ if key in found})
    wanted = dict(threads=threads, config=_plain_config(cfg))
    if 'config' not in found and (manifest.folder / f'{name}.py').is_file():
        raise ManifestError(
            f'{manifest.path} is of an earlier version and lacks the config that {name} was '
            f'measured with; {FIX}'
        )
    # A speed that was written by hand has no config, and is taken for any.
    made = dict(threads=speed.threads, config=found.get('config', wanted['config']))
    manifest.check({name: made}, {name: wanted})
    return speed


def keep_speed(manifest: RunManifest, name: str, cfg: Config, speed: Speed) -> None:
    """Keep a network's speed, and the config that it and the scores belong to."""
    entry = asdict(speed) | dict(config=_plain_config(cfg))
    manifest.write((manifest.read() or {}) | {name: entry})


def read_scores(path: Path) -> dict[str, float] | None:
    """Return the scores in percent that ``tools/test.py`` wrote, None if they aren't all there."""
    try:
        found = read_json(path, ('scores',))
    except ManifestError:
        # It was cut off, for example by a full disk; repeating the test is quick.
        return None
    return None if found is None else found['scores']


def _plain_config(cfg: Config) -> Any:
    return json.loads(json.dumps(cfg.to_dict(), default=str))


def format_comparison(
    speeds: Mapping[str, Speed],
    budget: float,
    scores: Mapping[str, Sequence[Mapping[str, float]]],
    first: str | None = None,
) -> str:
    """Return the table as Markdown: cost of each network, mean and deviation of its scores.

    Args:
        speeds: Speed of each network, by its name.
        budget: Training time in seconds.
        scores: Scores of each seed in percent, by name of the network.
        first: Network to which the difference in SeK is stated, seed by seed; None for none.
    """
    header = ['network', 'parameters (M)', 'GFLOP', 'pairs a second', 'steps', *SCORES]
    if first is not None:
        header.append('SeK, difference')
    lines = [' | '.join(header), ' | '.join(['---', *['---:'] * (len(header) - 1)])]
    for name, speed in speeds.items():
        runs = scores.get(name, ())
        cells = [
            name,
            f'{speed.parameters / 1e6:.2f}',
            f'{speed.gflop:.1f}',
            f'{speed.pairs / speed.seconds:.1f}',
            f'{speed.steps(budget)}',
            *(mean_and_std([run[key] for run in runs]) for key in SCORES),
        ]
        if first is not None:
            pairs = zip(runs, scores.get(first, ()), strict=False)
            differences = [run['SeK'] - other['SeK'] for run, other in pairs]
            cells.append('' if name == first else mean_and_std(differences, signed=True))
        lines.append(' | '.join(cells))
    return '\n'.join(f'| {line} |' for line in lines)


if __name__ == '__main__':
    run_command(main)
