"""Define a case, and judge its outcome.

Outcomes:

- ``clear``: an error of the project that names the file, option or key at fault.
- ``right``: the input is valid, or can be read all the same, and the result is right.
- ``undetectable``: nothing could tell that the input is bad; it only has to end.
- ``vague``: the project's error without that name, or a library's that happens to hold it.
- ``unrelated``: a library's or Python's error that doesn't say what was wrong.
- ``silent``: no error although the input is bad, or a wrong result.
- ``refused valid``: an error on valid input.
- ``hang``, ``crash``: stopped after its time; ended without a word.

An error counts as the project's own if it is a ``TFINetError``, a built-in error that the
project's code raises itself, or the message with which a command ends.
"""

import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from robustness import project

WANTED = ('clear', 'right', 'undetectable', 'vague')
"""Outcomes that may be."""

LIMIT_S = 60
"""Seconds that a case may take before it counts as a hang."""

ERRORS = (ValueError, TypeError, RuntimeError, ImportError, OSError)
"""Built-in errors that count as the project's own where its code raises them."""


@dataclass
class Trial:
    """One call on one bad input, and what should come of it.

    Attributes:
        call: Does it.
        expect: ``error``, ``value`` (the input is valid), ``either`` (an error, or a value that
            passes ``check``), or ``undetectable`` (no program could tell that it is bad).
        check: What is wrong with a value, or None.
        names: Groups of words; a message is clear if it holds every word of one group.
    """

    call: Callable[[], Any]
    expect: str = 'error'
    check: Callable[[Any], str | None] | None = None
    names: Sequence[Sequence[str]] = ()


Maker = Callable[[Path, np.random.Generator], Trial]
"""Writes the bad input into a folder and says what to do with it."""


@dataclass
class Case:
    """A named bad input."""

    area: str
    name: str
    make: Maker
    seed: int = 0

    def __str__(self) -> str:
        """The area and the name."""
        return f'{self.area}: {self.name}'


@dataclass
class Catalogue:
    """The cases of one area, in order."""

    area: str
    cases: list[Case] = field(default_factory=list)

    def add(self, name: str, make: Maker, numbers: Sequence[int] = ()) -> None:
        """Add one case, or one for each of ``numbers``, which are its random seeds."""
        if not numbers:
            self.cases.append(Case(self.area, name, make))
        for number in numbers:
            self.cases.append(Case(self.area, f'{name}#{number}', make, number))


def judge_value(value: Any, trial: Trial) -> tuple[str, str]:
    """Return outcome and detail of a call that returned."""
    if trial.expect == 'undetectable':
        return 'undetectable', ''
    problem = trial.check(value) if trial.check else None
    if problem is None and trial.expect != 'error':
        return 'right', ''
    return 'silent', problem or 'no error'


def judge_error(error: BaseException, trial: Trial, log: Path) -> tuple[str, str]:
    """Return outcome and detail of a call that raised."""
    text = _message(error, log)
    frames = traceback.extract_tb(error.__traceback__)
    own = _is_own(error, frames)
    named = _names(text, trial.names)
    detail = f'{type(error).__name__}: {text[-2000:]}{_places(frames)}'
    if trial.expect == 'value':
        return 'refused valid', detail
    if own and named:
        return 'clear', detail
    return ('vague' if own or named else 'unrelated'), detail


def _message(error: BaseException, log: Path) -> str:
    """Return what the user reads: of a command that ended with a bare status, its last output."""
    if isinstance(error, SystemExit) and not isinstance(error.code, str):
        sys.stdout.flush()
        sys.stderr.flush()
        return f'status {error.code}\n{log.read_text(errors="replace")[-4000:]}'
    return str(error)


def _is_own(error: BaseException, frames: traceback.StackSummary) -> bool:
    """Return whether the project raised the error, not a library or Python underneath it."""
    if isinstance(error, project.TFINetError | SystemExit):
        return True
    return bool(frames) and project.is_own_file(frames[-1].filename) and isinstance(error, ERRORS)


def _names(text: str, groups: Sequence[Sequence[str]]) -> bool:
    """Return whether a message holds every word of one group; without groups any will do."""
    if not groups:
        return bool(text)
    return any(all(word.lower() in text.lower() for word in group) for group in groups)


def _places(frames: traceback.StackSummary) -> str:
    """Where the project's code met the error, and where it was raised."""
    own = [frame for frame in frames if project.is_own_file(frame.filename)]
    shown = [*own[-1:], *frames[-1:]]
    return ''.join(f' @ {frame.filename}:{frame.lineno}' for frame in shown)
