"""One table of what every stage of a recipe has reached."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tfinet_mm.recipe.state import Plan, State, read_json, write_json
from tfinet_mm.utils.files import whole_file

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
        of their stage; ``seed`` of the trainings; ``stages``, by name what each
        was done with, None for those to come: ``command``, without the seed and
        with ``WORK_DIR`` for the folder, and hashes of its ``configs``.
    """
    states = {name: plan.state(name) for name in plan.stages}
    done = {name: state for name, state in states.items() if state and state.done}
    written = {}
    for name in done:
        stage = plan.stages[name]
        if stage.test or stage.kind == 'pseudo_labels':
            written[name] = read_json(str(stage.result))
    return dict(
        tests=[
            dict(stage=name, **test, scores=content['scores'])
            for name, content in written.items()
            if content and (test := plan.stages[name].test)
        ],
        seconds={name: round(state.seconds, 1) for name, state in done.items()},
        best={name: state.note for name, state in done.items() if state.note},
        pseudo_labels={
            name: content
            for name, content in written.items()
            if content and not plan.stages[name].test
        },
        seed=plan.seed,
        stages={
            name: _done_with(done[name], plan.seed) if name in done else None
            for name in plan.stages
        },
    )


def _done_with(state: State, seed: int | None) -> dict[str, Any]:
    words = list(state.identity)
    if seed is not None and '--seed' in words:
        position = words.index('--seed')
        del words[position : position + 2]
    return dict(command=shlex.join(words), configs=state.configs)


def format_results(results: dict[str, Any]) -> str:
    """Return the table as Markdown, in percent: a row a test, and a line about the time."""
    lines = [
        f'| model | TTA | {" | ".join(SCORES)} |',
        f'| --- | --- |{" ---: |" * len(SCORES)}',
        *_rows(results['tests']),
    ]
    kinds: dict[str, float] = {}
    for name, spent in results['seconds'].items():
        kind = name.partition('/')[0].replace('test_tta', 'test')
        kinds[kind] = kinds.get(kind, 0.0) + spent
    parts = ', '.join(f'{kind} {_clock(spent)}' for kind, spent in kinds.items())
    total = f'Time: {_clock(sum(kinds.values()))}'
    return '\n'.join([*lines, '', f'{total} ({parts}).' if parts else f'{total}.', ''])


def write_results(plan: Plan) -> str:
    """Write ``table.md`` and ``table.json`` into the plan's folder; return the former."""
    results = collect_results(plan)
    table = format_results(results)
    with whole_file(Path(plan.work_dir, 'table.md')) as partial:
        partial.write_text(table, encoding='utf-8')
    write_json(Path(plan.work_dir, 'table.json'), results)
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
