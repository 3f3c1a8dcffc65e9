"""Sum up runs of one recipe with several seeds: mean, standard deviation, differences.

    python projects/recipe_study/summarize.py WORK_DIR [WORK_DIR ...] [--baseline NAME]

The work directories are those of tools/recipe.py, each started with another --seed. Unfinished
runs are summed up with the stages that they have finished.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfinet_mm.errors import RecipeError
from tfinet_mm.evaluation.mean_std import mean_and_std
from tfinet_mm.utils.command import add_traceback_option, run_command
from tfinet_mm.utils.fingerprints import INFORMATIVE
from tfinet_mm.utils.manifest import RunManifest

SUMMARY_SCORES = ('Score', 'SeK', 'mIoU', 'Fscd')
"""Columns of the summary."""


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dirs', type=Path, nargs='+', help='folders of tools/recipe.py')
    parser.add_argument(
        '--baseline',
        action='append',
        default=[],
        metavar='NAME',
        help='network, ensemble or stage that all rows are compared with; may be given again',
    )
    parser.add_argument(
        '--score', choices=SUMMARY_SCORES, default='SeK', help='score to compare (default: SeK)'
    )
    add_traceback_option(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    args = parse_args(arguments)
    print(summarize(read_runs(args.work_dirs), args.baseline, args.score), end='')


@dataclass(frozen=True)
class Run:
    """Results of one run of a recipe so far, from its ``table.json``.

    Attributes:
        folder: Its work directory.
        seed: Seed of its trainings, None where each drew its own.
        tests: Rows of its table by name of their stage.
        labels: Reports of its pseudo labels by name of their stage.
        stages: Options and configs of every finished stage, None for the others.
    """

    folder: Path
    seed: int | None
    tests: dict[str, dict[str, Any]]
    labels: dict[str, dict[str, Any]]
    stages: dict[str, dict[str, Any] | None]


def read_runs(folders: Iterable[str | os.PathLike[str]]) -> list[Run]:
    """Read the results of runs of one recipe.

    Args:
        folders: Their work directories, at least one.

    Raises:
        FileNotFoundError: A folder has no ``table.json``.
        RecipeError: There is no folder, a folder or a seed is there twice, a file is no table of a
            recipe, or the runs have different stages.
        ManifestError: A stage had other options or configs in two runs.
    """
    runs = [_read_run(Path(folder)) for folder in folders]
    if not runs:
        raise RecipeError('there is no run to sum up; give at least one work directory')
    for number, run in enumerate(runs):
        for other in runs[:number]:
            if run.folder.resolve() == other.folder.resolve():
                raise RecipeError(f'{run.folder} is given twice')
            if run.seed is not None and run.seed == other.seed:
                raise RecipeError(
                    f'{other.folder} and {run.folder} are both of seed {run.seed}: as two runs '
                    'they would make the standard deviation too small; give one of them'
                )
    _check_same_recipe(runs)
    return runs


def summarize(runs: Sequence[Run], baselines: Sequence[str] = (), score: str = 'SeK') -> str:
    """Return tables of the scores and of the pseudo labels, as Markdown in percent.

    Args:
        runs: Runs of :func:`read_runs`.
        baselines: Networks, ensembles (``'members'``, ``'retrained'``) or
            stages (``'test_tta/members'``) that all rows are compared with.
            Differences are taken run by run, so that the effect of a seed on
            both cancels.
        score: Score that is compared, one of :data:`SUMMARY_SCORES`.

    Returns:
        A row for each test, with mean and sample standard deviation over the
        runs that have it; then a row for each figure of the pseudo labels, if any.

    Raises:
        RecipeError: A baseline is not the name of a test.
    """
    parts = [_head(runs), _table(_test_rows(runs, baselines, score), text_columns=2)]
    parts += _missing(runs)
    labels = [stage for stage in runs[0].stages if any(stage in run.labels for run in runs)]
    if labels:
        parts += ['Pseudo labels:', _table(_label_rows(runs, labels), text_columns=1)]
    return '\n\n'.join(parts) + '\n'


def _read_run(folder: Path) -> Run:
    path = folder / 'table.json'
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no {path}; give work directories in which tools/recipe.py has done a stage'
        )
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
        tests = {test['stage']: test for test in found['tests']}
        return Run(folder, found['seed'], tests, found['pseudo_labels'], found['stages'])
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeError(
            f'{path} is no table as tools/recipe.py writes it ({error!r}); start the recipe again '
            'on this folder, which skips finished stages'
        ) from error


def _check_same_recipe(runs: Sequence[Run]) -> None:
    seen: dict[str, tuple[Run, dict[str, Any]]] = {}
    first = runs[0]
    for run in runs:
        for one, other in ((first, run), (run, first)):
            if extra := [name for name in one.stages if name not in other.stages]:
                raise RecipeError(
                    f'{first.folder} and {run.folder} are of different recipes: only '
                    f'{one.folder} has {", ".join(extra)}'
                )
        for name, stage in run.stages.items():
            if stage is None:
                continue
            before, expected = seen.setdefault(name, (run, stage))
            # Of one recipe, runs differ in their seed.
            manifest = RunManifest(
                before.folder,
                'table.json',
                f'results of {name}',
                f'give runs of one recipe; {run.folder} is of another',
                (*INFORMATIVE, 'seed'),
            )
            manifest.check(expected, stage)


def _head(runs: Sequence[Run]) -> str:
    seeds = [str(run.seed) for run in runs if run.seed is not None]
    of = f', seed{"s" if len(seeds) > 1 else ""} {", ".join(seeds)}' if seeds else ''
    count = f'{len(runs)} run{"" if len(runs) == 1 else "s"}{of}'
    if len(runs) == 1:
        return f'{count}, in percent.'
    return f'{count}: mean ± sample standard deviation, in percent. Differences are by run.'


def _test_rows(
    runs: Sequence[Run], baselines: Sequence[str], score: str
) -> Iterator[tuple[str, ...]]:
    stages = _tested(runs)
    compared = [_baseline(name, stages) for name in baselines]
    yield (
        'model',
        'TTA',
        *SUMMARY_SCORES,
        *(f'{score} over {name}' for name in baselines),
    )
    for stage in stages:
        having = [run for run in runs if stage in run.tests]
        test = having[0].tests[stage]
        name = ', '.join(test['networks'])
        cells = [
            f'ensemble of {name}' if test['group'].endswith('_ensemble') else name,
            'yes' if test['tta'] else '',
        ]
        for key in SUMMARY_SCORES:
            cells.append(mean_and_std([run.tests[stage]['scores'][key] for run in having]))
        for baseline in compared:
            differences = [
                run.tests[stage]['scores'][score] - run.tests[baseline]['scores'][score]
                for run in having
                if baseline in run.tests and stage != baseline
            ]
            cells.append(mean_and_std(differences, signed=True))
        yield tuple(cells)


def _tested(runs: Sequence[Run]) -> list[str]:
    """Return the test stages that are finished in any run, in the order of the recipe."""
    return [stage for stage in runs[0].stages if any(stage in run.tests for run in runs)]


def _baseline(name: str, stages: Sequence[str]) -> str:
    for stage in (name, f'test/{name}'):
        if stage in stages:
            return stage
    raise RecipeError(
        f'no finished test is called {name!r} or test/{name}; there are '
        f'{", ".join(stages) or "none"}'
    )


def _missing(runs: Sequence[Run]) -> list[str]:
    """Return a note on rows that some runs lack."""
    counts = {stage: sum(stage in run.tests for run in runs) for stage in _tested(runs)}
    short = [f'{stage} ({count})' for stage, count in counts.items() if count < len(runs)]
    return [f'Done in some of the {len(runs)} runs only: {", ".join(short)}.'] if short else []


def _label_rows(runs: Sequence[Run], stages: Sequence[str]) -> Iterator[tuple[str, ...]]:
    figures = [
        {stage: _figures(run.labels[stage]) for stage in stages if stage in run.labels}
        for run in runs
    ]
    first, *others = stages
    names = {
        stage: stage.partition('/')[2]
        or next(run.labels[stage]['method'] for run in runs if stage in run.labels)
        for stage in stages
    }
    yield ('', *names.values(), *(f'{names[other]} over {names[first]}' for other in others))
    for figure in dict.fromkeys(key for run in figures for made in run.values() for key in made):
        cells = [mean_and_std([*_values(figures, stage, figure).values()]) for stage in stages]
        before = _values(figures, first, figure)
        for other in others:
            after = _values(figures, other, figure)
            differences = [after[run] - before[run] for run in after if run in before]
            cells.append(mean_and_std(differences, signed=True))
        yield (figure, *cells)


def _figures(report: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the figures of a report of pseudo labels, by the words before their row."""
    figures = {'filled, of the unchanged pixels without a class': report['filled']}
    accuracy = report['accuracy']
    if accuracy is not None:
        figures['right, of those filled'] = accuracy['correct']
    figures['unchanged pixels with one class for all networks'] = report['agreement']['all']
    for name, values in report['classes'].items():
        figures[f'{name}: filled'] = values['filled']
        if accuracy is not None:
            figures[f'{name}: precision'] = accuracy['classes'][name]['precision']
            figures[f'{name}: recall'] = accuracy['classes'][name]['recall']
    return figures


def _values(
    figures: Sequence[Mapping[str, Mapping[str, float | None]]], stage: str, figure: str
) -> dict[int, float]:
    """Return a figure by the number of the run, without runs that lack it.

    Precision is lacking, for example, where no pixel got the class.
    """
    found = {number: run.get(stage, {}).get(figure) for number, run in enumerate(figures)}
    return {number: value for number, value in found.items() if value is not None}


def _table(rows: Iterable[tuple[str, ...]], text_columns: int) -> str:
    header, *others = rows
    numbers = len(header) - text_columns
    rule = ('---',) * text_columns + ('---:',) * numbers
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in (header, rule, *others))


if __name__ == '__main__':
    run_command(main)
