"""Test the validity map of a scene and the areas that aren't seen, on worked values."""

import csv
import json

import numpy as np
import pytest

from tfinet_mm.errors import ManifestError
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.validity import CODE_COLOURS, CODE_NAMES, REASONS, codes_of

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyproj')
pytest.importorskip('pyogrio')
from rasterio.enums import ColorInterp

HEIGHT, WIDTH = 40, 60
OPTIONS = dict(registration=False, polygons=False)


def test_codes_have_names_and_colours_of_their_own():
    assert CODE_NAMES[:3] == ('not seen', 'seen on both dates', 'no data before')
    assert CODE_NAMES[6] == 'bad quality before, no data after'
    assert len(set(CODE_NAMES)) == len(CODE_NAMES) == len(CODE_COLOURS) == 10
    covered = sorted(code for reason in REASONS for code in codes_of(reason))
    assert covered == [2, 3, 4, 5, 5, 6, 6, 7, 8, 8, 9, 9]


@pytest.fixture
def made(scene, smooth, tmp_path):
    """Write a scene of 40 x 60 pixels of 10 m where each reason has its own rows and columns."""
    before = smooth(HEIGHT, WIDTH, 1, bands=4, scale=3000).astype(np.float32)
    before[3] = 255
    # NaN in one band, nodata of one band, transparency: rows 0 to 3, of 60 pixels each.
    before[0, 0] = np.nan
    before[1, 1] = -9999
    before[3, 2:4] = 0
    after = smooth(HEIGHT, WIDTH, 2)
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, :2] = 0
    # Pixels of 20 m: clouds in rows 2 to 7, whose first two count as no data.
    scl = np.full((1, HEIGHT // 2, WIDTH // 2), 4, np.uint8)
    scl[0, 1:4] = 9
    qa = np.full((1, HEIGHT, WIDTH), 21824, np.uint16)
    qa[0, 6:10, 50:] = 22280
    pair = [scene('before', before, nodata=-9999, photometric='RGB'), scene('after', after)]
    with rasterio.open(pair[0], 'r+') as file:
        file.colorinterp = [*file.colorinterp[:3], ColorInterp.alpha]
    with rasterio.open(pair[1], 'r+') as file:
        file.write_mask(mask)
    return pair, dict(
        quality={'before': scene('scl', scl, size=20), 'after': scene('qa', qa)},
        bad_values={'before': 'scl', 'after': 'landsat-qa'},
        stretch={'before': (0, 3000), 'after': None},
    )


def test_every_reason_ends_in_one_map_and_in_the_areas(made, network, tmp_path):
    pair, options = made
    out = predict_scene(network(), *pair, tmp_path / 'out', **options, **OPTIONS)
    codes = np.ones((HEIGHT, WIDTH), np.uint8)
    codes[4:8] += 2
    codes[:4] += 1
    codes[6:10, 50:] += 6
    codes[:, :2] += 3
    with rasterio.open(out / 'valid.tif') as file:
        np.testing.assert_array_equal(file.read(1), codes)
        assert file.descriptions == ('seen on both dates',)
        assert file.colormap(1)[1][:3] == (255, 255, 255)
        assert json.loads(file.tags()['CLASS_NAMES'])[7] == 'bad quality after'
    seen = codes == 1
    results = SceneResults(out)
    np.testing.assert_array_equal(np.isfinite(results.read('change_prob')), seen)
    np.testing.assert_array_equal(results.read('land_cover_to') > 0, seen)
    np.testing.assert_array_equal(results.read('transition') != 255, seen)
    # A pixel is 0.01 ha.
    expected = dict(
        before_no_data=4 * 60,
        before_bad_quality=4 * 60,
        after_no_data=40 * 2,
        after_bad_quality=4 * 10,
    )
    areas = json.loads((out / 'areas.json').read_text())
    found = areas['not_seen']
    assert {name: one['pixels'] for name, one in found['reasons'].items()} == expected
    for one in found['reasons'].values():
        assert one['area'] == pytest.approx(one['pixels'] / 100)
    # Two columns, eight rows of the rest, and two rows of ten pixels below.
    assert found['pixels'] == (~seen).sum() == 2 * 40 + 8 * 58 + 2 * 10
    assert found['percent'] == pytest.approx(100 * found['pixels'] / 2400)
    parts = [areas[name]['area'] for name in ('changed', 'unchanged', 'not_seen')]
    assert sum(parts) == pytest.approx(areas['total']['area']) == pytest.approx(24)
    with (out / 'areas.csv').open(newline='', encoding='utf-8') as file:
        table = {row['what']: row['pixels'] for row in csv.DictReader(file)}
    assert table['not seen'] == '564'
    assert table['not seen, bad quality after'] == '40'
    assert results.scene['pixels'] == dict(
        valid=int(seen.sum()), changed=areas['changed']['pixels'], not_seen=564
    )
    quality = results.scene['after']['quality']
    assert quality['file'].endswith('qa.tif')
    assert quality['bad_values'] == 'bit0 bit1 bit2 bit3 bit4'
    assert 'bit4' in rasterio.open(out / 'change.tif').tags()['AFTER']
    said = results.areas().describe_not_seen()
    assert said == (
        '5.64 ha (23.5 %): no data before 2.40, bad quality before 2.40, no data after 0.80, '
        'bad quality after 0.40'
    )


def test_maps_do_not_change_where_all_is_seen(made, network, tmp_path):
    """Beside a cloud the network sees its surroundings repeated, as beside nodata."""
    pair, options = made
    out = predict_scene(network(), *pair, tmp_path / 'out', **options, **OPTIONS)
    plain = predict_scene(
        network(), *pair, tmp_path / 'plain', stretch=options['stretch'], **OPTIONS
    )
    clouded, clear = (SceneResults(one).read('change_prob') for one in (out, plain))
    assert np.isfinite(clear[4:10, 2:]).all()
    np.testing.assert_allclose(clouded[20:], clear[20:], atol=1e-6)


def test_other_quality_is_refused_and_a_moved_file_is_not(made, network, scene, tmp_path):
    pair, options = made
    out = predict_scene(network(), *pair, tmp_path / 'out', **options, **OPTIONS)
    quality = dict(options['quality'])
    quality['after'] = quality['after'].rename(tmp_path / 'moved.tif')
    moved = options | dict(quality=quality)
    inferencer = network()
    predict_scene(inferencer, *pair, out, **moved, **OPTIONS)
    (out / 'valid.tif').unlink()
    # Only a new prediction knows which pixels are seen, and why not.
    predict_scene(inferencer, *pair, out, **moved, **OPTIONS)
    assert inferencer.seen
    assert (out / 'valid.tif').is_file()
    other = moved | dict(bad_values={'before': 'scl', 'after': 'bit3'})
    with pytest.raises(ManifestError, match='bad_values'):
        predict_scene(network(), *pair, out, **other, **OPTIONS)
    with rasterio.open(quality['after'], 'r+') as file:
        file.write(file.read() * 0 + 21824)
    with pytest.raises(ManifestError, match='after_quality'):
        predict_scene(network(), *pair, out, **moved, **OPTIONS)
