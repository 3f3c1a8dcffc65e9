"""Define the records of a report: numbers of every pair, and the maps of those it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.structures import ClassTable

PICTURE, SCENE = 'picture', 'scene'
PIXELS, HECTARES = 'px', 'ha'

NODATA = 255
"""Value of map pixels without data, or that the annotation leaves out."""


@dataclass(frozen=True, eq=False)
class PairSummary:
    """Numbers of one pair or scene; kept for all of them, however many there are.

    Attributes:
        name: Its name.
        kind: ``'picture'`` or ``'scene'``.
        size: Width and height in pixels.
        matrix: Area (K, K) of the changed part, rows class before, columns class after.
        unchanged: Area that didn't change.
        nodata: Area that isn't seen on both dates.
        histogram: Pixels by P(changed), (bins,), all bins of one width from 0 to 1;
            None where no probabilities were kept.
        histogram_changed: Of those, the pixels annotated as changed.
        facts: Names and texts of :func:`~tfinet_mm.report.facts.scene_facts`, for scenes.
        unit: Unit of the areas, ``'px'`` or ``'ha'``.
        assessment: Areas and accuracies from labelled points, the content of the scene's
            ``assessment/estimate.json``.
        classes: Rows of :meth:`tfinet_mm.scenes.from_to.FromToAreas.by_class`, for a scene that
            has areas of its unchanged classes.
        sentences: The largest net changes of classes in words.
        scores: Scores of this pair, in percent, if it is annotated; see
            :func:`~tfinet_mm.report.statistics.pair_scores`.
        registration: Sentences about the shift between the dates, where it was measured.
        not_seen: Text on the area that isn't seen and the reasons, where there is any.
    """

    name: str
    kind: str
    size: tuple[int, int]
    matrix: np.ndarray
    unchanged: float
    nodata: float = 0.0
    histogram: np.ndarray | None = None
    histogram_changed: np.ndarray | None = None
    scores: Mapping[str, float] | None = None
    facts: Sequence[tuple[str, str]] = ()
    unit: str = PIXELS
    assessment: Mapping[str, Any] | None = None
    classes: Sequence[Mapping[str, Any]] = ()
    sentences: Sequence[str] = ()
    registration: str = ''
    not_seen: str = ''

    @property
    def changed(self) -> float:
        """Return the area that changed."""
        return float(self.matrix.sum())

    @property
    def total(self) -> float:
        """Return the whole area, including the part without data."""
        return self.changed + self.unchanged + self.nodata

    @property
    def changed_share(self) -> float:
        """Return the changed area in percent of that with data, 0 where there is none."""
        known = self.changed + self.unchanged
        return 100 * self.changed / known if known else 0.0


@dataclass(frozen=True)
class Polygon:
    """Changed region of a scene.

    Attributes:
        before: Class before, 1..K.
        after: Class after, 1..K.
        area: Its area, in the unit of the scene.
        probability: Mean P(changed) in it, 0..1, or None.
        box: Left, top, right and bottom as shares 0..1 of the scene's width and height.
        outline: Its parts, each an outer ring and those of its holes, each (n, 2) int64: column
            and row of corners of pixels, the last the first again; empty where it isn't kept.
    """

    before: int
    after: int
    area: float
    probability: float | None
    box: tuple[float, float, float, float]
    outline: Sequence[Sequence[np.ndarray]] = ()


@dataclass(frozen=True, eq=False)
class PairView:
    """Images and maps of one pair as the report shows them, all (H, W), maybe reduced.

    Attributes:
        before: RGB image (H, W, 3) of uint8; None where the file isn't there any more.
        after: The second date.
        labels_from: Class before where it changed, 1..K, 0 unchanged, 255 no data.
        labels_to: Class after.
        probability: P(changed) 0..1, float32, or None.
        annotated_from: Annotated class before, 0..K, 255 left out, or None.
        annotated_to: Annotated class after.
        polygons: The largest changed regions, falling.
        polygon_count: Number of all of them.
        place: Georeference of :func:`~tfinet_mm.report.place.scene_place`, or None.
    """

    before: np.ndarray | None
    after: np.ndarray | None
    labels_from: np.ndarray
    labels_to: np.ndarray
    probability: np.ndarray | None = None
    annotated_from: np.ndarray | None = None
    annotated_to: np.ndarray | None = None
    polygons: Sequence[Polygon] = ()
    polygon_count: int = 0
    place: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class SeriesRow:
    """Row of a table: an area, and its colour in a map.

    Attributes:
        name: The interval, the date or the number of changes.
        area: Its area, in the unit of the series.
        share: The area in percent of that with data, or None.
        first: Area that changed first in the interval, or None.
        colour: Colour in the map, or None.
    """

    name: str
    area: float
    share: float | None = None
    first: float | None = None
    colour: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class SeriesTotals:
    """Totals of a series, over each place once.

    Attributes:
        folder: Its folder.
        dates: Its dates.
        unit: ``'px'`` or ``'ha'``.
        intervals: Changed areas of the intervals.
        times: Areas by the number of changes, 0 first.
        contradictions: Areas on which the two predictions of a date in the middle differ.
        not_seen: Area without data in every interval.
    """

    folder: Path
    dates: tuple[str, ...]
    unit: str
    intervals: tuple[SeriesRow, ...]
    times: tuple[SeriesRow, ...]
    contradictions: tuple[SeriesRow, ...]
    not_seen: float

    @property
    def changed(self) -> float:
        """Return the area that changed at least once."""
        return sum(one.area for one in self.times[1:])

    @property
    def total(self) -> float:
        """Return the whole area, including the part without data."""
        return self.times[0].area + self.changed + self.not_seen


@dataclass(frozen=True, eq=False)
class ReportData:
    """Data of a report.

    Attributes:
        table: Names and colours of the classes.
        summaries: Every finished pair.
        view: Function from a place in ``summaries``, the longest side and the number of
            polygons wanted to the maps of that pair; called for those that are shown only.
        threshold: P(changed) from which a pixel is changed, if it is known.
        scores: Scores as ``tools/test.py --json`` writes them, for test runs.
        reliability: Content of :func:`~tfinet_mm.evaluation.reliability.reliability_report`, for
            tests that counted it.
        settings: Settings of the predictions, shown unchanged.
        unfinished: Names of pairs that aren't predicted yet.
        series: Totals of a series, whose pairs share their places, so that no sums over pairs
            are shown.
    """

    table: ClassTable
    summaries: Sequence[PairSummary]
    view: Callable[[int, int, int], PairView]
    threshold: float | None = None
    scores: Mapping[str, Any] | None = None
    reliability: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    unfinished: Sequence[str] = ()
    series: SeriesTotals | None = None
