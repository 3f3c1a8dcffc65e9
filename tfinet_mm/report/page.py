"""Write the HTML file of a report."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import MissingExtraError, ReportError
from tfinet_mm.report.basemap import Basemap
from tfinet_mm.report.encoding import (
    CHANGE_COLOUR,
    NODATA_COLOUR,
    PROBABILITY_STEPS,
    jpeg_uri,
    map_uri,
    probability_uri,
    reduce_view,
    thumbnail_uri,
)
from tfinet_mm.report.folder import read_folder
from tfinet_mm.report.records import (
    NODATA,
    PairSummary,
    PairView,
    ReportData,
)
from tfinet_mm.report.statistics import choose_pairs
from tfinet_mm.report.template_files import static, templates
from tfinet_mm.utils.files import whole_file
from tfinet_mm.version import __version__

SCRIPTS = (
    *('png.js', 'place.js', 'lists.js', 'viewer.js', 'plots.js', 'tables.js', 'changes.js'),
    'basemap.js',
    'app.js',
)
HEADLINE = ('Score', 'SeK', 'mIoU', 'Fscd', 'OA', 'Kappa', 'change/F1')
CHANGE_HEADLINE = ('change/IoU', 'change/F1', 'change/precision', 'change/recall', 'change/OA')
"""Scores at the top where no land cover is annotated."""


def write_report(
    out: str | Path,
    file: str | Path | None = None,
    *,
    title: str | None = None,
    max_pairs: int = 24,
    max_side: int = 2048,
    max_polygons: int = 200,
    basemap: Basemap | None = None,
) -> Path:
    """Write the page of a folder that ``tools/predict.py`` wrote.

    Args:
        out: The folder, with its ``manifest.json``.
        file: HTML file to write; ``report.html`` in the folder by default.
        title: Heading of the page; the name of the folder by default.
        max_pairs: Greatest number of pairs to show; an index lists all of them.
        max_side: Longer side in pixels to which images and maps are reduced.
        max_polygons: Greatest number of polygons of a scene to list, the largest ones.
        basemap: Tiles that a button of the page shows below scenes; the page can load nothing
            without.

    Returns:
        The file.

    Raises:
        FileNotFoundError: There is no such folder, or no manifest in it.
        ReportError: Nothing in it is finished, it can't be read, or a number is out of range.
        MissingExtraError: jinja2 or plotly is missing, or rasterio for a scene.
    """
    out = Path(out)
    file = out / 'report.html' if file is None else Path(file)
    check_report(max_pairs, max_side, max_polygons)
    data = read_folder(out)
    return save_report(
        data,
        file,
        title=title or f'Changes in {out.resolve().name}',
        max_pairs=max_pairs,
        max_side=max_side,
        max_polygons=max_polygons,
        basemap=basemap,
    )


def save_report(
    data: ReportData,
    file: str | Path,
    *,
    title: str,
    max_pairs: int = 24,
    max_side: int = 2048,
    max_polygons: int = 200,
    basemap: Basemap | None = None,
) -> Path:
    """Write the page of pairs that are in memory; arguments as of :func:`write_report`.

    The file appears once it is complete.
    """
    check_report(max_pairs, max_side, max_polygons)
    environment, plotly = _environment()
    chosen = choose_pairs(data.summaries, max_pairs)
    # Encoded one by one, so that memory holds only the text of each pair.
    pairs = [_pair(data, place, reason, max_side, max_polygons) for place, reason in chosen.items()]
    groups = _groups(data)
    page = environment.get_template('report.html.j2').render(
        title=title,
        data=data,
        version=__version__,
        date=datetime.date.today().isoformat(),
        groups=groups,
        pairs=pairs,
        shared=_shared(data, pairs, groups) | dict(basemap=basemap and basemap.address),
        basemap=basemap,
        rows=list(_rows(data, list(chosen))),
        series=_series(data, max_side),
        nodata_colour=NODATA_COLOUR,
        totalled=[one for one in data.summaries if one.classes],
        assessed=[one for one in data.summaries if one.assessment],
        scored=any(one.scores is not None for one in data.summaries),
        headline=_headline((data.scores or {}).get('scores', {})),
        settings=list(_settings(data.settings)),
        max_side=max_side,
        static=static,
        scripts=SCRIPTS,
        plotly=plotly,
    )
    file = Path(file)
    with whole_file(file) as partial:
        partial.write_text(page, encoding='utf-8', errors='backslashreplace')
    return file


def report_file(path: str | Path) -> Path:
    """Return the file of a report, ``report.html`` where a folder is given.

    Example:
        >>> report_file('a/b.html').as_posix(), report_file('a/b').as_posix()
        ('a/b.html', 'a/b/report.html')
    """
    path = Path(path)
    named = path.suffix.lower() in ('.html', '.htm') and not path.is_dir()
    return path if named else path / 'report.html'


def say_older_report(out: str | Path, results: Iterable[Path]) -> None:
    """Print that a folder's page is of earlier results, where it is.

    Args:
        out: The folder, after predictions without a report.
        results: Files of them; the page is written after all it shows.
    """
    file = report_file(out)
    if not file.is_file():
        return
    written = file.stat().st_mtime_ns
    if any(one.stat().st_mtime_ns > written for one in results):
        print(f'{file} shows earlier results; --report writes it again')


def check_report(max_pairs: int = 24, max_side: int = 2048, max_polygons: int = 200) -> None:
    """Raise the errors of :func:`write_report` before minutes are spent on predictions.

    Raises:
        ReportError: A number is out of range.
        MissingExtraError: jinja2 or plotly is missing.
    """
    if max_pairs < 1 or max_side < 16 or max_polygons < 0:
        raise ReportError(
            'a report needs max_pairs of 1 or more, max_side of 16 or more and max_polygons of 0 '
            f'or more, got {max_pairs}, {max_side} and {max_polygons}'
        )
    _environment()


def _environment() -> tuple[Any, str]:
    """Return the templates, every value escaped, and the plotting library as text."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtraError(
            f'a report needs {error.name}: pip install "tfinet-mm[report]"'
        ) from error
    return templates(), get_plotlyjs()


def _groups(data: ReportData) -> list[dict[str, Any]]:
    """Return groups of pairs whose areas can be added up."""
    kinds = {(one.kind, one.unit): None for one in data.summaries}
    return [_group(data, kind, unit) for kind, unit in kinds]


def _numbers(matrix: np.ndarray) -> list[list[float]]:
    return [[round(float(value), 6) for value in row] for row in matrix]


def _group(data: ReportData, kind: str, unit: str) -> dict[str, Any]:
    parts = [one for one in data.summaries if (one.kind, one.unit) == (kind, unit)]
    matrix = sum((one.matrix for one in parts), np.zeros(1))
    total = PairSummary(
        '',
        kind,
        (0, 0),
        matrix,
        sum(one.unchanged for one in parts),
        sum(one.nodata for one in parts),
        histogram=_summed([one.histogram for one in parts]),
        histogram_changed=_summed([one.histogram_changed for one in parts]),
        unit=unit,
    )
    classes = [
        dict(
            index=index + 1,
            name=name,
            before=float(matrix[index].sum()),
            after=float(matrix[:, index].sum()),
        )
        for index, name in enumerate(data.table.land_cover)
    ]
    return dict(
        kind=kind,
        count=len(parts),
        unit=unit,
        total=total,
        matrix=matrix,
        classes=classes,
        json=_areas(total),
    )


def _series(data: ReportData, max_side: int) -> dict[str, str] | None:
    """Return the maps of a series over its last image."""
    if data.series is None:
        return None
    # Imported here, so that pictures need no rasterio.
    from tfinet_mm.report.series import series_maps

    last = data.view(len(data.summaries) - 1, max_side, 0)
    return series_maps(data.series, last.after, max_side)


def _summed(histograms: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [one for one in histograms if one is not None]
    return sum(known[1:], known[0]) if known else None


def _areas(one: PairSummary) -> dict[str, Any]:
    """Return the numbers for plots and tables of a pair, or of all."""
    return dict(
        kind=one.kind,
        unit=one.unit,
        matrix=_numbers(one.matrix),
        changed=round(one.changed, 6),
        unchanged=round(float(one.unchanged), 6),
        nodata=round(float(one.nodata), 6),
        total=round(one.total, 6),
        share=one.changed_share,
        histogram=None if one.histogram is None else one.histogram.tolist(),
        histogramChanged=(
            None if one.histogram_changed is None else one.histogram_changed.tolist()
        ),
    )


def _pair(
    data: ReportData, place: int, reason: str, max_side: int, max_polygons: int
) -> dict[str, Any]:
    """Return one embedded pair: its values for the template, and its data for the viewer."""
    summary = data.summaries[place]
    view = reduce_view(data.view(place, max_side, max_polygons), max_side)
    height, width = view.labels_from.shape
    return dict(
        name=summary.name,
        place=place,
        reason=reason,
        summary=summary,
        thumbnail=thumbnail_uri(view),
        json=dict(
            name=summary.name,
            reason=reason,
            size=list(summary.size),
            shown=[width, height],
            scores=None if summary.scores is None else dict(summary.scores),
            areas=_areas(summary),
            registration=summary.registration,
            notSeen=summary.not_seen,
            **_maps(view, data),
            polygons=[
                [
                    one.before,
                    one.after,
                    round(one.area, 6),
                    one.probability,
                    list(one.box),
                    [[_steps(ring) for ring in part] for part in one.outline],
                ]
                for one in view.polygons[:max_polygons]
            ],
            polygonCount=view.polygon_count,
            facts=[list(fact) for fact in summary.facts],
            place=view.place,
        ),
    )


def _steps(ring: np.ndarray) -> list[int]:
    """Return column and row of a ring's first corner, then the steps to each next one."""
    return np.diff(ring, axis=0, prepend=0).ravel().tolist()


def _maps(view: PairView, data: ReportData) -> dict[str, str | None]:
    labels = {
        'from': view.labels_from,
        'to': view.labels_to,
        'annotatedFrom': view.annotated_from,
        'annotatedTo': view.annotated_to,
    }
    images = {'before': view.before, 'after': view.after}
    return {
        **{name: None if one is None else jpeg_uri(one) for name, one in images.items()},
        **{
            name: None if one is None else map_uri(one, data.table.palette)
            for name, one in labels.items()
        },
        'probability': None if view.probability is None else probability_uri(view.probability),
    }


def _shared(
    data: ReportData,
    pairs: Sequence[Mapping[str, Any]],
    groups: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the data that the scripts need besides the pairs."""
    return dict(
        classes=list(data.table.names),
        palette=[list(colour) for colour in data.table.palette],
        nodata=NODATA,
        changeColour=list(CHANGE_COLOUR),
        probabilitySteps=PROBABILITY_STEPS,
        threshold=data.threshold,
        pairs=len(pairs),
        groups=[group['json'] for group in groups],
        perClass=(data.scores or {}).get('per_class') or None,
        present=_present(data.scores) if data.scores and data.scores.get('per_class') else None,
        reliability=data.reliability and data.reliability['bins'],
    )


def _headline(scores: Mapping[str, Any]) -> list[str]:
    names = HEADLINE if HEADLINE[0] in scores else CHANGE_HEADLINE
    return [name for name in names if name in scores]


def _present(scores: Mapping[str, Any]) -> dict[str, list[bool]]:
    """Return whether each class is annotated or predicted; its scores are 0 otherwise."""
    result = {}
    for date in ('from', 'to'):
        matrix = np.array(scores['confusion'][f'date_{date}'])
        shown = (matrix.sum(0) + matrix.sum(1) > 0) & (date in scores['per_class'])
        result[date] = shown.tolist()
    return result


def _rows(data: ReportData, chosen: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the index: every pair, with its largest transition."""
    shown = {place: number for number, place in enumerate(chosen)}
    names = data.table.land_cover
    for place, one in enumerate(data.summaries):
        before, after = np.unravel_index(int(one.matrix.argmax()), one.matrix.shape)
        yield dict(
            summary=one,
            shown=shown.get(place),
            main=f'{names[before]} → {names[after]}' if one.changed else None,
        )


def _settings(settings: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, str]]:
    """Yield every setting by its name, with a dot before those within others."""
    for name, value in settings.items():
        parts = value if isinstance(value, list | tuple) else ()
        if parts and all(isinstance(part, Mapping) for part in parts):
            value = {str(number): part for number, part in enumerate(parts, start=1)}
        if isinstance(value, Mapping) and value:
            yield from _settings(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', _setting(value)


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if value is None or value == [] or value == {}:
        return 'none'
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return ', '.join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
