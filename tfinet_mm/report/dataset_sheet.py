"""Write the contact sheet of a checked data set: one HTML page of its strangest pairs."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfinet_mm.datasets.check import DatasetReport, Problem, StrangePair, load_pair
from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.errors import TFINetError
from tfinet_mm.report.encoding import jpeg_uri
from tfinet_mm.report.template_files import static, templates
from tfinet_mm.structures import IGNORE_INDEX, SEG_CHANGE, SEG_FROM, SEG_TO, ClassTable
from tfinet_mm.utils.files import whole_file
from tfinet_mm.version import __version__
from tfinet_mm.visualization import change_errors, display_image
from tfinet_mm.visualization.canvas import panel_size, resized
from tfinet_mm.visualization.overlay import DATES, change_panel, cover_panel

MIN_SIDE, MAX_SIDE = 160, 256
"""Longer side in pixels to which small pairs are enlarged, and large ones reduced."""
MOST_PROBLEMS = 20


def write_sheet(
    file: str | Path,
    reports: Mapping[str, DatasetReport],
    datasets: Mapping[str, SCDDataset],
    pairs: Sequence[StrangePair],
    *,
    problems: Sequence[Problem] = (),
    title: str = 'Data set',
) -> Path:
    """Write one page, without any script, with numbers of each split and pictures of pairs.

    Args:
        file: HTML file to write; it appears once it is complete.
        reports: Reports by the name of the split.
        datasets: The data set of each report.
        pairs: Pairs to show, with the reasons.
        problems: Problems of all splits together, such as leaks.
        title: Heading of the page.

    Returns:
        The file.

    Raises:
        MissingExtraError: jinja2 is missing.
    """
    page = (
        templates()
        .get_template('sheet.html.j2')
        .render(
            title=title,
            version=__version__,
            date=datetime.date.today().isoformat(),
            splits=[_split(name, report) for name, report in reports.items()],
            problems=problems,
            legends=_legends(reports),
            pairs=[_entry(pair, datasets) for pair in pairs],
            static=static,
        )
    )
    file = Path(file)
    with whole_file(file) as partial:
        partial.write_text(page, encoding='utf-8', errors='backslashreplace')
    return file


def _split(name: str, report: DatasetReport) -> dict[str, Any]:
    totals = np.maximum(report.class_counts.sum(axis=1), 1)
    shares = 100 * report.class_counts / totals[:, None]
    return dict(
        name=name,
        report=report,
        sizes=[(width, height, number) for (height, width), number in report.sizes.most_common(3)],
        classes=[
            dict(name=one, colour=_css(colour), before=shares[0, row], after=shares[1, row])
            for row, (one, colour) in enumerate(
                zip(report.table.land_cover, report.table.palette[1:], strict=True)
            )
        ]
        if report.class_counts.any()
        else [],
        transitions=report.frequent_transitions()[:8],
        problems=report.problems[:MOST_PROBLEMS],
        more=max(0, len(report.problems) - MOST_PROBLEMS),
    )


def _css(colour: Sequence[int]) -> str:
    return '#' + ''.join(f'{int(value):02x}' for value in colour)


def _legends(reports: Mapping[str, DatasetReport]) -> list[list[tuple[str, str]]]:
    """Return names and colours of the classes, once for each table."""
    tables = dict.fromkeys(report.table for report in reports.values())
    return [
        [
            (name, _css(colour))
            for name, colour in zip(table.land_cover, table.palette[1:], strict=True)
        ]
        for table in tables
    ]


def _entry(pair: StrangePair, datasets: Mapping[str, SCDDataset]) -> dict[str, Any]:
    """Return a pair for the template, with its pictures or the reason why there are none."""
    entry: dict[str, Any] = dict(pair=pair, pictures=[], twin=[], error='')
    try:
        dataset = datasets[pair.split]
        loaded = load_pair(dataset, pair.index)
        entry['pictures'] = list(_pictures(loaded, dataset.class_table))
        if pair.twin is not None:
            split, index, name = pair.twin
            twin = load_pair(datasets[split], index)
            entry['twin'] = [(f'{name} {date}', uri) for date, uri in list(_images(twin))]
    except (TFINetError, OSError) as error:
        entry['error'] = str(error)
    return entry


def _dates(loaded: Mapping[str, Any]) -> tuple[list[np.ndarray], tuple[int, int]]:
    image = loaded['img']
    bands = image.shape[2] // 2
    shown = [display_image(_bytes(one)) for one in (image[..., :bands], image[..., bands:])]
    return shown, panel_size(image.shape[0], image.shape[1], MIN_SIDE, MAX_SIDE)


def _bytes(image: np.ndarray) -> np.ndarray:
    """Return loaded values, which are 0..255 of any type, as 8 bits."""
    return image if image.dtype == np.uint8 else np.clip(image, 0, 255).astype(np.uint8)


def _images(loaded: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    shown, size = _dates(loaded)
    for date, image in zip(DATES, shown, strict=True):
        yield date, _uri(resized(image, size, smooth=True))


def _pictures(loaded: Mapping[str, Any], table: ClassTable) -> Iterator[tuple[str, str]]:
    yield from _images(loaded)
    shown, size = _dates(loaded)
    change = loaded.get(SEG_CHANGE)
    ignored = None if change is None else change == IGNORE_INDEX
    for date, image, field in zip(DATES, shown, (SEG_FROM, SEG_TO), strict=True):
        if (cover := loaded.get(field)) is not None:
            yield f'label {date}', _uri(cover_panel(cover, image, table, size, ignored))
    if change is not None:
        errors = change_errors((change == 1).astype(np.uint8), change)
        yield 'change', _uri(change_panel(errors, shown[1], size))


def _uri(picture: Image.Image) -> str:
    return jpeg_uri(np.asarray(picture.convert('RGB')))
