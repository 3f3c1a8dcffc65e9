import runpy
from pathlib import Path

import numpy as np
import pytest

rasterio = pytest.importorskip('rasterio')

TOOL = Path(__file__).resolve().parents[3] / 'tools' / 'dataset' / 'make_scene.py'


@pytest.fixture(scope='module')
def main():
    return runpy.run_path(str(TOOL))['main']


def read(folder):
    files = {}
    for path in sorted(folder.rglob('*.tif')):
        with rasterio.open(path) as file:
            files[path.stem] = file.read(), file.crs.to_epsg(), file.res[0]
    return files


def test_writes_a_scene_that_has_changed(main, tmp_path, capsys):
    out = tmp_path / 'a scene'
    options = ['--size', '96', '--resolution', '1.5', '--seed', '5']
    main([str(out), *options])
    assert str(out / 'after.tif') in capsys.readouterr().out
    files = read(out)
    assert (files['before'][1:], files['after'][1]) == ((32632, 1.5), 32633)
    assert files['before'][0].shape == (3, 96, 96)
    change, old, new = (
        files[name][0][0] for name in ('change', 'land_cover_from', 'land_cover_to')
    )
    assert 0 < change.mean() < 1
    assert set(np.unique([old, new])) <= set(range(1, 7))
    assert (change[old != new] == 1).mean() > 0.5
    main([str(tmp_path / 'again'), *options])
    for name, found in read(tmp_path / 'again').items():
        np.testing.assert_array_equal(found[0], files[name][0])
    main([str(tmp_path / 'other'), *options[:-1], '6'])
    assert (read(tmp_path / 'other')['before'][0] != files['before'][0]).any()


def test_puts_it_where_it_is_told(main, tmp_path):
    place = ['--crs', 'EPSG:25831', 'EPSG:3857', '--centre', '4.5', '52']
    main([str(tmp_path), '--size', '64', *place])
    files = read(tmp_path)
    assert (files['before'][1], files['after'][1]) == (25831, 3857)


def test_misplaces_the_second_date(main, tmp_path):
    """The same pixels lie 8 m further east and 4 m further south than they should."""
    options = ['--size', '64', '--resolution', '1', '--crs', 'EPSG:32632', 'EPSG:32632']
    dates = []
    for name, shift in (('right', ('0', '0')), ('wrong', ('8', '-4'))):
        main([str(tmp_path / name), *options, '--shift', *shift])
        with rasterio.open(tmp_path / name / 'after.tif') as file:
            dates.append((file.read(), file.transform))
    (values, place), (others, wrong) = dates
    np.testing.assert_array_equal(values, others)
    assert (wrong.c - place.c, wrong.f - place.f) == pytest.approx((8, -4))


@pytest.mark.parametrize(
    ('extra', 'message'),
    [(['--size', '8'], 'expected size in 32'), (['--resolution', '50'], 'expected resolutions')],
)
def test_errors_are_named(main, tmp_path, extra, message):
    with pytest.raises(ValueError, match=message):
        main([str(tmp_path), *extra])
