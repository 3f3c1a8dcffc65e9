"""A data set of image pairs with land cover of both dates and the change between them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from tfinet_mm.datasets.annotations import CHANGE, FROM, TO, LabelSpec
from tfinet_mm.datasets.file_index import (
    fold_members,
    list_folder,
    match_folders,
    read_list_file,
    select_listed,
    tile_windows,
)
from tfinet_mm.datasets.label_contract import decide_storage
from tfinet_mm.errors import ConfigError
from tfinet_mm.io.images import image_size
from tfinet_mm.registry import DATASETS
from tfinet_mm.structures import ClassTable
from tfinet_mm.utils.command import is_expected, message_of
from tfinet_mm.utils.config.values import is_whole

IMAGE_ROLES = ('img_path_from', 'img_path_to')
SEMANTIC_ROLES = ('seg_map_path_from', 'seg_map_path_to')
CHANGE_ROLE = 'seg_map_path'
LABEL_ROLES = {FROM: SEMANTIC_ROLES[0], TO: SEMANTIC_ROLES[1], CHANGE: CHANGE_ROLE}
"""Keys of ``data_prefix`` of the label files of each role."""
KEEP = ('held_out', 'rest')
DEFAULT_PREFIX = dict(
    img_path_from='im1', img_path_to='im2', seg_map_path_from='label1', seg_map_path_to='label2'
)


@DATASETS.register_module()
class SCDDataset(BaseDataset):
    """Pairs of images with semantic labels, from folders or a list file.

    A pair is a file of the same name in each folder; sub-folders, dots, spaces
    and letters of any alphabet are fine. An entry of the data set holds

    * ``img_path``: [before, after];
    * ``seg_map_path_from``, ``seg_map_path_to``: the semantic labels, or None;
    * ``seg_map_path``: the change mask, or None where it follows from the labels;
    * ``sample_id``: name of the before image below its folder, without suffix,
      with ``_x{left}_y{top}`` for a window of a tile;
    * ``window``: (left, top, width, height) or None for the whole image;
    * ``label_spec``: what the label files mean, for the transform that reads them.

    Args:
        data_root: Folder that the other paths are relative to.
        data_prefix: Folders under the keys ``img_path_from``, ``img_path_to``,
            ``seg_map_path_from``, ``seg_map_path_to`` and ``seg_map_path``
            (change masks). Keys left out have the defaults im1, im2, label1,
            label2 and no mask. None switches a folder off: without any labels
            the data set serves for prediction and needs ``test_mode``.
        ann_file: List file, one name a line, with or without suffix. Empty
            takes every file of the folders, which then have to hold the same names.
        img_suffix: Suffix, or several, of the images.
        seg_map_suffix: Suffix, or several, of the labels and masks.
        semantic_classes: K + 1 names, the first for "unchanged". The default
            is that of the class, or of ``metainfo``.
        semantic_palette: K + 1 RGB colours in the same order.
        label_semantics: 'semantic_change' (classes where something changed) or
            'land_cover' (classes everywhere, and a change mask), see
            :class:`~tfinet_mm.datasets.annotations.LabelSpec`.
        label_storage: 'auto' (decided from all files), 'index', 'palette' or 'rgb'.
        change_storage: 'auto' (decided from all files), '0/1', '0/255', 'palette' or 'semantic'.
        unchanged_value: Index for "unchanged" in semantic labels: 0, or 255.
        colour_tolerance: Largest difference (0..127, in the band that differs most) from a class
            colour up to which a colour is that class.
        unknown_colours: 'error', or 'ignore' for pixels of no class colour, such as smoothed edges.
        key_pattern: Regular expression; what it matches is taken out of names
            before files are brought together (a year, a resolution).
        fold: ``dict(every=10, start=0, keep='held_out' or 'rest')`` takes
            every tenth pair of the sorted names, or all others.
        window: (height, width) of windows that each tile is read in.
        stride: Distance of windows, by default their size.
        window_edge: 'shift' moves the last windows of a tile inwards so that
            all of it is seen; 'drop' leaves them out so that nothing is seen twice.
        metainfo: More metainfo of the data set.
        test_mode: For validation, testing and prediction.
        indices: The first so many pairs, the last for a number below 0, or
            those of a list of numbers.
        **kwargs: As for MMEngine's ``BaseDataset`` (pipeline, max_refetch, ...).

    Raises:
        FileNotFoundError: A folder or the list file is missing or empty.
        UnmatchedPairError: A name is missing in a folder, a listed name has no file.
        ValueError: The arguments don't fit together.
    """

    METAINFO: dict[str, Any] = {}

    def __init__(
        self,
        data_root: str = '',
        data_prefix: Mapping[str, str | None] | None = None,
        ann_file: str = '',
        img_suffix: str | Sequence[str] = '.png',
        seg_map_suffix: str | Sequence[str] = '.png',
        semantic_classes: Sequence[str] | None = None,
        semantic_palette: Sequence[Sequence[int]] | None = None,
        label_semantics: str = 'semantic_change',
        label_storage: str = 'auto',
        change_storage: str = 'auto',
        unchanged_value: int = 0,
        colour_tolerance: int = 0,
        unknown_colours: str = 'error',
        key_pattern: str | None = None,
        fold: Mapping[str, Any] | None = None,
        window: Sequence[int] | int | None = None,
        stride: Sequence[int] | int | None = None,
        window_edge: str = 'shift',
        metainfo: Mapping[str, Any] | None = None,
        test_mode: bool = False,
        indices: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        """See the class."""
        self.class_table = self._class_table(metainfo, semantic_classes, semantic_palette)
        self.img_suffix = _as_suffixes(img_suffix, 'img_suffix')
        self.seg_map_suffix = _as_suffixes(seg_map_suffix, 'seg_map_suffix')
        self.key_pattern = _checked_pattern(key_pattern)
        self.fold = _checked_fold(fold)
        self.window = _as_size(window, 'window')
        self.stride = _as_size(stride, 'stride') or self.window
        if window_edge not in ('shift', 'drop'):
            raise ValueError(f'window_edge has to be shift or drop, got {window_edge!r}')
        self.window_edge = window_edge
        self.label_spec = replace(
            self._label_spec(label_semantics, label_storage, change_storage),
            unchanged_value=unchanged_value,
            colour_tolerance=colour_tolerance,
            unknown_colours=unknown_colours,
        )
        super().__init__(
            ann_file=ann_file,
            metainfo={**(metainfo or {}), **self.class_table.metainfo()},
            data_root=data_root,
            data_prefix=self._checked_prefix(data_prefix, test_mode),
            test_mode=test_mode,
            indices=_checked_indices(indices),
            **kwargs,
        )

    def _class_table(
        self,
        metainfo: Mapping[str, Any] | None,
        classes: Sequence[str] | None,
        palette: Sequence[Sequence[int]] | None,
    ) -> ClassTable:
        if metainfo is not None and not isinstance(metainfo, Mapping):
            raise ValueError(f'metainfo has to be a dictionary, got {metainfo!r}')
        stated = {**self.METAINFO, **(metainfo or {})}
        if classes is not None:
            stated['semantic_classes'] = classes
        if palette is not None:
            stated['semantic_palette'] = palette
        return ClassTable.from_metainfo(stated)

    def _label_spec(self, semantics: str, storage: str, change_storage: str) -> LabelSpec:
        """Return what the label files mean; subclasses with other labels override it."""
        return LabelSpec(self.class_table, semantics, storage, change_storage)

    def default_prefix(self) -> dict[str, str]:
        """Return the folders of the data set's usual layout, below ``data_root``."""
        return dict(DEFAULT_PREFIX)

    def _checked_prefix(
        self, prefix: Mapping[str, str | None] | None, test_mode: bool
    ) -> dict[str, str]:
        if prefix is not None and not isinstance(prefix, Mapping):
            raise ValueError(f'data_prefix has to be a dictionary of folders, got {prefix!r}')
        known = {*IMAGE_ROLES, *SEMANTIC_ROLES, CHANGE_ROLE}
        if unknown := set(prefix or {}) - known:
            raise ValueError(
                f'data_prefix has the unknown keys {sorted(unknown)}, expected {sorted(known)}'
            )
        merged = {**self.default_prefix(), **(prefix or {})}
        folders = {key: str(value) for key, value in merged.items() if value is not None}
        if missing := [role for role in IMAGE_ROLES if role not in folders]:
            raise ValueError(f'data_prefix lacks {missing}: both dates need a folder of images')
        semantic = [role for role in SEMANTIC_ROLES if role in folders]
        if len(semantic) == 1:
            raise ValueError(f'data_prefix has {semantic[0]} only; give both dates or neither')
        if not semantic and not test_mode:
            raise ValueError(
                'data_prefix has no semantic labels, which training needs; a data set to predict '
                'on says test_mode=True'
            )
        if semantic and self.label_spec.semantics == 'land_cover' and CHANGE_ROLE not in folders:
            raise ValueError(
                "label_semantics='land_cover' needs change masks in data_prefix['seg_map_path']: "
                'no change follows from land cover alone (a building replaced by a building)'
            )
        # In the order of roles, so that the before images give the names.
        return {
            role: folders[role]
            for role in (*IMAGE_ROLES, *SEMANTIC_ROLES, CHANGE_ROLE)
            if role in folders
        }

    def source_name(self, name: str) -> str:
        """Return the scene that a pair shows; a fold never splits the pairs of a scene."""
        return name

    def select_names(self, names: Sequence[str]) -> list[str]:
        """Return the pairs that take part, by the fold; subclasses may leave more out."""
        if self.fold is None:
            return list(names)
        sources = {name: self.source_name(name) for name in names}
        held_out = fold_members(
            list(sources.values()), self.fold['every'], self.fold.get('start', 0)
        )
        wanted = self.held_out
        return [name for name in names if (sources[name] in held_out) == wanted]

    @property
    def held_out(self) -> bool:
        """Whether these are pairs to validate or test on, by the fold or else by ``test_mode``."""
        return self.test_mode if self.fold is None else self.fold.get('keep') == 'held_out'

    def load_data_list(self) -> list[dict[str, Any]]:
        """Find the pairs; see the class for what an entry holds."""
        before, after = (self.data_prefix[role] for role in IMAGE_ROLES)
        if os.path.realpath(before) == os.path.realpath(after):
            raise ValueError(
                f'both dates would show the same images: data_prefix img_path_from and img_path_to '
                f'are the folder {before}'
            )
        # A missing list file has to be said before any folder is walked through.
        listed = read_list_file(self.ann_file) if self.ann_file else None
        folders = {}
        for role, folder in self.data_prefix.items():
            suffixes = self.img_suffix if role in IMAGE_ROLES else self.seg_map_suffix
            try:
                folders[role] = list_folder(folder, suffixes)
            except FileNotFoundError as error:
                raise FileNotFoundError(
                    f'{error} (data_prefix[{role!r}] of {type(self).__name__}, data_root '
                    f'{self.data_root!r}); None instead of a folder switches labels off'
                ) from error
        only = None
        if listed is not None:
            images = folders[IMAGE_ROLES[0]]
            only = select_listed(listed, images, self.img_suffix, self.ann_file)
        pairs = match_folders(folders, self.key_pattern, only)
        self._decide_labels(pairs)
        names = set(self.select_names([pair['name'] for pair in pairs]))
        selected = [pair for pair in pairs if pair['name'] in names]
        if not selected:
            raise ValueError(
                f'none of {len(pairs)} pairs is left: fold={self.fold}; check the fold and the '
                'options that leave pairs out'
            )
        if len(selected) < len(pairs):
            print_log(
                f'{type(self).__name__}: {len(selected)} of {len(pairs)} pairs taken '
                f'(fold={self.fold})',
                logger='current',
                level=logging.INFO,
            )
        entries = [entry for pair in selected for entry in self._entries(pair)]
        wanted = self._indices if isinstance(self._indices, Sequence) else ()
        if outside := [one for one in wanted if not -len(entries) <= one < len(entries)]:
            raise ValueError(f'indices has {outside[0]}, but the data set has {len(entries)} pairs')
        return entries

    def _decide_labels(self, pairs: Sequence[Mapping[str, str]]) -> None:
        """Decide how labels are stored, from all pairs, whatever the fold leaves out."""
        files = {
            role: [pair[key] for pair in pairs]
            for role, key in LABEL_ROLES.items()
            if key in self.data_prefix
        }
        self.label_spec = decide_storage(self.label_spec, files)
        if files:
            listed = '; '.join(f'{role} {one}' for role, one in self.label_spec.storages.items())
            print_log(
                f'{type(self).__name__} {self.data_root}: labels are stored as {listed}',
                logger='current',
                level=logging.INFO,
            )

    def _entries(self, pair: Mapping[str, str]) -> list[dict[str, Any]]:
        entry: dict[str, Any] = dict(
            img_path=[pair[role] for role in IMAGE_ROLES],
            sample_id=pair['name'],
            window=None,
            **{role: pair.get(role) for role in (CHANGE_ROLE, *SEMANTIC_ROLES)},
        )
        if self.window is None or self.stride is None:
            return [entry]
        width, height = image_size(entry['img_path'][0])
        return [
            {
                **entry,
                'sample_id': f'{pair["name"]}_x{box.left}_y{box.top}',
                'window': tuple(box),
            }
            for box in tile_windows(width, height, self.window, self.stride, self.window_edge)
        ]

    def prepare_data(self, idx: int) -> Any:
        """Load a pair by the pipeline.

        Raises:
            ConfigError: A transform can't work after those before it.
        """
        try:
            return super().prepare_data(idx)
        except Exception as error:
            # In a wrong order, transforms fail by what they don't find.
            if is_expected(error) or not self._failed_in_pipeline(error):
                raise
            steps = ', '.join(type(one).__name__ for one in self.pipeline.transforms)
            raise ConfigError(
                f'the pipeline {steps} fails on {self.get_data_info(idx)["sample_id"]}: '
                f'{type(error).__name__}: {message_of(error)}'
            ) from error

    def _failed_in_pipeline(self, error: Exception) -> bool:
        frame = error.__traceback__
        while frame is not None:
            if frame.tb_frame.f_locals.get('self') is self.pipeline:
                return True
            frame = frame.tb_next
        return False

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return an entry of the data set, with what all of them share."""
        info = super().get_data_info(idx)
        info['label_spec'] = self.label_spec
        info['seg_fields'] = []
        return info


def _checked_fold(fold: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if fold is None:
        return None
    if not isinstance(fold, Mapping):
        raise ValueError(f'fold has to be a dictionary, like dict(every=10, ...), got {fold!r}')
    keep = fold.get('keep')
    if 'every' not in fold or set(fold) - {'every', 'start', 'keep'} or keep not in KEEP:
        raise ValueError(
            f'fold has to be dict(every=10, start=0, keep=...) with keep one of {KEEP}, '
            f'got {dict(fold)}'
        )
    starts = fold.get('start', 0)
    numbers = [fold['every'], *(starts if isinstance(starts, list | tuple) else [starts])]
    if not all(is_whole(one) for one in numbers):
        raise ValueError(f'every and start of a fold have to be whole numbers, got {dict(fold)}')
    return dict(fold)


def _as_suffixes(suffix: Any, name: str) -> tuple[str, ...]:
    """Return one suffix or several; refuse those without a mark where the name ends."""
    suffixes = (suffix,) if isinstance(suffix, str) else suffix
    listed = isinstance(suffixes, Sequence) and len(suffixes) > 0
    if not listed or not all(isinstance(one, str) and one for one in suffixes):
        raise ValueError(
            f"{name} has to be the ending of file names, like '.png', or a list of them, "
            f'got {suffix!r}'
        )
    for one in suffixes:
        if one.isalnum():
            raise ValueError(
                f"{name}={one!r} has no dot, so that names would keep theirs; set {name}='.{one}'"
            )
    return tuple(suffixes)


def _checked_pattern(pattern: Any) -> str | None:
    try:
        if pattern is not None:
            re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ValueError(
            f'key_pattern has to be a regular expression, got {pattern!r}: {error}'
        ) from None
    return pattern


def _checked_indices(indices: Any) -> Any:
    """Return a number of pairs, or a list of their numbers; None takes all."""
    numbers = list(indices) if isinstance(indices, Sequence) else [indices]
    fine = all(is_whole(one) for one in numbers)
    if indices is not None and (not numbers or not fine or indices == 0):
        raise ValueError(
            'indices has to be a number of pairs other than 0 (below 0 takes the last ones), or a '
            f'list of numbers of pairs, got {indices!r}'
        )
    return indices


def _as_size(value: Sequence[int] | int | None, name: str) -> tuple[int, int] | None:
    if value is None:
        return None
    size = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(size) != 2 or not all(is_whole(one) and one > 0 for one in size):
        raise ValueError(f'{name} has to be (height, width) of 1 pixel or more, got {value}')
    return int(size[0]), int(size[1])
