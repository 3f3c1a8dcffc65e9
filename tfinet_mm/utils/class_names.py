"""Find and name the class of a config's ``type``, however it is written.

A config of text names a class by its registered name with the scope before it
(``'tfinet_mm.SCDMetric'``) or by its whole path. A Python config in MMEngine's new style
(``with read_base(): ...``) has the class itself, or an object that imports it when asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import Registry


def imported(kind: Any) -> Any:
    """Import the class of a lazy object of MMEngine; return everything else as it is."""
    return kind.build() if isinstance(kind, LazyAttr | LazyObject) else kind


def class_name(kind: Any) -> str:
    """Name a class, without its scope or module.

    Args:
        kind: The value of ``type``: a string, a class, a function or a lazy object.

    Example:
        >>> class_name('tfinet_mm.SCDMetric'), class_name(dict)
        ('SCDMetric', 'dict')
    """
    kind = imported(kind)
    if isinstance(kind, str):
        return kind.rpartition('.')[2]
    return str(getattr(kind, '__name__', type(kind).__name__))


def written_name(kind: Any) -> str:
    """Name a class for messages as a config of text does, with its package before it.

    Example:
        >>> written_name('mmseg.FCNHead'), written_name(Registry)
        ('mmseg.FCNHead', 'mmengine.Registry')
    """
    kind = imported(kind)
    if isinstance(kind, str):
        return kind
    return f'{str(getattr(kind, "__module__", "")).partition(".")[0]}.{class_name(kind)}'


def is_class(part: Any, name: str) -> bool:
    """Return whether a part of a config is of a class.

    Args:
        part: A dictionary with ``type``, or any other value.
        name: The class with its package, such as ``'tfinet_mm.SCDMetric'``. A
            string without a package, as it is written in the package's own
            scope, is that class too.

    Example:
        >>> is_class({'type': 'tfinet_mm.evaluation.metric.SCDMetric'}, 'tfinet_mm.SCDMetric')
        True
        >>> is_class({'type': 'mmseg.SCDMetric'}, 'tfinet_mm.SCDMetric')
        False
    """
    kind = part.get('type') if isinstance(part, Mapping) else part
    if kind is None:
        return False
    package, _, short = name.rpartition('.')
    found = written_name(kind)
    return class_name(kind) == short and ('.' not in found or found.partition('.')[0] == package)


def find_class(registry: Registry, kind: Any) -> Any:
    """Look up the class or function under ``type``.

    Args:
        registry: Registry of the names.
        kind: The value of ``type``.

    Returns:
        The class or function, or None where a string names none.
    """
    kind = imported(kind)
    return registry.get(kind) if isinstance(kind, str) else kind


def with_paths(value: Any) -> Any:
    """Replace the classes in a part of a config by their paths, so that it can be written as text.

    Args:
        value: Any part, lazy objects of MMEngine included.

    Returns:
        A copy in which dictionaries, lists and tuples hold text in place of
        classes and functions.
    """
    value = imported(value)
    if isinstance(value, Mapping | Config):
        return {key: with_paths(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_paths(part) for part in value)
    if isinstance(value, type) or inspect.isfunction(value):
        return f'{value.__module__}.{value.__qualname__}'
    return value
