"""Measure the registration of a scene before its prediction, correct it, and log it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from tfinet_mm.io.images import PathLike
from tfinet_mm.scenes.alignment import LEAST_SHIFT, find_correction
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.registration import WARNING_PIXELS, Registration, measure_registration
from tfinet_mm.scenes.registration_file import ALIGNED_LAYER, LAYER


class SceneRegistration(NamedTuple):
    """Registration of a scene.

    Attributes:
        found: The shift by the files' own georeference; None where it isn't measured.
        aligned: The shift that is left after the alignment; None without one.
        grids: The grids that the two were measured on.
        correction: The move of after onto before, see
            :func:`~tfinet_mm.scenes.alignment.find_correction`, or None.
    """

    found: Registration | None = None
    aligned: Registration | None = None
    grids: tuple[SceneGrid | None, SceneGrid | None] = (None, None)
    correction: tuple[float, ...] | None = None

    def metadata(self) -> dict[str, Any] | None:
        """Return the entry of ``scene.json``; None where nothing was measured."""
        if self.found is None:
            return None
        aligned = None if self.aligned is None else self.aligned.metadata()
        return dict(found=self.found.metadata(), aligned=aligned)

    def layers(self) -> dict[str, tuple[Registration, SceneGrid]]:
        """Return the layers of :func:`~tfinet_mm.scenes.registration_file.write_registration`."""
        measured = zip((LAYER, ALIGNED_LAYER), (self.found, self.aligned), self.grids, strict=True)
        return {
            name: (one, grid)
            for name, one, grid in measured
            if one is not None and grid is not None
        }


@contextmanager
def aligned_pair(
    before: PathLike, after: PathLike, reading: Mapping[str, Any], align: bool
) -> Iterator[tuple[ScenePair, SceneRegistration]]:
    """Open a scene, with after moved onto before if that is asked for and needed.

    Args:
        before: The file of the first date.
        after: The file of the second.
        reading: Options of :class:`~tfinet_mm.scenes.reader.ScenePair`.
        align: Align the dates.

    Yields:
        The open scene, and what was measured for the alignment.
    """
    with ScenePair(before, after, **reading) as pair:
        if not align:
            yield pair, SceneRegistration()
            return
        found = measure_registration(pair)
        known = SceneRegistration(found, None, (pair.grid, None), find_correction(found, pair.grid))
        if known.correction is None:
            yield pair, known
            return
        stretch = dict(zip(('before', 'after'), pair.stretches, strict=True))
    changed = dict(stretch=stretch, correction=known.correction)
    with ScenePair(before, after, **dict(reading) | changed) as pair:
        yield pair, known


def complete_registration(pair: ScenePair, known: SceneRegistration) -> SceneRegistration:
    """Measure what :func:`aligned_pair` had no need to, on the scene that it opened."""
    if known.found is None:
        return known._replace(found=measure_registration(pair), grids=(pair.grid, None))
    if known.correction is None:
        return known
    return known._replace(aligned=measure_registration(pair), grids=(known.grids[0], pair.grid))


def tell_registration(
    registration: SceneRegistration,
    align: bool,
    before: PathLike,
    after: PathLike,
    name: str = '',
) -> None:
    """Log what was measured and done, in a line each; warn of dates more than a pixel apart.

    Args:
        registration: What was measured.
        align: The alignment was asked for.
        before: The file of the first date, for warnings.
        after: The file of the second.
        name: Name of the scene, for the lines of the log; empty where it is the only one.
    """
    found, aligned = registration.found, registration.aligned
    if found is None:
        return
    of_scene = f' of {name}' if name else ''
    print(f'Registration{of_scene}: {found.describe()}')
    if aligned is not None:
        how = 'an affine map' if found.is_affine else 'one shift'
        what = f'Aligned {name}' if name else 'Aligned'
        print(f'{what} by {how}: {aligned.describe()}')
    elif align and found.model is not None:
        what = f'{name} is not aligned' if name else 'Not aligned'
        print(f'{what}: the dates lie within {LEAST_SHIFT} px of each other')
    elif align:
        warnings.warn(
            f'after ({after}) is not aligned (--align) with before ({before}): '
            f'{found.describe()}. The dates are compared as their files place them',
            stacklevel=2,
        )
    last = aligned or found
    if last.is_far:
        fix = (
            'align the files with another program'
            if align
            else 'move after onto before with --align (align=True)'
        )
        warnings.warn(
            f'after ({after}) lies up to {last.largest:.2f} px from before ({before}), and more '
            f'than {WARNING_PIXELS:g} px makes false change along edges; {fix}',
            stacklevel=2,
        )
