"""Sum counts over pairs and ranks in an MMEngine metric, and score them once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from tfinet_mm.conventions import (
    CONVENTION,
    OWN,
    check_convention,
    convention_of,
    own_annotation,
    own_prediction,
)
from tfinet_mm.errors import LabelValueError, MissingLabelsError, SampleCountError
from tfinet_mm.evaluation.confusion import SCDConfusion
from tfinet_mm.evaluation.intervals import RESAMPLES
from tfinet_mm.evaluation.pair_counts import PairCounts
from tfinet_mm.evaluation.score_table import (
    CHANGE_SCORES,
    format_table,
    overall_scores,
    per_class_scores,
    score_intervals,
    scores_report,
)
from tfinet_mm.registry import METRICS
from tfinet_mm.structures import (
    GT_CHANGE,
    GT_FROM,
    GT_TO,
    PRED_CHANGE,
    PRED_FROM,
    PRED_TO,
    ClassTable,
    sample_name,
)
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.json_text import json_text
from tfinet_mm.visualization.prediction_files import PredictionFiles


@dataclass(frozen=True)
class RankReport:
    """Message of a rank to the other ranks, by which the padding of the sampler is found.

    Attributes:
        count: Number of samples that the rank has scored.
        first: Name of its first sample, None if it has none.
        last: Name of its last sample.
    """

    count: int
    first: str | None = None
    last: str | None = None


def padded_ranks(reports: Sequence[RankReport], size: int) -> list[int]:
    """Find the ranks whose last sample is padding by the sampler.

    MMEngine's DefaultSampler (and torch's DistributedSampler) gives sample i of
    rank r the position i * ranks + r in the data set. To give every rank the same
    number, it starts again from position 0 after the last. Each rank gets at most
    one repeated sample, so only last samples can be padding.

    Args:
        reports: One report for each rank, in the order of ranks.
        size: Number of samples of the data set.

    Returns:
        The ranks whose last sample must not count.

    Raises:
        SampleCountError: Padding doesn't explain the number of samples: some are
            missing, or the sampler distributes them in another way.

    Example:
        >>> padded_ranks([RankReport(2, 'a', 'c'), RankReport(2, 'b', 'a')], size=3)
        [1]
    """
    ranks, total = len(reports), sum(report.count for report in reports)
    if total == size:
        return []
    padded = {
        rank: (report.count - 1) * ranks + rank
        for rank, report in enumerate(reports)
        if report.count and (report.count - 1) * ranks + rank >= size
    }
    if total - size >= ranks or total - len(padded) != size:
        raise SampleCountError(
            f'the data set has {size} samples, but {total} were scored on {ranks} rank(s) '
            f'({[report.count for report in reports]}); every sample must be scored once, so '
            "validate and test with MMEngine's DefaultSampler and drop_last=False"
        )
    for rank, position in padded.items():
        last, source = reports[rank].last, reports[position % size].first
        if last != source:
            raise SampleCountError(
                f'the last sample of rank {rank}, {last!r}, should repeat {source!r} to fill up '
                'the sampler, but does not; samples in this order can not be scored once each, '
                "so use MMEngine's DefaultSampler"
            )
    return list(padded)


@METRICS.register_module()
class SCDMetric(BaseMetric):
    """Scores of semantic change detection over a data set.

    Sums integer confusion matrices, so that the result depends neither on batch
    size nor on the number of ranks or the padding of the sampler. For the
    confidence intervals it also keeps the counts of each pair that aren't 0, about
    a kilobyte for each. The class names come from the metainfo of the data set.
    :class:`~tfinet_mm.evaluation.SCDConfusion` describes the counts, and
    :mod:`~tfinet_mm.evaluation.functional` has the formulas.

    The returned metrics are ``OA``, ``IoU_unchanged``, ``IoU_changed``, ``mIoU``,
    ``Kappa``, ``SeK``, ``Score``, ``Precision_scd``, ``Recall_scd``, ``Fscd``,
    ``SeK_from_to``, ``Fscd_from_to``, ``change/precision``, ``change/recall``,
    ``change/F1``, ``change/IoU`` and ``change/OA``, in percent; keep the best
    checkpoint with ``CheckpointHook(save_best='Score', rule='greater')``.

    Pairs without annotated land cover (neither ``gt_sem_seg_from`` nor
    ``gt_sem_seg_to``) count in the last five only, the scores of change. If no pair
    has it, the others are left out. If land cover is annotated on one date only, the
    scores of classes are over that date, and ``SeK_from_to`` and ``Fscd_from_to`` are
    left out. The table and the JSON say so.

    Args:
        out_file: JSON file for all scores, the per-class ones and the matrices;
            written by the first rank, replacing an older one. None writes no file.
        per_class: Also return ``IoU_from/NAME``, ``F1_from/NAME``,
            ``IoU_to/NAME`` and ``F1_to/NAME`` of every class. Off by default to
            keep logs readable: the printed table and the JSON always have them.
        prefix: Text in front of the name of each metric, joined by "/".
        output_dir: Folder to write the predicted maps to, ``label1``, ``label2``
            and ``change`` as ``tfinet_mm.PredictionWriterHook`` does. ``--out`` of
            mmseg's ``tools/test.py`` sets this option. None writes no maps.
        keep_results: Not used; mmseg's tool sets it with ``output_dir``.
        resamples: Draws of pairs for the confidence intervals; 0 for none. See
            :func:`~tfinet_mm.evaluation.bootstrap_intervals`.
        seed: Seed of these draws.
        convention: How samples that don't state it count their classes, a name of
            :data:`tfinet_mm.conventions.CONVENTIONS`: for a detector of Open-CD's
            ``'cover_semantic'`` if its ``postprocess_pred_and_label`` is that, else
            ``'land_cover'``. Such samples are refused without. Samples of this package's
            detectors state it.

    Raises:
        ValueError: ``resamples`` is below 0, or ``convention`` no such name.
        MissingLabelsError: A sample to score has no annotated change, or the land cover of
            one date only.
        LabelValueError: A map holds a value out of range, or the size of a
            prediction isn't that of the annotation; the message names the sample.
        SampleCountError: Samples are missing or counted twice, see
            :func:`padded_ranks`.
    """

    result_names = (
        *('OA', 'IoU_unchanged', 'IoU_changed', 'mIoU', 'Kappa', 'SeK', 'Score'),
        *('Precision_scd', 'Recall_scd', 'Fscd', 'SeK_from_to', 'Fscd_from_to'),
        *CHANGE_SCORES,
    )
    """Names of the metrics that are returned for any classes, with annotated land cover."""

    def __init__(
        self,
        out_file: str | None = None,
        per_class: bool = False,
        prefix: str | None = None,
        output_dir: str | None = None,
        keep_results: bool = False,
        resamples: int = RESAMPLES,
        seed: int = 0,
        convention: str | None = None,
    ) -> None:
        # MMEngine warns of metrics without a prefix, which this metric has on purpose.
        super().__init__(prefix=prefix or 'scd')
        self.prefix = prefix
        self.out_file = out_file
        self.per_class = per_class
        if resamples < 0:
            raise ValueError(
                f'SCDMetric takes 0 or more resamples, got {resamples}; use 0 for no intervals'
            )
        self.resamples = resamples
        self.seed = seed
        check_convention(convention)
        self.convention = convention
        self.files = None if output_dir is None else PredictionFiles(output_dir)
        self._reset()

    def _reset(self) -> None:
        self._table: ClassTable | None = None
        self._earlier: SCDConfusion | None = None
        # Kept apart from the sum, since it may be padding of the sampler.
        self._latest: SCDConfusion | None = None
        self._pairs: PairCounts | None = None
        self._report = RankReport(0)
        self._written: set[str] = set()

    def _class_table(self) -> ClassTable:
        if self._table is None:
            self._table = ClassTable.from_metainfo(self.dataset_meta or {})
        return self._table

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Count the pairs of one batch.

        Args:
            data_batch: Not used.
            data_samples: Data samples as dictionaries, with the annotation
                (``gt_sem_seg``, and of both dates or of none ``gt_sem_seg_from``,
                ``gt_sem_seg_to``) and the prediction (``pred_sem_seg``, and for pairs with
                land cover ``pred_sem_seg_from``, ``pred_sem_seg_to``), each with
                ``data`` (1, H, W) or (H, W).
        """
        num_classes = self._class_table().num_classes
        for sample in data_samples:
            # Paths tell apart samples of one name, which the ranks compare.
            name = str(sample.get('sample_id') or sample.get('img_path'))
            change = label_map(sample, GT_CHANGE, name)
            convention = convention_of(sample, self.convention)
            pred_change = label_map(sample, PRED_CHANGE, name)
            if convention != OWN:
                # Open-CD's change heads of one channel give maps of 0.0 and 1.0.
                pred_change = pred_change.long()
            cover_from, cover_to, pred_from, pred_to = self._covers(
                sample, name, pred_change, convention
            )
            try:
                counts = SCDConfusion.from_maps(
                    change, cover_from, cover_to, pred_change, pred_from, pred_to, num_classes
                )
            except LabelValueError as error:
                raise LabelValueError(f'sample {name}: {error}') from error
            if self.files is not None:
                self._write(self.files, {**sample, CONVENTION: convention})
            self._earlier = self._sum()
            self._latest = counts
            if self.resamples:
                self._pairs = self._pairs or PairCounts(num_classes)
                self._pairs.add(counts)
            self._report = RankReport(
                self._report.count + 1, self._report.first if self._report.count else name, name
            )

    @staticmethod
    def _covers(
        sample: dict[str, Any], name: str, change: Tensor, convention: str
    ) -> list[Tensor | None]:
        """Return annotated land cover and predicted semantic change; None if not annotated."""
        if all(sample.get(field) is None for field in (GT_FROM, GT_TO)):
            return [None] * 4
        annotated = (label_map(sample, field, name) for field in (GT_FROM, GT_TO))
        predicted = (label_map(sample, field, name) for field in (PRED_FROM, PRED_TO))
        return [
            *(own_annotation(one, convention) for one in annotated),
            *(own_prediction(one, change, convention) for one in predicted),
        ]

    def _write(self, files: PredictionFiles, sample: dict[str, Any]) -> None:
        """Write the maps of a sample, but never over images, labels or maps of other samples."""
        name = sample_name(sample)
        if not name or name in self._written:
            raise ValueError(
                f"output_dir needs a 'sample_id' of its own for each sample, got {name!r} "
                f'{"again" if name else "for one"}; test one data set at a time, and keep '
                "'sample_id' in meta_keys of tfinet_mm.PackPairInputs"
            )
        self._written.add(name)
        keys = ('seg_map_path', 'seg_map_path_from', 'seg_map_path_to')
        sources = [*(sample.get('img_path') or ()), *(sample.get(key) for key in keys)]
        taken = {Path(source).resolve() for source in sources if source}
        for path in files.paths(name):
            if path.resolve() in taken:
                raise ValueError(
                    f'the prediction of sample {name} would overwrite {path}, which the data set '
                    'reads; choose a folder of its own for the predictions'
                )
        files.write(sample, name, self._class_table().palette)

    def _sum(self) -> SCDConfusion:
        total = self._earlier or SCDConfusion.zeros(self._class_table().num_classes)
        return total if self._latest is None else total + self._latest

    def evaluate(self, size: int) -> dict[str, float]:
        """Pool the counts of all ranks, score them, and reset the counts.

        Args:
            size: Number of samples of the data set.

        Returns:
            The metrics, the same on every rank; see the class.
        """
        reports = all_gather_object(self._report)
        padded = padded_ranks(reports, size)
        num_classes = self._class_table().num_classes
        is_padded = get_rank() in padded
        counts = self._earlier if is_padded else self._sum()
        if counts is None:
            counts = SCDConfusion.zeros(num_classes)
        vector = torch.from_numpy(counts.flatten())
        all_reduce(vector)
        kept = self._pairs or PairCounts(num_classes)
        parts = all_gather_object(kept.pack(len(kept) - is_padded if len(kept) else 0))
        pairs = PairCounts.merge(parts, num_classes)
        metrics = self.compute_metrics([(counts.unflatten(vector.numpy()), size, pairs)])
        self._reset()
        return {f'{self.prefix}/{name}' if self.prefix else name: v for name, v in metrics.items()}

    def compute_metrics(
        self, results: list[tuple[SCDConfusion, int, PairCounts]]
    ) -> dict[str, float]:
        """Score pooled counts; the first rank prints the table and writes the JSON.

        Args:
            results: A single tuple: the counts over the data set, its number of pairs, and the
                counts of each pair.

        Returns:
            The metrics without prefix; see the class.
        """
        ((counts, size, pairs),) = results
        table = self._class_table()
        if is_main_process():
            intervals = score_intervals(pairs, table, self.resamples, self.seed)
            print_log('\n' + format_table(counts, table, size, intervals), logger='current')
            if self.out_file is not None:
                with whole_file(self.out_file) as partial:
                    report = scores_report(counts, table, size, intervals)
                    partial.write_text(json_text(report, indent=None), encoding='utf-8')
        metrics = overall_scores(counts)
        if self.per_class:
            for date, classes in per_class_scores(counts, table).items():
                for name, scores in classes.items():
                    metrics |= {f'{score}_{date}/{name}': v for score, v in scores.items()}
        return metrics


def label_map(sample: dict[str, Any], field: str, name: str) -> Tensor:
    """Return the map (H, W) of a field of a data sample, a dictionary or PixelData."""
    value = sample.get(field)
    if value is None:
        if field in (GT_CHANGE, GT_FROM, GT_TO):
            raise MissingLabelsError(
                f'this data set has no labels to score against: sample {name} lacks {field!r}; '
                'load them with tfinet_mm.LoadPairAnnotations, or predict without scores by '
                'setting test_evaluator=[]'
            )
        raise LabelValueError(
            f'sample {name} lacks the prediction {field!r}; the model must return the fields '
            f'{PRED_CHANGE!r}, {PRED_FROM!r} and {PRED_TO!r}'
        )
    data = value['data'] if isinstance(value, dict) else value.data
    return data.squeeze(0) if data.ndim == 3 else data
