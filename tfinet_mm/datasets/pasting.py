"""Make a change: regions of one image pasted into another, and its light changed."""

from __future__ import annotations

import cv2
import numpy as np

from tfinet_mm.structures import IGNORE_INDEX


def choose_regions(
    cover: np.ndarray,
    number: int,
    area: tuple[float, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Choose connected regions, each of one known class.

    The class of each region is drawn first, so that rare classes are chosen as often as common
    ones. A part of a region that is too large is cut out by a random rectangle.

    Args:
        cover: Land cover (H, W) uint8, 0..K-1, 255 unknown.
        number: Regions to choose; fewer if there are no more.
        area: Least and greatest share of all pixels that a region has, 0..1.
        rng: Random numbers.

    Returns:
        (H, W) bool, True in the regions; False everywhere if none is large enough.
    """
    least, most = (share * cover.size for share in area)
    chosen = np.zeros(cover.shape, bool)
    regions = _regions_by_class(cover, max(least, 1))
    for _ in range(number):
        if not regions:
            break
        of_class = list(regions)[int(rng.integers(len(regions)))]
        region = regions[of_class].pop(int(rng.integers(len(regions[of_class]))))
        if not regions[of_class]:
            del regions[of_class]
        if np.count_nonzero(region) > most:
            region = _cut(region, most, rng)
        if least <= np.count_nonzero(region) <= most:
            chosen |= region
    return chosen


def _regions_by_class(cover: np.ndarray, least: float) -> dict[int, list[np.ndarray]]:
    """Return the connected regions of each class that have enough pixels."""
    found: dict[int, list[np.ndarray]] = {}
    for one in np.unique(cover):
        if one == IGNORE_INDEX:
            continue
        mask = (cover == one).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        large = [i for i in range(1, len(stats)) if stats[i, cv2.CC_STAT_AREA] >= least]
        if large:
            found[int(one)] = [labels == i for i in large]
    return found


def _cut(region: np.ndarray, most: float, rng: np.random.Generator) -> np.ndarray:
    """Return the largest connected part of a region in a rectangle of at most ``most`` pixels."""
    height, width = region.shape
    rows = int(np.clip(np.sqrt(most) * rng.uniform(0.7, 1.4), 1, height))
    columns = int(np.clip(most // rows, 1, width))
    # A rectangle around a pixel of the region is never empty.
    places = np.flatnonzero(region)
    y, x = divmod(int(places[rng.integers(len(places))]), width)
    top = int(np.clip(y - rows // 2, 0, height - rows))
    left = int(np.clip(x - columns // 2, 0, width - columns))
    part = np.zeros(region.shape, np.uint8)
    box = slice(top, top + rows), slice(left, left + columns)
    part[box] = region[box]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(part, connectivity=4)
    largest: np.ndarray = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return largest


def paste(before: np.ndarray, donor: np.ndarray, regions: np.ndarray, edge: float) -> np.ndarray:
    """Return an image with regions of another one.

    Args:
        before: Image (H, W, B).
        donor: Image of the same shape and type, from which the regions are taken.
        regions: (H, W) bool.
        edge: Width in pixels, 0 or more, over which the donor fades in, inside the regions.
            Pixels outside them stay as they are.
    """
    inside = cv2.distanceTransform(regions.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # The distance of the outermost pixels is 1.
    share = np.clip(inside / (edge + 1), 0, 1)[..., None]
    mixed = before + (donor.astype(np.float32) - before) * share
    if before.dtype == np.uint8:
        mixed = np.rint(mixed)
    return mixed.astype(before.dtype)


def change_light(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return an image in another light: contrast, brightness and the gain of each band.

    Args:
        image: (H, W, B), values 0..255.
        strength: 0 leaves the image as it is. With 1, the contrast changes by a factor of 0.5 to
            1.5, the brightness by up to 64, and the gain of each band by up to a quarter.
        rng: Random numbers.
    """
    contrast = 1 + strength * rng.uniform(-0.5, 0.5)
    brightness = strength * rng.uniform(-64, 64)
    gains = 1 + strength * rng.uniform(-0.25, 0.25, image.shape[2])
    if not strength:
        return image
    values = image.astype(np.float32)
    middle = values.mean()
    values = ((values - middle) * contrast + middle + brightness) * gains
    values = np.clip(values, 0, 255)
    if image.dtype == np.uint8:
        values = np.rint(values)
    return values.astype(image.dtype)
