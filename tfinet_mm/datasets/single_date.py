"""Make up pairs from a data set that has land cover of one date only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np
import torch

from tfinet_mm.datasets.file_index import MatchedPairs, match_folders, read_list_file, select_listed
from tfinet_mm.datasets.label_counts import LabelCounts
from tfinet_mm.datasets.label_meaning import with_unchanged
from tfinet_mm.datasets.pair_entries import window_name
from tfinet_mm.datasets.pair_lists import ListedPairs
from tfinet_mm.datasets.roles import IMAGE_ROLES, SEMANTIC_ROLES
from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.datasets.segmentation_files import (
    SegmentationFiles,
    list_segmentation_files,
    values_of_classes,
)
from tfinet_mm.datasets.transforms.made import LoadMadePair
from tfinet_mm.registry import DATASETS
from tfinet_mm.utils.config.values import is_whole

MMSEG_KEYS = ('img_path', 'seg_map_path')
"""Keys of ``data_prefix`` in MMSegmentation's data sets: images, labels."""


@DATASETS.register_module()
class SingleDateDataset(SCDDataset):
    """Pairs of two images of different places, from a data set of one date (LoveDA, DeepGlobe).

    The pairs are made up: nothing changed between their images, which show different ground.
    "Changed" is where the land cover of the two differs. They teach a network land cover and to
    compare classes; with :class:`~tfinet_mm.datasets.transforms.LoadMadePair` in the pipeline,
    regions of one image pasted into the other also teach it to recognise ground that stayed as it
    is. Scores on them say nothing about real change.

    Folders are laid out as for MMSegmentation, or ``dataset`` is the config of one of its data
    sets. Each image is once the image before, and once the image after of another one. All images
    have to be of one size, unless ``LoadMadePair`` takes parts of them. With ``window``, both
    images of a pair are cut at the same window. With ``indices``, the images of the chosen entries
    are paired with each other.

    Args:
        data_prefix: Folders of images and labels, under MMSegmentation's keys ``img_path``
            and ``seg_map_path``; by default ``img_dir`` and ``ann_dir``.
        seed: Seed by which the pairs are drawn, 0 or more: the same files and seed make the same
            pairs.
        zero_is: 'unknown' if 0 stands for no information (``reduce_zero_label=True`` in
            MMSegmentation), the first of ``semantic_classes``; 'class' if it is a class.
        dataset: Config of a data set of MMSegmentation, in place of ``data_root``,
            ``data_prefix``, ``ann_file``, suffixes and ``zero_is``. Its classes are those of the
            pairs, unless ``semantic_classes`` and ``label_map`` state others.
        label_map: As for :class:`SCDDataset`. With ``dataset``, the class of the pairs, or None
            for no information, by the name of each class of ``dataset``. Values of no class are
            errors unless ``ignore_values`` lists them.
        redraw: Draw other pairs in each epoch. The same seed and epoch make the same pairs on
            every rank. Needs a loop by epochs, whose number
            :class:`~tfinet_mm.engine.hooks.DataEpochHook` tells.
        **kwargs: As for :class:`SCDDataset`. ``ann_file`` lists images. With ``ann_columns``,
            it lists the pairs, which then aren't drawn.

    Raises:
        ValueError: There are fewer than two images, or ``indices`` leave one; a fold was given, or
            an option is unknown or contradicts another.
    """

    def __init__(
        self,
        data_prefix: Mapping[str, str] | None = None,
        seed: int = 0,
        zero_is: str = 'unknown',
        dataset: Mapping[str, Any] | None = None,
        label_map: Mapping[Any, Any] | None = None,
        redraw: bool = False,
        **kwargs: Any,
    ) -> None:
        """See the class."""
        if not is_whole(seed) or seed < 0:
            raise ValueError(f'seed has to be a whole number of 0 or more, got {seed!r}')
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
        if redraw and (kwargs.get('ann_columns') or kwargs.get('window')):
            raise ValueError(
                'redraw=True draws pairs of whole images, but ann_columns lists the pairs or '
                'window cuts them; leave these options out, and set crop_size in LoadMadePair'
            )
        self.seed, self.redraw = seed, redraw
        # Worker processes, which may outlive an epoch, see its number here.
        self._epoch = torch.zeros(1, dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]
        self._source: SegmentationFiles | None = None
        self._numbered: tuple[Any, Any] = (None, None)
        if dataset is not None:
            self._source = _checked_source(dataset, given, zero_is, kwargs)
            given = dict(zip(MMSEG_KEYS, self._source.folders, strict=True))
            kwargs, label_map = _options(self._source, label_map, kwargs)
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
            label_map=label_map,
            **kwargs,
        )

    @property
    def epoch(self) -> int:
        """Return the epoch of which pairs are drawn, 0 at first."""
        return int(self._epoch[0])

    def set_epoch(self, epoch: int) -> None:
        """Draw the pairs of an epoch, in this process and in its workers."""
        self._epoch[0] = epoch

    def full_init(self) -> None:
        """Find the images, and refuse a choice of them that makes no pair."""
        super().full_init()
        if self._drawn_among_chosen:
            # Before workers start, which then all have the images' numbers.
            self._entry_after(0, epoch=0)

    def load_data_list(self) -> Sequence[dict[str, Any]]:
        """Find the images and draw the pairs of the first epoch."""
        if self._source is not None:
            self._refuse_other_values()
        return super().load_data_list()

    def _refuse_other_values(self) -> None:
        """Let values that are no class of the source be errors, not the class of their index."""
        rules = {
            role: replace(one, complete=bool(one.mapped) and not one.by_colour)
            for role, one in self.label_spec.rules.items()
        }
        self.label_spec = replace(self.label_spec, rules=rules)

    def _find_pairs(self) -> MatchedPairs | ListedPairs:
        if self.ann_columns is not None:
            return super()._find_pairs()
        roles = IMAGE_ROLES[0], SEMANTIC_ROLES[0]
        images = self._images(roles)
        if len(images) < 2:
            raise ValueError(
                f'{type(self).__name__} has {len(images)} image in {self.data_prefix[roles[0]]}, '
                'expected two or more to make pairs of'
            )
        pairs = []
        for index, other in enumerate(partners(len(images), self.seed, epoch=0)):
            both = images[index], images[int(other)]
            paths = {
                role: pair[key]
                for key, dates in zip(roles, (IMAGE_ROLES, SEMANTIC_ROLES), strict=True)
                for role, pair in zip(dates, both, strict=True)
            }
            pairs.append({'name': '-'.join(pair['name'] for pair in both), **paths})
        return ListedPairs(pairs, [pair['name'] for pair in pairs])

    def _images(self, roles: tuple[str, str]) -> Sequence[Mapping[str, str]]:
        """Return the image, the label and the name of each place, under two roles."""
        if self._source is not None:
            image, label = roles
            return [
                {'name': one['name'], image: one['image'], label: one['label']}
                for one in self._source.files
            ]
        listed = read_list_file(self.ann_file) if self.ann_file else None
        folders = {
            role: self._list(role, self.data_prefix[role], self.suffixes(role)) for role in roles
        }
        only = None
        if listed is not None:
            first = roles[0]
            only = select_listed(listed, folders[first], self.suffixes(first), self.ann_file)
        found: Sequence[Mapping[str, str]] = match_folders(folders, self.key_pattern, only)
        return found

    @property
    def _drawn_among_chosen(self) -> bool:
        """True if the pairs of :meth:`load_data_list` don't hold: it drew before ``indices``."""
        return self.redraw or (self._indices is not None and self.ann_columns is None)

    def _entry_after(self, place: int, epoch: int) -> int:
        """Return an entry that begins with the image after of the entry at a place."""
        images, firsts = self._image_numbers()
        return int(firsts[partners(len(firsts), self.seed, epoch)[images[place]]])

    def _image_numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of the image before of each entry, and the first entry of each image.

        An image has several entries where it is cut into windows, or where ``indices`` repeat one.
        """
        stored = self.data_address if self.serialize_data else self.data_list
        # A subset shares everything else with the data set it is taken from.
        if self._numbered[0] is not stored:
            first: dict[str, int] = {}
            entries = [
                first.setdefault(super(SingleDateDataset, self).get_data_info(i)['img_path'][0], i)
                for i in range(len(self))
            ]
            firsts = np.array(list(first.values()))
            self._numbered = stored, (np.searchsorted(firsts, entries), firsts)
        numbers: tuple[np.ndarray, np.ndarray] = self._numbered[1]
        return numbers

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return a pair of the epoch, with ``draw``, the seed of its random draws."""
        info = super().get_data_info(idx)
        place, epoch = idx % len(self), self.epoch if self.redraw else 0
        if self._drawn_among_chosen:
            other = super().get_data_info(self._entry_after(place, epoch))
            info['img_path'] = [info['img_path'][0], other['img_path'][0]]
            info['seg_map_path_to'] = other['seg_map_path_from']
            name = '-'.join(map(self._name, info['img_path']))
            window = info['window']
            info['sample_id'] = name if window is None else window_name(name, window)
        info['draw'] = (self.seed, epoch, place)
        return info

    def label_counts(self) -> LabelCounts:
        """Return the numbers of the labels of all pairs, where pairs stay the same.

        Raises:
            ValueError: Pairs are redrawn in each epoch, or made in the pipeline.
        """
        made = any(isinstance(one, LoadMadePair) for one in self.pipeline.transforms)
        if self.redraw or made:
            how = 'LoadMadePair makes them' if made else 'redraw=True draws others in each epoch'
            raise ValueError(
                f'the labels of the pairs of {type(self).__name__} {self.data_root or ""} can not '
                f'be counted, since {how}; balance the other data sets, and join this one by a '
                'ConcatDataset around them'
            )
        return super().label_counts()

    def _name(self, path: str) -> str:
        """Return the path of an image below its folder, without suffix."""
        below = os.path.relpath(path, self.data_prefix[IMAGE_ROLES[0]])
        name = PurePath(below).as_posix()
        fitting = [one for one in self.suffixes(IMAGE_ROLES[0]) if name.endswith(one)]
        return name.removesuffix(max(fitting, key=len, default=''))


def partners(number: int, seed: int, epoch: int) -> np.ndarray:
    """Return the index of the image after for each image before.

    All images are on one circle in random order, so that none is paired with itself.

    Args:
        number: Number of images, two or more.
        seed: Seed of the data set.
        epoch: Epoch, 0 or more.

    Raises:
        ValueError: There is one image.
    """
    if number < 2:
        raise ValueError(
            f'pairs are made of two images or more, but indices leave {number}; choose entries of '
            'other images as well (with window, each window is an entry)'
        )
    order = np.random.default_rng((seed, epoch) if epoch else seed).permutation(number)
    after = np.empty_like(order)
    after[order] = np.roll(order, -1)
    return after


def _checked_source(
    dataset: Mapping[str, Any], prefix: Mapping[str, str], zero_is: str, options: Mapping[str, Any]
) -> SegmentationFiles:
    """List the files of a data set of MMSegmentation, after checking the other options."""
    own = ('data_root', 'ann_file', 'img_suffix', 'seg_map_suffix', 'key_pattern', 'ann_columns')
    twice = [name for name in own if options.get(name)] + ['data_prefix'] * bool(prefix)
    if zero_is != 'unknown':
        twice.append('zero_is')
    if twice:
        raise ValueError(
            f'dataset says which files there are and what their values mean, but {twice} '
            'are given beside it; state them in dataset (reduce_zero_label for zero_is)'
        )
    return list_segmentation_files(dataset)


def _options(
    source: SegmentationFiles, label_map: Any, options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[Any, str | None]]:
    """Return the options of the classes and the class of each stored value."""
    found = {**options, 'img_suffix': source.suffix}
    if found.get('semantic_classes') is None and not found.get('metainfo'):
        classes, palette = with_unchanged(list(source.classes), list(source.palette))
        found.update(semantic_classes=classes, semantic_palette=palette)
    stated = found.get('semantic_classes') or found['metainfo']['semantic_classes']
    # Class indices, unless the config says that files hold colours.
    storage = found.setdefault('label_storage', 'index')
    values = values_of_classes(source, label_map, list(stated)[1:], storage)
    ignored = found.get('ignore_values', ())
    for value in ignored if isinstance(ignored, list | tuple) else [ignored]:
        if (name := values.get(tuple(value) if isinstance(value, list) else value)) is not None:
            raise ValueError(
                f'ignore_values has {value}, a class of dataset that label_map makes {name!r}; '
                'give the class None in label_map, or take the value out of ignore_values'
            )
    return found, values
