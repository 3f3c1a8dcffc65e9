"""Name, index and classes of a data sample, for hooks."""

from __future__ import annotations

from typing import Any

from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader

from tfinet_mm.structures import ClassTable


def sample_name(sample: Any) -> str:
    """Return the ``sample_id`` of a data sample, which its files are named after.

    Raises:
        ValueError: The sample has none.
    """
    name = sample.get('sample_id')
    if not name:
        raise ValueError(
            "a data sample has no 'sample_id' to name its file after, only "
            f"{sorted(sample.metainfo_keys())}; keep 'sample_id' in meta_keys of "
            'tfinet_mm.PackPairInputs'
        )
    return str(name)


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
    """Refuse joined data sets whose samples would be written to the same files.

    Raises:
        ValueError: Two of them have samples of one name.
    """
    seen: set[str] = set()
    for part in getattr(dataset, 'datasets', ()):
        names = {str(part.get_data_info(index)['sample_id']) for index in range(len(part))}
        if both := sorted(seen & names):
            raise ValueError(
                f'{len(both)} samples of the test data sets share their names, and would be '
                f'written to the same files: {", ".join(both[:5])}; test one data set at a time'
            )
        seen |= names
