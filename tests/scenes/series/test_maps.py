"""Test the maps and the table of a series against a count pixel by pixel."""

import csv
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from finished_scene import CLASSES, finished_scene
from rasterio import Affine

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.series.maps import write_series

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyproj')
pytest.importorskip('pyogrio')

HEIGHT, WIDTH = 30, 23
DATES = ['2015', '2018', '2020', '2023']
DEGREES = Affine(0.01, 0, 15, 0, -0.01, 60)


def pair_of(number):
    """Return maps of a pair: P(changed), land cover before and after; a part has no data."""
    generator = np.random.default_rng(number)
    prob = generator.random((HEIGHT, WIDTH)).astype(np.float32)
    covers = [generator.integers(1, 3, (HEIGHT, WIDTH)).astype(np.uint8) for _ in range(2)]
    unknown = generator.random((HEIGHT, WIDTH)) < 0.3
    unknown[:4, :4] = True
    prob[unknown] = np.nan
    for cover in covers:
        cover[unknown] = 0
    return prob, *covers


@pytest.fixture
def pairs(tmp_path):
    """Write three finished pairs in degrees, where each row of pixels has its own area."""
    return [
        finished_scene(tmp_path / str(number), *pair_of(number), crs='EPSG:4326', place=DEGREES)
        for number in range(3)
    ]


def read(folder, name):
    with rasterio.open(folder / f'{name}.tif') as file:
        return file.read(1), file.nodata, json.loads(file.tags()['CLASS_NAMES'])


def table(folder):
    with (folder / 'series.csv').open(newline='') as file:
        return {
            (row['what'], row['from_date'], row['to_date'], row['from'], row['to']): (
                float(row['hectares']),
                int(row['pixels']),
            )
            for row in csv.DictReader(file)
        }


def test_maps_and_table(pairs, tmp_path):
    names = [f'{number}/scene' for number in range(3)]
    # Blocks of two rows.
    write_series(tmp_path, names, DATES, block_pixels=2 * WIDTH)
    when, nodata, entries = read(tmp_path, 'when')
    assert nodata == 255
    assert entries == ['never', '2015 to 2018', '2018 to 2020', '2020 to 2023']
    times, seen = read(tmp_path, 'times_changed')[0], read(tmp_path, 'times_seen')[0]
    rows = table(tmp_path)
    maps = [pair_of(number) for number in range(3)]
    earth = 6_371_000 * np.pi / 180 * 0.01
    hectares = dict.fromkeys(rows, 0.0)
    pixels = dict.fromkeys(rows, 0)

    def count(row, *key):
        hectares[key] += earth**2 * np.cos(np.radians(60 - 0.01 * (row + 0.5))) / 10_000
        pixels[key] += 1

    for row, column in np.ndindex(HEIGHT, WIDTH):
        known = [index for index, one in enumerate(maps) if one[1][row, column]]
        changes = [index for index in known if maps[index][0][row, column] >= 0.5]
        assert seen[row, column] == len(known)
        assert times[row, column] == (len(changes) if known else 255)
        first = changes[0] + 1 if changes else 0
        assert when[row, column] == (first if known else 255)
        if first:
            count(row, 'first change', DATES[first - 1], DATES[first], '', '')
        ending = f'{len(changes)} time{"s"[: len(changes) != 1]}'
        what = f'changed {ending}' if known else 'not seen'
        count(row, what, '2015', '2023', '', '')
        for index in changes:
            sides = (CLASSES.land_cover[maps[index][i][row, column] - 1] for i in (1, 2))
            count(row, 'changed', DATES[index], DATES[index + 1], *sides)
        for index in (1, 2):
            ended, begun = maps[index - 1][2][row, column], maps[index][1][row, column]
            if ended and begun:
                date = DATES[index], DATES[index]
                count(row, 'with both predictions', *date, '', '')
                if ended != begun:
                    sides = CLASSES.land_cover[ended - 1], CLASSES.land_cover[begun - 1]
                    count(row, 'contradiction', *date, *sides)
                    count(row, 'all contradictions', *date, '', '')
    counted = {key for key in rows if key[0] not in ('all changed', 'unchanged', 'not seen')}
    for key in counted:
        assert rows[key][1] == pixels[key], key
        # The globe of the check is a sphere.
        assert rows[key][0] == pytest.approx(hectares[key], rel=0.01), key
    assert pixels['all contradictions', '2018', '2018', '', ''] > 50
    for first, last, number in zip(DATES[:-1], DATES[1:], range(3), strict=True):
        known = np.isfinite(maps[number][0])
        assert rows['not seen', first, last, '', ''][1] == (~known).sum()
        assert rows['unchanged', first, last, '', ''][1] == (maps[number][0] < 0.5).sum()


def test_styles_and_provenance(pairs, tmp_path):
    for number in range(2):
        path = tmp_path / str(number) / 'scene' / 'scene.json'
        files = {
            date: dict(file=f'{number + place}.tif', sha256=f'{number + place}')
            for place, date in enumerate(('before', 'after'))
        }
        shared = dict(
            model=[dict(name='lite')], settings=dict(threshold=0.5), software=dict(gdal='3')
        )
        path.write_text(json.dumps(json.loads(path.read_text()) | dict(provenance=files | shared)))
    found = write_series(tmp_path, ['0/scene', '1/scene'], DATES[:3])
    with rasterio.open(tmp_path / 'when.tif') as file:
        tags, colours = file.tags(), file.colormap(1)
    dates = [dict(date=date, file=f'{n}.tif', sha256=f'{n}') for n, date in enumerate(DATES[:3])]
    assert json.loads(tags['TFINET_DATES']) == dates == found['provenance']['dates']
    assert json.loads(tags['TFINET_SETTINGS']) == dict(threshold=0.5)
    assert {'when.qml', 'times_changed.qml', 'times_seen.qml'} < set(found['files'])
    entries = ElementTree.parse(tmp_path / 'when.qml').findall('.//paletteEntry')
    assert [(one.get('label'), one.get('alpha')) for one in entries] == [
        ('never', '0'), ('2015 to 2018', '255'), ('2018 to 2020', '255')
    ]  # fmt: skip
    for value, entry in enumerate(entries):
        assert entry.get('color') == '#{:02x}{:02x}{:02x}'.format(*colours[value][:3])
    # 0 intervals seen is no data there.
    entries = ElementTree.parse(tmp_path / 'times_seen.qml').findall('.//paletteEntry')
    assert [one.get('label') for one in entries] == ['1', '2']
    # A style that is lost is made again.
    (tmp_path / 'when.qml').unlink()
    write_series(tmp_path, ['0/scene', '1/scene'], DATES[:3])
    assert (tmp_path / 'when.qml').is_file()


def test_results_of_the_same_pairs_stay(pairs, tmp_path):
    names = ['0/scene', '1/scene']
    found = write_series(tmp_path, names, DATES[:3])
    before = (tmp_path / 'when.tif').stat().st_mtime_ns
    assert write_series(tmp_path, names, DATES[:3]) == found
    assert (tmp_path / 'when.tif').stat().st_mtime_ns == before
    write_series(tmp_path, names, ['1', '2', '3'])
    assert read(tmp_path, 'when')[2] == ['never', '1 to 2', '2 to 3']


def test_pairs_of_other_grids_and_unfinished_ones(pairs, tmp_path):
    finished_scene(tmp_path / 'other', *pair_of(0))
    with pytest.raises(SceneError, match='expected one grid'):
        write_series(tmp_path, ['0/scene', 'other/scene'], DATES[:3])
    (tmp_path / '1' / 'scene' / 'scene.json').unlink()
    with pytest.raises(SceneError, match='no finished scene'):
        write_series(tmp_path, ['0/scene', '1/scene'], DATES[:3])
    assert not (tmp_path / 'when.tif').exists()


def test_pairs_have_to_share_an_image(pairs, tmp_path):
    for number, (before, after) in enumerate(['ab', 'bc', 'cd']):
        path = tmp_path / str(number) / 'scene' / 'scene.json'
        files = dict(before=dict(file=before, sha256=before), after=dict(file=after, sha256=after))
        path.write_text(json.dumps(json.loads(path.read_text()) | dict(provenance=files)))
    write_series(tmp_path, ['0/scene', '1/scene', '2/scene'], DATES)
    with pytest.raises(SceneError, match=r'0.scene ends with the image b .*2.scene begins with c '):
        write_series(tmp_path, ['0/scene', '2/scene'], DATES[:3])
