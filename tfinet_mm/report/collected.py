"""Collect a test run pair by pair: numbers of all, maps of those a report may show."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tfinet_mm.evaluation import PairCounts, SCDConfusion, score_intervals, scores_report
from tfinet_mm.report.encoding import reduce_view
from tfinet_mm.report.folder import shown_image
from tfinet_mm.report.records import (
    NODATA,
    PICTURE,
    PairSummary,
    PairView,
    ReportData,
)
from tfinet_mm.report.statistics import (
    count_probabilities,
    count_transitions,
    pair_orders,
    pair_scores,
)
from tfinet_mm.structures import ClassTable
from tfinet_mm.visualization.overlay import PairMaps

Packed: TypeAlias = dict[str, tuple[tuple[int, int], bytes]]
"""Maps of a pair by name, each as its shape and its compressed values."""


@dataclass(frozen=True, eq=False)
class TestedPair:
    """Numbers of one tested pair.

    Attributes:
        place: Its place in the data set.
        summary: Its numbers.
        counts: Places and values of the counts that aren't 0, of
            :meth:`~tfinet_mm.evaluation.SCDConfusion.flatten`; None without labels.
        paths: Image files before and after.
        window: Part of the files that the pair is, or None.
    """

    place: int
    summary: PairSummary
    counts: tuple[np.ndarray, np.ndarray] | None
    paths: tuple[str, str]
    window: Sequence[int] | None


class PairCollector:
    """Collection of the pairs of one process in bounded memory.

    A few hundred bytes are kept of every pair. Maps are kept of those that may be
    among the worst, the best and the most changed pairs of all, compressed and at
    the size of the report.

    Args:
        num_classes: Number K of land-cover classes.
        max_pairs: Greatest number of pairs to show.
        max_side: Longer side in pixels at which they are shown.
    """

    def __init__(self, num_classes: int, max_pairs: int, max_side: int) -> None:
        self.num_classes = num_classes
        self.max_pairs = max_pairs
        self.max_side = max_side
        self.pairs: list[TestedPair] = []
        self.maps: dict[str, Packed] = {}

    def add(
        self,
        place: int,
        name: str,
        maps: PairMaps,
        counts: SCDConfusion | None,
        paths: Sequence[str],
        window: Sequence[int] | None,
    ) -> None:
        """Count a pair, and keep its maps while they may be needed."""
        nodata = np.zeros_like(maps.predicted_from)
        labels = [
            np.where(maps.predicted_change == 1, one, nodata).astype(np.uint8)
            for one in (maps.predicted_from, maps.predicted_to)
        ]
        matrix, unchanged, missing = count_transitions(labels[0], labels[1], self.num_classes)
        height, width = labels[0].shape
        prob = maps.change_prob
        changed = None
        if prob is not None and maps.change is not None:
            changed = count_probabilities(prob[maps.change == 1])
        summary = PairSummary(
            name,
            PICTURE,
            (width, height),
            matrix,
            unchanged,
            missing,
            histogram=None if prob is None else count_probabilities(prob),
            histogram_changed=changed,
            scores=None if counts is None else pair_scores(counts),
        )
        self.pairs.append(
            TestedPair(
                place,
                summary,
                None if counts is None else _sparse(counts),
                (str(paths[0]), str(paths[1])),
                window,
            )
        )
        view = reduce_view(
            PairView(
                None,
                None,
                labels[0],
                labels[1],
                prob,
                maps.annotated_from,
                maps.annotated_to,
            ),
            self.max_side,
        )
        self.maps[name] = _pack(view)
        if len(self.maps) > 6 * self.max_pairs:
            self.prune()

    def prune(self) -> None:
        """Forget the maps of pairs that the report can't show any more."""
        pairs = sorted(self.pairs, key=lambda pair: pair.place)
        orders = pair_orders([pair.summary for pair in pairs])
        keep = {pairs[i].summary.name for order in orders for i in order[: self.max_pairs]}
        self.maps = {name: maps for name, maps in self.maps.items() if name in keep}


def report_data(
    parts: Iterable[tuple[Sequence[TestedPair], Mapping[str, Packed]]],
    table: ClassTable,
    threshold: float | None,
    settings: Mapping[str, Any],
    bands: Sequence[int] | None = None,
    reliability: Mapping[str, Any] | None = None,
) -> ReportData:
    """Return the data of a report on the pairs that all processes collected.

    Args:
        parts: ``pairs`` and ``maps`` of the :class:`PairCollector` of each process.
            A pair that two of them tested counts once.
        table: Classes of the data set.
        threshold: P(changed) from which a pixel is changed, if it is known.
        settings: Settings of the test to show.
        bands: Bands of the images to show.
        reliability: Content of :func:`~tfinet_mm.evaluation.reliability.reliability_report`.
    """
    unique: dict[str, TestedPair] = {}
    maps: dict[str, Packed] = {}
    for tested, packed in parts:
        maps |= packed
        for pair in tested:
            unique.setdefault(pair.summary.name, pair)
    pairs = sorted(unique.values(), key=lambda pair: pair.place)
    return ReportData(
        table,
        [pair.summary for pair in pairs],
        _viewer(pairs, maps, bands),
        threshold=threshold,
        scores=_scores(pairs, table),
        reliability=reliability,
        settings=settings,
    )


def _viewer(
    pairs: Sequence[TestedPair], maps: Mapping[str, Packed], bands: Sequence[int] | None
) -> Callable[[int, int, int], PairView]:
    def view(place: int, max_side: int, max_polygons: int) -> PairView:
        pair = pairs[place]
        images = [shown_image(path, bands, pair.window) for path in pair.paths]
        found = _unpack(maps[pair.summary.name])
        return PairView(
            images[0],
            images[1],
            found['from'],
            found['to'],
            found.get('probability'),
            found.get('annotated_from'),
            found.get('annotated_to'),
        )

    return view


def _scores(pairs: Sequence[TestedPair], table: ClassTable) -> dict[str, Any] | None:
    zeros = SCDConfusion.zeros(table.num_classes)
    total = zeros.flatten()
    scored = [pair.counts for pair in pairs if pair.counts is not None]
    if not scored:
        return None
    collected = PairCounts(table.num_classes)
    for indices, values in scored:
        total[indices] += values
        vector = np.zeros_like(total)
        vector[indices] = values
        collected.add(zeros.unflatten(vector))
    # In the order that SCDMetric has too, so that both draw the same pairs.
    collected = PairCounts.merge([collected.pack()], table.num_classes)
    intervals = score_intervals(collected, table)
    return scores_report(zeros.unflatten(total), table, len(scored), intervals)


def _sparse(counts: SCDConfusion) -> tuple[np.ndarray, np.ndarray]:
    vector = counts.flatten()
    indices = np.flatnonzero(vector)
    return indices.astype(np.int32), vector[indices]


def _pack(view: PairView) -> Packed:
    maps = {
        'from': view.labels_from,
        'to': view.labels_to,
        'annotated_from': view.annotated_from,
        'annotated_to': view.annotated_to,
    }
    if view.probability is not None:
        finite = np.isfinite(view.probability)
        steps = np.where(finite, view.probability, 0).clip(0, 1) * 254 + 0.5
        maps['probability'] = np.where(finite, steps, NODATA).astype(np.uint8)
    return {
        name: (one.shape, zlib.compress(np.ascontiguousarray(one, np.uint8).tobytes(), 1))
        for name, one in maps.items()
        if one is not None
    }


def _unpack(packed: Packed) -> dict[str, np.ndarray]:
    maps: dict[str, np.ndarray] = {
        name: np.frombuffer(zlib.decompress(data), np.uint8).reshape(shape)
        for name, (shape, data) in packed.items()
    }
    if 'probability' in maps:
        steps = maps['probability']
        maps['probability'] = np.where(steps == NODATA, np.nan, steps / np.float32(254))
    return maps
