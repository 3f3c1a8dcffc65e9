"""Load a random crop of a pair without the rest of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from tfinet_mm.datasets.transforms.geometry import Box, RandomCropWithChange
from tfinet_mm.datasets.transforms.loading import LABEL_PATHS, LoadImagePair, LoadPairAnnotations
from tfinet_mm.errors import ConfigError, LabelFormatError
from tfinet_mm.io.images import Window, image_size, is_common_format, read_head
from tfinet_mm.registry import TRANSFORMS
from tfinet_mm.structures import SEG_CHANGE
from tfinet_mm.utils.places import is_virtual

MOST_SIZES = 1 << 16
"""Files whose sizes a process remembers, so that their headers are read once."""


@TRANSFORMS.register_module()
class LoadCroppedPair(BaseTransform):
    """Load a random crop of the images and labels of a pair.

    It draws and gives the crops of :class:`LoadImagePair`, :class:`LoadPairAnnotations` and
    :class:`RandomCropWithChange` in a row. Of TIFF files only the crop is read; other files are
    decoded whole, but only the crop is converted. What is counted while labels are read
    (``label_combinations``, ``label_conflicts``, ``label_unknown``, ``label_transitions``) is that
    of the crop.

    Required keys: ``img_path`` ([before, after]), ``label_spec``, the label paths that the pair
    has, optionally ``window``. Added keys: those of the three transforms.

    Args:
        crop_size: (height, width), or one number for both.
        min_change: See :class:`RandomCropWithChange`. Of labels in TIFF files, each crop that is
            tried is read; others are read whole.
        tries: See :class:`RandomCropWithChange`.
        keep_smaller: See :class:`RandomCropWithChange`.
        bands: See :class:`LoadImagePair`.
        value_range: See :class:`LoadImagePair`.
        nodata_value: See :class:`LoadImagePair`.

    Raises:
        ImageFormatError, LabelFormatError, LabelValueError: See the three transforms.
        ConfigError: The pair is of arrays, or is loaded already.
        ValueError: An option is out of its range, or an image is too small.
    """

    def __init__(
        self,
        crop_size: int | Sequence[int],
        min_change: float = 0.0,
        tries: int = 10,
        keep_smaller: bool = False,
        bands: Sequence[int] | None = None,
        value_range: Sequence[float] | None = None,
        nodata_value: float | None = None,
    ) -> None:
        """See the class."""
        self.load_images = LoadImagePair(bands, value_range, nodata_value)
        self.load_labels = LoadPairAnnotations()
        self.crop = RandomCropWithChange(crop_size, min_change, tries, keep_smaller)

    @property
    def parts(self) -> tuple[BaseTransform, ...]:
        """Return the three transforms that do the same one after the other."""
        return self.load_images, self.load_labels, self.crop

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load a crop of the pair that ``img_path`` names."""
        outer = self._outer(results)
        self.crop.check_size(outer.height, outer.width, results.get('sample_id', ''))
        labels = _CroppedLabels(results, outer, self.load_labels)
        box = self.crop.choose_box(outer.height, outer.width, labels.change_in)
        window = _inside(outer, box)
        loaded = self.load_images.transform({**results, 'window': window})
        made = {**loaded, **labels.maps_in(box, loaded)}
        size = (outer.height, outer.width)
        return {**made, 'window': results.get('window'), 'ori_shape': size, 'crop_bbox': box}

    @staticmethod
    def _outer(results: dict[str, Any]) -> Window:
        """Return the part of the files that the pair is, after a check of their sizes."""
        paths = [*results['img_path'], *filter(None, map(results.get, LABEL_PATHS))]
        if 'img' in results or not all(isinstance(one, str | os.PathLike) for one in paths):
            raise ConfigError(
                'LoadCroppedPair has to be the first transform of a train pipeline, which gets '
                'paths of files; for pairs that are loaded use RandomCropWithChange'
            )
        sizes = {os.fspath(path): _size(os.fspath(path)) for path in paths}
        width, height = next(iter(sizes.values()))
        if len(set(sizes.values())) > 1:
            listed = ', '.join(f'{path} {size[0]} x {size[1]}' for path, size in sizes.items())
            raise LabelFormatError(
                f'the files of a pair have to be of one size, got (width x height) {listed}; '
                'export them on one grid'
            )
        return Window(*(results.get('window') or (0, 0, width, height)))

    def __repr__(self) -> str:
        """Return the name and the options."""
        crop, images = self.crop, self.load_images
        return (
            f'{type(self).__name__}(crop_size={crop.crop_size}, min_change={crop.min_change}, '
            f'tries={crop.tries}, keep_smaller={crop.keep_smaller}, bands={images.bands}, '
            f'value_range={images.value_range}, nodata_value={images.nodata_value})'
        )


class _CroppedLabels:
    """Labels of a pair, read crop by crop or whole, whichever is faster.

    Args:
        results: Dictionary of the pipeline.
        outer: Part of the files that the pair is.
        load: Transform that reads labels.
    """

    def __init__(self, results: dict[str, Any], outer: Window, load: LoadPairAnnotations) -> None:
        self._results, self._outer, self._load = results, outer, load
        paths = [path for path in map(results.get, LABEL_PATHS) if path]
        self._by_crop = all(_windowed(path) for path in paths)
        self._read: dict[Box | None, dict[str, Any]] = {}

    def change_in(self, box: Box) -> np.ndarray:
        """Return the change map in a box."""
        if self._by_crop:
            return self._change(self._load_once(box))
        return self._change(self._load_once(None))[box[0] : box[1], box[2] : box[3]]

    def maps_in(self, box: Box, images: dict[str, Any]) -> dict[str, Any]:
        """Return the keys that the labels add to those of the images of a box."""
        if not self._read:
            return self._load.transform({**images, 'seg_fields': []})
        maps = dict(self._load_once(box if self._by_crop else None))
        if not self._by_crop:
            for key in maps['seg_fields']:
                maps[key] = np.ascontiguousarray(maps[key][box[0] : box[1], box[2] : box[3]])
        return {key: one for key, one in maps.items() if key == 'seg_fields' or key not in images}

    def _load_once(self, box: Box | None) -> dict[str, Any]:
        """Load the labels in a box, or all of them."""
        if box not in self._read:
            window = tuple(self._outer) if box is None else _inside(self._outer, box)
            given = {**self._results, 'window': window, 'seg_fields': []}
            self._read[box] = self._load.transform(given)
        return self._read[box]

    @staticmethod
    def _change(found: dict[str, Any]) -> np.ndarray:
        if SEG_CHANGE not in found:
            raise KeyError(
                f'LoadCroppedPair with min_change needs {SEG_CHANGE!r}, but the pair has no labels'
            )
        change: np.ndarray = found[SEG_CHANGE]
        return change


def _inside(outer: Window, box: Box) -> tuple[int, int, int, int]:
    """Return the window (left, top, width, height) of a box inside another window."""
    top, bottom, left, right = box
    return outer.left + left, outer.top + top, right - left, bottom - top


@lru_cache(maxsize=MOST_SIZES)
def _size(path: str) -> tuple[int, int]:
    return image_size(path)


@lru_cache(maxsize=MOST_SIZES)
def _windowed(path: str) -> bool:
    """Return whether a file can be read in windows, as GDAL reads all but common pictures."""
    return is_virtual(path) or not is_common_format(read_head(path))
