"""Name, index and classes of a data sample, for hooks."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader

from tfinet_mm.structures import ClassTable, sample_name


def file_name(sample: Any) -> str:
    """Return the name of a data sample, which its files are named after.

    Raises:
        ValueError: The sample has neither a ``sample_id`` nor the path of an image.
    """
    name = sample_name(sample)
    if not name:
        raise ValueError(
            "a data sample has no 'sample_id' to name its file after, only "
            f"{sorted(sample.metainfo_keys())}; keep 'sample_id' in meta_keys of "
            'tfinet_mm.PackPairInputs'
        )
    return name


def dataset_index(index: int) -> int:
    """Return the index in the data set that MMEngine's unshuffled sampler gave this rank.

    Args:
        index: Number of the sample on this rank, counted from 0.

    Returns:
        Its index in the data set, counted from 0. Samples whose index is
        beyond the last one fill up ranks: they repeat the first ones.
    """
    rank, ranks = get_dist_info()
    return index * ranks + rank


def class_table(dataloader: DataLoader[Any]) -> ClassTable:
    """Return the class table of the data set behind a data loader.

    Raises:
        ValueError: The data set's metainfo has none.
    """
    return ClassTable.from_metainfo(getattr(dataloader.dataset, 'metainfo', {}))


def check_names_differ(dataset: Any) -> None:
    """Refuse data sets whose samples would be written to the same files.

    They are joined data sets with samples of one name, and those of other packages, which name no
    samples, with images of one name in several folders.

    Raises:
        ValueError: Two samples have one name.
    """
    joined = getattr(dataset, 'datasets', None)
    if joined is None and _names_samples(dataset):
        return
    seen: set[str] = set()
    both: set[str] = set()
    for part in joined or [dataset]:
        names = [str(sample_name(part.get_data_info(index))) for index in range(len(part))]
        both |= seen & set(names)
        if not _names_samples(part):
            both |= {name for name, number in Counter(names).items() if number > 1}
        seen |= set(names)
    if both:
        raise ValueError(
            f'{len(both)} samples of the test data sets share their names, and would be '
            f'written to the same files: {", ".join(sorted(both)[:5])}; test one data set, or one '
            'folder of images, at a time'
        )


def _names_samples(dataset: Any) -> bool:
    """Return whether a data set gives its samples names of their own, or can't be asked."""
    if not hasattr(dataset, 'get_data_info') or not len(dataset):
        return True
    return bool(dataset.get_data_info(0).get('sample_id'))
