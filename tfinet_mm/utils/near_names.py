"""Find the name that a misspelt one was meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

NEAR = 0.8
"""Least similarity of a misspelt name and the right one, as difflib measures it."""


def nearest(name: str, names: Iterable[str], similarity: float = NEAR) -> str | None:
    """Return the most similar of some names, if one is similar enough.

    Example:
        >>> nearest('treshold', ['mode', 'threshold']), nearest('mdl', ['mode'])
        ('threshold', None)
    """
    return next(iter(get_close_matches(name, list(names), 1, similarity)), None)


def hint(name: str, names: Iterable[str], similarity: float = 0.6) -> str:
    """Return ``; did you mean ...?`` with the most similar name, or nothing."""
    found = nearest(name, names, similarity)
    return f'; did you mean {found!r}?' if found else ''
