"""One table of what every stage of a recipe has reached."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tfinet_mm.files import whole_file
from tfinet_mm.recipe.plan import Plan
from tfinet_mm.recipe.state import StateFiles

SCORES = ('Score', 'SeK', 'mIoU', 'Fscd', 'OA')
"""Columns of the table; the JSON file has all scores."""

GROUP_NAMES = {
    'members': 'trained on the annotation',
    'members_ensemble': 'their ensemble',
    'retrained': 'trained again, with pseudo labels',
    'retrained_ensemble': 'their ensemble',
}


def collect_results(plan: Plan) -> dict[str, Any]:
    """What the stages that are done have reached.

    Args:
        plan: The plan.

    Returns:
        ``tests``, a list of ``stage``, ``group``, ``networks``, ``tta`` and
        ``scores`` in the order of the plan; ``seconds`` of each stage by name;
        ``best`` checkpoint of each training by the name of its stage;
        ``pseudo_labels``, the report of ``tools/pseudo_label.py``, or None.
    """
    files = StateFiles(plan.work_dir / 'stages')
    found = {stage.name: files.read(stage.name) for stage in plan.stages}
    done = {name: state for name, state in found.items() if state is not None and state.done}
    report = plan.report
    return dict(
        tests=[
            dict(
                stage=test.stage,
                group=test.group,
                networks=list(test.networks),
                tta=test.tta,
                scores=json.loads(test.scores.read_text(encoding='utf-8'))['scores'],
            )
            for test in plan.tests
            if test.stage in done and test.scores.is_file()
        ],
        seconds={name: round(state.seconds, 1) for name, state in done.items()},
        best={name: state.note for name, state in done.items() if state.note},
        pseudo_labels=json.loads(report.read_text(encoding='utf-8'))
        if report is not None and 'pseudo_labels' in done and report.is_file()
        else None,
    )


def format_results(results: dict[str, Any]) -> str:
    """The table as Markdown, in percent.

    Args:
        results: What :func:`collect_results` returns.

    Returns:
        A table with a row a test, and a line about the time.
    """
    lines = [
        f'| model | TTA | {" | ".join(SCORES)} |',
        f'| --- | --- |{" ---: |" * len(SCORES)}',
        *_rows(results['tests']),
    ]
    seconds = results['seconds']
    kinds: dict[str, float] = {}
    for name, spent in seconds.items():
        kind = name.partition('/')[0].replace('test_tta', 'test')
        kinds[kind] = kinds.get(kind, 0.0) + spent
    parts = ', '.join(f'{kind} {_clock(spent)}' for kind, spent in kinds.items())
    return '\n'.join([*lines, '', f'Time: {_clock(sum(seconds.values()))} ({parts}).', ''])


def write_results(plan: Plan) -> str:
    """Write ``table.md`` and ``table.json`` into the plan's folder.

    Returns:
        The table as Markdown.
    """
    results = collect_results(plan)
    table = format_results(results)
    for path, text in (
        (plan.work_dir / 'table.md', table),
        (plan.work_dir / 'table.json', json.dumps(results, indent=1, ensure_ascii=False)),
    ):
        _write(path, text)
    return table


def _rows(tests: list[dict[str, Any]]) -> Iterator[str]:
    previous = None
    for test in tests:
        group = str(test['group'])
        ensemble = group.endswith('_ensemble')
        if group != previous and not ensemble:
            yield f'| *{GROUP_NAMES[group]}* | |{" |" * len(SCORES)}'
        previous = group
        networks = test['networks']
        name = f'{GROUP_NAMES[group]} ({len(networks)})' if ensemble else networks[0]
        cells = ' | '.join(f'{test["scores"][score]:.2f}' for score in SCORES)
        yield f'| {name} | {"yes" if test["tta"] else ""} | {cells} |'


def _write(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding='utf-8')


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
