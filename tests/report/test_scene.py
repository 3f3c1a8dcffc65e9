"""Test scenes in a report, from folders as a prediction writes them."""

import base64
import io
import json
import re
from dataclasses import astuple

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.errors import ReportError
from tfinet_mm.report import read_folder, write_report
from tfinet_mm.structures import ClassTable

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyproj')
pytest.importorskip('pyogrio')
pytest.importorskip('shapely')
from rasterio import Affine
from rasterio.crs import CRS

from tfinet_mm.io.rasters import raw_writer
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.write_results import write_results

HEIGHT, WIDTH = 60, 100


@pytest.fixture
def scene(tmp_path, table, manifest):
    """An output folder with one scene of 100 x 60 pixels of 10 m: 200 + 50 pixels changed."""

    def make(crs='EPSG:32633', classes=table):
        prob = np.full((HEIGHT, WIDTH), 0.125, np.float32)
        old, new = np.ones((2, HEIGHT, WIDTH), np.uint8)
        prob[20:30, 40:60] = 0.75
        new[20:30, 40:60] = 3
        prob[50:55, :10] = 1
        old[50:55, :10] = 2
        prob[:, -5:] = np.nan
        staged = {}
        for name, values in (
            *(('change_prob', prob), ('land_cover_from', old), ('land_cover_to', new)),
        ):
            staged[name] = tmp_path / f'{name}.img'
            with raw_writer(staged[name], values.dtype.name, HEIGHT, WIDTH) as write:
                write(values)
        place = Affine(10, 0, 500_000, 0, -10, 5_000_000)
        grid = SceneGrid(crs and CRS.from_user_input(crs), place, WIDTH, HEIGHT)
        out = tmp_path / 'out' / 'sub' / 'scene'
        found = write_results(out, staged, grid, classes)
        for date, grey in (('before', 60), ('after', 180)):
            Image.fromarray(np.full((HEIGHT, WIDTH, 3), grey, np.uint8)).save(out / f'{date}.jpg')
        (out / 'scene.json').write_text(json.dumps(found))
        pairs = [dict(name=n, kind='scene', before='x', after='y') for n in ('sub/scene', 'next')]
        manifest(tmp_path / 'out', pairs, settings={'scene': {'bands': [1]}, 'tta': False})
        return tmp_path / 'out', prob

    return make


def block(text, name):
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', text, re.DOTALL)[1])


def test_classes_before_and_after(scene, table):
    text = write_report(scene()[0]).read_text(encoding='utf-8')
    section = re.search(r'<section id="totals".*?</section>', text, re.DOTALL)[0]
    first, _, third = table.land_cover
    # 57 ha with data: 56.5 of the first class, of which 2 became the third, and 0.5 to the first.
    assert f'<li>2.7 % of {first} was lost on balance: 56.50 ha before, 55.00 ha' in section
    assert f'<li>{third} is new: 0.00 ha before, 2.00 ha after' in section
    row = re.search(rf'<span>{first}</span>.*?</tr>', section, re.DOTALL)[0]
    cells = re.findall(r'<td class="num">(.*?)</td>', row)
    assert cells[:5] == ['56.50', '55.00', '2.00', '0.50', '\N{MINUS SIGN}1.50']
    assert '<a href="#totals">' in text


def test_areas_polygons_and_maps(scene):
    out, prob = scene()
    text = write_report(out).read_text(encoding='utf-8')
    one = block(text, 'pair-0')
    # 10 m pixels: a hundred a hectare.
    areas = one['areas']
    assert areas['unit'] == 'ha'
    assert np.array(areas['matrix']) == pytest.approx(np.array([[0, 0, 2], [0.5, 0, 0], [0] * 3]))
    assert areas['nodata'] == pytest.approx(3)
    assert areas['total'] == pytest.approx(60)
    assert areas['changed'] + areas['unchanged'] + areas['nodata'] == pytest.approx(60)
    known = prob[np.isfinite(prob)]
    assert areas['histogram'] == np.histogram(known, 20, (0, 1))[0].tolist()
    (first, second) = one['polygons']
    assert first[:2] == [1, 3]
    assert first[2:4] == pytest.approx([2, 0.75])
    assert first[4] == pytest.approx([0.4, 1 / 3, 0.6, 0.5])
    assert second[4] == pytest.approx([0, 5 / 6, 0.1, 55 / 60])
    # Steps from corner to corner of its pixels.
    ((outline,),) = first[5]
    corners = np.cumsum(np.reshape(outline, (-1, 2)), axis=0)
    assert sorted(map(tuple, corners[1:])) == [(40, 20), (40, 30), (60, 20), (60, 30)]
    assert one['place']['code'] == 'EPSG:32633'
    facts = dict(one['facts'])
    assert facts['Not seen'].startswith('3.00 ha (5.0 %)')
    assert facts['Polygons'] == '2 from 0 m²'
    assert one['polygonCount'] == 2
    labels = np.asarray(Image.open(io.BytesIO(base64.b64decode(one['to'].split(',')[1]))))
    expected = np.zeros((HEIGHT, WIDTH), int)
    expected[20:30, 40:60] = 3
    expected[50:55, :10] = 1
    expected[:, -5:] = 255
    np.testing.assert_array_equal(labels, expected)
    assert one['before'].startswith('data:image/jpeg')
    assert '1 more not finished' in text
    assert 'scene.bands' in text


def test_a_scene_alone(scene, monkeypatch):
    """The folder of a scene needs no manifest around it."""
    out, _ = scene()
    expected = read_folder(out)
    (out / 'manifest.json').unlink()
    monkeypatch.chdir(out / 'sub' / 'scene')
    for folder in ('.', out / 'sub' / 'scene'):
        found = read_folder(folder)
        assert [summary.name for summary in found.summaries] == ['scene']
        assert (found.table, found.threshold) == (expected.table, 0.5)
        np.testing.assert_equal(found.summaries[0].matrix, expected.summaries[0].matrix)
        polygons, wanted = (
            [astuple(polygon) for polygon in one.view(0, 100, 10).polygons]
            for one in (found, expected)
        )
        assert wanted
        np.testing.assert_equal(polygons, wanted)


def test_the_shift_between_the_dates_is_told(scene):
    out, _ = scene()
    assert block(write_report(out).read_text(encoding='utf-8'), 'pair-0')['registration'] == ''
    path = out / 'sub' / 'scene' / 'scene.json'
    measured = dict(found=dict(text='after lies 2 px east'), aligned=dict(text='it lies 0 px'))
    path.write_text(json.dumps(json.loads(path.read_text()) | dict(registration=measured)))
    text = write_report(out).read_text(encoding='utf-8')
    said = 'Registration: after lies 2 px east. Aligned: it lies 0 px.'
    assert block(text, 'pair-0')['registration'] == said
    assert f'id="pair-registration">{said}</p>' in text


def test_a_reduced_scene_lists_few_polygons(scene):
    out, _ = scene()
    text = write_report(out, max_side=50, max_polygons=1).read_text(encoding='utf-8')
    one = block(text, 'pair-0')
    assert one['shown'] == [50, 30]
    assert len(one['polygons']) == 1
    assert one['polygonCount'] == 2
    assert one['areas']['total'] == pytest.approx(60)


def test_outlines_of_many_corners_are_left_out(scene, monkeypatch):
    out, _ = scene()
    monkeypatch.setattr('tfinet_mm.report.scene.MOST_CORNERS', 9)
    polygons = read_folder(out).view(0, 2048, 5).polygons
    assert [len(one.outline) for one in polygons] == [1, 0]


def test_a_scene_without_crs_is_counted_in_pixels(scene):
    out, _ = scene(crs=None)
    data = read_folder(out)
    (summary,) = data.summaries
    assert summary.unit == 'px'
    assert (summary.changed, summary.total) == (250, HEIGHT * WIDTH)
    assert data.view(0, 2048, 5).polygons[0].area == 200


def test_other_classes_are_refused(scene):
    other = ClassTable(('same', 'a', 'b', 'c'), ((0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3)))
    out, _ = scene(classes=other)
    with pytest.raises(ReportError, match='is of the classes same, a, b, c'):
        write_report(out)
