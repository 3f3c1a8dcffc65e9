"""Explain why one of MMEngine's wrappers can't hold its data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

TABLE_KEYS = ('semantic_classes', 'semantic_palette')
"""Metainfo of the land-cover classes, which is compared first."""
LENGTH = 400
"""Greatest number of characters of a value that a message shows."""
MISSING = 'nothing'


def wrapper_fault(error: BaseException) -> str | None:
    """Return what is wrong with the data sets of a wrapper, and the fix; None for other errors.

    MMEngine's messages name neither the metainfo that differs nor a way out. The wrapper is found
    in the traceback, since it is never returned.

    Args:
        error: An error that was caught while a data set was built.
    """
    # Only after an error, since it imports torch.
    from mmengine.dataset import ClassBalancedDataset, ConcatDataset

    objects = list(_objects(error))
    if not objects:
        return None
    if isinstance(error, AttributeError):
        for one in objects:
            if isinstance(one, ClassBalancedDataset) and not hasattr(one.dataset, 'get_cat_ids'):
                return _uncounted(one)
    # It compares the metainfo itself; errors further inside are those of one data set.
    last = objects[-1]
    if isinstance(last, ConcatDataset) and hasattr(last, '_metainfo'):
        return _difference(last)
    return None


def _objects(error: BaseException) -> Iterator[Any]:
    """Yield the object of each method in a traceback, the outermost first."""
    frame = error.__traceback__
    while frame is not None:
        yield frame.tb_frame.f_locals.get('self')
        frame = frame.tb_next


def _uncounted(wrapper: Any) -> str:
    name, held = type(wrapper).__name__, type(wrapper.dataset).__name__
    fix = {
        'RepeatDataset': f'put the repetition outside, RepeatDataset({name}(...))',
        'ConcatDataset': f'put a {name} around each of its data sets',
    }.get(held, "use a data set of this package, such as type='tfinet_mm.SCDDataset'")
    return (
        f'{name} holds a {held}, which does not tell the classes of its pairs (get_cat_ids); '
        f"{fix}, or use type='tfinet_mm.ChangeBalancedDataset' with changed_times=1 and "
        "balance='classes', which counts the labels of wrapped data sets"
    )


def _difference(wrapper: Any) -> str | None:
    first, *others = wrapper.datasets
    for place, other in enumerate(others, start=1):
        keys = _different_keys(first.metainfo, other.metainfo)
        if keys := [key for key in keys if key not in wrapper.ignore_keys]:
            said = _unlike({0: first, place: other}, keys)
            return f'the data sets of {type(wrapper).__name__} differ in {keys[0]}: {said}'
    return None


def _unlike(pair: Mapping[int, Any], keys: Sequence[str]) -> str:
    """Return what two data sets have under the first of the keys, and the fix.

    Args:
        pair: The two, by their places in the wrapper.
        keys: All keys of which they have other values.
    """
    values = ', '.join(
        f'datasets[{place}] ({_title(one)}) has {_shown(one.metainfo.get(keys[0], MISSING))}'
        for place, one in pair.items()
    )
    if keys[0] not in TABLE_KEYS:
        return f'{values}; give all of them the same metainfo, or set ignore_keys={keys!r} there'
    masks = [place for place, one in pair.items() if _has_masks_alone(one)]
    which = f'datasets[{masks[0]}], which has change masks alone,' if len(masks) == 1 else 'each'
    return (
        f'{values}; give {which} the same classes in the same order: semantic_classes=[...] and '
        'semantic_palette=[...]'
    )


def _different_keys(first: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the keys of which two data sets have other values, classes before all others."""
    keys = dict.fromkeys((*TABLE_KEYS, *first, *other))
    return [key for key in keys if not _equal(first.get(key, MISSING), other.get(key, MISSING))]


def _equal(first: Any, other: Any) -> bool:
    # As MMEngine compares them: a list is no tuple.
    if type(first) is not type(other):
        return False
    return np.array_equal(first, other) if isinstance(first, np.ndarray) else bool(first == other)


def _has_masks_alone(dataset: Any) -> bool:
    while not hasattr(dataset, 'change_only') and hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    return bool(getattr(dataset, 'change_only', False))


def _title(dataset: Any) -> str:
    """Return the class of a data set, and its folder where it has one."""
    words = [type(dataset).__name__, getattr(dataset, 'data_root', None)]
    return ' '.join(str(word) for word in words if word)


def _shown(value: Any) -> str:
    text = str(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= LENGTH else f'{text[:LENGTH]} ...'
