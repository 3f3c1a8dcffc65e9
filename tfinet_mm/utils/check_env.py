"""Report in one message why MMEngine, MMCV and MMSegmentation can't work together.

Two families of packages provide the import names ``mmengine``, ``mmcv`` and
``mmseg``, and overwrite each other's files: the maintained ``onedl-*`` packages
and OpenMMLab's own. Neither can be a hard requirement, so ``import tfinet_mm``
checks the installed packages before it imports any of them. Only package
metadata and file names are read, which takes milliseconds. Where none of the three modules is
there, the package predicts with exported networks, and the first use of anything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from tfinet_mm.errors import StackError

Version = tuple[int, ...]


@dataclass(frozen=True)
class Requirement:
    """A distribution that provides one of the three modules.

    Attributes:
        name: Name of the distribution, as pip knows it.
        minimum: Lowest version that works.
        below: First version that doesn't work any more, or None.
    """

    name: str
    minimum: Version
    below: Version | None = None

    @property
    def range(self) -> str:
        """Return the versions that work, written as pip does."""
        text = '>=' + '.'.join(map(str, self.minimum))
        return text if self.below is None else f'{text},<' + '.'.join(map(str, self.below))

    def accepts(self, found: Version) -> bool:
        """Return whether a version lies in the range."""
        return found >= self.minimum and (self.below is None or found < self.below)


MODULES = {'mmengine': 'registry', 'mmcv': 'transforms', 'mmseg': 'registry'}
"""Modules needed, each with a sub-package that only the right package has."""

STACKS: dict[str, dict[str, Requirement]] = {
    'mm': {
        'mmengine': Requirement('onedl-mmengine', (0, 10, 12)),
        'mmcv': Requirement('onedl-mmcv', (2, 3, 6)),
        'mmseg': Requirement('onedl-mmsegmentation', (1, 4, 2)),
    },
    'openmmlab': {
        'mmengine': Requirement('mmengine', (0, 10, 4), (0, 11)),
        'mmcv': Requirement('mmcv', (2, 0, 0), (2, 2, 0)),
        'mmseg': Requirement('mmsegmentation', (1, 2, 2), (1, 3)),
    },
}
"""The two stacks by the name of the extra that installs each."""


def check_stack() -> None:
    """Raise one readable error when the three modules can't work together.

    Nothing is raised where none of them is installed: exported networks need none.

    Raises:
        StackError: One or two modules are missing, a version doesn't work, a package
            of the same name but another purpose is installed, or the two
            stacks are mixed. The message lists all problems and the pip lines
            that solve them. It is no ImportError, which MMEngine would swallow.
    """
    if any(_module_folder(module) is not None for module in MODULES):
        _check([])


@contextmanager
def explain_missing() -> Iterator[None]:
    """Raise the error of :func:`require_stack` in place of one about a missing module.

    Raises:
        StackError: The block imports torch or one of the three modules, which isn't installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if str(error.name).partition('.')[0] in (*MODULES, 'torch', 'safetensors'):
            try:
                require_stack()
            except StackError as explained:
                raise explained from None
        raise


def require_stack() -> None:
    """Raise one readable error when torch or the three modules are missing or don't fit.

    Raises:
        StackError: See :func:`check_stack`.
    """
    _check(['torch is not installed'] if find_spec('torch') is None else [])


def _check(problems: list[str]) -> None:
    """Raise the error of :func:`require_stack` if there are problems, or the stack has some."""
    installed = _installed_versions()
    problems += [
        problem for module in MODULES if (problem := _module_problem(module, installed)) is not None
    ]
    stacks = {
        extra
        for extra, requirements in STACKS.items()
        if any(requirement.name in installed for requirement in requirements.values())
    }
    lines = []
    if len(stacks) > 1:
        mixed = sorted(
            requirement.name
            for requirements in STACKS.values()
            for requirement in requirements.values()
            if requirement.name in installed
        )
        problems.append(
            'two stacks that overwrite each other are mixed: '
            + ', '.join(f'{name} {installed[name]}' for name in mixed)
        )
        lines.append(f'pip uninstall -y {" ".join(mixed)}')
    elif foreign := [name for name in ('mmseg', 'mmcv-lite', 'mmcv-full') if name in installed]:
        lines.append(f'pip uninstall -y {" ".join(foreign)}')
    if not problems:
        return
    extra = 'openmmlab' if stacks == {'openmmlab'} else 'mm'
    lines.append(
        f'pip install "tfinet-mm[{extra}]"    (in a checkout: pip install -e ".[{extra}]")'
    )
    raise StackError(
        'tfinet_mm needs torch, MMEngine, MMCV and MMSegmentation for all but predicting with an '
        'exported network (tfinet predict NETWORK.onnx ...), but\n'
        + ''.join(f'  - {problem}\n' for problem in problems)
        + 'This mends it:\n'
        + '\n'.join(f'  {line}' for line in lines)
    )


def _module_problem(module: str, installed: Mapping[str, str]) -> str | None:
    """Return the problem with one of the three modules, or None."""
    folder = _module_folder(module)
    if folder is None:
        return f'{module} is not installed'
    if module == 'mmseg' and not (folder / MODULES[module]).is_dir():
        return (
            f'the installed mmseg ({folder}) is not MMSegmentation; '
            'the package that pip calls "mmseg" is a Chinese word segmenter'
        )
    if module == 'mmcv' and 'mmcv-lite' in installed and 'mmcv' not in installed:
        return (
            f'mmcv-lite {installed["mmcv-lite"]} is installed, which lacks the compiled '
            'operators that MMSegmentation imports'
        )
    if not (folder / MODULES[module]).is_dir():
        return f'the installed {module} ({folder}) is too old: it has no {module}.{MODULES[module]}'
    for requirements in STACKS.values():
        requirement = requirements[module]
        found = installed.get(requirement.name)
        if found is not None and not requirement.accepts(parse_version(found)):
            return f'{requirement.name} {found} is installed, {requirement.range} is needed'
    return None


def _module_folder(module: str) -> Path | None:
    """Return the folder of an importable package, found without importing it."""
    try:
        spec = find_spec(module)
    except ValueError:  # already imported by hand, without a spec
        spec = PathFinder.find_spec(module)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    # A single file is none of the packages, but it is imported under their name.
    return Path(spec.origin or module)


def _installed_versions() -> dict[str, str]:
    """Return the versions of the distributions that could provide one of the modules."""
    names = {
        requirement.name
        for requirements in STACKS.values()
        for requirement in requirements.values()
    }
    found = {}
    for name in (*sorted(names), 'mmseg', 'mmcv-lite', 'mmcv-full'):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def parse_version(text: str) -> Version:
    """Return the release numbers of a version, without any suffix.

    Args:
        text: A version such as ``2.2.0`` or ``0.10.8rc1``.

    Returns:
        Its leading numbers.

    Example:
        >>> parse_version('0.10.8rc1'), parse_version('2.1.0+cpu')
        ((0, 10, 8), (2, 1, 0))
    """
    match = re.match(r'\d+(?:\.\d+)*', text)
    return tuple(int(part) for part in match.group().split('.')) if match else ()
