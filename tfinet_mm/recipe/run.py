"""Have Snakemake run the stages of a plan that are not done."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from textwrap import indent

from tfinet_mm.errors import ManifestError, RecipeError, StageError
from tfinet_mm.recipe.stage import shown_command
from tfinet_mm.recipe.state import Plan
from tfinet_mm.recipe.table import collect_results, format_results, write_results
from tfinet_mm.utils.files import write_whole
from tfinet_mm.utils.manifest import RunManifest
from tfinet_mm.utils.snakemake import check_snakemake, run_snakemake


def choose_stages(plan: Plan, only: Sequence[str] = (), until: str | None = None) -> list[str]:
    """Return the stages that a command line asks for, in their order.

    Raises:
        RecipeError: A name, in which ``*`` stands for any letters, fits no stage.
    """
    stages = [*plan.stages]
    chosen = {name for pattern in only for name in plan.matching(pattern)}
    if until is not None:
        stages = stages[: stages.index(plan.matching(until)[-1]) + 1]
    if not (found := [name for name in stages if name in chosen or not only]):
        raise RecipeError(f'no stage is among {list(only)} and not after {until}')
    return found


def describe(plan: Plan, stages: Sequence[str], redo: Sequence[str] = ()) -> None:
    """Print the stages, how far each is, and the commands that would run."""
    again = plan.with_readers(redo)
    for number, name in enumerate(stages, 1):
        text = shown_command(plan.stages[name].command)
        how = 'done' if plan.is_done(name) else 'begun' if plan.state(name) else 'to do'
        try:
            if name in again:
                how = 'to be done again'
            else:
                plan.check_unchanged(name)
        except ManifestError as error:
            how, text = 'refused', str(error)
        print(f'[{number}/{len(stages)}] {name} ({how})')
        if how != 'done':
            print(indent(text, '    '))
    print(f'\n{format_results(collect_results(plan))}')


def run_recipe(
    plan: Plan,
    stages: Sequence[str],
    redo: Sequence[str] = (),
    options: Sequence[str] = ('--cores', '1'),
    executor: str | None = None,
) -> None:
    """Run stages of a plan, and print what is left and the table.

    Args:
        plan: The plan.
        stages: Names of stages.
        redo: Patterns of stages to do again, with all that read their results.
        options: Further options of Snakemake.
        executor: The one among these, to say so where it isn't installed.

    Raises:
        MissingExtraError: Snakemake, or the plugin of the executor, is not installed.
        RecipeError: A name in ``redo`` fits no stage.
        ManifestError: A stage was done or begun with something else, or its state is damaged.
        StageError: A stage failed, or needs one that isn't done.
        FolderInUseError: Another run is at work.
    """
    again = plan.with_readers(redo)
    left = [name for name in stages if name in again or not plan.is_done(name)]
    failures = []
    for name in stages:
        # Before hours of training are spent: what would stop a later stage.
        if name not in again:
            plan.check_unchanged(name)
    for name in left:
        if missing := [
            need
            for need in plan.stages[name].needs
            if need not in stages and (need in again or not plan.is_done(need))
        ]:
            raise StageError(
                f'{name} needs {", ".join(missing)}, which must be done first; leave out --only, '
                'or add them to it'
            )
    if left:
        check_snakemake(executor)
        with RunManifest(plan.work_dir, 'plan.json', 'a recipe') as run:
            run.lock()
            plan.set_aside(again)
            for path, content in plan.ensembles.items():
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content.encode())
            run.write(asdict(plan))
            for name in left:
                plan.log(name).parent.mkdir(parents=True, exist_ok=True)
            targets = [f'stages/{name}/done' for name in left]
            snakefile = Path(__file__).with_name('Snakefile')
            if code := run_snakemake(snakefile, run.path, targets, options, run.held):
                states = [plan.state(name) for name in left]
                failures = [state['failure'] for state in states if state and state['failure']]
                failures = failures or [f'Snakemake ended with exit code {code}, see above']
        left = [name for name in stages if not plan.is_done(name)]
    names = ', '.join(f'{name} (begun)' if plan.state(name) else name for name in left)
    print(f'Left: {len(left)} of {len(stages)} stages{": " if left else ""}{names}\n')
    print(format_results(collect_results(plan)), flush=True)
    # The folder of a recipe that is done may be read-only.
    with suppress(OSError):
        write_results(plan)
    if failures:
        raise StageError('\n'.join(failures))
