"""Networks compared at equal training time: same data, same schedule, as many steps as fit."""

from __future__ import annotations

import copy
import difflib
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

from tfinet_mm.engine.benchmark import build_model
from tfinet_mm.engine.complexity import count_parts
from tfinet_mm.engine.measuring import timed
from tfinet_mm.engine.precision import check_training
from tfinet_mm.evaluation.mean_std import mean_and_std
from tfinet_mm.files import whole_file
from tfinet_mm.models.members import network_bands
from tfinet_mm.utils.class_names import class_name, with_paths, written_name

SCORES = ('Score', 'SeK', 'mIoU', 'Fscd')
# Lines that differ which an error shows before it only counts.
SHOWN = 6


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
    """The model of one config in the setting (data, optimizer, schedule) of another.

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
    """A combined config that trains for a number of steps, its rates falling until the last."""
    cfg = copy.deepcopy(cfg)
    schedulers = cfg.param_scheduler
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        # A warm-up keeps its length; what ends with the training ends with this one.
        if scheduler.end == cfg.train_cfg.max_iters:
            scheduler.end = steps
    cfg.train_cfg.max_iters = steps
    return cfg


def check_config(cfg: Config, path: Path) -> None:
    """Refuse a config that isn't the one which a network was measured with.

    Args:
        cfg: What :func:`combine` returns.
        path: Where :func:`keep_config` wrote the other one, if it did.

    Raises:
        ValueError: They differ: what was measured says nothing about this one.
    """
    if not path.is_file():
        return
    kept = path.read_text(encoding='utf-8').splitlines()
    lines = difflib.ndiff(kept, cfg.pretty_text.splitlines())
    changed = [line for line in lines if line[0] in '+-']
    if changed:
        shown = '\n'.join(changed[:SHOWN])
        raise ValueError(
            f'{path.parent} holds measurements of {path.stem} in another setting (lines of its '
            f'config with - then, with + now, {len(changed)} in all):\n{shown}\nExpected the same '
            'network, setting and options; choose another --work-dir for these'
        )


def keep_config(cfg: Config, path: Path) -> None:
    """Keep the combined config that a network's speed and scores belong to."""
    with whole_file(path) as part:
        Path(part).write_text(cfg.pretty_text, encoding='utf-8')


def read_speeds(path: Path) -> dict[str, Speed]:
    """Speeds measured before, by name of the network; none where there is no file."""
    if not path.is_file():
        return {}
    return {name: Speed(**values) for name, values in json.loads(path.read_text()).items()}


def write_speeds(path: Path, speeds: Mapping[str, Speed]) -> None:
    """Keep speeds for the next start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        Path(part).write_text(json.dumps({k: asdict(v) for k, v in speeds.items()}, indent=1))


def format_comparison(
    speeds: Mapping[str, Speed],
    budget: float,
    scores: Mapping[str, Sequence[Mapping[str, float]]],
) -> str:
    """The table as Markdown: what each network costs, and mean and spread of its scores.

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
