"""Find the keys that the config of a class may have."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

from mmengine.model import BaseModule

READING = ('pop', 'get', 'setdefault')


class Keys(NamedTuple):
    """Keys that a class or a function takes.

    Attributes:
        names: The names that are known.
        is_open: True where other names may be right as well.
        required: Names without which it can't be called.
    """

    names: frozenset[str]
    is_open: bool
    required: frozenset[str]


@functools.cache
def keys_of(target: Callable[..., Any]) -> Keys:
    """Return the keys that the config of a class, or of a function, may have.

    The parameters of ``__init__`` count, and those of the parent's where ``**kwargs`` are
    passed on to it. Where they go elsewhere, any key may be right.

    Example:
        >>> class Parent:
        ...     def __init__(self, a, b=0): ...
        >>> sorted(keys_of(Parent).names), sorted(keys_of(Parent).required)
        (['a', 'b'], ['a'])
    """
    names: set[str] = set()
    if not inspect.isclass(target):
        names, required, rest = _parameters(target)
        return Keys(frozenset(names), rest is not None, frozenset(required))
    first: set[str] | None = None
    is_open = False
    for owner in target.__mro__:
        function = owner.__dict__.get('__init__')
        if function is None or owner is object:
            continue
        own, required, rest = _parameters(function)
        names |= own - {'self'}
        first = required - {'self'} if first is None else first
        if hasattr(function, '__wrapped__'):
            # A decorator may accept older names.
            return Keys(frozenset(names), True, frozenset())
        if rest is None:
            # Where mmdet isn't installed, mmseg derives from this class instead.
            is_open |= owner is BaseModule and target.__init__ is not function
            return Keys(frozenset(names), is_open, frozenset(first))
        passed_on, elsewhere, read = _use_of(function, rest)
        names |= read
        is_open |= elsewhere
        if not passed_on:
            return Keys(frozenset(names), True, frozenset(first))
    # No class takes the other keys, or a class in C doesn't tell.
    return Keys(frozenset(names), True, frozenset(first or ()))


def _parameters(function: Callable[..., Any]) -> tuple[set[str], set[str], str | None]:
    """Return the names of the parameters, of those without default, and of ``**kwargs``."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return set(), set(), 'kwargs'
    named = [one for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    rest = next((one.name for one in parameters if one.kind == one.VAR_KEYWORD), None)
    return (
        {one.name for one in named},
        {one.name for one in named if one.default is one.empty},
        rest,
    )


def _use_of(function: Callable[..., Any], rest: str) -> tuple[bool, bool, set[str]]:
    """Return whether ``**kwargs`` go to the parent's ``__init__``, or elsewhere, and keys read."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False, True, set()
    total = sum(isinstance(node, ast.Name) and node.id == rest for node in ast.walk(tree))
    to_parent, understood, read = 0, 0, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            given = [word.value for word in node.keywords if word.arg is None]
            if any(_is(value, rest) for value in given) and _calls_init(node):
                to_parent += 1
            if _reads(node, rest):
                understood += 1
                read |= _constant(node.args[0])
        elif isinstance(node, ast.Subscript) and _is(node.value, rest):
            understood += 1
            read |= _constant(node.slice)
        elif isinstance(node, ast.Compare) and any(_is(one, rest) for one in node.comparators):
            understood += 1
            read |= _constant(node.left)
        elif isinstance(node, ast.Assign) and _adds(node, rest):
            # kwargs = dict(a=1) | kwargs
            understood += 2
    return bool(to_parent), to_parent + understood != total, read


def _adds(node: ast.Assign, name: str) -> bool:
    """Return whether a statement puts further keys into ``kwargs``."""
    value = node.value
    is_union = isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr)
    return (
        is_union
        and len(node.targets) == 1
        and _is(node.targets[0], name)
        and (_is(value.left, name) != _is(value.right, name))  # type: ignore[attr-defined]
    )


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _reads(call: ast.Call, name: str) -> bool:
    """Return whether a call is ``kwargs.pop('key')`` or the like."""
    method = call.func
    if not isinstance(method, ast.Attribute) or method.attr not in READING:
        return False
    return _is(method.value, name) and bool(call.args)


def _calls_init(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == '__init__'


def _constant(node: ast.expr) -> set[str]:
    return {str(node.value)} if isinstance(node, ast.Constant) else set()
