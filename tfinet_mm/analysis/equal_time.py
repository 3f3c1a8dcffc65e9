"""Networks compared at equal training time: same data, same schedule, as many steps as fit."""

from __future__ import annotations

import copy
import itertools
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner

from tfinet_mm.analysis.benchmark import build_model
from tfinet_mm.analysis.complexity import count_parts
from tfinet_mm.analysis.timing import timed
from tfinet_mm.engine.precision import check_training
from tfinet_mm.errors import ManifestError
from tfinet_mm.evaluation.mean_std import mean_and_std
from tfinet_mm.models.members import network_bands
from tfinet_mm.utils.class_names import class_name, with_paths, written_name
from tfinet_mm.utils.manifest import RunManifest, read_json

SCORES = ('Score', 'SeK', 'mIoU', 'Fscd')
SPEEDS_FILE = 'speeds.json'
FIX = 'choose another --work-dir for these'


@dataclass(frozen=True)
class Speed:
    """What a network costs in a setting.

    Attributes:
        seconds: Median time of a training step, loading included.
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
        """Training steps that fit into ``budget`` seconds, at least one.

        Example:
            >>> Speed(seconds=0.4, pairs=8, parameters=1, gflop=1.0).steps(60)
            150
        """
        return max(math.floor(budget / self.seconds + 1e-9), 1)


def combine(network: Config, setting: Config, pretrained: bool = False) -> Config:
    """Combine the model of one config with the setting (data, optimizer, schedule) of another.

    Args:
        network: Config whose ``model`` is taken.
        setting: Config that everything else comes from. What its ``model``
            says, ``autocast`` for example, overrides the network.
        pretrained: Whether the backbone keeps the weights it starts from.

    Returns:
        A new config.

    Raises:
        ValueError: The setting does not train by iterations.
    """
    if class_name(setting.train_cfg.get('type')) != 'IterBasedTrainLoop':
        raise ValueError(
            f'{setting.filename} trains by {written_name(setting.train_cfg.get("type"))}; '
            'networks of different speed are given different numbers of steps: use an '
            'IterBasedTrainLoop and a sampler of type InfiniteSampler'
        )
    cfg = copy.deepcopy(setting)
    overrides = cfg.get('model', {})
    cfg.model = copy.deepcopy(network.model)
    cfg.merge_from_dict({'model': overrides})
    if not pretrained:
        cfg.model.backbone.init_cfg = None
    # Of MMEngine's new style, merged classes would be written as names that nothing defines.
    values = with_paths(cfg)
    return cfg if values == cfg.to_dict() else Config(values, filename=cfg.filename)


def measure_speed(cfg: Config, repeats: int = 10) -> Speed:
    """Time training steps of a combined config on its own data.

    Args:
        cfg: What :func:`combine` returns.
        repeats: Timed steps; three more come before them.

    Raises:
        FileNotFoundError: The data isn't there.
        ValueError: The setting trains in float16 and doesn't scale the loss.
    """
    # As tools/train.py does.
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
    """Return a combined config that trains for some steps, its rates falling until the last."""
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
        manifest: What :func:`measurements` returns.
        name: Name of the network.
        cfg: What :func:`combine` returns.
        threads: CPU threads of now.

    Raises:
        ManifestError: It was measured with another config or number of threads, which
            says nothing about this one; or the file is damaged.
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
    # A speed that was written by hand is of whatever setting it is used for.
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
        # It was cut off, as by a full disk; the test is quickly repeated.
        return None
    return None if found is None else found['scores']


def _plain_config(cfg: Config) -> Any:
    return json.loads(json.dumps(cfg.to_dict(), default=str))


def format_comparison(
    speeds: Mapping[str, Speed],
    budget: float,
    scores: Mapping[str, Sequence[Mapping[str, float]]],
) -> str:
    """Return the table as Markdown: cost of each network, mean and deviation of its scores.

    Args:
        speeds: By name of the network.
        budget: Seconds of training.
        scores: By name, the scores of each seed in percent.
    """
    header = ['network', 'parameters (M)', 'GFLOP', 'pairs a second', 'steps', *SCORES]
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
        lines.append(' | '.join(cells))
    return '\n'.join(f'| {line} |' for line in lines)
