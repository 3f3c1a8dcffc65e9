"""Define the values that a key may have, by its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

Rule = Callable[[Any], str | None]
"""Function that returns the expected values, in words, for a wrong value; None for a right one."""


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number, and not a bool."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number, and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def whole(least: int, *others: Any) -> Rule:
    """Accept a whole number from ``least`` on, or one of the other values."""

    def rule(value: Any) -> str | None:
        if value in others or (is_whole(value) and value >= least):
            return None
        words = ''.join(f', or {other}' for other in others)
        return f'a whole number from {least} on{words}'

    return rule


def number(least: float, most: float = math.inf, above: bool = False) -> Rule:
    """Accept a finite number from ``least`` (or above it) to ``most``."""

    def rule(value: Any) -> str | None:
        inside = is_number(value) and least <= value <= most and not (above and value == least)
        if inside:
            return None
        lower = f'above {least}' if above else f'from {least}'
        return f'a number {lower}{"" if math.isinf(most) else f" to {most}"}'

    return rule


def optional(rule: Rule) -> Rule:
    """Accept None, or a value that a rule accepts."""
    return lambda value: None if value is None else rule(value)


def sizes(value: Any) -> str | None:
    """Accept numbers of channels above 0, in lists of any depth, and other types of values."""
    if isinstance(value, list | tuple):
        return next((said for one in value if (said := sizes(one))), None)
    wrong = isinstance(value, str | float | bool) or (is_whole(value) and value < 1)
    return 'whole numbers from 1 on' if wrong else None


def of_kind(*kinds: type, words: str) -> Rule:
    """Accept a value of one of some types."""
    return lambda value: None if isinstance(value, kinds) else words


def pair_of_shares(value: Any) -> str | None:
    """Accept Adam's ``betas``: two or, for some optimizers of its kind, three."""
    right = (
        isinstance(value, list | tuple)
        and len(value) > 1
        and all(is_number(b) and 0 <= b < 1 for b in value)
    )
    return None if right else 'two numbers from 0 to below 1'


def list_of(rule: Rule) -> Rule:
    """Accept a list of values that a rule accepts."""

    def of_list(value: Any) -> str | None:
        if not isinstance(value, list | tuple):
            return f'a list, each {rule(None)}'
        return next((f'a list, each {said}' for one in value if (said := rule(one))), None)

    return of_list


def learning_rate(value: Any) -> str | None:
    """Accept a learning rate."""
    return None if is_number(value) and value > 0 else 'a learning rate, a number above 0'


def one_of(*choices: Any) -> Rule:
    """Accept one of some values."""
    words = f'one of {", ".join(map(repr, choices))}'
    return lambda value: None if value in choices else words


def priority(value: Any) -> str | None:
    """Accept a priority of a hook."""
    # The only rule that needs MMEngine; reading images takes others.
    from mmengine.runner import Priority

    names = [one.name for one in Priority]
    right = value in names if isinstance(value, str) else is_whole(value) and 0 <= value <= 100
    return None if right else f'one of {", ".join(names)}, or a number from 0 to 100'


def level(value: Any) -> str | None:
    """Accept a level of the log."""
    names = ('CRITICAL', 'ERROR', 'WARNING', 'INFO', 'DEBUG')
    return None if is_whole(value) or value in names else f'one of {", ".join(names)}'


TRUTH = of_kind(bool, words='True or False')

INFINITE = (math.inf, 'inf')
_OPTIONAL_DICT = of_kind(Mapping, type(None), words='a dictionary or None')

LOADER: Mapping[str, Rule] = dict(
    batch_size=whole(1),
    num_workers=whole(0),
    prefetch_factor=optional(whole(1)),
    num_batch_per_epoch=optional(whole(1)),
    persistent_workers=TRUTH,
    drop_last=TRUTH,
    pin_memory=TRUTH,
)
LOOP: Mapping[str, Rule] = dict(
    max_epochs=whole(1), max_iters=whole(1), val_interval=whole(1), val_begin=whole(1)
)
OPTIM_WRAPPER: Mapping[str, Rule] = dict(accumulative_counts=whole(1))
OPTIMIZER: Mapping[str, Rule] = dict(
    lr=learning_rate,
    weight_decay=number(0),
    momentum=number(0, 1),
    eps=number(0),
    betas=pair_of_shares,
)
CLIP_GRAD: Mapping[str, Rule] = dict(
    max_norm=number(0, above=True),
    clip_value=number(0, above=True),
    norm_type=lambda value: None if is_number(value) or value in INFINITE else "a number or 'inf'",
)
SCHEDULER: Mapping[str, Rule] = dict(
    begin=whole(0),
    end=whole(1, math.inf),
    by_epoch=TRUTH,
    power=number(0),
    T_max=whole(1),
    eta_min=optional(number(0)),
    eta_max=number(0, above=True),
    gamma=number(0),
    factor=number(0),
    start_factor=number(0, 1, above=True),
    end_factor=number(0, 1),
    step_size=whole(1),
    milestones=list_of(whole(0)),
    periods=list_of(whole(1)),
    restart_weights=list_of(number(0)),
    total_steps=optional(whole(1)),
)
HOOK: Mapping[str, Rule] = dict(
    interval=whole(-1),
    max_keep_ckpts=whole(1, -1),
    save_last=TRUTH,
    by_epoch=TRUTH,
    rule=optional(one_of('greater', 'less')),
    out_dir=optional(of_kind(str, words='the name of a folder')),
    priority=optional(priority),
)
MODEL: Mapping[str, Rule] = dict(
    in_channels=sizes,
    channels=sizes,
    out_channels=sizes,
    base_channels=sizes,
    # mmseg's own configs switch dropout off by -1.
    dropout_ratio=optional(number(-1, 1)),
    loss_weight=number(0),
    positive_weight=optional(number(0)),
    pad_val=lambda value: 'a number' if isinstance(value, str | bool) else None,
    seg_pad_val=lambda value: 'a number' if isinstance(value, str | bool) else None,
    train_cfg=_OPTIONAL_DICT,
    test_cfg=_OPTIONAL_DICT,
)
HEAD: Mapping[str, Rule] = dict(
    num_classes=whole(1),
    loss_decode=lambda value: 'a loss or a list of them' if value in ([], ()) else None,
)
METRIC: Mapping[str, Rule] = dict(iou_metrics=list_of(one_of('mIoU', 'mDice', 'mFscore')))
SAMPLER: Mapping[str, Rule] = dict(seed=optional(whole(0)), shuffle=TRUTH, round_up=TRUTH)
AVERAGES: Mapping[str, Rule] = dict(
    data_src=of_kind(str, words='the name of a value'),
    method_name=of_kind(str, words='the name of a method'),
)
DATASET: Mapping[str, Rule] = dict(
    test_mode=TRUTH,
    times=whole(1),
    data_root=optional(of_kind(str, words='the name of a folder')),
    ann_file=of_kind(str, words='the name of a file'),
    max_refetch=whole(0),
    filter_cfg=_OPTIONAL_DICT,
)
RANDOMNESS: Mapping[str, Rule] = dict(
    seed=optional(
        lambda value: (
            None if is_whole(value) and 0 <= value < 2**32 else 'a whole number from 0 to 2**32 - 1'
        )
    ),
    deterministic=TRUTH,
    diff_rank_seed=TRUTH,
)
LR_MULTIPLIERS: Mapping[str, Rule] = dict(lr_mult=number(0), decay_mult=number(0))
PARAMWISE: Mapping[str, Rule] = dict(
    bias_lr_mult=number(0),
    bias_decay_mult=number(0),
    norm_decay_mult=number(0),
    flat_decay_mult=number(0),
    dwconv_decay_mult=number(0),
    dcn_offset_lr_mult=number(0),
    bypass_duplicate=TRUTH,
)
SCALING: Mapping[str, Rule] = dict(enable=TRUTH, base_batch_size=whole(1))
MULTIPROCESSING: Mapping[str, Rule] = dict(
    mp_start_method=one_of('fork', 'spawn', 'forkserver'), opencv_num_threads=whole(0)
)
_DICT = of_kind(Mapping, words='a dictionary')
_RUNNER = 'the name of a Runner or its class'
_DICTS = of_kind(Mapping, list, tuple, words='a dictionary, or a list of them')
TOP: Mapping[str, Rule] = dict(
    model=_DICT,
    train_dataloader=_DICT,
    val_dataloader=_DICTS,
    test_dataloader=_DICTS,
    train_cfg=_DICT,
    val_cfg=_DICT,
    test_cfg=_DICT,
    optim_wrapper=_DICT,
    param_scheduler=_DICTS,
    val_evaluator=_DICTS,
    test_evaluator=_DICTS,
    default_hooks=_DICT,
    custom_hooks=of_kind(list, tuple, words='a list of dictionaries'),
    env_cfg=_DICT,
    auto_scale_lr=_DICT,
    randomness=_DICT,
    log_processor=_DICT,
    visualizer=_DICT,
    tta_model=_DICT,
    default_tta=_DICT,
    resume=TRUTH,
    default_scope=of_kind(str, words='the name of a package'),
    load_from=of_kind(str, words='the name of a checkpoint'),
    log_level=level,
    runner_type=lambda value: None if isinstance(value, str) or callable(value) else _RUNNER,
    work_dir=of_kind(str, words='the name of a folder'),
    find_unused_parameters=TRUTH,
)
"""Top-level keys; None is right for all of them."""
