"""One table of what every stage of a recipe has reached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tfinet_mm.recipe.state import Plan
from tfinet_mm.utils.files import write_whole
from tfinet_mm.utils.json_text import json_text

SCORES = ('Score', 'SeK', 'mIoU', 'Fscd', 'OA')
"""Columns of the table; the JSON file has all scores."""

GROUP_NAMES = {
    'members': 'trained on the annotation',
    'members_ensemble': 'their ensemble',
    'others': 'others, not in the ensemble',
    'retrained': 'trained again, with pseudo labels',
    'retrained_ensemble': 'their ensemble',
}


def collect_results(plan: Plan) -> dict[str, Any]:
    """Return what the stages that are done have reached.

    Returns:
        ``tests``, a list of ``stage``, ``group``, ``networks``, ``tta`` and
        ``scores`` in the order of the plan; ``seconds`` of each stage by name;
        ``best`` checkpoint of each training by the name of its stage;
        ``pseudo_labels``, the reports of ``tools/pseudo_label.py`` by the name
        of their stage; ``seed`` of the trainings; ``stages``, by name what each was
        made from (see :class:`~tfinet_mm.recipe.state.Stage`), None for those to come.
    """
    done = {name: state for name in plan.stages if (state := plan.state(name)) and state['done']}
    tests, labels = [], {}
    for name in done:
        stage = plan.stages[name]
        if stage.test and (report := stage.report()):
            tests.append(dict(stage=name, **stage.test, scores=report['scores']))
        elif stage.kind == 'pseudo_labels' and (report := stage.report()):
            labels[name] = report
    return dict(
        tests=tests,
        seconds={name: round(state['seconds'], 1) for name, state in done.items()},
        best={name: state['note'] for name, state in done.items() if state['note']},
        pseudo_labels=labels,
        seed=plan.seed,
        stages={name: done[name]['made_from'] if name in done else None for name in plan.stages},
    )


def format_results(results: dict[str, Any]) -> str:
    """Return the table as Markdown, in percent: a row a test, and a line about the time."""
    lines = [
        f'| model | TTA | {" | ".join(SCORES)} |',
        f'| --- | --- |{" ---: |" * len(SCORES)}',
        *_rows(results['tests']),
    ]
    kinds: defaultdict[str, float] = defaultdict(float)
    for name, spent in results['seconds'].items():
        kinds[name.partition('/')[0].removesuffix('_tta')] += spent
    parts = ', '.join(f'{kind} {_clock(spent)}' for kind, spent in kinds.items())
    total = f'Time: {_clock(sum(kinds.values()))}'
    return '\n'.join([*lines, '', f'{total} ({parts}).' if parts else f'{total}.', ''])


def write_results(plan: Plan) -> str:
    """Write ``table.md`` and ``table.json`` into the plan's folder; return the former."""
    results = collect_results(plan)
    table = format_results(results)
    write_whole(Path(plan.work_dir, 'table.md'), table.encode())
    write_whole(Path(plan.work_dir, 'table.json'), json_text(results, indent=1).encode())
    return table


def _rows(tests: list[dict[str, Any]]) -> Iterator[str]:
    previous = None
    singles: dict[str, set[str]] = {}
    for test in tests:
        group, networks = str(test['group']), test['networks']
        if group.endswith('_ensemble'):
            left_out = singles.get(group.removesuffix('_ensemble'), set()) - set(networks)
            whose = f'ensemble of {", ".join(networks)}' if left_out else GROUP_NAMES[group]
            name = f'{whose} ({len(networks)})'
        else:
            (name,) = networks
            singles.setdefault(group, set()).add(name)
            if group != previous:
                yield f'| *{GROUP_NAMES[group]}* | |{" |" * len(SCORES)}'
        previous = group
        cells = ' | '.join(f'{test["scores"][score]:.2f}' for score in SCORES)
        yield f'| {name} | {"yes" if test["tta"] else ""} | {cells} |'


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
