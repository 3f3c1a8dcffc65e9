"""Draw one picture of a predicted scene: both dates, and the change."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tfinet_mm.io.png import colourise
from tfinet_mm.scenes.from_to import FromToAreas
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.visualization.canvas import LegendEntry, Panel, compose, resized

FADED = (185, 250)
"""Grey values of unchanged land, the darkest and the brightest: paler than any class."""


def draw_scene(scene: SceneResults, side: int = 400) -> np.ndarray:
    """Draw before, after, and the class after of changed pixels, over a legend.

    The title names the largest transitions from one class to another and their areas.

    Args:
        scene: The predicted scene.
        side: Longer side of a panel in pixels, at most that of the scene.

    Returns:
        RGB picture of uint8.
    """
    change = scene.read('change', side=side) == 1
    cover = scene.read('land_cover_to', side=side)
    size = change.shape[1], change.shape[0]
    pictures = []
    for date in ('before', 'after'):
        with Image.open(scene.folder / f'{date}.jpg') as image:
            pictures.append(image.convert('RGB').resize(size, Image.Resampling.BOX))
    shown = fade(np.asarray(pictures[1]))
    shown[change] = colourise(cover, scene.classes.palette)[change]
    columns: list[list[Panel | None]] = [
        [('before', pictures[0])],
        [('after', pictures[1])],
        [('what changed, by what is there now', resized(shown, size))],
    ]
    legend: list[LegendEntry] = list(
        zip(scene.classes.land_cover, scene.classes.palette[1:], strict=True)
    )
    return compose(columns, size, scene_title(scene.areas()), [legend])


def fade(image: np.ndarray) -> np.ndarray:
    """Turn a picture of any brightness into a pale grey one, to draw colours on.

    Args:
        image: RGB picture (H, W, 3) of uint8.

    Returns:
        Grey picture of that shape, its darkest and brightest 2 % at the ends of :data:`FADED`.
    """
    grey = np.asarray(Image.fromarray(image).convert('L'), np.float32)
    low, high = np.percentile(grey, (2, 98))
    share = np.clip((grey - low) / max(high - low, 1.0), 0, 1)
    pale = np.round(FADED[0] + share * (FADED[1] - FADED[0])).astype(np.uint8)
    return np.repeat(pale[..., None], 3, axis=2)


def scene_title(areas: FromToAreas, most: int = 3) -> str:
    """Return a title with the changed area and the largest transitions between classes.

    Args:
        areas: Areas of the scene.
        most: Number of transitions to name.

    Returns:
        A line of text.

    Example:
        >>> areas = FromToAreas(
        ...     ('water', 'town'), 'ha', 'planar', 0.0, np.array([[0, 2.5], [0, 0]]),
        ...     np.array([[0, 250], [0, 0]]), 7.5, 750, 0.0, 0,
        ... )
        >>> scene_title(areas)
        '2.50 of 10.00 ha changed: water to town 2.50'
    """
    digits = 0 if areas.unit == 'pixels' else 2
    totals = areas.totals()
    changed, all_ = totals['changed'][0], totals['changed'][0] + totals['unchanged'][0]
    moved = areas.matrix - np.diag(np.diag(areas.matrix))
    order = np.argsort(-moved, axis=None, kind='stable')[:most]
    named = [
        f'{areas.classes[old]} to {areas.classes[new]} {moved[old, new]:,.{digits}f}'
        for old, new in zip(*np.unravel_index(order, moved.shape), strict=True)
        if moved[old, new] > 0
    ]
    said = f'{changed:,.{digits}f} of {all_:,.{digits}f} {areas.unit} changed'
    return f'{said}: {", ".join(named)}' if named else said
