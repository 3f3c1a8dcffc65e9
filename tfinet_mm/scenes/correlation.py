"""Measure how far one image patch is shifted against another, by phase correlation.

Edges are compared, not grey values: edges keep their place in another light, another season and
other bands. The logarithm keeps a few strong ones from deciding alone. All phases count the same
under a Gaussian weight of the frequencies, so that the peak of the correlation is a Gaussian too,
and three of its values give its place between the pixels.
"""

from __future__ import annotations

import importlib
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from tfinet_mm.scenes.blending import fill_invalid
from tfinet_mm.scenes.filters import blurred, slopes, thick_parts
from tfinet_mm.scenes.nearest import distance_to_marked

# Edges count on a logarithmic scale from this part of their mean on.
WEAK_EDGE = 0.2
# Mean edge, in grey levels of 0..255 a pixel, below which a patch has no texture.
LEAST_EDGE = 1e-3
# Standard deviation of the weight of frequencies, in cycles a pixel.
BANDWIDTH = 0.15
# Edges count from this distance to pixels without data on, and fully this much further away.
BORDER, TAPER = 3.0, 12.0
# Gaps without data that are thinner than this are filled and count.
GAP = 4
# Least share of a patch's weight on pixels with data.
LEAST_VALID = 0.5
# Greatest shift, in sides of the patch.
REACH = 0.25
# Pixels by which the second look, on the common part of both patches, may differ from the first.
SECOND_REACH = 4


class PatchShift(NamedTuple):
    """Shift of a patch of after against before.

    Attributes:
        right: Pixels by which its content lies further right in after.
        down: Pixels by which it lies further down.
        quality: Height of the peak of the correlation above its mean, in standard deviations.
    """

    right: float
    down: float
    quality: float


def patch_shift(before: np.ndarray, after: np.ndarray, valid: np.ndarray) -> PatchShift | None:
    """Measure the shift between two patches.

    Args:
        before: (B, h, w), values of about 0..255.
        after: The same window of the second date.
        valid: (h, w) bool, True where both have data.

    Returns:
        The shift, of at most a quarter of a side; None where data or texture are too few.

    Example:
        >>> noise = np.random.default_rng(0).random((1, 80, 80)) * 255
        >>> shift = patch_shift(noise[:, 5:69, 5:69], noise[:, 7:71, 1:65], np.ones((64, 64), bool))
        >>> round(shift.right), round(shift.down)
        (4, -2)
    """
    inside = _inside(valid)
    weight = _hann(valid.shape) * inside
    if weight.sum() < LEAST_VALID * _hann(valid.shape).sum():
        return None
    first, second = (_edges(fill_invalid(date, valid)) for date in (before, after))
    if min(np.average(one, weights=weight) for one in (first, second)) < LEAST_EDGE:
        return None
    reach = int(REACH * min(valid.shape))
    found = _correlate(first, second, weight, reach)
    right, down = round(found.right), round(found.down)
    if right == down == 0:
        return found
    # The weight stands still while the content moves, which pulls the peak towards 0.
    cut = (
        slice(max(0, -down), valid.shape[0] - max(0, down)),
        slice(max(0, -right), valid.shape[1] - max(0, right)),
    )
    moved = (
        slice(cut[0].start + down, cut[0].stop + down),
        slice(cut[1].start + right, cut[1].stop + right),
    )
    weight = _hann(first[cut].shape) * inside[cut] * inside[moved]
    rest = _correlate(first[cut], second[moved], weight, SECOND_REACH)
    return PatchShift(right + rest.right, down + rest.down, rest.quality)


@lru_cache(16)
def _hann(shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = (np.hanning(side + 2)[1:-1].astype(np.float32) for side in shape)
    return np.outer(rows, columns)


def _inside(valid: np.ndarray) -> np.ndarray:
    """Return 1 where pixels with data surround a pixel, falling to 0 towards others."""
    if valid.all():
        return np.ones(valid.shape, np.float32)
    empty = np.pad(~valid, GAP, mode='edge')
    valid = ~thick_parts(empty, GAP)[GAP:-GAP, GAP:-GAP]
    if valid.all():
        return np.ones(valid.shape, np.float32)
    far = distance_to_marked(~valid)
    return np.clip((far - BORDER) / TAPER, 0, 1)


def _edges(bands: np.ndarray) -> np.ndarray:
    """Return the strength of edges (h, w), over all bands."""
    total = np.zeros(bands.shape[1:], np.float32)
    for band in bands:
        across, down = slopes(blurred(band.astype(np.float32)))
        total += across * across + down * down
    return np.sqrt(total)


def _correlate(before: np.ndarray, after: np.ndarray, weight: np.ndarray, reach: int) -> PatchShift:
    fft = _fourier()
    spectra = [fft.rfft2(_flat(one, weight)) for one in (before, after)]
    product = np.conj(spectra[0]) * spectra[1]
    size = np.abs(product)
    product *= _bandwidth(weight.shape) / np.maximum(size, np.finfo(size.dtype).tiny)
    surface = fft.irfft2(product, s=weight.shape)
    near = np.roll(surface, (reach + 1, reach + 1), (0, 1))[: 2 * reach + 3, : 2 * reach + 3]
    place = np.unravel_index(near[1:-1, 1:-1].argmax(), (2 * reach + 1, 2 * reach + 1))
    row, column = (int(index) + 1 for index in place)
    spread = float(surface.std())
    quality = (float(near[row, column]) - float(surface.mean())) / spread if spread else 0.0
    right = _summit(near[row, column - 1 : column + 2])
    down = _summit(near[row - 1 : row + 2, column])
    return PatchShift(column - 1 - reach + right, row - 1 - reach + down, quality)


@cache
def _fourier() -> Any:
    """Return SciPy's transforms, a few times as fast as NumPy's, or those where it isn't there."""
    try:
        return importlib.import_module('scipy.fft')
    except ImportError:
        return np.fft


def _flat(edges: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the logarithm of edges, with mean 0 and fading out as the weight does."""
    total = float(weight.sum())
    mean = float((edges * weight).sum()) / total
    values = np.log(edges + (WEAK_EDGE * mean + 1e-12))
    values -= float((values * weight).sum()) / total
    return values * weight


@lru_cache(16)
def _bandwidth(shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    weight = np.exp(-(rows**2 + columns**2) / (2 * BANDWIDTH**2)).astype(np.float32)
    # The mean is no texture.
    weight[0, 0] = 0
    return weight


def _summit(values: np.ndarray) -> float:
    """Return the place of the summit of a Gaussian through three values, from the middle one."""
    left, middle, right = np.log(np.maximum(values.astype(np.float64), 1e-12))
    bend = left - 2 * middle + right
    return float(np.clip((left - right) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0
