"""Make a pair of two images of different places, each with its own land cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from tfinet_mm.datasets.annotations import FROM, TO, difference, to_land_cover
from tfinet_mm.datasets.dataset_options import as_size
from tfinet_mm.datasets.pasting import change_light, choose_regions, paste
from tfinet_mm.datasets.transforms.consistency import COMBINATIONS, label_combinations
from tfinet_mm.datasets.transforms.loading import loaded, no_data_pixels
from tfinet_mm.errors import ImageFormatError, LabelFormatError
from tfinet_mm.io.images import image_size, join_dates, split_dates
from tfinet_mm.io.labels import read_semantic_label
from tfinet_mm.io.pair_reader import PairReader
from tfinet_mm.registry import TRANSFORMS
from tfinet_mm.structures import IGNORE_INDEX, SEG_CHANGE, SEG_FROM, SEG_TO
from tfinet_mm.utils.config.values import is_number, is_whole

METHODS = ('places', 'paste', 'either')


@TRANSFORMS.register_module()
class LoadMadePair(PairReader, BaseTransform):
    """Load two images of different places, and make a pair of them.

    It takes the place of ``LoadImagePair`` and ``LoadPairAnnotations`` in the pipeline of
    :class:`~tfinet_mm.datasets.single_date.SingleDateDataset`. The same seed, epoch and index
    make the same pair, in any process and on any rank.

    - ``'places'``: the two images are the two dates. Changed is where their classes differ.
    - ``'paste'``: the image after is the image before in another light, with some connected
      regions of the other image, each of one class. Changed is where a region has another
      class than the ground below it. A region of the same class is ignored, since other ground
      of the class may or may not count as a change. All other pixels are unchanged.
    - ``'either'``: one of these, with equal chance.

    Required keys: those of an entry of this data set. Its ``window`` is taken of both images.

    Added keys: as those of ``LoadImagePair`` and ``LoadPairAnnotations``, and ``made``, the method.

    Args:
        method: See above.
        crop_size: (height, width) in pixels of a random part of each image, or of its window, or
            one number for both sides. None takes whole images or windows; whole images then all
            have one size.
        regions: Least and greatest number of pasted regions.
        area: Least and greatest share of the image that a region covers, above 0 and below 1.
        edge: Width in pixels, over which a region fades in.
        light: Strength of the change of light in pasted pairs, 0..1, see
            :func:`~tfinet_mm.datasets.pasting.change_light`.
        bands: As for ``LoadImagePair``.
        value_range: As for ``LoadImagePair``.
        nodata_value: As for ``LoadImagePair``.

    Raises:
        ValueError: An option is out of its range, or an entry is of another data set.
        ImageFormatError: An image can't be read, is smaller than the crop or lacks a part of the
            window, or the two differ in size or type.
        LabelFormatError: A label can't be read, or differs in size from its image.
        LabelValueError: A label holds a value that has no meaning.
    """

    def __init__(
        self,
        method: str = 'either',
        crop_size: int | Sequence[int] | None = None,
        regions: Sequence[int] = (1, 4),
        area: Sequence[float] = (0.01, 0.2),
        edge: float = 1.0,
        light: float = 0.3,
        bands: Sequence[int] | None = None,
        value_range: Sequence[float] | None = None,
        nodata_value: float | None = None,
    ) -> None:
        """See the class."""
        super().__init__(bands, value_range, nodata_value)
        if method not in METHODS:
            raise ValueError(f'method has to be one of {METHODS}, got {method!r}')
        counts = _two(regions, 'regions')
        if not all(is_whole(one) for one in counts) or not 1 <= counts[0] <= counts[1]:
            raise ValueError(f'regions has to be two whole numbers of 1 or more, got {regions!r}')
        shares = _two(area, 'area')
        if not 0 < shares[0] <= shares[1] < 1:
            raise ValueError(f'area has to be two shares above 0 and below 1, got {area!r}')
        if not is_number(edge) or edge < 0:
            raise ValueError(f'edge has to be a number of pixels, 0 or more, got {edge!r}')
        if not is_number(light) or not 0 <= light <= 1:
            raise ValueError(f'light has to be in 0 .. 1, got {light!r}')
        self.method, self.edge, self.light = method, edge, light
        self.crop_size = as_size(crop_size, 'crop_size')
        self.regions = (int(counts[0]), int(counts[1]))
        self.area = (float(shares[0]), float(shares[1]))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the two images, and make the pair."""
        draw, spec = results.get('draw'), results.get('label_spec')
        labels: list[Any] = [results.get('seg_map_path_from'), results.get('seg_map_path_to')]
        if draw is None or spec is None or None in labels:
            raise ValueError(
                f'{type(self).__name__} makes pairs of tfinet_mm.SingleDateDataset; load those of '
                'other data sets with LoadImagePair and LoadPairAnnotations'
            )
        rng = np.random.default_rng(draw)
        images, covers, empty = [], [], []
        for role, path, label_path in zip((FROM, TO), results['img_path'], labels, strict=True):
            window = self._window(path, results.get('window'), rng)
            image = self.read(path, path, window)
            storage = spec.semantic_storage(role)
            found = read_semantic_label(label_path, spec.table, storage, window)
            if found.values.shape != image.shape[:2]:
                raise LabelFormatError(
                    f'{label_path} is {_size(found.values)} pixels (width x height), but its image '
                    f'{path} is {_size(image)}; they have to be equal'
                )
            cover = to_land_cover(found.values)
            missing = no_data_pixels([image], spec.no_data, path)
            cover[missing] = IGNORE_INDEX
            images.append(image)
            covers.append(cover)
            empty.append(missing)
        self._check_sizes(images, results['img_path'])
        joined = self.join(images, results['img_path'])
        method = self.method
        if method == 'either':
            method = METHODS[int(rng.integers(2))]
        if method == 'paste':
            joined, change, covers[1] = self._pasted(joined, covers, rng)
            change[empty[0]] = IGNORE_INDEX
        else:
            change = difference(*covers)
        results |= loaded(joined, self.bands)
        maps = dict(zip((SEG_CHANGE, SEG_FROM, SEG_TO), (change, *covers), strict=True))
        results |= maps
        results['seg_fields'] = list(maps)
        before, after = covers
        results[COMBINATIONS] = label_combinations(change, before, after, spec.table.num_classes)
        results['made'] = method
        return results

    def _window(
        self, path: str, window: Sequence[int] | None, rng: np.random.Generator
    ) -> tuple[int, int, int, int] | None:
        """Draw (left, top, width, height) of the part of an image; None for all of it.

        Args:
            path: The image.
            window: Part of it that the entry has, None for all of it.
            rng: Generator of the draws.
        """
        if window is None and self.crop_size is None:
            return None
        whole = image_size(path)
        left, top, width, height = (0, 0, *whole) if window is None else window
        if left + width > whole[0] or top + height > whole[1]:
            raise ImageFormatError(
                f'{path} is {whole[0]} x {whole[1]} pixels (width x height), so that it lacks a '
                f'part of the window at ({left}, {top}) of {width} x {height} pixels, which is '
                'taken of both images of a pair; images that are cut into windows have to be of '
                'one size'
            )
        if self.crop_size is None:
            return left, top, width, height
        rows, columns = self.crop_size
        if height < rows or width < columns:
            what = 'is' if window is None else 'has a window of'
            fix = 'leave the image out of ann_file' if window is None else 'a larger window'
            raise ImageFormatError(
                f'{path} {what} {width} x {height} pixels (width x height), smaller than '
                f'crop_size={self.crop_size} (height, width) of {type(self).__name__}; set a '
                f'smaller crop_size, or {fix}'
            )
        left += int(rng.integers(width - columns + 1))
        return left, top + int(rng.integers(height - rows + 1)), columns, rows

    def _check_sizes(self, images: Sequence[np.ndarray], paths: Sequence[str]) -> None:
        before, after = images
        if before.shape[:2] != after.shape[:2]:
            raise ImageFormatError(
                f'{paths[0]} is {_size(before)} pixels (width x height) and {paths[1]} is '
                f'{_size(after)}, so that they make no pair; set crop_size in '
                f'{type(self).__name__}, which takes a part of this size of each image'
            )

    def _pasted(
        self, joined: np.ndarray, covers: Sequence[np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the pair, the change and the land cover after of a pair of pasted regions."""
        before, donor = split_dates(joined)
        cover, other = covers
        number = int(rng.integers(self.regions[0], self.regions[1] + 1))
        mask = choose_regions(other, number, self.area, rng)
        after = change_light(paste(before, donor, mask, self.edge), self.light, rng)
        same = mask & (cover == other)
        change = np.where(mask, difference(cover, other), np.uint8(0))
        change[same] = IGNORE_INDEX
        return join_dates(before, after), change, np.where(mask, other, cover)

    def __repr__(self) -> str:
        """Return the name and the options."""
        return (
            f'{type(self).__name__}(method={self.method!r}, crop_size={self.crop_size}, '
            f'regions={self.regions}, area={self.area}, edge={self.edge}, light={self.light})'
        )


def _two(values: Any, name: str) -> tuple[Any, Any]:
    if not isinstance(values, list | tuple) or len(values) != 2 or not all(map(is_number, values)):
        raise ValueError(f'{name} has to be two numbers (least, greatest), got {values!r}')
    return values[0], values[1]


def _size(array: np.ndarray) -> str:
    return f'{array.shape[1]} x {array.shape[0]}'
