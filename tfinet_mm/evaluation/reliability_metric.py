"""Count P(changed) against the annotation over pairs and ranks in an MMEngine metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from tfinet_mm.errors import LabelValueError
from tfinet_mm.evaluation.metric import RankReport, label_map, padded_ranks
from tfinet_mm.evaluation.pair_keys import pair_key
from tfinet_mm.evaluation.reliability import BINS, ChangeHistogram, calibration_scores
from tfinet_mm.registry import METRICS
from tfinet_mm.structures import GT_CHANGE, PRED_CHANGE_PROB

FOLDS = 5
"""Number of parts of the pairs that are counted apart, to calibrate each by the others."""


class Reliability(NamedTuple):
    """Counts over a data set.

    Attributes:
        folds: Pixels of each of :data:`FOLDS` parts of the pairs, which are drawn by their keys.
        keys: Key of each pair, see :func:`~tfinet_mm.evaluation.pair_keys.pair_key`.
    """

    folds: list[ChangeHistogram]
    keys: list[int]

    @property
    def total(self) -> ChangeHistogram:
        """Return the pixels of all pairs."""
        return sum(self.folds, ChangeHistogram.zeros())


class _Counted(NamedTuple):
    key: int
    pixels: ChangeHistogram


@METRICS.register_module()
class ReliabilityMetric(BaseMetric):
    """Errors of P(changed) over a data set.

    Returns ``change/ECE``, ``change/MCE`` and ``change/Brier`` in percent, see
    :func:`~tfinet_mm.evaluation.reliability.calibration_scores`. The result depends neither on
    batch size nor on ranks. ``tools/test.py --reliability`` adds this metric.

    Args:
        bins: Number of bins of the first two.
        prefix: Text in front of the name of each score, joined by "/".

    Attributes:
        found: The counts of the last evaluation, on every rank; None before.

    Raises:
        MissingLabelsError: A sample has no annotated change.
        LabelValueError: The network predicts no P(changed), or a map holds a value out of range.
        SampleCountError: Samples are missing or counted twice.
    """

    def __init__(self, bins: int = BINS, prefix: str | None = None) -> None:
        # MMEngine warns of metrics without a prefix, which this metric has on purpose.
        super().__init__(prefix=prefix or 'scd')
        self.prefix = prefix
        self.bins = bins
        self.found: Reliability | None = None
        self._reset()

    def _reset(self) -> None:
        self._folds = [ChangeHistogram.zeros() for _ in range(FOLDS)]
        self._keys: list[int] = []
        # Kept apart, since it may be padding of the sampler.
        self._latest: _Counted | None = None
        self._report = RankReport(0)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Count the pairs of one batch.

        Args:
            data_batch: Not used.
            data_samples: Data samples as dictionaries, with ``gt_sem_seg`` and
                ``pred_change_prob``, each with ``data`` (1, H, W) or (H, W).
        """
        for sample in data_samples:
            # Paths tell apart samples of one name, which the ranks compare.
            name = str(sample.get('sample_id') or sample.get('img_path'))
            change = label_map(sample, GT_CHANGE, name)
            if sample.get(PRED_CHANGE_PROB) is None:
                raise LabelValueError(
                    f'sample {name} lacks the prediction {PRED_CHANGE_PROB!r}; the reliability of '
                    'P(changed) needs a detector or an ensemble of tfinet_mm'
                )
            try:
                pixels = ChangeHistogram.from_maps(
                    label_map(sample, PRED_CHANGE_PROB, name), change
                )
            except LabelValueError as error:
                raise LabelValueError(f'sample {name}: {error}') from error
            self._keep_latest()
            self._latest = _Counted(pair_key(name, change.to(torch.uint8).cpu().numpy()), pixels)
            first = self._report.first if self._report.count else name
            self._report = RankReport(self._report.count + 1, first, name)

    def _keep_latest(self) -> None:
        if self._latest is not None:
            self._folds[self._latest.key % FOLDS] += self._latest.pixels
            self._keys.append(self._latest.key)
        self._latest = None

    def evaluate(self, size: int) -> dict[str, float]:
        """Pool the counts of all ranks, score them, and reset the counts.

        Args:
            size: Number of samples of the data set.

        Returns:
            The scores, the same on every rank; see the class.
        """
        padded = padded_ranks(all_gather_object(self._report), size)
        if get_rank() not in padded:
            self._keep_latest()
        vectors = torch.stack([torch.from_numpy(fold.flatten()) for fold in self._folds])
        all_reduce(vectors)
        keys = [key for part in all_gather_object(self._keys) for key in part]
        self.found = Reliability([ChangeHistogram.unflatten(one.numpy()) for one in vectors], keys)
        scores = self.compute_metrics([self.found])
        self._reset()
        return {f'{self.prefix}/{name}' if self.prefix else name: v for name, v in scores.items()}

    def compute_metrics(self, results: list[Reliability]) -> dict[str, float]:
        """Score pooled counts; the first rank logs a line.

        Args:
            results: A single element, the counts.

        Returns:
            The scores without prefix; see the class.
        """
        (found,) = results
        total = found.total
        scores = calibration_scores(total, self.bins)
        if is_main_process():
            print_log(
                f'P(changed) over {len(found.keys)} pairs: {scores_text(scores)}', logger='current'
            )
        return {f'change/{name}': 100 * value for name, value in scores.items()}


def scores_text(scores: dict[str, float]) -> str:
    """Return errors of P(changed) as words."""
    return (
        f'ECE {100 * scores["ECE"]:.2f} %, largest error of a bin {100 * scores["MCE"]:.2f} %, '
        f'Brier score {scores["Brier"]:.4f}'
    )
