"""Load the images and the labels of a pair."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from tfinet_mm.datasets.annotations import read_pair_labels
from tfinet_mm.datasets.transforms.consistency import COMBINATIONS, label_combinations
from tfinet_mm.errors import ImageFormatError, LabelFormatError
from tfinet_mm.io.images import declared_nodata, join_dates, read_image, select_bands
from tfinet_mm.registry import TRANSFORMS
from tfinet_mm.structures import (
    BAND_ORDER,
    IGNORE_INDEX,
    LISTED_BANDS,
    RGB,
    SEG_CHANGE,
    SEG_FROM,
    SEG_TO,
)
from tfinet_mm.utils.config.values import is_number, is_whole

NO_DATA = 'image_no_data'
"""Key of the pixels (H, W) at which either image has no data."""
LABEL_PATHS = ('seg_map_path', 'seg_map_path_from', 'seg_map_path_to')


@TRANSFORMS.register_module()
class LoadImagePair(BaseTransform):
    """Load both images of a pair as one array, the bands of the first date first.

    Required keys: ``img_path`` ([before, after]), optionally ``window``. Both are
    files, or arrays (H, W, B) in RGB order with the values that files would hold, so
    that ``mmseg.apis.inference_model(model, [(before, after)])`` works.

    Added keys: ``img`` (H, W, 2B), uint8 or float32 in 0..255, RGB order;
    ``band_order``, ``'RGB'`` of three bands that the option ``bands`` doesn't list;
    ``img_shape``, ``ori_shape``, ``pad_shape`` (H, W); ``flip``,
    ``flip_direction``, ``rotation``, ``exchanged`` (their values before augmentation);
    ``image_no_data`` (H, W) bool if the data set states ``no_data``.

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
        ImageFormatError: An image is damaged, has other bands or another depth
            than asked for, or the two differ in size or type.
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

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the images that ``img_path`` names."""
        pair = results['img_path']
        if isinstance(pair, str | os.PathLike) or pair is None or len(pair) != 2:
            raise TypeError(
                f'expected a pair of images as img_path, (before, after), got {pair!r}; with '
                'mmseg.apis.inference_model give a list of pairs: inference_model(model, '
                "[('before.png', 'after.png')])"
            )
        names = [
            f'the image {date}' if isinstance(image, np.ndarray) else os.fspath(image)
            for date, image in zip(('before', 'after'), pair, strict=True)
        ]
        images = [
            self.read(image, name, results.get('window'))
            for image, name in zip(pair, names, strict=True)
        ]
        results['img_path'] = names
        combined = self.combine(results, images)
        if (spec := results.get('label_spec')) is not None and spec.no_data:
            combined[NO_DATA] = no_data_pixels(images, spec.no_data, names[0])
        return combined

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
            ImageFormatError: See the class.
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

    def combine(self, results: dict[str, Any], images: Sequence[np.ndarray]) -> dict[str, Any]:
        """Join two images that have been read, and scale their values.

        Args:
            results: Dictionary of the pipeline; ``img_path`` has two names for messages.
            images: Before and after, each (H, W, B) with the bands wanted.

        Returns:
            ``results`` with the keys that the class adds.

        Raises:
            ImageFormatError: See the class.
        """
        paths = results['img_path']
        before, after = images
        if before.shape != after.shape or before.dtype != after.dtype:
            listed = ', '.join(
                f'{path} {image.shape[1]} x {image.shape[0]} x {image.shape[2]} {image.dtype}'
                for path, image in zip(paths, images, strict=True)
            )
            raise ImageFormatError(
                'the images of a pair have to agree in width, height, bands and type, got '
                f'{listed}; bring the second onto the grid of the first'
            )
        results['img'] = self._to_byte_range(join_dates(before, after), paths[0])
        as_read = self.bands is None and before.shape[2] == 3
        results[BAND_ORDER] = RGB if as_read else LISTED_BANDS
        shape = before.shape[:2]
        results.update(img_shape=shape, ori_shape=shape, pad_shape=shape)
        results.update(flip=False, flip_direction=None, rotation=0, exchanged=False)
        return results

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

    def __repr__(self) -> str:
        """Return the name and the options."""
        return (
            f'{type(self).__name__}(bands={self.bands}, value_range={self.value_range}, '
            f'nodata_value={self.nodata_value})'
        )


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


@TRANSFORMS.register_module()
class LoadPairAnnotations(BaseTransform):
    """Load the labels that a pair has: change and the land cover of each date.

    Files of any storage are read as ``label_spec`` states, see
    :mod:`tfinet_mm.io.labels`. A pair without labels passes unchanged, and so
    does a pair that comes from no data set: ``mmseg.apis.inference_model`` runs
    the test pipeline on images alone.

    Required keys: ``label_spec``, and the label paths that the pair has.

    Added keys, each (H, W) uint8 and listed in ``seg_fields``:
    ``gt_seg_map`` (1 changed, 0 unchanged, 255 ignored), ``gt_seg_map_from``
    and ``gt_seg_map_to`` (0..K-1, 255 unknown). Also added: ``label_storages``, the
    storage of each file; ``label_conflicts``, the number of pixels ignored because
    the files contradict each other; ``label_unknown``, the number ignored because
    their colours belong to no class; ``label_transitions``, places of the types that
    occur in the table ``transitions``; ``label_combinations``, the combinations of
    values that occur at one pixel.

    Where either image has no data (option ``no_data`` of the data set), all maps are ignored.

    Raises:
        LabelFormatError: A label can't be read, or differs in size from the image
            (from the stored image, if it was resized before).
        LabelValueError: A label holds values that have no meaning.
    """

    def __init__(self) -> None:
        """See the class."""
        self._warned = False

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the labels of a pair."""
        if not any(key in results for key in ('label_spec', *LABEL_PATHS)):
            return results
        loaded = read_pair_labels(results, results['label_spec'])
        fields = results.setdefault('seg_fields', [])
        for key, values, path in (
            (SEG_CHANGE, loaded.change, results.get('seg_map_path')),
            (SEG_FROM, loaded.cover_from, results.get('seg_map_path_from')),
            (SEG_TO, loaded.cover_to, results.get('seg_map_path_to')),
        ):
            if values is None:
                continue
            self._check_size(values, path or _semantic_path(results), results)
            results[key] = values
            if key not in fields:
                fields.append(key)
        maps = (loaded.change, loaded.cover_from, loaded.cover_to)
        if results['label_spec'].no_data and loaded.change is not None:
            missing = self._no_data(results)
            for one in maps:
                if one is not None:
                    one[missing] = IGNORE_INDEX
        if all(one is not None for one in maps):
            classes = results['label_spec'].table.num_classes
            results[COMBINATIONS] = label_combinations(*maps, classes)  # type: ignore[arg-type]
        results['label_unknown'] = loaded.unknown
        results['label_transitions'] = loaded.transitions
        results['label_storages'] = loaded.storages
        results['label_conflicts'] = loaded.conflicts
        if loaded.conflicts and not self._warned:
            self._warned = True
            print_log(
                f'{loaded.conflicts} of {loaded.change.size if loaded.change is not None else 0} '
                f'pixels of {_semantic_path(results)} are ignored: they are changed in '
                'one label file and unchanged in another. Further pairs are not reported; '
                'tools/check_dataset.py counts all such pixels',
                logger='current',
                level=logging.WARNING,
            )
        return results

    @staticmethod
    def _no_data(results: dict[str, Any]) -> np.ndarray:
        """Return the pixels without data, from the files if the images aren't loaded yet."""
        if NO_DATA not in results:
            images = [read_image(path, None, results.get('window')) for path in results['img_path']]
            results[NO_DATA] = no_data_pixels(
                images, results['label_spec'].no_data, results['img_path'][0]
            )
        found: np.ndarray = results[NO_DATA]
        return found

    @staticmethod
    def _check_size(values: np.ndarray, path: str | None, results: dict[str, Any]) -> None:
        shape = results.get('img_shape')
        if shape is None or values.shape == tuple(shape) or _only_resized(values.shape, results):
            return
        raise LabelFormatError(
            f'{path} is {values.shape[1]} x {values.shape[0]} pixels (width x height), but its '
            f'image {results["img_path"][0]} is {shape[1]} x {shape[0]} here; they have to '
            'be equal. Only a Resize for testing may come before the labels are loaded'
        )

    def __repr__(self) -> str:
        """Return the name."""
        return f'{type(self).__name__}()'


def _semantic_path(results: dict[str, Any]) -> str | None:
    return results.get('seg_map_path_from') or results.get('seg_map_path_to')


def no_data_pixels(
    images: Sequence[np.ndarray], no_data: Sequence[Sequence[float]], name: str
) -> np.ndarray:
    """Return the pixels (H, W) at which any image has a value that means no data.

    Args:
        images: Images (H, W, B) with their stored values.
        no_data: Values, each one number for all bands or one number for each band.
        name: Name of the first image, for messages.

    Raises:
        ImageFormatError: A value has another number of bands than the images.
    """
    missing = np.zeros(images[0].shape[:2], bool)
    for values in no_data:
        for image in images:
            bands = image.shape[2]
            if len(values) not in (1, bands):
                raise ImageFormatError(
                    f'no_data has {len(values)} values, but {bands} bands of {name} are loaded; '
                    'give one value for all bands, or one for each'
                )
            missing |= _holds(image, values if len(values) == bands else [*values] * bands)
    return missing


def _holds(image: np.ndarray, values: Sequence[float]) -> np.ndarray:
    """Return the pixels (H, W) whose bands all have the given values."""
    if image.dtype == np.uint8 and len(values) <= 4 and all(0 <= v <= 255 for v in values):
        exact = [int(v) for v in values]
        if exact == list(values):
            # Ten times as fast as a comparison of bands.
            return cv2.inRange(image, np.array(exact), np.array(exact)) > 0
    return (image == np.asarray(values)).all(axis=2)


def _only_resized(shape: tuple[int, ...], results: dict[str, Any]) -> bool:
    """Return whether labels fit the stored image, and the image was only resized since.

    mmseg's test pipelines resize before they load labels: predictions are
    resized back to ``ori_shape`` and scored at that size.
    """
    if 'scale_factor' not in results or shape != tuple(results.get('ori_shape', ())):
        return False
    factors = reversed(results['scale_factor'])  # of width and height
    resized = [side * factor for side, factor in zip(shape, factors, strict=True)]
    return all(abs(a - b) < 1 for a, b in zip(resized, results['img_shape'], strict=True))
