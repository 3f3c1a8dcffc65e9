"""Define the rasters of a predicted scene: types, nodata, names and colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.validity import CODE_COLOURS, CODE_NAMES, UNKNOWN
from tfinet_mm.structures import ClassTable

CHANGE_NODATA = 255
COVER_NODATA = 0
# Most transitions that fit one byte beside "unchanged" and nodata.
MOST_BYTE_TRANSITIONS = 254
# Part of the new land cover's colour in that of a transition; the rest is the old one's.
NEW_COVER_PART = 0.65

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class ResultRaster:
    """Raster of a predicted scene.

    Attributes:
        name: Its name; the file is ``name + '.tif'``.
        dtype: NumPy's name of the type of its values.
        nodata: The value where the scene has no data.
        description: Description of the band.
        resampling: Resampling of overviews: 'nearest' or 'average'.
        class_names: Name of each value from 0 on; empty for probabilities.
        colours: RGB colour of each value from 0 on; empty for probabilities and where there
            are too many values for a colour table.
        clear: The value 0 is unchanged land, to be shown transparent over an image.
    """

    name: str
    dtype: str
    nodata: float
    description: str
    resampling: str = 'nearest'
    class_names: tuple[str, ...] = ()
    colours: tuple[Colour, ...] = ()
    clear: bool = False


def scene_rasters(classes: ClassTable) -> dict[str, ResultRaster]:
    """Return the rasters of a scene by name, for a table of K land-cover classes.

    Args:
        classes: The K + 1 classes, the first that of unchanged pixels.

    Returns:
        ``change_prob``: P(changed) in 0..1, NaN where there are no data. ``change``: 1 where
        changed, 0 where not, 255. ``land_cover_from`` and ``land_cover_to``: 1..K, 0 where there
        are no data. ``transition``: 0 where unchanged, (from - 1) K + to where changed; uint8
        with 255 as nodata while K K <= 254, uint16 with 65535 beyond. ``valid``: 1 where seen on
        both dates, else a code of :mod:`tfinet_mm.scenes.validity`.

    Raises:
        SceneError: There is no land-cover class, or so many that no uint16 holds all transitions.

    Example:
        >>> table = ClassTable(('same', 'water', 'tree'), ((0, 0, 0), (0, 0, 200), (0, 100, 0)))
        >>> transition = scene_rasters(table)['transition']
        >>> transition.dtype, transition.nodata, transition.class_names[2]
        ('uint8', 255, 'water to tree')
    """
    number = classes.num_classes
    if not 1 <= number <= 255:
        raise SceneError(
            f'expected a table of 1 to 255 land-cover classes beside unchanged, got {number}'
        )
    small = number**2 <= MOST_BYTE_TRANSITIONS
    numbers = range(1, number + 1)
    changes = [
        (f'{classes.names[old]} to {classes.names[new]}', transition_colour(classes, old, new))
        for old in numbers
        for new in numbers
    ]
    cover_names = ('no data', *classes.land_cover)
    cover_colours = ((0, 0, 0), *classes.palette[1:])
    rasters = [
        ResultRaster('change_prob', 'float32', float('nan'), 'probability of change', 'average'),
        ResultRaster(
            'change',
            'uint8',
            CHANGE_NODATA,
            'change',
            class_names=('unchanged', 'changed'),
            colours=((0, 0, 0), (255, 255, 255)),
            clear=True,
        ),
        *(
            ResultRaster(
                f'land_cover_{date}',
                'uint8',
                COVER_NODATA,
                f'land cover {when}',
                class_names=cover_names,
                colours=cover_colours,
            )
            for date, when in (('from', 'before'), ('to', 'after'))
        ),
        ResultRaster(
            'transition',
            'uint8' if small else 'uint16',
            255 if small else 65535,
            'land cover from and to of changed pixels',
            class_names=('unchanged', *(name for name, _ in changes)),
            colours=(classes.palette[0], *(colour for _, colour in changes)) if small else (),
            clear=True,
        ),
        ResultRaster(
            'valid',
            'uint8',
            UNKNOWN,
            'seen on both dates',
            class_names=CODE_NAMES,
            colours=CODE_COLOURS,
        ),
    ]
    return {raster.name: raster for raster in rasters}


def transition_colour(classes: ClassTable, old: int, new: int) -> Colour:
    """Return the RGB colour of a transition, a mixture of those of its classes 1..K."""
    red, green, blue = (
        round((1 - NEW_COVER_PART) * a + NEW_COVER_PART * b)
        for a, b in zip(classes.palette[old], classes.palette[new], strict=True)
    )
    return red, green, blue


def transition_codes(
    change: np.ndarray, cover_from: np.ndarray, cover_to: np.ndarray, transition: ResultRaster
) -> np.ndarray:
    """Code each pixel's change as one number.

    Args:
        change: 1 changed, 0 unchanged, anything else for no data; any shape.
        cover_from: Land cover before of that shape, 1..K.
        cover_to: Land cover after, 1..K.
        transition: The raster of :func:`scene_rasters`.

    Returns:
        Codes of that raster's type.

    Example:
        >>> table = ClassTable(('same', 'water', 'tree'), ((0, 0, 0), (0, 0, 200), (0, 100, 0)))
        >>> raster = scene_rasters(table)['transition']
        >>> maps = np.array([[1, 0, 255, 1], [1, 1, 0, 2], [2, 1, 0, 1]], np.uint8)
        >>> transition_codes(*maps, raster)
        array([  2,   0, 255,   3], dtype=uint8)
    """
    number = round((len(transition.class_names) - 1) ** 0.5)
    # In the few bytes of the result, where codes of pixels without data may overflow.
    kind = np.dtype(transition.dtype)
    codes = cover_from.astype(kind)
    codes -= 1
    codes *= number
    codes += cover_to.astype(kind)
    changed = change == 1
    codes *= changed
    codes += ~(changed | (change == 0)) * kind.type(transition.nodata)
    return codes


def from_and_to(codes: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes 1..K before and after of transition codes 1..K K.

    Example:
        >>> before, after = from_and_to(np.array([2, 3]), num_classes=2)
        >>> before.tolist(), after.tolist()
        ([1, 2], [2, 1])
    """
    numbers = np.asarray(codes, np.int64) - 1
    return numbers // num_classes + 1, numbers % num_classes + 1
