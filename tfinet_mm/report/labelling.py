"""Write the page on which the points of an assessment are labelled: one HTML file, offline.

The page has chips and the names of the classes. It knows nothing of the map, so that labels don't
depend on it.
"""

from __future__ import annotations

import base64
from pathlib import Path

from tfinet_mm.errors import ReportError
from tfinet_mm.report.template_files import static, templates
from tfinet_mm.scenes.assessment.chips import DATES
from tfinet_mm.scenes.assessment.estimate import sample_hash
from tfinet_mm.scenes.assessment.files import chip_file
from tfinet_mm.scenes.assessment.sample import read_sample
from tfinet_mm.utils.files import whole_file
from tfinet_mm.version import __version__

PAGE_FILE = 'label.html'


def write_labelling_page(folder: str | Path) -> Path:
    """Write the page of a sample.

    Args:
        folder: Folder of the sample, with chips.

    Returns:
        ``label.html`` in it, which holds all chips and can be given to another person alone.

    Raises:
        AssessmentError: There is no sample.
        ReportError: A chip is missing.
        MissingExtraError: jinja2 is not installed.
    """
    sample = read_sample(folder)
    folder = Path(sample['folder'])
    try:
        points = [
            dict(id=number) | {date: _uri(folder / chip_file(number, date)) for date in DATES}
            for number in range(1, sample['points'] + 1)
        ]
    except FileNotFoundError as error:
        raise ReportError(
            f'the chip {error.filename} is missing, expected one of each point and date; draw the '
            'sample again, without --no-chips'
        ) from error
    data = dict(
        sample=sample_hash(sample),
        classes=sample['classes'],
        palette=sample['palette'],
        chip=sample['chip'],
        points=points,
    )
    page = (
        templates()
        .get_template('labelling.html.j2')
        .render(data=data, version=__version__, static=static)
    )
    path = folder / PAGE_FILE
    with whole_file(path) as partial:
        partial.write_text(page, encoding='utf-8')
    return path


def _uri(path: Path) -> str:
    return f'data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode("ascii")}'
