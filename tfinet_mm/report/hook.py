"""Write the report of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from tfinet_mm.checkpoints.weights import unwrapped
from tfinet_mm.engine.hooks.sample_info import (
    check_names_differ,
    class_table,
    dataset_index,
    file_name,
)
from tfinet_mm.evaluation import ReliabilityMetric, SCDConfusion
from tfinet_mm.evaluation.reliability import reliability_report
from tfinet_mm.registry import HOOKS
from tfinet_mm.report import (
    PairCollector,
    check_report,
    report_data,
    save_report,
)
from tfinet_mm.structures import GT_CHANGE, GT_FROM, GT_TO
from tfinet_mm.visualization import PairMaps, field_array, land_cover_array


@HOOKS.register_module()
class ReportHook(Hook):
    """Write one HTML page over a test: scores, the worst and best pairs, an index of all.

    Every process counts its own pairs and keeps the maps of those that may be
    shown; the first one writes the page, in which each pair counts once. The
    images are read again from their files. Pairs without annotation are shown
    without scores. A :class:`~tfinet_mm.evaluation.ReliabilityMetric` of the test adds the
    reliability of P(changed). See :func:`~tfinet_mm.report.write_report`.

    Args:
        file: HTML file to write.
        title: Heading of the page; names the data set by default.
        settings: Settings of the test to show.
        max_pairs: Greatest number of pairs to show.
        max_side: Longer side in pixels to which they are reduced.
        bands: Numbers of the bands to show, counted from 1, one or three. The
            default is RGB, or the first three bands, or the first.

    Raises:
        ReportError: A number is out of range.
        MissingExtraError: jinja2 or plotly is missing.
        ValueError: Later: a sample has no ``sample_id``, or the data set no classes.
    """

    priority = 'LOW'

    def __init__(
        self,
        file: str,
        title: str | None = None,
        settings: Mapping[str, Any] | None = None,
        max_pairs: int = 24,
        max_side: int = 2048,
        bands: Sequence[int] | None = None,
    ) -> None:
        check_report(max_pairs, max_side)
        self.file = Path(file)
        self.title = title
        self.settings = dict(settings or {})
        self.max_pairs = max_pairs
        self.max_side = max_side
        self.bands = bands
        self._seen = 0

    def before_test_epoch(self, runner: Runner) -> None:
        """Start with no pairs."""
        check_names_differ(runner.test_dataloader.dataset)
        self._table = class_table(runner.test_dataloader)
        self._collector = PairCollector(self._table.num_classes, self.max_pairs, self.max_side)
        self._seen = 0

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Count the pairs of one batch.

        Args:
            runner: Not used.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Data samples with predictions, with or without annotation.
        """
        for sample in outputs or ():
            maps = PairMaps.from_sample(sample)
            change = field_array(sample, GT_CHANGE)
            before, after = (land_cover_array(sample, field) for field in (GT_FROM, GT_TO))
            counts = None
            if change is not None and (before is None) == (after is None):
                counts = SCDConfusion.from_maps(
                    change,
                    before,
                    after,
                    maps.predicted_change,
                    maps.predicted_from,
                    maps.predicted_to,
                    self._table.num_classes,
                )
            place = dataset_index(self._seen)
            self._seen += 1
            window = sample.get('window')
            self._collector.add(place, file_name(sample), maps, counts, sample.img_path, window)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Bring the pairs of all processes together and write the page.

        Args:
            runner: The runner.
            metrics: Not used; the scores are counted from the same pairs.
        """
        self._collector.prune()
        parts = all_gather_object((self._collector.pairs, self._collector.maps))
        if not is_main_process():
            return
        options = getattr(unwrapped(runner.model), 'test_cfg', None) or {}
        data = report_data(
            parts,
            self._table,
            options.get('threshold'),
            self.settings,
            self.bands,
            _reliability(runner),
        )
        if not data.summaries:
            print_log('No report: nothing was tested', logger='current')
            return
        save_report(
            data,
            self.file,
            title=self.title or f'Test of {Path(runner.cfg.filename or "a network").stem}',
            max_pairs=self.max_pairs,
            max_side=self.max_side,
        )
        print_log(f'Report: {self.file}', logger='current')


def _reliability(runner: Runner) -> dict[str, Any] | None:
    """Return the reliability of P(changed), None where the test doesn't count it."""
    for metric in runner.test_loop.evaluator.metrics:
        if isinstance(metric, ReliabilityMetric) and metric.found is not None:
            return reliability_report(metric.found.total, metric.bins)
    return None
