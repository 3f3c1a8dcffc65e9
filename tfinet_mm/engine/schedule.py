"""Let a resumed training follow the schedule of its config, even if that has changed.

MMEngine loads the schedule of a checkpoint with its settings: a training that is resumed for
more epochs than were planned keeps the last learning rate, which is often 0.
"""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from mmengine.logging import print_log
from mmengine.runner import Runner

from tfinet_mm.errors import ScheduleError

PROGRESS = ('optimizer', 'last_step', 'verbose')
"""Arguments of schedulers that don't change a schedule."""

DERIVED = ('total_iters', 'total_steps')
"""Attributes of schedulers that follow from their arguments."""


class ConfigSchedules:
    """Schedules of a config, and the values they begin with.

    Args:
        runner: The runner with its optimizer and schedulers just built, before a
            checkpoint is loaded.
    """

    def __init__(self, runner: Runner) -> None:
        self._groups = {
            name: [_without_parameters(group) for group in optimizer.param_groups]
            for name, optimizer in _named(runner.optim_wrapper).items()
        }

    def resume(self, runner: Runner, saved: Any) -> None:
        """Set the schedulers to the step of a checkpoint.

        Where the schedule of the config differs from that of the checkpoint, the
        config's applies: it takes as many steps from its start as the training
        has done. The optimizer's own settings stay those of the checkpoint.

        Args:
            runner: The runner with optimizer, epoch and iteration of the
                checkpoint, and with its schedulers as built from the config.
            saved: ``param_schedulers`` of the checkpoint.
        """
        states = _named_lists(saved)
        for name, schedulers in _named_lists(runner.param_schedulers).items():
            changes = _changes(schedulers, states.get(name, []))
            if not changes:
                for scheduler, state in zip(schedulers, states[name], strict=True):
                    scheduler.load_state_dict(state)
                continue
            print_log(
                'the schedule of the config differs from that of the checkpoint, and counts from '
                f'here on: {"; ".join(changes)}',
                logger='current',
                level=logging.WARNING,
            )
            if any(getattr(scheduler, 'need_val_args', False) for scheduler in schedulers):
                _keep_progress(schedulers, states.get(name, []))
            else:
                for scheduler in schedulers:
                    self._restart(scheduler, self._groups[name])
                _repeat_steps(runner, schedulers)

    @staticmethod
    def leave_out(runner: Runner) -> None:
        """Undo the schedules of a checkpoint, where the config has none any more.

        Args:
            runner: The runner with the optimizer of the checkpoint.
        """
        groups = [
            group
            for optimizer in _named(runner.optim_wrapper).values()
            for group in optimizer.param_groups
            if 'initial_lr' in group
        ]
        if all(group['lr'] == group['initial_lr'] for group in groups):
            return
        print_log(
            'the config has no schedule, in place of that of the checkpoint: the learning rate '
            f'goes from {_range(group["lr"] for group in groups)} back to '
            f'{_range(group["initial_lr"] for group in groups)}, where it stays',
            logger='current',
            level=logging.WARNING,
        )
        for group in groups:
            group['lr'] = group['initial_lr']

    def warn_of_other_rates(self, runner: Runner) -> None:
        """Warn where the learning rate of the checkpoint replaced that of the config.

        Args:
            runner: The runner with the optimizer of the checkpoint.
        """
        for name, optimizer in _named(runner.optim_wrapper).items():
            # A schedule that names its highest rate derives the initial one from it.
            pairs = [
                (_initial(new), _initial(old))
                for new, old in zip(self._groups[name], optimizer.param_groups, strict=False)
                if 'max_lr' not in new
            ]
            if all(new == old for new, old in pairs):
                continue
            print_log(
                f'the learning rate of the config, {_range(new for new, _ in pairs)}, differs from '
                f'that of the checkpoint, {_range(old for _, old in pairs)}, which a resumed '
                'training keeps; to change it, start a training from these weights '
                '(load_from, without resume)',
                logger='current',
                level=logging.WARNING,
            )

    @staticmethod
    def _restart(scheduler: Any, config_groups: Sequence[Mapping[str, Any]]) -> None:
        """Give the optimizer the value that a schedule begins with."""
        name = scheduler.param_name
        for place, (group, new) in enumerate(
            zip(scheduler.optimizer.param_groups, config_groups, strict=True)
        ):
            initial = f'initial_{name}'
            base = group.get(initial, new[initial])
            if f'max_{name}' in new:
                for key in (initial, f'max_{name}', f'min_{name}'):
                    group[key] = new[key]
                group[name] = new[name]
            else:
                # A warm-up begins at a share of the initial value, which is the checkpoint's.
                same = base == new[initial] or not new[initial]
                group[name] = new[name] if same else new[name] * base / new[initial]
                group[initial] = scheduler.base_values[place] = base
            if getattr(scheduler, 'use_betas', False):
                group['betas'] = (group[name], group['betas'][1])


def check_schedule(runner: Runner, planned: int | None) -> None:
    """Warn of a learning rate that will be 0 for more than the last step, or refuse it.

    Args:
        runner: The runner, before the first step.
        planned: Epochs (or iterations) planned when the checkpoint was saved from
            which the training is resumed; None for a new training.

    Raises:
        ScheduleError: It will be 0 in a training that is resumed for longer than planned.
    """
    by_epoch, total, _ = _extent(runner)
    unit, key = ('epochs', 'max_epochs') if by_epoch else ('iterations', 'max_iters')
    for schedulers in _named_lists(runner.param_schedulers).values():
        idle = idle_steps(runner, schedulers)
        if idle <= 1:
            continue
        length = len(runner.train_loop.dataloader) if by_epoch else 1
        iterations = by_epoch and not all(scheduler.by_epoch for scheduler in schedulers)
        message = (
            f'the learning rate is 0 in the last {idle:g} of {total} {unit}, which train nothing, '
            f'because the schedule ends after {max(_ends(runner, schedulers)):g}; set '
            f'param_scheduler.end={total}'
            + (f' ({total * length} where it counts iterations)' if iterations else '')
            + f', of the last entry where it is a list, or a lower train_cfg.{key}'
        )
        if planned is not None and total > planned:
            raise ScheduleError(f'resumed to more than the {planned} {unit} planned: {message}')
        print_log(message, logger='current', level=logging.WARNING)


def idle_steps(runner: Runner, schedulers: Sequence[Any]) -> float:
    """Count the steps at the end of a training loop in which the learning rate is 0.

    Args:
        runner: The runner.
        schedulers: The schedulers of one optimizer at their present step, which is kept.

    Returns:
        Number of epochs, or of iterations in a loop that counts these. 0 where a
        schedule runs to the end, or depends on scores, which aren't known ahead.
    """
    by_epoch, total, done = _extent(runner)
    if any(getattr(scheduler, 'need_val_args', False) for scheduler in schedulers):
        return 0
    ends = _ends(runner, schedulers)
    if not ends or max(ends) >= total:
        return 0
    length = len(runner.train_loop.dataloader) if by_epoch else 1
    clones, groups = _clones(schedulers)
    idle = 0.0
    for step in range(done, total):
        if step > max(ends) + 1:  # nothing changes any more
            idle = idle + total - step if _at_rest(groups) else 0
            break
        for _ in range(length):
            idle = idle + 1 / length if _at_rest(groups) else 0
            _step(clones, by_epoch=False)
        if by_epoch:
            _step(clones, by_epoch=True)
    return round(idle, 6)


def storable_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a scheduler without its functions, which aren't data.

    ``OneCycleLR`` keeps one; a checkpoint that holds it is refused as one that could run code.

    Args:
        state: Its ``state_dict``.
    """
    return {name: value for name, value in state.items() if not callable(value)}


def _named(wrapper: Any) -> dict[str, Any]:
    """Return optimizers by their name; a single one is ''."""
    groups = wrapper.param_groups
    return dict(wrapper.items()) if isinstance(groups, Mapping) else {'': wrapper}


def _named_lists(schedulers: Any) -> dict[str, list[Any]]:
    """Return schedulers by the name of their optimizer; those of a single one are ''."""
    if schedulers is None:
        return {}
    if isinstance(schedulers, Mapping):
        return {str(name): list(group) for name, group in schedulers.items()}
    return {'': list(schedulers)}


def _without_parameters(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != 'params'}


def _initial(group: Mapping[str, Any]) -> float:
    return float(group.get('initial_lr', group['lr']))


def _range(values: Iterable[float]) -> str:
    found = list(values)
    return ' to '.join(f'{value:g}' for value in sorted({min(found), max(found)}))


def _settings(scheduler: Any) -> dict[str, Any]:
    """Return the arguments and the length that a scheduler keeps."""
    names = set(DERIVED)
    for kind in type(scheduler).__mro__[:-1]:
        names |= set(inspect.signature(kind).parameters)
    return {
        name: value
        for name, value in vars(scheduler).items()
        if name in names and name not in PROGRESS
    }


def _changes(schedulers: Sequence[Any], states: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the settings in which schedulers differ from those of a checkpoint."""
    if len(schedulers) != len(states):
        return [f'{len(states)} schedulers became {len(schedulers)}']
    found = []
    for scheduler, state in zip(schedulers, states, strict=True):
        kind = type(scheduler).__name__
        if set(storable_state(state)) != set(storable_state(scheduler.state_dict())):
            found.append(f'another type became {kind}')
            continue
        found += [
            f'{kind}.{name} {_plain(state[name])} became {_plain(value)}'
            for name, value in _settings(scheduler).items()
            if state[name] != value and name not in DERIVED
        ]
    return found


def _plain(value: Any) -> Any:
    """Return milestones, which MMEngine counts, as a list."""
    return sorted(value.elements()) if hasattr(value, 'elements') else value


def _keep_progress(schedulers: Sequence[Any], states: Sequence[Mapping[str, Any]]) -> None:
    """Take over new settings, but keep the state, which depends on scores of the past."""
    if len(schedulers) != len(states):
        return
    for scheduler, state in zip(schedulers, states, strict=True):
        if set(storable_state(state)) == set(storable_state(scheduler.state_dict())):
            settings = copy.deepcopy(_settings(scheduler))
            scheduler.load_state_dict(dict(state) | settings)


def _repeat_steps(runner: Runner, schedulers: Sequence[Any]) -> None:
    """Step new schedulers as often, and in the same order, as those of the training."""
    for scheduler in schedulers:
        scheduler.optimizer._global_step = 0  # or they warn that the optimizer never stepped
    by_epoch, _, done = _extent(runner)
    for _ in range(done):
        for _ in range(len(runner.train_loop.dataloader) if by_epoch else 1):
            _step(schedulers, by_epoch=False)
        if by_epoch:
            _step(schedulers, by_epoch=True)


def _step(schedulers: Iterable[Any], by_epoch: bool) -> None:
    for scheduler in schedulers:
        if scheduler.by_epoch == by_epoch:
            scheduler.step()


def _extent(runner: Runner) -> tuple[bool, int, int]:
    """Return whether a loop counts epochs, its total number of steps, and those done."""
    loop = runner.train_loop
    if hasattr(loop, 'dataloader_iterator'):
        return False, loop.max_iters, loop.iter
    return True, loop.max_epochs, loop.epoch


def _ends(runner: Runner, schedulers: Sequence[Any]) -> list[float]:
    """Return where the schedules of the learning rate end, in steps of the loop."""
    by_epoch, _, _ = _extent(runner)
    rates = [scheduler for scheduler in schedulers if scheduler.param_name == 'lr']
    if not by_epoch:
        return [float('inf') if one.by_epoch else float(one.end) for one in rates]
    length = len(runner.train_loop.dataloader)
    return [one.end if one.by_epoch else one.end / length for one in rates]


def _at_rest(groups: Iterable[Mapping[str, Any]]) -> bool:
    return all(group['lr'] == 0 for group in groups)


def _clones(schedulers: Sequence[Any]) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return copies of schedulers, and the settings of an optimizer that they change.

    Of parameter groups with the same rates, one is copied.
    """
    groups = [_without_parameters(group) for group in schedulers[0].optimizer.param_groups]
    distinct: dict[Any, int] = {}
    for index, group in enumerate(groups):
        rates = tuple((key, group[key]) for key in sorted(group) if key.endswith('lr'))
        distinct.setdefault(rates, index)
    kept = [groups[index] for index in distinct.values()]
    optimizer = SimpleNamespace(param_groups=kept, _global_step=0, step=_counted)
    clones = []
    for scheduler in schedulers:
        clone = copy.copy(scheduler)
        for name, value in vars(scheduler).items():
            if isinstance(value, list):
                per_group = len(value) == len(groups)
                indices = list(distinct.values()) if per_group else range(len(value))
                value = [value[index] for index in indices]
            setattr(clone, name, value)
        clone.optimizer, clone.verbose = optimizer, False
        clones.append(clone)
    return clones, kept


def _counted() -> None:
    """Do nothing, as the step of an optimizer that schedulers have wrapped."""


_counted._with_counter = True  # type: ignore[attr-defined]
