"""Test the page of a series against its maps and a count of their pixels."""

import base64
import io
import json
import re

import numpy as np
import pytest
from finished_scene import CLASSES, finished_scene
from PIL import Image

from tfinet_mm.errors import ReportError
from tfinet_mm.report import write_report
from tfinet_mm.scenes.series.maps import write_series

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
pytest.importorskip('plotly')

SHAPE = 30, 40
DATES = ['2015', '2018', '2023']
COVERS = np.ones((2, *SHAPE), np.uint8)


@pytest.fixture
def series(tmp_path, manifest):
    """Two pairs of 30 x 40 pixels of 10 m: A and B changed first, then A again and C."""
    for number, places in enumerate(([0, 1], [0, 2])):
        prob = np.zeros(SHAPE, np.float32)
        for place in places:
            prob[:, 10 * place : 10 * place + 10] = 1
        covers = COVERS.copy()
        prob[:5, 35:] = np.nan
        covers[:, :5, 35:] = 0
        finished_scene(tmp_path / str(number), prob, *covers)
    names = ['0/scene', '1/scene']
    write_series(tmp_path, names, DATES)
    pairs = [dict(name=name, kind='scene', before='x', after='y') for name in names]
    colours = dict(class_names=CLASSES.names, palette=CLASSES.palette)
    manifest(tmp_path, pairs, **colours)
    return tmp_path


def cells(text, label):
    table = re.search(rf'aria-label="{label}".*?</table>', text, re.DOTALL)[0]
    rows = re.findall(r'<tr>(.*?)</tr>', table, re.DOTALL)[1:]
    plain = [
        [re.sub('<.*?>', '', one) for one in re.findall(r'<t[hd].*?</t[hd]>', row)] for row in rows
    ]
    return [[one.replace('\u202f', ' ') for one in row] for row in plain]


def test_each_place_counts_once(series):
    text = write_report(series).read_text(encoding='utf-8')
    overview = re.search(r'<section id="overview".*?</section>', text, re.DOTALL)[0]
    found = dict(re.findall(r'<dt>(.*?)</dt><dd>(.*?)<', overview))
    # 1175 pixels of 0.01 ha have data, and 900 of them changed at least once.
    assert found == {
        'Dates': '3', 'Changed at least once': '76.6\u202f%', 'Never changed': '2.75',
        'Not seen': '0.25', 'Total': '12.00',
    }  # fmt: skip
    assert cells(text, 'Changed area of each interval') == [
        ['2015 to 2018', '6.00', '51.1 %', '6.00'],
        ['2018 to 2023', '6.00', '51.1 %', '3.00'],
    ]
    assert cells(text, 'Area by number of changes') == [
        ['never', '2.75', '23.4 %'], ['once', '6.00', '51.1 %'], ['2 times', '3.00', '25.5 %']
    ]  # fmt: skip
    # No sums over pairs.
    assert 'id="together"' not in text
    assert 'plot-matrix-0' not in text
    assert 'id="index"' in text


def test_the_map_is_that_of_the_file(series):
    text = write_report(series).read_text(encoding='utf-8')
    uri = re.search(r'src="data:image/png;base64,([^"]*)" alt="Map of the interval', text)[1]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))).convert('RGBA'))
    with rasterio.open(series / 'when.tif') as file:
        when, colours = file.read(1), file.colormap(1)
    for value in (1, 2):
        assert (shown[when == value] == (*colours[value][:3], 255)).all()
        assert f'rgb({",".join(map(str, colours[value][:3]))})' in text
    assert (shown[when == 0][:, 3] == 0).all()
    assert (shown[when == 255] == (127, 127, 127, 255)).all()


def test_maps_of_other_results_are_refused(series):
    path = series / '1' / 'scene' / 'scene.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | dict(threshold=0.7)))
    with pytest.raises(ReportError, match='run tfinet series again'):
        write_report(series)
