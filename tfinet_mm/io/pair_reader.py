"""Read both images of a pair on the scale 0..255; nothing here needs torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfinet_mm.errors import ImageFormatError
from tfinet_mm.io.images import declared_nodata, join_dates, read_image, select_bands
from tfinet_mm.utils.config.values import is_number, is_whole


class PairReader:
    """Read images, and join those of a pair on the scale that networks take.

    Args:
        bands: Bands of each image, counted from 1, in the order wanted. The
            default takes images of exactly three bands.
        value_range: (low, high), the stored values that become 0 and 255;
            values outside are clipped. Values of 8 bit stay as they are by
            default; all other types need a range.
        nodata_value: Stored value for pixels that the file declares as nodata.
            Without it, such pixels are an error if ``value_range`` would clip
            them to 0 or 255 (a nodata of -9999, for example).

    Raises:
        ValueError: ``bands`` is no list of bands, ``value_range`` no range, or
            ``nodata_value`` no finite number.
    """

    def __init__(
        self,
        bands: Sequence[int] | None = None,
        value_range: Sequence[float] | None = None,
        nodata_value: float | None = None,
    ) -> None:
        """See the class."""
        self.bands = _checked_bands(bands)
        self.value_range = _checked_range(value_range)
        if nodata_value is not None and not is_number(nodata_value):
            raise ValueError(f'nodata_value has to be a finite number, got {nodata_value!r}')
        self.nodata_value = nodata_value

    def read(
        self,
        image: str | os.PathLike[str] | np.ndarray,
        name: str,
        window: Sequence[int] | None = None,
    ) -> np.ndarray:
        """Read an image from a file, or select the bands of an array.

        Args:
            image: File, or (H, W, B), or (H, W) for one band.
            name: Name of the image in messages.
            window: (left, top, width, height) in pixels to read of a file, by default all.

        Returns:
            Array (H, W, B) with the stored values.

        Raises:
            ImageFormatError: It is damaged, or has other bands or another type than asked
                for.
        """
        if not isinstance(image, np.ndarray):
            values = read_image(image, self.bands, window)
            if self.value_range is None and self.nodata_value is None:
                return values
            return self._without_nodata(values, name)
        values = image[..., None] if image.ndim == 2 else image
        if values.ndim != 3 or 0 in values.shape:
            raise ImageFormatError(
                f'{name} is an array of shape {image.shape}, expected (height, width, bands); '
                'give several images as a list of arrays'
            )
        if values.dtype.kind not in 'buif':
            raise ImageFormatError(
                f'{name} is an array of type {values.dtype}, expected numbers (uint8, or others '
                'with value_range)'
            )
        chosen = [number - 1 for number in select_bands(name, values.shape[2], self.bands)]
        return np.ascontiguousarray(values[..., chosen])

    def _without_nodata(self, values: np.ndarray, path: str) -> np.ndarray:
        """Fill the pixels that a file declares as nodata; refuse them if they would be clipped."""
        for band, nodata in enumerate(declared_nodata(path, self.bands)):
            if nodata is None:
                continue
            missing = np.isnan(values[..., band]) if np.isnan(nodata) else None
            missing = values[..., band] == nodata if missing is None else missing
            if not missing.any():
                continue
            if self.nodata_value is not None:
                values[..., band][missing] = self.nodata_value
                continue
            low, high = self.value_range or (-np.inf, np.inf)
            if not low <= nodata <= high:
                raise ImageFormatError(
                    f'{path} declares {nodata:g} as nodata, which {100 * missing.mean():.2f} % of '
                    f'its pixels hold and value_range=({low:g}, {high:g}) would clip; set the '
                    'stored value that replaces them, such as the mean: '
                    'LoadImagePair(..., nodata_value=...)'
                )
        return values

    def join(self, images: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
        """Join two images that have been read, and scale their values.

        Args:
            images: Before and after, each (H, W, B) with the bands wanted.
            names: Their names in messages.

        Returns:
            (H, W, 2B), uint8, or float32 in 0..255 where a value range is stated.

        Raises:
            ImageFormatError: The two differ in size or type, or hold values without a range.
        """
        before, after = images
        if before.shape != after.shape or before.dtype != after.dtype:
            listed = ', '.join(
                f'{name} {image.shape[1]} x {image.shape[0]} x {image.shape[2]} {image.dtype}'
                for name, image in zip(names, images, strict=True)
            )
            raise ImageFormatError(
                'the images of a pair have to agree in width, height, bands and type, got '
                f'{listed}; bring the second onto the grid of the first'
            )
        return self._to_byte_range(join_dates(before, after), names[0])

    def _to_byte_range(self, image: np.ndarray, path: str) -> np.ndarray:
        if image.dtype.kind not in 'buif':
            raise ImageFormatError(
                f'{path} holds values of type {image.dtype}, expected whole or real numbers; '
                'convert it (of complex numbers, to their magnitude)'
            )
        if self.value_range is None:
            if image.dtype == np.uint8:
                return image
            raise ImageFormatError(
                f'{path} holds values of type {image.dtype} from {image.min()} to {image.max()}, '
                'expected 8 bit or a range that becomes 0 to 255; state it in the pipeline: '
                "dict(type='tfinet_mm.LoadImagePair', value_range=(low, high)), one range for the "
                'whole data set, such as the 1st and 99th percentile; SCDInferencer has an option '
                'of this name, tfinet-predict --stretch LOW HIGH'
            )
        low, high = self.value_range
        scaled = (image.astype(np.float32) - low) * (255 / (high - low))
        if not np.isfinite(scaled).all():
            raise ImageFormatError(
                f'{path} holds values that are not finite (NaN or infinity); fill them, for '
                'example with the lower end of value_range'
            )
        return np.clip(scaled, 0, 255, out=scaled)


def _checked_bands(bands: Any) -> list[int] | None:
    if bands is None:
        return None
    listed = isinstance(bands, Sequence) and not isinstance(bands, str)
    if not listed or not bands or not all(is_whole(one) and one >= 1 for one in bands):
        raise ValueError(
            f'bands has to be a list of whole numbers counted from 1, like [4, 3, 2], got {bands!r}'
        )
    return [int(band) for band in bands]


def _checked_range(value_range: Any) -> tuple[float, float] | None:
    if value_range is None:
        return None
    listed = isinstance(value_range, Sequence) and not isinstance(value_range, str)
    fits = listed and len(value_range) == 2 and all(is_number(one) for one in value_range)
    if not fits or not value_range[1] > value_range[0]:
        raise ValueError(
            'value_range has to be (low, high), two finite numbers of which the second is larger, '
            f'got {value_range!r}'
        )
    return float(value_range[0]), float(value_range[1])
