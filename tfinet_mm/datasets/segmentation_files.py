"""List the images and labels of a data set of MMSegmentation, which has one date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, DefaultScope

from tfinet_mm.datasets.file_index import repeated
from tfinet_mm.utils.class_names import find_class, written_name

COLOUR_STORAGES = ('rgb', 'palette')


@dataclass(frozen=True)
class SegmentationFiles:
    """Files and classes of a data set of MMSegmentation.

    Attributes:
        files: Path of the image and of the label, and ``name``, for each image.
        folders: Folders of images and labels.
        suffix: Suffix of the images.
        classes: Name of each class, in the order of the values in label files.
        palette: RGB colour of each class.
        reduce_zero_label: True if 0 stands for no information, and classes are counted from 1.
        unused: Classes that the config leaves out of its ``metainfo``.
    """

    files: list[dict[str, str]]
    folders: tuple[str, str]
    suffix: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    reduce_zero_label: bool
    unused: tuple[str, ...]


def list_segmentation_files(config: Mapping[str, Any]) -> SegmentationFiles:
    """Build a data set of MMSegmentation, and return its files and classes.

    Args:
        config: Its config; ``pipeline`` isn't used.

    Raises:
        ValueError: ``config`` names no class or a wrapper, or the data set has pairs, no labels, no
            classes, or an image twice.
        FileNotFoundError: A folder is missing.
    """
    if not isinstance(config, Mapping) or 'type' not in config:
        raise ValueError(
            'dataset has to be the config of a data set of MMSegmentation, as in '
            f"dict(type='mmseg.LoveDADataset', data_root=...), got {config!r}"
        )
    with DefaultScope.overwrite_default_scope('mmseg'):
        _refuse_wrapper(config)
        source: Any = DATASETS.build({**config, 'pipeline': [], 'lazy_init': True})
    title = type(source).__name__
    if not hasattr(source, 'reduce_zero_label'):
        raise ValueError(_no_single_images(source))
    entries = []
    # MMEngine fails on an empty data set without naming it.
    if source.load_data_list():
        source.full_init()
        entries = [source.get_data_info(index) for index in range(len(source))]
    if any('img_path2' in one or isinstance(one.get('img_path'), list) for one in entries):
        raise ValueError(_no_single_images(source))
    if not entries or not all(isinstance(one.get('img_path'), str) for one in entries):
        raise ValueError(
            f'{title} has {len(entries)} entries, expected one with img_path and seg_map_path for '
            'each image; correct data_root and data_prefix'
        )
    if missing := [one['img_path'] for one in entries if not one.get('seg_map_path')]:
        raise ValueError(
            f'{title} has no label of {missing[0]}; set seg_map_path in its data_prefix'
        )
    if twice := repeated([one['img_path'] for one in entries]):
        raise ValueError(
            f'{title} has the image {twice[0]} more than once, which would make a pair '
            'with itself; list each image once in its ann_file and indices'
        )
    stated = source.metainfo
    classes = tuple(type(source).METAINFO.get('classes') or stated.get('classes') or ())
    if not classes:
        raise ValueError(f'{title} has no classes; state metainfo=dict(classes=..., palette=...)')
    palette = type(source).METAINFO.get('palette') or stated['palette']
    used = set(stated.get('classes') or classes)
    prefix = source.data_prefix
    folders = str(prefix.get('img_path', '')), str(prefix.get('seg_map_path', ''))
    names = [_name(one['img_path'], folders[0], source.img_suffix) for one in entries]
    return SegmentationFiles(
        [
            dict(name=name, image=one['img_path'], label=one['seg_map_path'])
            for name, one in zip(names, entries, strict=True)
        ],
        folders,
        source.img_suffix,
        classes,
        tuple((int(red), int(green), int(blue)) for red, green, blue in palette),
        bool(source.reduce_zero_label),
        tuple(name for name in classes if name not in used),
    )


def _refuse_wrapper(config: Mapping[str, Any]) -> None:
    with DATASETS.switch_scope_and_registry(None) as registry:
        kind = find_class(registry, config['type'])
    if isinstance(kind, type) and not issubclass(kind, BaseDataset):
        raise ValueError(
            f'dataset is a {written_name(kind)}, expected one data set of single images, such as '
            'mmseg.LoveDADataset; give each data set that it wraps to a SingleDateDataset, and put '
            f'the {kind.__name__} around these'
        )


def _no_single_images(source: Any) -> str:
    return (
        f'dataset is a {written_name(type(source))}, expected a data set of single images with '
        "one label each, one of MMSegmentation's BaseSegDataset such as mmseg.LoveDADataset; a "
        'data set of pairs needs no SingleDateDataset around it'
    )


def _name(path: str, folder: str, suffix: str) -> str:
    """Return the path of an image below its folder, without suffix."""
    parts = PurePath(path)
    below = parts.relative_to(folder) if folder and parts.is_relative_to(folder) else parts
    return below.as_posix().removesuffix(suffix)


def values_of_classes(
    source: SegmentationFiles, label_map: Any, names: Sequence[str], storage: str
) -> dict[Any, str | None]:
    """Return the class of each stored value, or colour, of a label file.

    Args:
        source: The data set.
        label_map: Class of ``names``, or None for no information, by the name of each class of
            the data set. None keeps the names.
        names: The classes of the pairs, without "unchanged".
        storage: Storage of the labels; with ``'rgb'`` or ``'palette'``, colours are returned.

    Raises:
        ValueError: A class is missing in ``label_map``, or unknown.
    """
    mapped: dict[str, str | None]
    if label_map is None:
        mapped = {name: name for name in source.classes}
    elif isinstance(label_map, Mapping):
        mapped = dict(label_map)
    else:
        raise ValueError(f'label_map has to be a dictionary of classes, got {label_map!r}')
    mapped |= dict.fromkeys(source.unused)
    missing = [name for name in source.classes if name not in mapped]
    unknown = [name for name in mapped if name not in source.classes]
    if missing or unknown:
        raise ValueError(
            f'label_map lacks the classes {missing} and has the unknown classes {unknown}; '
            f'expected each of {source.classes} once, with one of {tuple(names)} or None for no '
            'information'
        )
    if lost := [one for one in mapped.values() if one not in (None, 'ignored', *names)]:
        raise ValueError(
            f'the pairs have no class {lost[0]!r}, their classes are {tuple(names)}; give '
            'label_map a class for each class of dataset, or None for no information'
        )
    first = int(source.reduce_zero_label)
    found: dict[Any, str | None] = {}
    for place, name in enumerate(source.classes):
        key = source.palette[place] if storage in COLOUR_STORAGES else place + first
        found[key] = mapped[name]
    if first and storage not in COLOUR_STORAGES:
        found[0] = None
    return found
