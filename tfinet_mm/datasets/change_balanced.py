"""Give changed pairs, or pairs of rare classes, more places in an epoch."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from mmengine.dataset import ClassBalancedDataset
from mmengine.logging import print_log

from tfinet_mm.datasets.label_counts import LabelCounts, category_ids, label_counts
from tfinet_mm.registry import DATASETS
from tfinet_mm.utils.config.values import is_number

BALANCES = ('classes', 'transitions')


@DATASETS.register_module()
class ChangeBalancedDataset(ClassBalancedDataset):
    """Repeat the pairs that show change, or rare classes, within an epoch.

    Each pair has a repeat factor: ``changed_times`` if it is changed, else 1; with ``balance``,
    the factor of its rarest class if that is larger. A class in a share f of the pairs has the
    factor max(1, sqrt(threshold / f)), see :class:`mmengine.dataset.ClassBalancedDataset`, which
    rounds every factor up. Here the factors keep their sum: of pairs with factor 1.5, every other
    one has two places.

    The order of the places is that of the data set, so any sampler shuffles them, shares them
    among ranks and resumes. Labels are counted once, see
    :func:`~tfinet_mm.datasets.label_counts.count_labels`.

    Args:
        dataset: The data set or its config: an :class:`~tfinet_mm.datasets.SCDDataset`, or a
            wrapper such as MMEngine's ``ConcatDataset``. Pairs that each epoch draws again
            have no labels to count.
        changed_times: Places of a changed pair in an epoch, 1 or more; may be a fraction.
        min_share: Least share of changed pixels (0..1 of those not ignored) of a changed pair. By
            default a single pixel is enough.
        balance: None, ``'classes'`` (land cover at either date) or ``'transitions'`` (classes
            before and after of changed pixels).
        threshold: Share of the pairs (above 0, at most 1) below which a class is rare.
        lazy_init: Count labels at the first use.

    Raises:
        ValueError: An option is out of its range, no pair is changed, there is no land cover
            to balance, or pairs are made up in the pipeline.
        TypeError: A data set has no label files of this package.
    """

    _fully_initialized: bool

    def __init__(
        self,
        dataset: Any,
        changed_times: float = 3.0,
        min_share: float = 0.0,
        balance: str | None = None,
        threshold: float = 0.1,
        lazy_init: bool = False,
    ) -> None:
        """See the class."""
        if not is_number(changed_times) or changed_times < 1:
            raise ValueError(f'changed_times has to be a number of 1 or more, got {changed_times}')
        if not is_number(min_share) or not 0 <= min_share <= 1:
            raise ValueError(f'min_share has to be a share in 0 .. 1, got {min_share!r}')
        if balance not in (None, *BALANCES):
            raise ValueError(f'balance has to be None or one of {BALANCES}, got {balance!r}')
        if not is_number(threshold) or not 0 < threshold <= 1:
            raise ValueError(f'threshold has to be a share in 0 .. 1 above 0, got {threshold!r}')
        self.changed_times, self.min_share, self.balance = changed_times, min_share, balance
        super().__init__(dataset, threshold, lazy_init)

    def full_init(self) -> None:
        """Count the labels and lay out the places of an epoch."""
        if self._fully_initialized:
            return
        self.dataset.full_init()
        counts = label_counts(self.dataset)
        share = counts.share()
        changed = (share > 0) & (share >= self.min_share)
        if self.changed_times > 1 and not changed.any():
            raise ValueError(self._none_changed(counts, share))
        factors = np.where(changed, float(self.changed_times), 1.0)
        if self.balance is not None:
            factors = np.maximum(factors, self._rarity(counts))
        self.repeat_indices = np.repeat(np.arange(len(counts)), places(factors)).tolist()
        self._counts, self._fully_initialized = counts, True
        self._log(changed)

    def _none_changed(self, counts: LabelCounts, share: np.ndarray) -> str:
        name = type(self).__name__
        if share.any():
            return (
                f'no pair of {len(counts)} has a share of changed pixels of {self.min_share:g} or '
                f'more, the largest is {share.max():.4g}; lower min_share of {name}'
            )
        missing = 'changed' if counts.change[:, :2].any() else 'labelled as changed or unchanged'
        return (
            f'{name} draws changed pairs more often, but no pixel of {len(counts)} pairs is '
            f'{missing}; set changed_times=1 and balance to balance classes alone, or leave it out'
        )

    def label_counts(self) -> LabelCounts:
        """Return the numbers of the labels at each place of an epoch."""
        self.full_init()
        return self._counts.take(self.repeat_indices)

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the classes at a place, see :meth:`tfinet_mm.datasets.SCDDataset.get_cat_ids`."""
        self.full_init()
        return category_ids(self._counts, self.repeat_indices[idx])

    def _rarity(self, counts: LabelCounts) -> np.ndarray:
        present = counts.classes if self.balance == 'classes' else counts.transitions
        if not present.any():
            raise ValueError(
                f'balance={self.balance!r} needs '
                + ('land cover' if self.balance == 'classes' else 'land cover of both dates')
                + ', but no pair has it; set balance=None'
            )
        return repeat_factors(present.reshape(len(counts), -1), self.oversample_thr)

    def _log(self, changed: np.ndarray) -> None:
        pairs, drawn = len(changed), len(self.repeat_indices)
        each = np.bincount(self.repeat_indices, minlength=pairs)
        least = f'{self.min_share:g} of their pixels or more' if self.min_share else 'any pixel'
        rules = [f'a changed pair has {self.changed_times:g} places']
        if self.balance is not None:
            rules.append(f'one of rare {self.balance} up to {each.max()} places')
        share = 100 * changed[self.repeat_indices].mean()
        print_log(
            f'{type(self).__name__}: {changed.sum()} of {pairs} pairs are changed ({least}); '
            f'{", ".join(rules)}; an epoch has {drawn} samples, {share:.1f} % of them changed in '
            f'place of {100 * changed.mean():.1f} %',
            logger='current',
            level=logging.INFO,
        )
        if each.min() == each.max():
            print_log(
                f'{type(self).__name__} changes nothing: all pairs are drawn equally often; raise '
                'changed_times or min_share, or leave it out',
                logger='current',
                level=logging.WARNING,
            )


def repeat_factors(present: np.ndarray, threshold: float) -> np.ndarray:
    """Return the repeat factor of each pair by the rarest of its classes, (N,).

    The rule is that of LVIS (Gupta et al. 2019, section 4.2): a class in a share f of the pairs
    has r = max(1, sqrt(threshold / f)), and a pair the largest r of its classes.

    Args:
        present: True for each class that a pair has, (N, C) bool.
        threshold: Share of the pairs below which a class is rare.

    Example:
        >>> import numpy as np
        >>> rare = np.array([[True, True], [True, False], [True, False], [True, False]])
        >>> repeat_factors(rare, threshold=1.0).tolist()
        [2.0, 1.0, 1.0, 1.0]
    """
    share = present.mean(axis=0)
    occurs = share > 0
    rarity = np.ones(present.shape[1])
    rarity[occurs] = np.maximum(1, np.sqrt(threshold / share[occurs]))
    factors: np.ndarray = np.where(present, rarity, 1.0).max(axis=1)
    return factors


def places(factors: np.ndarray) -> np.ndarray:
    """Return whole numbers of places that keep the running sum of the factors.

    Args:
        factors: Numbers of 1 or more, (N,).

    Returns:
        Each factor rounded down or up, (N,) int64.

    Example:
        >>> import numpy as np
        >>> places(np.array([1.5, 1.5, 1.0, 1.5, 1.5])).tolist()
        [1, 2, 1, 1, 2]
    """
    # Rounded first, so that sums such as 3 * (1 / 3) count as whole.
    ends = np.floor(np.round(np.cumsum(factors), 6)).astype(np.int64)
    return np.diff(ends, prepend=0)
