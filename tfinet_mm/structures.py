"""Define the names and small types that every layer of the package shares.

They are the names of the fields of a data sample, the three branches that a
neck returns, and the land-cover classes of a data set with the two conventions
in which maps of them are stored:

* **land cover** ``0..K-1``, 255 where no class is known, in training
  (``gt_sem_seg_from``, ``gt_sem_seg_to``), as in Open-CD;
* **semantic change** ``0..K``, 0 = unchanged, 255 = ignored, in label files,
  scores and predictions (``pred_sem_seg_from``, ``pred_sem_seg_to``).

:func:`to_semantic_change` is the only place that shifts from one to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    # Only named in annotations: exported networks predict without torch.
    from torch import Tensor

IGNORE_INDEX = 255
"""Value of a pixel that is left out of losses and scores."""

# Fields of a data sample. All hold PixelData with integer maps (1, H, W) unless said otherwise.
GT_CHANGE = 'gt_sem_seg'  # 1 changed, 0 unchanged, 255 ignored
GT_FROM = 'gt_sem_seg_from'  # land cover before, 0..K-1, 255 unknown
GT_TO = 'gt_sem_seg_to'  # land cover after, 0..K-1, 255 unknown
WEIGHT_FROM = 'gt_weight_from'  # float (1, H, W), weight >= 0 of each pixel in the loss before
WEIGHT_TO = 'gt_weight_to'  # the same after; optional, pixels weigh 1 without
GT_NO_DATA = 'gt_no_data'  # not 0 where an image has no data; of pairs without labels, if any
PRED_CHANGE = 'pred_sem_seg'  # 1 changed, 0 unchanged
PRED_FROM = 'pred_sem_seg_from'  # semantic change before, 0..K, 0 where unchanged
PRED_TO = 'pred_sem_seg_to'  # semantic change after, 0..K, 0 where unchanged
PRED_COVER_FROM = 'pred_land_cover_from'  # land cover before everywhere, 1..K
PRED_COVER_TO = 'pred_land_cover_to'  # land cover after everywhere, 1..K
PRED_CHANGE_PROB = 'pred_change_prob'  # P(changed), float (1, H, W) in 0..1
PRED_PROB_FROM = 'pred_prob_from'  # class probabilities before, float (K, H, W)
PRED_PROB_TO = 'pred_prob_to'  # class probabilities after, float (K, H, W)

# Key of the metainfo of a data sample, and its values.
BAND_ORDER = 'band_order'
RGB, BGR = 'RGB', 'BGR'
LISTED_BANDS = 'listed'
"""Order of bands that the option ``bands`` of a loader, or the file, decides."""


def band_order(bands: Sequence[int] | None, number: int) -> str:
    """Return the order of the bands of an image that this package's reader has read.

    Args:
        bands: The bands that it was asked for, counted from 1; None for those of the file.
        number: Bands of each date.

    Returns:
        ``'RGB'`` or ``'listed'``.
    """
    return RGB if bands is None and number == 3 else LISTED_BANDS


# Keys of the dictionary that data transforms pass on; weights have the names of their fields.
SEG_CHANGE = 'gt_seg_map'
SEG_FROM = 'gt_seg_map_from'
SEG_TO = 'gt_seg_map_to'
SEG_NO_DATA = 'gt_no_data_map'

Features: TypeAlias = 'tuple[Tensor, ...]'
"""Feature maps of one or more levels, each (N, C, H, W), finest first."""


LAND_COVER_ROLE, CHANGE_ROLE = 'land_cover', 'change'
ALL_ROLES = (LAND_COVER_ROLE, CHANGE_ROLE)
"""Roles that a detector can be trained for; checkpoints note them as ``meta['trained_roles']``."""


def sample_name(sample: Any) -> str | None:
    """Return the name of a pair: its ``sample_id``, or else that of its first image's file.

    Args:
        sample: Data sample, its dictionary or the ``data_info`` of a data set. Those of other
            packages, such as Open-CD, have no ``sample_id``.

    Returns:
        The name without suffix; None if the pair has neither.

    Example:
        >>> sample_name({'img_path': ['val/im1/a.b.png', 'val/im2/a.b.png']})
        'a.b'
    """
    if name := sample.get('sample_id'):
        return str(name)
    paths = sample.get('img_path')
    first = paths if isinstance(paths, str) else next(iter(paths or ()), None)
    return PurePath(first).stem if isinstance(first, str) else None


class Branches(NamedTuple):
    """Output of a neck: features of the three branches, finest level first.

    Attributes:
        before: Features of the first date, a tuple of (N, C, H, W).
        after: Features of the second date, of the same shapes.
        change: Features from which the change is decoded, a tuple of
            (N, C', H, W).
        difference: Logits of change (N, 1, H, W), one for each level, from necks
            that predict them; positive means changed.
    """

    before: Features
    after: Features
    change: Features
    difference: Features | None = None


class SCDLogits(NamedTuple):
    """Output of a detector in ``mode='tensor'``, all at input size.

    Attributes:
        semantic_from: Land-cover logits of the first date, (N, K, H, W).
        semantic_to: Land-cover logits of the second date, (N, K, H, W).
        change: Logit of change, (N, 1, H, W); positive means changed.
    """

    semantic_from: Tensor
    semantic_to: Tensor
    change: Tensor

    def probabilities(self) -> SCDProbabilities:
        """Return the softmax of the land-cover logits and the sigmoid of the change logit."""
        return SCDProbabilities(
            self.semantic_from.softmax(1), self.semantic_to.softmax(1), self.change.sigmoid()
        )


class SCDProbabilities(NamedTuple):
    """Probabilities of all three maps, which augmentation and ensembles average.

    Tensors from networks of PyTorch, arrays from exported ones.

    Attributes:
        land_cover_from: Class probabilities of the first date, (N, K, H, W),
            which add up to 1 at every pixel.
        land_cover_to: Class probabilities of the second date, (N, K, H, W).
        change: P(changed), (N, 1, H, W), in 0..1.
    """

    land_cover_from: Any
    land_cover_to: Any
    change: Any


Array = TypeVar('Array', np.ndarray, 'Tensor')


def to_semantic_change(land_cover: Array, change: Array) -> Array:
    """Shift land cover 0..K-1 to semantic change 0..K, 0 where nothing changed.

    Args:
        land_cover: Integer map of any shape, 0..K-1, 255 where unknown.
        change: Integer or boolean map of the same shape, 1 changed, 0
            unchanged, 255 ignored.

    Returns:
        Map of the shape and type of ``land_cover``: 0 where ``change`` is 0,
        the class + 1 where it is 1, and 255 where ``change`` is 255 or the
        class of a changed pixel is unknown.

    Example:
        >>> import numpy as np
        >>> to_semantic_change(np.array([3, 3, 255, 1]), np.array([1, 0, 1, 255]))
        array([  4,   0, 255, 255])
    """
    arrays = isinstance(land_cover, np.ndarray)
    where: Any = np.where if arrays else _where
    ignored = (change == IGNORE_INDEX) | ((change == 1) & (land_cover == IGNORE_INDEX))
    # Adding 1 to 255 would wrap around in uint8, so unknown pixels are taken out first.
    shifted = where(land_cover == IGNORE_INDEX, land_cover, land_cover + 1)
    unchanged = land_cover * 0
    result = where(ignored, unchanged + IGNORE_INDEX, where(change == 1, shifted, unchanged))
    return result.astype(land_cover.dtype) if arrays else result.to(land_cover.dtype)


def _where(condition: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return first.where(condition, second)


@dataclass(frozen=True)
class ClassTable:
    """Classes of a data set, as its label files store them.

    Attributes:
        names: K + 1 names, the first that of unchanged (or unlabelled) pixels.
        palette: K + 1 RGB colours, 0..255, in the same order.

    Raises:
        ValueError: Names and colours differ in number or repeat, or one isn't a name or a
            colour.
    """

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        """Accept lists from configs, and check names and colours."""
        for what, values in (('semantic_classes', self.names), ('semantic_palette', self.palette)):
            if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
                raise ValueError(f'{what} must be a list, one entry a class, got {values!r}')
        object.__setattr__(self, 'names', tuple(self.names))
        object.__setattr__(self, 'palette', tuple(_colour(one) for one in self.palette))
        if wrong := [name for name in self.names if not isinstance(name, str) or not name.strip()]:
            raise ValueError(f'the names of a class table must be words, got {wrong[0]!r}')
        if len(self.names) < 2:
            raise ValueError(
                'a class table needs the name of unchanged pixels and at least one land-cover '
                f'class, got the names {self.names}'
            )
        if len(self.names) != len(self.palette):
            raise ValueError(
                f'a class table needs one colour a class, got {len(self.names)} names '
                f'and {len(self.palette)} colours'
            )
        for what, values in (('names', self.names), ('colours', self.palette)):
            if len(set(values)) != len(values):
                raise ValueError(f'the {what} of a class table must differ, got {values}')

    @property
    def num_classes(self) -> int:
        """Return the number K of land-cover classes, without "unchanged"."""
        return len(self.names) - 1

    @property
    def land_cover(self) -> tuple[str, ...]:
        """Return the K land-cover names, without "unchanged"."""
        return self.names[1:]

    @classmethod
    def from_metainfo(cls, metainfo: dict[str, Any]) -> ClassTable:
        """Read the table from a data set's ``semantic_classes`` and ``semantic_palette``.

        Open-CD's data sets use the same keys.

        Raises:
            ValueError: A key is missing, or the table is wrong.
        """
        missing = {'semantic_classes', 'semantic_palette'} - set(metainfo)
        if missing:
            raise ValueError(
                f"the data set's metainfo lacks {sorted(missing)}, it has {sorted(metainfo)}; "
                "state both in the data set's config"
            )
        return cls(metainfo['semantic_classes'], metainfo['semantic_palette'])

    def metainfo(self) -> dict[str, Any]:
        """Return the table as MMEngine metainfo, with the two classes of the change map."""
        return dict(
            classes=('unchanged', 'changed'),
            palette=[(0, 0, 0), (255, 255, 255)],
            semantic_classes=self.names,
            semantic_palette=[tuple(colour) for colour in self.palette],
        )


def _colour(value: Any) -> tuple[int, int, int]:
    """Return a colour as three whole numbers in 0..255."""
    listed = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    channels = tuple(value) if listed else ()
    if len(channels) != 3 or not all(_is_channel(one) for one in channels):
        raise ValueError(
            'a colour of the palette must be three whole numbers from 0 to 255, as (255, 0, 0) '
            f'for red, got {value!r}'
        )
    red, green, blue = (int(one) for one in channels)
    return red, green, blue


def _is_channel(value: object) -> bool:
    # True is an Integral too, but no part of a colour.
    return isinstance(value, Integral) and not isinstance(value, bool) and 0 <= int(value) <= 255


CHANGE_ONLY = ClassTable(('unchanged', 'changed'), ((0, 0, 0), (255, 255, 255)))
"""Classes of a data set without land cover: everything that changed is one class."""
SECOND = ClassTable(
    ('unchanged', 'water', 'ground', 'low vegetation', 'tree', 'building', 'sports field'),
    (
        (255, 255, 255),
        (0, 0, 255),
        (128, 128, 128),
        (0, 128, 0),
        (0, 255, 0),
        (128, 0, 0),
        (255, 0, 0),
    ),
)
LANDSAT_SCD = ClassTable(
    ('no change', 'farmland', 'desert', 'building', 'water'),
    ((255, 255, 255), (0, 155, 0), (255, 165, 0), (230, 30, 100), (0, 170, 240)),
)
HRSCD = ClassTable(
    (
        'no information',
        'artificial surfaces',
        'agricultural areas',
        'forests',
        'wetlands',
        'water',
    ),
    ((255, 255, 255), (230, 0, 77), (255, 255, 168), (77, 168, 0), (166, 166, 255), (0, 204, 242)),
)
