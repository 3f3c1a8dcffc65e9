"""Load the pairs to make pseudo labels for: images as in testing, labels as stored."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS
from torch import Tensor
from torch.utils.data import Dataset

from tfinet_mm.datasets import SCDDataset, SyntheticSCDDataset
from tfinet_mm.datasets.annotations import FROM, TO, LabelSpec, LoadedLabels, read_pair_labels
from tfinet_mm.datasets.check import leaf_datasets
from tfinet_mm.datasets.file_index import list_folder, match_folders
from tfinet_mm.datasets.label_contract import decide_storage
from tfinet_mm.datasets.roles import CHANGE_ROLE, IMAGE_ROLES, SEMANTIC_ROLES
from tfinet_mm.datasets.transforms import LoadImagePair
from tfinet_mm.errors import ClassMismatchError, LabelFormatError, MissingLabelsError
from tfinet_mm.io.label_storage import LabelStorage
from tfinet_mm.io.labels import read_semantic_label
from tfinet_mm.structures import IGNORE_INDEX
from tfinet_mm.utils.class_names import class_name
from tfinet_mm.utils.config.building import building

LABEL_LOADERS = ('LoadPairAnnotations', 'LoadPseudoLabels')
IMAGE_LOADER, CROPPED_LOADER = 'LoadImagePair', 'LoadCroppedPair'
LABEL_ROLES = (CHANGE_ROLE, *SEMANTIC_ROLES)

Maps = tuple[np.ndarray, np.ndarray]
"""Maps of the first and of the second date, each (H, W)."""


class Pair(NamedTuple):
    """A loaded pair.

    Attributes:
        sample_id: Name of the sample.
        inputs: Images of both dates, (2B, h, w), as the test pipeline gives them.
        metainfo: ``img_shape`` and ``ori_shape`` among others.
        labels: Annotation of each date, (H, W) uint8: classes 1..K, 0 where the
            pixel is unchanged and unlabelled, 255 where it is ignored.
        unchanged: (H, W) bool: annotated as unchanged.
    """

    sample_id: str
    inputs: Tensor
    metainfo: dict[str, Any]
    labels: Maps
    unchanged: np.ndarray


class PairsToLabel(Dataset[Pair]):
    """All pairs of one split of a config, without augmentation.

    Images are loaded by the pipeline of the config's test data, with the
    ``LoadImagePair`` of each data set to label (bands, range of values). Labels
    are read from the files, without the transforms of the pipeline.

    Args:
        cfg: The config.
        split: 'train', 'val' or 'test'.
        land_cover: Folders of the true land cover of each date, with files named
            like the images, to measure accuracy. By default ``cover1`` and
            ``cover2`` of synthetic data sets.

    Attributes:
        table: The classes.
        names: ``sample_id`` of every pair.
        pipeline_configs: Transforms that load the images of each data set.
        land_cover: The folders of true land cover as given, or None.

    Raises:
        ValueError: The config has no such split, it is empty, or two pairs
            have the same name.
        ClassMismatchError: The data sets of the split differ in their classes.
        FileNotFoundError, UnmatchedPairError: Files are missing.
    """

    def __init__(
        self, cfg: Config, split: str = 'train', land_cover: Sequence[str | Path] | None = None
    ) -> None:
        loader = cfg.get(f'{split}_dataloader')
        if loader is None:
            raise ValueError(
                f'{cfg.filename} has no {split}_dataloader to take pairs from; choose another '
                'split, or inherit a data set in the config'
            )
        config = copy.deepcopy(loader.dataset)
        pipelines = _image_pipelines(cfg, split)
        for leaf in _leaf_configs(config):
            # Serialising an empty data set would fail before the clearer error below.
            leaf.update(pipeline=[], serialize_data=False)
        with building(f'{split}_dataloader.dataset', config):
            self.parts: list[SCDDataset] = leaf_datasets(DATASETS.build(config))
        self.pipeline_configs = pipelines
        self.pipelines = [Compose(pipeline) for pipeline in pipelines]
        self.land_cover = None if land_cover is None else [str(folder) for folder in land_cover]
        self.table = self.parts[0].class_table
        for part in self.parts:
            if part.class_table.names != self.table.names:
                raise ClassMismatchError(
                    f'the data sets of the {split} split have the classes {self.table.names} and '
                    f'{part.class_table.names}; label them one at a time'
                )
        self._index = [(p, i) for p, part in enumerate(self.parts) for i in range(len(part))]
        self.names = [str(self._info(index)['sample_id']) for index in range(len(self._index))]
        self._check_names(split)
        self._truth = [part_truth(part, land_cover) for part in self.parts]
        self._truth_storages = [self._decided(folders) for folders in self._truth]

    def _decided(self, folders: Mapping[str, Sequence[str]] | None) -> Mapping[str, LabelStorage]:
        """Return how the true land cover of each date is stored."""
        if folders is None:
            return {}
        files = {
            role: [paths[date] for paths in folders.values()]
            for date, role in enumerate((FROM, TO))
        }
        return decide_storage(LabelSpec(self.table, 'land_cover'), files).storages

    def _check_names(self, split: str) -> None:
        if not self.names:
            raise ValueError(f'the {split} split is empty: there is no pair to label')
        if len(set(self.names)) < len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ValueError(
                f'{len(twice)} pairs of the {split} split share their names, and would be written '
                f'to the same files: {", ".join(twice[:5])}; label one data set at a time'
            )

    def _info(self, index: int) -> dict[str, Any]:
        part, number = self._index[index]
        return self.parts[part].get_data_info(number)

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._index)

    def __iter__(self) -> Iterator[Pair]:
        """Yield all pairs in their order."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Pair:
        """Load a pair.

        Raises:
            ImageFormatError, LabelFormatError, LabelValueError: A file can't
                be read, or image and label differ in size.
            MissingLabelsError: The pair has no labels.
        """
        info = self._info(index)
        loaded = read_pair_labels(info, info['label_spec'])
        if loaded.change is None or loaded.cover_from is None or loaded.cover_to is None:
            raise MissingLabelsError(
                f'{info["sample_id"]} has no labels: pseudo labels need the annotated change '
                'and classes of each pair; set data_prefix of the data set'
            )
        packed = self.pipelines[self._index[index][0]](info)
        metainfo = dict(packed['data_samples'].metainfo)
        size = tuple(metainfo['ori_shape'][:2])
        if loaded.change.shape != size:
            height, width = loaded.change.shape
            raise LabelFormatError(
                f'{info["seg_map_path_from"]} is {width} x {height} pixels (width x height), but '
                f'its image {info["img_path"][0]} is {size[1]} x {size[0]}; they have to be equal'
            )
        return Pair(
            str(info['sample_id']),
            packed['inputs'],
            metainfo,
            known_labels(loaded),
            loaded.change == 0,
        )

    def truth(self, index: int) -> Maps | None:
        """Return the true land cover of a pair, 0 and 255 where unknown, or None.

        Raises:
            LabelFormatError, LabelValueError: A file can't be read.
        """
        part, _ = self._index[index]
        folders = self._truth[part]
        if folders is None:
            return None
        info = self._info(index)
        storages = self._truth_storages[part]
        maps = [
            read_semantic_label(path, self.table, storages[role], info['window']).values
            for role, path in zip((FROM, TO), folders[_scene(info)], strict=True)
        ]
        return maps[0], maps[1]

    def files(self) -> list[str]:
        """Return the files of images and annotations of all pairs in order, each file once."""
        infos = (self._info(index) for index in range(len(self)))
        found = (
            [*(info.get('img_path') or ()), *(info.get(role) for role in LABEL_ROLES)]
            for info in infos
        )
        return list(dict.fromkeys(path for paths in found for path in paths if path))

    def truth_files(self) -> list[str]:
        """Return the files of true land cover in the order of the pairs, each file once."""
        found: dict[str, None] = {}
        for index, (part, _) in enumerate(self._index):
            folders = self._truth[part]
            if folders is not None:
                found.update(dict.fromkeys(folders[_scene(self._info(index))]))
        return list(found)


def known_labels(loaded: LoadedLabels) -> Maps:
    """Return the annotation of each date: classes 1..K, 0 unchanged, 255 ignored.

    In data sets with full land cover (HRSCD), unchanged pixels have classes too.
    """
    without_class = np.where(loaded.change == 0, 0, IGNORE_INDEX).astype(np.uint8)
    before, after = (
        np.where(cover == IGNORE_INDEX, without_class, cover + np.uint8(1)).astype(np.uint8)
        for cover in (loaded.cover_from, loaded.cover_to)
        if cover is not None
    )
    return before, after


def part_truth(
    dataset: SCDDataset, land_cover: Sequence[str | Path] | None = None
) -> dict[str, tuple[str, str]] | None:
    """Return files of the true land cover of a data set's scenes, by their names.

    Args:
        dataset: The data set.
        land_cover: Folders of the two dates, or None for those that a
            synthetic data set has.

    Returns:
        The two files of each scene, or None where there are no folders.

    Raises:
        FileNotFoundError, UnmatchedPairError: A folder or a file is missing.
    """
    if land_cover is not None:
        first, second = (Path(folder) for folder in land_cover)
    elif isinstance(dataset, SyntheticSCDDataset):
        first, second = (Path(dataset.data_root or '') / name for name in ('cover1', 'cover2'))
        if not (first.is_dir() and second.is_dir()):
            return None
    else:
        return None
    scenes = {_scene(dataset.get_data_info(index)): '' for index in range(len(dataset))}
    files = {
        'images': scenes,
        'from': list_folder(first, dataset.suffixes(SEMANTIC_ROLES[0])),
        'to': list_folder(second, dataset.suffixes(SEMANTIC_ROLES[1])),
    }
    pattern = dataset.key_pattern
    if isinstance(pattern, Mapping):
        roles = dict(zip(files, (IMAGE_ROLES[0], *SEMANTIC_ROLES), strict=True))
        pattern = {mine: pattern[role] for mine, role in roles.items() if role in pattern}
    matched = match_folders(files, pattern, list(scenes))
    return {pair['name']: (pair['from'], pair['to']) for pair in matched}


def _scene(info: dict[str, Any]) -> str:
    """Return the name of the files that a sample is a window of."""
    name = str(info['sample_id'])
    if info['window'] is None:
        return name
    left, top = info['window'][:2]
    return name.removesuffix(f'_x{left}_y{top}')


def _leaf_configs(config: Any) -> Iterator[dict[str, Any]]:
    """Yield the data sets of a config that load pairs, in the order of :func:`leaf_datasets`."""
    if 'datasets' in config:
        for one in config['datasets']:
            yield from _leaf_configs(one)
    elif 'dataset' in config:
        yield from _leaf_configs(config['dataset'])
    else:
        yield config


def _image_pipelines(cfg: Config, split: str) -> list[list[dict[str, Any]]]:
    """Return, for each data set of a split, the pipeline that loads its images as in testing."""
    own = [
        list(leaf.get('pipeline') or ())
        for leaf in _leaf_configs(cfg[f'{split}_dataloader'].dataset)
    ]
    if split != 'train':
        return [_with_loader(pipeline, pipeline) for pipeline in own]
    for other in ('test', 'val'):
        if cfg.get(f'{other}_dataloader') is not None:
            tested = next(_leaf_configs(cfg[f'{other}_dataloader'].dataset))
            return [_with_loader(tested['pipeline'], pipeline) for pipeline in own]
    plain = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.PackPairInputs')]
    return [_with_loader(plain, pipeline) for pipeline in own]


def _with_loader(
    pipeline: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return a pipeline with the image loader of another one, and without labels."""
    loader = next((loads for step in own if (loads := _image_loader(step)) is not None), None)
    return [
        loader if loader is not None and _kind(step) == IMAGE_LOADER else step
        for step in pipeline
        if _kind(step) not in LABEL_LOADERS
    ]


def _image_loader(step: dict[str, Any]) -> dict[str, Any] | None:
    """Return the config of the image loader that a step of a pipeline is or has, or None."""
    if _kind(step) == IMAGE_LOADER:
        return step
    if _kind(step) != CROPPED_LOADER:
        return None
    options = inspect.signature(LoadImagePair).parameters
    given = {key: value for key, value in step.items() if key in options}
    return dict(type='tfinet_mm.LoadImagePair', **given)


def _kind(step: dict[str, Any]) -> str:
    return class_name(step['type'])
