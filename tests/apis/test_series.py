"""Test the command for series of scenes, from files to files."""

import json

import numpy as np
import pytest

from tfinet_mm.apis import series
from tfinet_mm.apis.command import main as predict
from tfinet_mm.apis.series_command import main
from tfinet_mm.errors import ManifestError
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.utils.command import run_command

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')


def noise(seed, height=48, width=60):
    """Patches of 6 pixels."""
    coarse = np.random.default_rng(seed).integers(1, 256, (3, height // 6, width // 6))
    return coarse.repeat(6, 1).repeat(6, 2).astype(np.uint8)


@pytest.fixture
def call(member, raster, tmp_path):
    """Return the words of a command over three scenes, of which the last covers less."""
    files = list(map(str, member()))
    scenes = [raster(f'{2015 + 2 * seed}.tif', noise(seed)) for seed in range(2)]
    scenes.append(raster('2020.tif', noise(2, 42, 54), 500_060, 4_999_940))
    return [*files, *scenes, '--out', str(tmp_path / 'out')]


@pytest.fixture
def predicted(monkeypatch):
    """Note the names of the pairs that are predicted."""
    seen = []
    plain = series.predict_scene

    def note(inferencer, before, after, out, **options):
        seen.append(out.name)
        return plain(inferencer, before, after, out, **options)

    monkeypatch.setattr(series, 'predict_scene', note)
    return seen


def test_pairs_are_those_of_the_other_command_on_the_common_grid(
    call, raster, predicted, tmp_path, capsys
):
    main([*call, '--no-polygons', '--report'])
    out = tmp_path / 'out'
    assert predicted == ['1_2015-2_2017', '2_2017-3_2020']
    found = json.loads((out / 'series.json').read_text())
    assert found['dates'] == ['2015', '2017', '2020']
    printed = capsys.readouterr().out
    assert '2015 to 2017  changed ' in printed
    assert '2017: its two predictions of land cover contradict each other on ' in printed
    assert '2_2017-3_2020' in (out / 'report.html').read_text()
    # The same pixels, cut out before.
    cut = [raster(f'cut{seed}.tif', noise(seed)[:, 6:, 6:], 500_060, 4_999_940) for seed in (0, 1)]
    cut.append(call[4])
    for index, name in enumerate(predicted):
        other = tmp_path / name
        predict([*call[:2], *cut[index : index + 2], '--out', str(other), '--no-polygons'])
        (folder,) = (path.parent for path in other.rglob('scene.json'))
        own, expected = SceneResults(out / name), SceneResults(folder)
        assert own.grid == expected.grid
        for raster_name in own.rasters:
            np.testing.assert_array_equal(own.read(raster_name), expected.read(raster_name))
    with rasterio.open(out / 'when.tif') as file:
        when = file.read(1)
    changes = [SceneResults(out / name).read('change') for name in predicted]
    assert ((when == 1) == (changes[0] == 1)).all()
    assert ((when == 2) == ((changes[1] == 1) & (changes[0] == 0))).all()
    for options, older in (([], False), (['--overwrite'], True)):
        main([*call, '--no-polygons', *options])
        assert ('report.html shows earlier results' in capsys.readouterr().out) == older


def test_a_run_resumes_and_takes_further_scenes(call, raster, predicted, tmp_path, monkeypatch):
    plain = series.predict_scene

    def stop(inferencer, before, after, out, **options):
        if out.name.startswith('2_'):
            raise KeyboardInterrupt
        return plain(inferencer, before, after, out, **options)

    with monkeypatch.context() as patch:
        patch.setattr(series, 'predict_scene', stop)
        with pytest.raises(KeyboardInterrupt):
            main(call)
    out = tmp_path / 'out'
    assert not (out / 'when.tif').exists()
    predicted.clear()
    main(call)
    main(call)
    assert predicted == ['2_2017-3_2020']
    predicted.clear()
    more = [*call[:5], raster('2024.tif', noise(3)), *call[5:]]
    main(more)
    assert predicted == ['3_2020-4_2024']
    assert json.loads((out / 'series.json').read_text())['dates'][-1] == '2024'
    with pytest.raises(ManifestError, match='width'):
        main([*call, '--grid', '20'])


def test_one_stretch_of_all_scenes(call, raster, predicted, tmp_path, capsys):
    """Both pairs give a date the same values, also when a brighter scene is added later."""
    deep = [noise(seed).astype(np.uint16) * (10 + 2 * seed) for seed in range(3)]
    scenes = [raster(f'{2001 + seed}.tif', values) for seed, values in enumerate(deep)]
    out = tmp_path / 'out'
    call = [*call[:2], *scenes, *call[5:], '--no-polygons', '--no-registration']

    def limits():
        return [
            json.loads((out / name / 'scene.json').read_text())[date]['stretch']
            for name in predicted
            for date in ('before', 'after')
        ]

    main(call)
    first, *others = limits()
    assert others == [first] * 3
    expected = np.percentile(np.concatenate(deep, axis=1).reshape(3, -1), (2, 98), axis=1)
    np.testing.assert_allclose([first['low'], first['high']], expected)
    more = [*call[:5], raster('2004.tif', noise(3).astype(np.uint16) * 60), *call[5:]]
    main(more)
    assert 'The stretch is that of the finished pairs' in capsys.readouterr().out
    assert limits() == [first] * 6
    predicted.clear()
    main([*more, '--overwrite'])
    changed, *others = limits()
    assert others == [changed] * 5
    assert changed['high'] > first['high']


def test_each_scene_has_its_quality_band(call, raster, predicted, tmp_path):
    """A cloud of the middle date is bad in both pairs, and no other; the stretch leaves it out."""
    cloud = np.full((1, 48, 60), 4, np.uint8)
    cloud[:, :, :20] = 9
    deep = [noise(seed).astype(np.uint16) * 10 for seed in range(3)]
    deep[1][:, :, :20] = 60_000
    scenes = [raster(f'{2001 + seed}.tif', values) for seed, values in enumerate(deep)]
    out = tmp_path / 'out'
    words = [*call[:2], *scenes, *call[5:], '--no-polygons', '--no-registration']
    quality = ['--quality', '-', raster('scl.tif', cloud), '-', '--bad-values', 'scl']
    main([*words, *quality, '--no-probabilities'])
    for name in predicted:
        with rasterio.open(out / name / 'valid.tif') as file:
            codes = file.read(1)
        assert (codes[:, :20] != 1).all()
        assert (codes[:, 20:] == 1).all()
        assert not (out / name / 'probabilities.tif').exists()
        found = json.loads((out / name / 'scene.json').read_text())
        assert max(found['before']['stretch']['high']) < 3000
    # Another quality band is another series.
    with pytest.raises(ManifestError):
        main([*words, '--quality', '-', '-', raster('qa.tif', cloud), '--bad-values', 'scl'])


def test_align_carries_a_move_on_to_the_next_pair(call, monkeypatch):
    """Each pair gets the move that the pair before found for its scene."""
    given = []
    plain = series.predict_scene

    def move(inferencer, before, after, out, **options):
        given.append(options['before_correction'])
        plain(inferencer, before, after, out, **options)
        path = out / 'scene.json'
        found = json.loads(path.read_text())
        found['after']['correction'] = [1, 0, 5 * len(given), 0, 1, 0]
        path.write_text(json.dumps(found))

    monkeypatch.setattr(series, 'predict_scene', move)
    main([*call, '--no-polygons', '--no-registration'])
    assert given == [None, [1, 0, 5, 0, 1, 0]]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda call: [*call, '--dates', '2015', '2016'], 'a date for each of the 3 scenes, got 2'),
        (lambda call: [*call, '--dates', '3', '2', '1'], 'expected YYYY, YYYY-MM or YYYY-MM-DD'),
        (lambda call: [*call[:2], *call[4:1:-1], *call[5:]], 'expected each to be later'),
        (lambda call: [*call[:3], *call[5:]], 'expected 2 to 255 scenes'),
        (lambda call: [*call[:4], *call[3:]], 'is given twice'),
        (lambda call: [*call[:4], 'nowhere.tif', *call[5:]], 'no file nowhere.tif'),
        (lambda call: [*call, '--quality', 'a.tif', '--bad-values', '1'], 'each of the 3 scenes'),
        (lambda call: [*call, '--quality', 'a.tif', '-', '-'], 'give bad_values'),
        (lambda call: [*call, '--bad-values', '1'], 'belong to quality bands'),
        (lambda call: [*call, '--bands', 'before=1,2,3'], 'bands of a series counts for all'),
    ],
)
def test_mistakes_end_with_one_line(call, change, message, capsys):
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: main(change(call)))
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
