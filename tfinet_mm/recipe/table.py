"""One table of what every stage of a recipe has reached."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from tfinet_mm.recipe.plan import Plan, shown_path
from tfinet_mm.recipe.state import StateFiles
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
    """What the stages that are done have reached.

    Args:
        plan: The plan.

    Returns:
        ``tests``, a list of ``stage``, ``group``, ``networks``, ``tta`` and
        ``scores`` in the order of the plan; ``seconds`` of each stage by name;
        ``best`` checkpoint of each training by the name of its stage;
        ``pseudo_labels``, the reports of ``tools/pseudo_label.py`` by the name
        of their stage; ``seed`` of the trainings; ``stages``, by name what each
        was done with, None for those to come: ``command``, without the seed and
        with ``WORK_DIR`` for the folder, and hashes of its ``configs``.
    """
    files = StateFiles(plan.work_dir / 'stages')
    found = {stage.name: files.read(stage.name) for stage in plan.stages}
    done = {name: state for name, state in found.items() if state is not None and state.done}
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
        pseudo_labels={
            stage: json.loads(report.read_text(encoding='utf-8'))
            for stage, report in plan.reports.items()
            if stage in done and report.is_file()
        },
        seed=plan.seed,
        stages={
            stage.name: dict(
                command=_command(done[stage.name].identity, plan),
                configs={
                    shown_path(Path(path)): content
                    for path, content in done[stage.name].configs.items()
                },
            )
            if stage.name in done
            else None
            for stage in plan.stages
        },
    )


def _command(words: Sequence[str], plan: Plan) -> str:
    """A stage's command as it is in every folder and for every seed."""
    neutral = []
    for word in words:
        option, equals, value = word.rpartition('=')
        if Path(value).is_relative_to(plan.work_dir):
            value = str(Path('WORK_DIR') / Path(value).relative_to(plan.work_dir))
        neutral.append(option + equals + value)
    if plan.seed is not None and '--seed' in neutral:
        position = neutral.index('--seed')
        del neutral[position : position + 2]
    return shlex.join(neutral)


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
    singles: dict[str, set[str]] = {}
    for test in tests:
        group, networks = str(test['group']), test['networks']
        ensemble = group.endswith('_ensemble')
        if ensemble:
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


def _write(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding='utf-8')


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
