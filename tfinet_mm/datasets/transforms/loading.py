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

from tfinet_mm.datasets.annotations import LoadedLabels, read_pair_labels
from tfinet_mm.datasets.transforms.consistency import COMBINATIONS, label_combinations
from tfinet_mm.errors import ImageFormatError, LabelFormatError
from tfinet_mm.io.images import read_image
from tfinet_mm.io.pair_reader import PairReader
from tfinet_mm.registry import TRANSFORMS
from tfinet_mm.structures import (
    BAND_ORDER,
    IGNORE_INDEX,
    SEG_CHANGE,
    SEG_FROM,
    SEG_NO_DATA,
    SEG_TO,
    band_order,
)

NO_DATA = 'image_no_data'
"""Key of the pixels (H, W) at which either image has no data."""
LABEL_PATHS = ('seg_map_path', 'seg_map_path_from', 'seg_map_path_to')


def loaded(image: np.ndarray, bands: Sequence[int] | None) -> dict[str, Any]:
    """Return the keys that a pair has in a pipeline once its images are loaded.

    Args:
        image: The pair (H, W, 2B), the bands of the first date first.
        bands: The bands that the reader was asked for; None for those of the files.
    """
    shape = image.shape[:2]
    return {
        'img': image,
        BAND_ORDER: band_order(bands, image.shape[2] // 2),
        **dict(img_shape=shape, ori_shape=shape, pad_shape=shape),
        **dict(flip=False, flip_direction=None, rotation=0, exchanged=False),
    }


@TRANSFORMS.register_module()
class LoadImagePair(PairReader, BaseTransform):
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
        super().__init__(bands, value_range, nodata_value)

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
        image = self.join(images, results['img_path'])
        return results | loaded(image, self.bands)

    def __repr__(self) -> str:
        """Return the name and the options."""
        return (
            f'{type(self).__name__}(bands={self.bands}, value_range={self.value_range}, '
            f'nodata_value={self.nodata_value})'
        )


@TRANSFORMS.register_module()
class LoadPairAnnotations(BaseTransform):
    """Load the labels that a pair has: change and the land cover of each date.

    Files of any storage are read as ``label_spec`` states, see
    :mod:`tfinet_mm.io.labels`. A pair without labels passes unchanged, and so
    does a pair that comes from no data set: ``mmseg.apis.inference_model`` runs
    the test pipeline on images alone. With ``change_storage='unknown'``, maps that a pair
    lacks are 255 everywhere.

    Required keys: ``label_spec``, and the label paths that the pair has.

    Added keys, each (H, W) uint8 and listed in ``seg_fields``:
    ``gt_seg_map`` (1 changed, 0 unchanged, 255 ignored), ``gt_seg_map_from``
    and ``gt_seg_map_to`` (0..K-1, 255 unknown). Also added: ``label_storages``, the
    storage of each file; ``label_conflicts``, the number of pixels ignored because
    the files contradict each other; ``label_unknown``, the number ignored because
    their colours belong to no class; ``label_transitions``, places of the types that
    occur in the table ``transitions``; ``label_combinations``, the combinations of
    values that occur at one pixel.

    Where either image has no data (option ``no_data`` of the data set), all maps are ignored. A
    pair that lacks all labels also gets ``gt_no_data_map``, 1 there, so that the mean teacher
    leaves these pixels out.

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
        unlabelled = loaded.change is None and results['label_spec'].change_storage == 'unknown'
        if unlabelled:
            loaded = _unlabelled(results)
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
            if unlabelled and missing.any():
                results[SEG_NO_DATA] = missing.astype(np.uint8)
                fields.append(SEG_NO_DATA)
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


def _unlabelled(results: dict[str, Any]) -> LoadedLabels:
    """Return the maps of a pair without labels, which is trained on beside labelled ones."""
    if 'img_shape' not in results:
        raise LabelFormatError(
            f'{results["img_path"][0]} has no labels, so that their size is that of the image; put '
            'LoadImagePair before LoadPairAnnotations'
        )
    shape = tuple(results['img_shape'])
    change, before, after = (np.full(shape, IGNORE_INDEX, np.uint8) for _ in range(3))
    return LoadedLabels(change, before, after)


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
