"""Import the names of a package when they are used, for packages of which parts need torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from tfinet_mm.utils.check_env import explain_missing


def lazy_names(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: Name of the package.
        names: The module of each name, relative to the package and beginning with a dot, or
            absolute. A name that is the end of its module stands for the module itself.

    Returns:
        Functions that Python calls for names that the package doesn't hold yet. The first raises
        a StackError where a module isn't installed that comes with torch's stack.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        with explain_missing():
            module = import_module(names[name], package)
        found = module if names[name].rpartition('.')[2] == name else getattr(module, name)
        setattr(sys.modules[package], name, found)
        return found

    return find, lambda: sorted(names)
