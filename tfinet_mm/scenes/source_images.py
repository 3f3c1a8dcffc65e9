"""Open the images of a predicted scene again, as the network saw them."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.stretch import Stretch
from tfinet_mm.utils.places import is_virtual

DATES = 'before', 'after'
LEAST_COVERED = 0.3
"""Share of a scene that each image covers; below 1 if it was turned against the other."""


def open_images(
    results: SceneResults,
    before: PathLike | None = None,
    after: PathLike | None = None,
    hint: str = '',
) -> ScenePair:
    """Open the images that a scene was predicted from, on its grid and with its stretch.

    Where the prediction moved an image (``align``), it is moved again.

    Args:
        results: The scene.
        before: File of the first date, where it isn't the recorded one any more.
        after: The same of the second.
        hint: Another way out, for messages.

    Raises:
        FileNotFoundError: An image isn't where it was.
        RemoteFileError: A server doesn't answer, or has no such file.
        SceneError: The scene doesn't record its images, or they don't cover it or can't be read.
    """
    settings = results.scene.get('settings') or {}
    dates = {date: settings.get(date) or {} for date in DATES}
    paths = []
    for date, given in zip(DATES, (before, after), strict=True):
        path = given or dates[date].get('file')
        if path is None:
            raise SceneError(
                f'{results.folder} does not record its image {date}; give it with --{date} '
                f'FILE{hint}'
            )
        # One in a zip file or at an address is looked for when it is opened.
        if not is_virtual(path) and not os.path.exists(path):
            raise FileNotFoundError(
                f'the image {date} of {results.folder} is not at {path} any more; say where it is '
                f'with --{date} FILE{hint}'
            )
        paths.append(path)
    options: dict[str, Any] = {
        key: _value(value)
        for key, value in (settings.get('reading') or {}).items()
        if key != 'align'
    }
    if all(dates.values()):
        options |= dict(
            bands={date: one['bands'] for date, one in dates.items()},
            stretch={date: _stretch(one['stretch']) for date, one in dates.items()},
            resampling=next(
                filter(None, (one['resampling'] for one in dates.values())), 'bilinear'
            ),
            correction=dates['after'].get('correction'),
            before_correction=dates['before'].get('correction'),
        )
    pair = ScenePair(*paths, grid=results.grid, **options)
    covered = pair.covered()
    for date, path in zip(DATES, paths, strict=True):
        if covered[date] < LEAST_COVERED:
            pair.close()
            raise SceneError(
                f'{path} covers {100 * covered[date]:.0f} % of {results.folder}; give the image '
                f'{date} that it was predicted from (--{date} FILE){hint}'
            )
    return pair


def _value(text: str) -> Any:
    """Return an option that ``scene.json`` keeps as text."""
    with suppress(ValueError, SyntaxError):
        return ast.literal_eval(text)
    with suppress(ValueError):
        # NaN is no literal.
        return float(text)
    return text


def _stretch(found: Mapping[str, Any]) -> Stretch:
    return Stretch(found['kind'], tuple(found.get('low') or ()), tuple(found.get('high') or ()))
