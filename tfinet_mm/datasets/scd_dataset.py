"""A data set of image pairs with land cover of both dates and the change between them."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from tfinet_mm.datasets.annotations import CHANGE, FROM, TO, LabelSpec
from tfinet_mm.datasets.dataset_options import (
    as_size,
    by_role,
    check_unknown_change,
    checked_fold,
    checked_indices,
    checked_pattern,
    only_change,
    storage_by_role,
)
from tfinet_mm.datasets.file_index import (
    FolderFiles,
    MatchedPairs,
    fold_members,
    list_folder,
    listed_members,
    match_folders,
    read_list_file,
    select_listed,
    tile_windows,
)
from tfinet_mm.datasets.label_contract import decide_storage
from tfinet_mm.datasets.label_counts import LabelCounts, category_ids, count_labels
from tfinet_mm.datasets.label_meaning import label_options, with_unchanged
from tfinet_mm.datasets.pair_entries import (
    RECORD,
    PairEntries,
    pair_entry,
    read_record,
    window_name,
)
from tfinet_mm.datasets.pair_files import check_files
from tfinet_mm.datasets.pair_lists import (
    ListedPairs,
    checked_columns,
    checked_dates,
    match_dates,
    read_columns,
)
from tfinet_mm.datasets.roles import (
    CHANGE_ROLE,
    IMAGE_ROLES,
    LABEL_ROLES,
    ROLE_OF_KEY,
    ROLES,
    SEMANTIC_ROLES,
)
from tfinet_mm.errors import ConfigError
from tfinet_mm.io.images import image_size
from tfinet_mm.io.label_storage import ValueRules
from tfinet_mm.registry import DATASETS
from tfinet_mm.structures import CHANGE_ONLY, IGNORE_INDEX, ClassTable
from tfinet_mm.utils.command import is_expected, message_of

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
    * ``label_spec``: the meaning of the label files, for the transform that reads them.

    Args:
        data_root: Folder that the other paths are relative to.
        data_prefix: Folders under the keys ``img_path_from``, ``img_path_to``,
            ``seg_map_path_from``, ``seg_map_path_to`` and ``seg_map_path``
            (change masks). Keys left out have the defaults im1, im2, label1,
            label2 and no mask. None means no such folder. Change masks alone train and
            score change; a data set without any labels is for prediction and needs
            ``test_mode``.
        ann_file: List file, one name a line, with or without suffix. Empty
            takes all files of the folders, which then need the same names in each.
        img_suffix: Suffix, or several, of the images; or a dictionary of them for each key
            of ``data_prefix`` if one folder holds both dates:
            ``dict(img_path_from='_pre.png', img_path_to='_post.png')``.
        seg_map_suffix: Suffix, or several, of the labels and masks; or a dictionary.
        semantic_classes: K + 1 names, the first for "unchanged". The default
            is the one of ``metainfo``, or else of the Python class, or else, with change
            masks alone, "unchanged" and "changed".
        semantic_palette: K + 1 RGB colours in the same order.
        label_semantics: 'semantic_change' (classes where something changed) or
            'land_cover' (classes everywhere, and a change mask), see
            :class:`~tfinet_mm.datasets.annotations.LabelSpec`.
        label_storage: 'auto' (decided from all files), 'index', 'palette', 'rgb' or 'one_hot' (a
            band of 0 and 1 for each class); or a dictionary of them.
        change_storage: 'auto' (decided from all files), '0/1', '0/255', 'palette', 'semantic' (a
            semantic label is the mask), 'difference' (no mask: changed where the classes of
            both dates differ; for land cover of every pixel), 'unknown' (no mask: only land cover
            of one or both dates is learnt, or the pairs have no labels at all) or 'soft' (grey
            levels 0..255 or real numbers 0..1).
        mask_threshold: Level (above 0, at most 1) from which a soft mask means changed.
        mask_margin: Distance (at least 0, below 0.5) from the threshold up to which a level of
            a soft mask is ignored; 0 ignores none.
        unchanged_value: Index for "unchanged" in semantic labels: 0, or 255.
        zero_is: Meaning of index 0 in semantic labels. 'class': classes are counted from 0, and
            ``semantic_classes`` and ``semantic_palette`` have K entries without "unchanged".
            'unchanged' and 'unknown' say that 0 is no class. None: 'unchanged' for labels of
            changed pixels, 'unknown' for land cover of every pixel.
        label_map: Class (name, or index in ``semantic_classes``) of each value or colour that has
            another one than its own; None or 'ignored' for no information.
        ignore_values: Values or colours of semantic labels that mean no information.
        change_map: Meaning of each value or colour of change masks: 'unchanged', 'changed' or
            'ignored'.
        label_bands: Band, counted from 1, of the label file for each label key of
            ``data_prefix``. Keys without a folder take the one that is given.
        transitions: Pair of classes (before, after) for each value or colour of one label map a
            pair, see :func:`~tfinet_mm.datasets.label_meaning.parse_transitions`. One label
            folder is given in ``data_prefix``, under any key.
        no_data: Stored value or colour of image pixels without data. Labels are ignored where
            either image has it.
        colour_tolerance: Largest difference (0..127, in the band that differs most) at which a
            colour still counts as a class colour.
        unknown_colours: 'error', or 'ignore' for pixels of no class colour, such as smoothed edges.
        key_pattern: Regular expression of the part to remove from names before files
            are matched (a year, a resolution). A dictionary has one for each key of
            ``data_prefix``; only the files that the pattern matches are taken.
        ann_columns: Roles of the columns of ``ann_file``, keys of ``data_prefix`` or None to skip
            a column, if its lines are paths instead of names, see
            :func:`~tfinet_mm.datasets.pair_lists.read_columns`. Other roles have no files.
        dates: Pairs of dates, ``[('2015', '2016'), ('2016', '2018')]``, of a data set of more than
            two dates. They replace ``{before}`` and ``{after}`` in ``data_prefix``, suffixes and
            ``key_pattern``, see :func:`~tfinet_mm.datasets.pair_lists.match_dates`. The lines of
            ``ann_file`` are then places.
        fold: ``dict(every=10, start=0, keep='held_out' or 'rest')`` takes
            every tenth pair of the sorted names, or all other pairs.
            ``dict(names='held_out.txt', keep=...)`` takes the pairs that a file lists, or all
            others; its path is relative to the current directory.
        window: (height, width) in pixels of the windows in which each tile is read.
        stride: (vertical, horizontal) distance between windows in pixels, by default their size.
        window_edge: 'shift' moves the last windows of a tile inwards, so that they cover
            all of it; 'drop' leaves them out, so that no pixel is in two windows.
        metainfo: Further metainfo of the data set.
        test_mode: True for validation, testing and prediction.
        indices: Number of pairs to take from the start, or from the end if it is below 0;
            or a list of the indices of pairs.
        **kwargs: As for MMEngine's ``BaseDataset`` (pipeline, max_refetch, ...).

    Raises:
        FileNotFoundError: A folder or the list file is missing or empty.
        UnmatchedPairError: A name is missing in a folder, a listed name has no file.
        ValueError: The arguments don't fit together, or a pair has one file in two roles.
    """

    METAINFO: dict[str, Any] = {}
    data_list: Sequence[dict[str, Any]]

    def __init__(
        self,
        data_root: str = '',
        data_prefix: Mapping[str, str | None] | None = None,
        ann_file: str = '',
        img_suffix: str | Sequence[str] | Mapping[str, str | Sequence[str]] = '.png',
        seg_map_suffix: str | Sequence[str] | Mapping[str, str | Sequence[str]] = '.png',
        semantic_classes: Sequence[str] | None = None,
        semantic_palette: Sequence[Sequence[int]] | None = None,
        label_semantics: str = 'semantic_change',
        label_storage: str | Mapping[str, str] = 'auto',
        change_storage: str = 'auto',
        unchanged_value: int = 0,
        zero_is: str | None = None,
        label_map: Mapping[Any, Any] | None = None,
        ignore_values: Sequence[Any] | int = (),
        change_map: Mapping[Any, str] | None = None,
        label_bands: Mapping[str, int] | None = None,
        transitions: Mapping[Any, Any] | None = None,
        no_data: Sequence[Any] | float | None = None,
        colour_tolerance: int = 0,
        unknown_colours: str = 'error',
        mask_threshold: float = 0.5,
        mask_margin: float = 0.0,
        key_pattern: str | Mapping[str, str] | None = None,
        ann_columns: Sequence[str | None] | None = None,
        dates: Sequence[Sequence[str]] | None = None,
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
        self.class_table = self._class_table(
            metainfo, semantic_classes, semantic_palette, data_prefix, zero_is == 'class'
        )
        self._suffixes = {
            **by_role(img_suffix, 'img_suffix', IMAGE_ROLES),
            **by_role(seg_map_suffix, 'seg_map_suffix', (*SEMANTIC_ROLES, CHANGE_ROLE)),
        }
        self.key_pattern = checked_pattern(key_pattern)
        self.ann_columns = checked_columns(ann_columns, ROLES, ann_file)
        self.dates = checked_dates(dates)
        if self.dates is not None and self.ann_columns is not None:
            raise ValueError('dates and ann_columns both say which files are a pair; give one')
        self._places: dict[str, str] = {}
        self._counted: tuple[Any, Any] = (None, None)
        self.fold = checked_fold(fold)
        self.window = as_size(window, 'window')
        self.stride = as_size(stride, 'stride') or self.window
        if window_edge not in ('shift', 'drop'):
            raise ValueError(f'window_edge has to be shift or drop, got {window_edge!r}')
        self.window_edge = window_edge
        self.label_spec = replace(
            self._label_spec(label_semantics, storage_by_role(label_storage), change_storage),
            unchanged_value=unchanged_value,
            colour_tolerance=colour_tolerance,
            unknown_colours=unknown_colours,
            mask_threshold=mask_threshold,
            mask_margin=mask_margin,
            **label_options(
                self.class_table,
                ROLE_OF_KEY,
                label_semantics,
                change_storage,
                unchanged_value,
                zero_is=zero_is,
                label_map=label_map,
                ignore_values=ignore_values,
                change_map=change_map,
                label_bands=label_bands,
                transitions=transitions,
                no_data=no_data,
            ),
        )
        super().__init__(
            ann_file=ann_file,
            metainfo={**(metainfo or {}), **self.class_table.metainfo()},
            data_root=data_root,
            data_prefix=self._checked_prefix(data_prefix, test_mode),
            test_mode=test_mode,
            indices=checked_indices(indices),
            **kwargs,
        )

    def _class_table(
        self,
        metainfo: Mapping[str, Any] | None,
        classes: Sequence[str] | None,
        palette: Sequence[Sequence[int]] | None,
        prefix: Mapping[str, str | None] | None,
        counted_from_zero: bool,
    ) -> ClassTable:
        if metainfo is not None and not isinstance(metainfo, Mapping):
            raise ValueError(f'metainfo has to be a dictionary, got {metainfo!r}')
        stated = {**self.METAINFO, **(metainfo or {})}
        if classes is not None:
            stated['semantic_classes'] = classes
        if palette is not None:
            stated['semantic_palette'] = palette
        keys = ('semantic_classes', 'semantic_palette')
        if not set(keys) & set(stated) and only_change(prefix):
            return CHANGE_ONLY
        if (
            counted_from_zero
            and set(keys) <= set(stated)
            and stated[keys[0]] is not (self.METAINFO.get(keys[0]))
        ):
            stated.update(zip(keys, with_unchanged(*(stated[key] for key in keys)), strict=True))
        return ClassTable.from_metainfo(stated)

    def _label_spec(
        self, semantics: str, storage: str | Mapping[str, str], change_storage: str
    ) -> LabelSpec:
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
        known = set(ROLES)
        if unknown := set(prefix or {}) - known:
            raise ValueError(
                f'data_prefix has the unknown keys {sorted(unknown)}, expected {sorted(known)}'
            )
        given = dict(prefix or {})
        if self.ann_columns is not None:
            listed = {role: given.get(role, '') for role in ROLES if role in self.ann_columns}
            given = {**dict.fromkeys(ROLES), **listed}
        merged = self._shared_prefix(given)
        folders = {key: str(value) for key, value in merged.items() if value is not None}
        if missing := [role for role in IMAGE_ROLES if role not in folders]:
            raise ValueError(f'data_prefix lacks {missing}: both dates need a folder of images')
        semantic = [role for role in SEMANTIC_ROLES if role in folders]
        masked = CHANGE_ROLE in folders
        unknown_change = self.label_spec.change_storage == 'unknown'
        if len(semantic) == 1 and not masked and not unknown_change:
            raise ValueError(
                f'data_prefix has {semantic[0]} only; give both dates or neither, or change masks '
                f'({CHANGE_ROLE}) beside the land cover of one date, or set '
                "change_storage='unknown' to learn the land cover of this date alone"
            )
        if not semantic and not masked and not test_mode and not unknown_change:
            raise ValueError(
                'data_prefix has no labels, which training needs: semantic labels of both dates '
                '(seg_map_path_from, seg_map_path_to), change masks (seg_map_path) or both; set '
                "test_mode=True for a data set to predict on, or change_storage='unknown' for "
                'pairs of which pseudo labels are made during training'
            )
        spec = self.label_spec
        differs = spec.change_storage == 'difference'
        if unknown_change:
            check_unknown_change(bool(semantic), masked, spec.semantics)
        elif semantic and spec.semantics == 'land_cover' and not (masked or differs):
            raise ValueError(
                "label_semantics='land_cover' needs change masks in data_prefix['seg_map_path']: "
                'change can not be derived from land cover alone (a building that replaced another '
                'keeps its class). If every change is a change of class, set '
                "change_storage='difference'"
            )
        if differs and masked:
            raise ValueError(
                "change_storage='difference' derives the change from the land cover, but "
                'data_prefix has change masks (seg_map_path); remove one of the two'
            )
        no_zero = any(one.zero_is == 'unknown' for one in spec.rules.values())
        if semantic and no_zero and spec.semantics == 'semantic_change' and not masked:
            raise ValueError(
                "zero_is='unknown' leaves no value for unchanged pixels; give change masks in "
                "data_prefix['seg_map_path'], or leave the option out if 0 is unchanged"
            )
        # In the order of roles, so that the images before come first and name the pairs.
        return {role: folders[role] for role in ROLES if role in folders}

    @property
    def change_only(self) -> bool:
        """True if the pairs have change masks and no land cover."""
        folders = {role: self.data_prefix.get(role) for role in LABEL_ROLES.values()}
        # A file of transitions holds land cover, whatever its role.
        return only_change(folders) and self.label_spec.transitions is None

    @property
    def without_change(self) -> bool:
        """True if the pairs have no labels of change, as ``change_storage='unknown'`` says."""
        return self.label_spec.change_storage == 'unknown'

    @property
    def without_labels(self) -> bool:
        """True if the pairs have no labels at all, and are trained on nevertheless."""
        return self.without_change and not any(role in self.data_prefix for role in ROLE_OF_KEY)

    def _shared_prefix(self, prefix: Mapping[str, str | None]) -> dict[str, str | None]:
        """Return the folder of each role, where one label file may serve several roles.

        Raises:
            ValueError: The file of transitions or of bands has no folder, or several.
        """
        spec, merged = self.label_spec, {**self.default_prefix(), **prefix}
        stated = {role: one for role in ROLE_OF_KEY if (one := prefix.get(role)) is not None}
        if spec.transitions is not None:
            if not stated and not any(role in prefix for role in ROLE_OF_KEY):
                stated = {role: one for role in SEMANTIC_ROLES if (one := merged.get(role))}
            wanted: tuple[str, ...] = SEMANTIC_ROLES
            merged = {role: one for role, one in merged.items() if role not in ROLE_OF_KEY}
            if not stated:
                return merged
        else:
            wanted = tuple(
                role
                for role, one in ROLE_OF_KEY.items()
                if spec.rules.get(one, ValueRules()).band and role not in prefix
            )
            if not wanted:
                return merged
        if len(set(stated.values())) != 1:
            option = 'label_bands' if spec.transitions is None else 'transitions'
            raise ValueError(
                f'{option} reads one label file for each pair, but data_prefix has '
                f'{stated or "no folder of labels"}; give one folder, as in '
                "data_prefix=dict(seg_map_path='label')"
            )
        source = next(iter(stated))
        for role in wanted:
            merged[role] = stated[source]
            if role not in stated:
                self._suffixes[role] = self._suffixes[source]
                if isinstance(self.key_pattern, dict) and source in self.key_pattern:
                    self.key_pattern.setdefault(role, self.key_pattern[source])
        return merged

    @property
    def labelled_dates(self) -> tuple[str, ...]:
        """Return the dates whose land cover the labels have: 'from', 'to', both or none."""
        spec = self.label_spec
        if spec.transitions is None:
            return tuple(date for date in (FROM, TO) if LABEL_ROLES[date] in self.data_prefix)
        covers = {FROM: spec.transitions.before, TO: spec.transitions.after}
        labelled = any(role in self.data_prefix for role in SEMANTIC_ROLES)
        return tuple(date for date in covers if labelled and set(covers[date]) - {IGNORE_INDEX})

    def source_name(self, name: str) -> str:
        """Return the scene that a pair shows; a fold never splits the pairs of a scene."""
        return self._places.get(name, name)

    def select_names(self, names: Sequence[str]) -> list[str]:
        """Return the names of the pairs that the fold selects; subclasses may leave more out."""
        if self.fold is None:
            return list(names)
        sources = {name: self.source_name(name) for name in names}
        places = list(sources.values())
        if 'names' in self.fold:
            suffixes = self.suffixes(IMAGE_ROLES[0])
            held_out = listed_members(places, self.fold['names'], suffixes, type(self).__name__)
        else:
            held_out = fold_members(places, self.fold['every'], self.fold.get('start', 0))
        wanted = self.held_out
        return [name for name in names if (sources[name] in held_out) == wanted]

    @property
    def held_out(self) -> bool:
        """True for pairs to validate or test on, by the fold or else by ``test_mode``."""
        return self.test_mode if self.fold is None else self.fold.get('keep') == 'held_out'

    def suffixes(self, role: str) -> tuple[str, ...]:
        """Return the suffixes of the files of a role, a key of ``data_prefix``."""
        return self._suffixes[role]

    def may_share_files(self, first: str, second: str) -> bool:
        """Return whether two roles, keys of ``data_prefix``, may read one file.

        A label file of transitions holds both dates, a file of several bands has one for each
        role, and ``change_storage='semantic'`` takes the change from a semantic label.
        """
        spec, both = self.label_spec, (ROLE_OF_KEY.get(first), ROLE_OF_KEY.get(second))
        if all(role and spec.rules.get(role, ValueRules()).band for role in both):
            return True
        if {first, second} == set(SEMANTIC_ROLES):
            return spec.transitions is not None
        return (
            CHANGE_ROLE in (first, second)
            and not {first, second} & set(IMAGE_ROLES)
            and self.label_spec.change_storage == 'semantic'
        )

    def load_data_list(self) -> Sequence[dict[str, Any]]:
        """Find the pairs; the class describes the fields of an entry."""
        pairs = self._find_pairs()
        self._places = pairs.places if isinstance(pairs, ListedPairs) else {}
        selected = pairs.choose(self.select_names(pairs.names))
        if not selected:
            raise ValueError(
                f'no pair of {len(pairs)} is left by fold={self.fold}; correct the fold, or the '
                'options that leave pairs out'
            )
        check_files(selected, self.data_prefix, self.may_share_files, type(self).__name__)
        self._decide_labels(pairs)
        if len(selected) < len(pairs):
            print_log(
                f'{type(self).__name__}: {len(selected)} of {len(pairs)} pairs taken '
                f'(fold={self.fold})',
                logger='current',
                level=logging.INFO,
            )
        entries: Sequence[dict[str, Any]]
        if isinstance(selected, MatchedPairs):
            entries = PairEntries(selected)
        else:
            entries = [pair_entry(pair['name'], pair) for pair in selected]
        if self.window is not None:
            entries = [one for entry in entries for one in self._windows(entry)]
        wanted = self._indices if isinstance(self._indices, Sequence) else ()
        if outside := [one for one in wanted if not -len(entries) <= one < len(entries)]:
            raise ValueError(
                f'indices has {outside[0]}, but the data set has {len(entries)} pairs; '
                'indices count from 0'
            )
        return entries

    def _find_pairs(self) -> MatchedPairs | ListedPairs:
        """Find the files of all pairs, those that the fold leaves out as well."""
        if self.ann_columns is not None:
            return read_columns(self.ann_file, self.ann_columns, self.data_prefix)
        if self.dates is not None:
            suffixes = {role: self.suffixes(role) for role in self.data_prefix}
            return match_dates(
                self.dates, self.data_prefix, suffixes, self.key_pattern, self._list, self.ann_file
            )
        # Read first, so that a missing list file is reported before folders are walked through.
        listed = read_list_file(self.ann_file) if self.ann_file else None
        folders = {
            role: self._list(role, folder, self.suffixes(role))
            for role, folder in self.data_prefix.items()
        }
        only = None
        if listed is not None:
            first = IMAGE_ROLES[0]
            only = select_listed(listed, folders[first], self.suffixes(first), self.ann_file)
        return match_folders(folders, self.key_pattern, only)

    def _list(self, role: str, folder: str, suffixes: Sequence[str]) -> FolderFiles:
        try:
            return list_folder(folder, suffixes)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'{error} (data_prefix[{role!r}] of {type(self).__name__}, data_root '
                f'{self.data_root!r}); correct the path, or give None instead '
                'of a folder of labels that does not exist'
            ) from error

    def _decide_labels(self, pairs: MatchedPairs | ListedPairs) -> None:
        """Decide the storage of labels from all pairs, including those that the fold leaves out."""
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
        if len(files) == 2 and CHANGE in files:
            date = 'before' if FROM not in files else 'after'
            print_log(
                f'{type(self).__name__} {self.data_root}: the land cover {date} is not labelled, '
                'so it is unknown at every pixel',
                logger='current',
                level=logging.INFO,
            )

    def _windows(self, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return an entry for each window of a tile."""
        assert self.window is not None
        assert self.stride is not None
        width, height = image_size(entry['img_path'][0])
        return [
            {
                **entry,
                'sample_id': window_name(entry['sample_id'], box),
                'window': tuple(box),
            }
            for box in tile_windows(width, height, self.window, self.stride, self.window_edge)
        ]

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Store names instead of paths, which takes a tenth of the memory of MMEngine's way."""
        entries = self.data_list
        if not isinstance(entries, PairEntries) or not len(entries):
            return super()._serialize_data()
        kept = bytearray()
        ends = np.empty(len(entries), np.int64)
        for index in range(len(entries)):
            kept += pickle.dumps(entries.record(index), protocol=4)
            ends[index] = len(kept)
        self.data_list = []
        return np.frombuffer(kept, np.uint8), ends

    def prepare_data(self, idx: int) -> Any:
        """Load a pair through the pipeline.

        Raises:
            ConfigError: A transform fails on the result of the transforms before it.
        """
        try:
            return super().prepare_data(idx)
        except Exception as error:
            # Transforms in a wrong order fail with a KeyError or the like.
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
        """Return an entry of the data set, with the fields that all entries share."""
        info = super().get_data_info(idx)
        if (record := info.pop(RECORD, None)) is not None:
            prefixes = {role: os.path.join(one, '') for role, one in self.data_prefix.items()}
            info.update(read_record(record, prefixes))
        info['label_spec'] = self.label_spec
        info['seg_fields'] = []
        return info

    def label_counts(self) -> LabelCounts:
        """Return the numbers of the labels of all pairs, counted once for the same files.

        Raises:
            ValueError: The data set has no labels.
            LabelFormatError, LabelValueError: A label can't be read.
        """
        self.full_init()
        stored = self.data_address if self.serialize_data else self.data_list
        # A subset shares everything else with the data set it is taken from.
        if self._counted[0] is not stored:
            if not set(self.data_prefix) & set(ROLE_OF_KEY):
                raise ValueError(
                    f'{type(self).__name__} {self.data_root} has no label files to count; give '
                    'their folders in data_prefix, or take it out of the balanced data set'
                )
            entries = [self.get_data_info(index) for index in range(len(self))]
            self._counted = stored, count_labels(entries, self.class_table.num_classes)
        counts: LabelCounts = self._counted[1]
        return counts

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the classes of a pair, for wrappers that balance classes.

        These are the land cover 0..K-1 at either date; of a data set of change masks alone, 0 if
        pixels are unchanged and 1 if pixels changed.
        """
        return category_ids(self.label_counts(), idx)
