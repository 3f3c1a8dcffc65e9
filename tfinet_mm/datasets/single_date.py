"""Make up pairs from a data set that has land cover of one date only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfinet_mm.datasets.file_index import MatchedPairs, match_folders, read_list_file, select_listed
from tfinet_mm.datasets.pair_lists import ListedPairs
from tfinet_mm.datasets.roles import IMAGE_ROLES, SEMANTIC_ROLES
from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.registry import DATASETS

MMSEG_KEYS = ('img_path', 'seg_map_path')
"""Keys of ``data_prefix`` in MMSegmentation's data sets: images, labels."""


@DATASETS.register_module()
class SingleDateDataset(SCDDataset):
    """Pairs of two images of different places, from a data set of one date (LoveDA, DeepGlobe).

    The pairs are made up: nothing changed between their images, which show different ground.
    "Changed" is where the land cover of the two differs. They teach a network land cover and to
    compare classes, not to recognise ground that stayed as it is; scores on them say nothing
    about real change.

    Folders are laid out as for MMSegmentation. Each image is once the image before, and once the
    image after of another one. All images have to be of one size.

    Args:
        data_prefix: Folders of images and labels, under MMSegmentation's keys ``img_path``
            and ``seg_map_path``; by default ``img_dir`` and ``ann_dir``.
        seed: Seed by which the pairs are drawn: the same files and seed make the same pairs.
        zero_is: 'unknown' if 0 stands for no information (``reduce_zero_label=True`` in
            MMSegmentation), the first of ``semantic_classes``; 'class' if it is a class.
        **kwargs: As for :class:`SCDDataset`. ``ann_file`` lists images. With ``ann_columns``,
            it lists the pairs, which then aren't drawn.

    Raises:
        ValueError: There are fewer than two images, a fold was given, or an option is unknown.
    """

    def __init__(
        self,
        data_prefix: Mapping[str, str] | None = None,
        seed: int = 0,
        zero_is: str = 'unknown',
        **kwargs: Any,
    ) -> None:
        """See the class."""
        given = data_prefix or {}
        if unknown := set(given) - set(MMSEG_KEYS):
            raise ValueError(
                f'data_prefix has the unknown keys {sorted(unknown)}, expected {MMSEG_KEYS}: a '
                'data set of one date has one folder of images and one of labels'
            )
        if kwargs.get('fold') is not None:
            raise ValueError(
                'a fold of made-up pairs would have images of both sides; give each split its own '
                'folders, or its own list of images (ann_file)'
            )
        self.seed = seed
        defaults = dict(zip(MMSEG_KEYS, ('img_dir', 'ann_dir'), strict=True))
        images, labels = (given.get(key, defaults[key]) for key in MMSEG_KEYS)
        super().__init__(
            data_prefix={
                **dict.fromkeys(IMAGE_ROLES, images),
                **dict.fromkeys(SEMANTIC_ROLES, labels),
            },
            label_semantics='land_cover',
            change_storage='difference',
            zero_is=zero_is,
            **kwargs,
        )

    def _find_pairs(self) -> MatchedPairs | ListedPairs:
        if self.ann_columns is not None:
            return super()._find_pairs()
        listed = read_list_file(self.ann_file) if self.ann_file else None
        roles = IMAGE_ROLES[0], SEMANTIC_ROLES[0]
        folders = {
            role: self._list(role, self.data_prefix[role], self.suffixes(role)) for role in roles
        }
        only = None
        if listed is not None:
            first = roles[0]
            only = select_listed(listed, folders[first], self.suffixes(first), self.ann_file)
        images = match_folders(folders, self.key_pattern, only)
        if len(images) < 2:
            raise ValueError(
                f'{type(self).__name__} has {len(images)} image in {self.data_prefix[roles[0]]}, '
                'expected two or more to make pairs of'
            )
        order = np.random.default_rng(self.seed).permutation(len(images))
        after = np.empty_like(order)
        after[order] = np.roll(order, -1)
        pairs = []
        for index, other in enumerate(after):
            both = images[index], images[int(other)]
            paths = {
                role: pair[key]
                for key, dates in zip(roles, (IMAGE_ROLES, SEMANTIC_ROLES), strict=True)
                for role, pair in zip(dates, both, strict=True)
            }
            pairs.append({'name': '-'.join(pair['name'] for pair in both), **paths})
        return ListedPairs(pairs, [pair['name'] for pair in pairs])
