"""Test whole scenes through a network: seams, nodata, stops and resumes, several processes."""

import re
import threading

import numpy as np
import pytest

from tfinet_mm.errors import ManifestError, SceneError
from tfinet_mm.scenes import prediction
from tfinet_mm.scenes.blending import WindowPlan
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.staging import STAGED, Staging
from tfinet_mm.scenes.streaming import needed_rows, share

rasterio = pytest.importorskip('rasterio')

HEIGHT, WIDTH = 110, 90


@pytest.fixture
def pair(scene, smooth):
    return [scene(f'{i}', smooth(HEIGHT, WIDTH, seed=i)) for i in (1, 2)]


def maps(out, height=HEIGHT, width=WIDTH):
    staging = Staging(out, height=height, width=width)
    return {name: np.array(staging.read(name)) for name in STAGED}


def whole(network, pair, **options):
    """Return P(changed) and the classes of one pass over the whole scene."""
    with ScenePair(*pair, **options) as scene:
        values, valid = scene.read()
    made = network.predict_probabilities(values[None])
    found = {'change_prob': made.change[0, 0].numpy()}
    for name, part in (('land_cover_from', 0), ('land_cover_to', 1)):
        found[name] = made[part][0].argmax(0).numpy() + 1
    return found, valid


def test_equals_one_pass_over_the_whole_scene(pair, network, staged, tmp_path):
    """Windows blend to the result of one image, but for pixels near the edge of a window."""
    inferencer = network()
    predict_scene(inferencer, *pair, tmp_path / 'out')
    expected, valid = whole(inferencer, pair)
    assert valid.all()
    found = maps(tmp_path / 'out')
    # Two pixels at each window's edge see less than the whole image; their weight is below 0.15.
    assert np.abs(found['change_prob'] - expected['change_prob']).max() < 0.03
    rows, columns = (np.ones(size, bool) for size in (HEIGHT, WIDTH))
    plan = WindowPlan(WIDTH, HEIGHT, 32, 8)
    for window in (window for row in plan.rows() for window in row):
        for near, start, end in (
            (rows, window.top, window.top + window.height),
            (columns, window.left, window.left + window.width),
        ):
            near[max(start - 2, 0) : start + 2] = near[end - 2 : end + 2] = False
    inside = np.ix_(rows, columns)
    assert inside[0].size * inside[1].size > 1500
    for name, values in expected.items():
        np.testing.assert_allclose(found[name][inside], values[inside], atol=1e-6, err_msg=name)


def test_windows_and_batches_are_what_was_asked_for(pair, network, staged, tmp_path):
    inferencer = network()
    predict_scene(inferencer, *pair, tmp_path / 'out', window=48, overlap=16, batch_size=5)
    # Steps of 32: columns 0, 32, 42, rows 0, 32, 62; three windows a row, never mixed.
    assert inferencer.seen == [(3, 6, 48, 48)] * 3
    inferencer.seen.clear()
    predict = inferencer.predict_probabilities

    def inside(pairs):
        made = predict(pairs)
        inferencer.seen[-1] = inferencer.whole
        return made

    inferencer.predict_probabilities = inside
    predict_scene(inferencer, *pair, tmp_path / 'out 2', window=200)
    assert inferencer.seen == [True]
    assert not inferencer.whole


def test_workers_do_not_matter(pair, network, staged, tmp_path):
    for workers in (0, 1, 3):
        predict_scene(network(), *pair, tmp_path / str(workers), workers=workers)
    first = staged(tmp_path / '0')
    assert first == staged(tmp_path / '1') == staged(tmp_path / '3')


def test_nodata_of_either_date(scene, smooth, network, staged, tmp_path):
    """Wedges without data have none in the result, and change nothing beside them."""
    values = [smooth(HEIGHT, WIDTH, seed=i) for i in (1, 2)]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    empty = [rows + columns < 66, (rows > 70) & (columns > 50 + (rows - 70) // 4)]
    for date, where in zip(values, empty, strict=True):
        date[:, where] = 0
    pair = [scene(f'n{i}', date, nodata=0) for i, date in enumerate(values)]
    inferencer = network()
    predict_scene(inferencer, *pair, tmp_path / 'out')
    found = maps(tmp_path / 'out')
    invalid = empty[0] | empty[1]
    np.testing.assert_array_equal(np.isnan(found['change_prob']), invalid)
    for name in ('land_cover_from', 'land_cover_to'):
        np.testing.assert_array_equal(found[name] == 0, invalid)
    # Windows that lie wholly in a wedge never reach the network.
    plan = WindowPlan(WIDTH, HEIGHT, 32, 8)
    windows = [window for row in plan.rows() for window in row]
    shown = [window for window in windows if not invalid[window.slices()].all()]
    assert len(shown) < len(windows)
    assert sum(shape[0] for shape in inferencer.seen) == len(shown)
    # Next to the wedge the result is as if the scene continued: within the sight of two
    # pixels it sees its own surroundings repeated, not black.
    predict_scene(
        network(), *(scene(f'f{i}', smooth(HEIGHT, WIDTH, i)) for i in (1, 2)), tmp_path / 'full'
    )
    difference = np.abs(found['change_prob'] - maps(tmp_path / 'full')['change_prob'])
    assert np.nanmax(difference) < 0.15
    assert np.nanmean(difference) < 2e-3


def test_a_scene_without_any_common_pixel(scene, network, staged, tmp_path):
    """Without a valid pixel no window reaches the network."""
    values = np.ones((3, 40, 40), np.uint8)
    left, right = values.copy(), values.copy()
    left[:, :, :20] = right[:, :, 20:] = 0
    pair = [scene('l', left, nodata=0), scene('r', right, nodata=0)]
    inferencer = network()
    predict_scene(inferencer, *pair, tmp_path / 'out')
    assert inferencer.seen == []
    assert np.isnan(maps(tmp_path / 'out', 40, 40)['change_prob']).all()


def test_no_seam_shows(scene, network, staged, tmp_path):
    """On a ramp, steps at the windows' edges are no larger than elsewhere."""
    ramp = np.linspace(0, 200, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8)
    pair = [scene('flat', np.zeros((3, HEIGHT, WIDTH), np.uint8) + 1)]
    pair.append(scene('ramp', np.repeat(ramp[None], 3, axis=0)))
    inferencer = network()
    plain = inferencer.predict_probabilities

    def offset(pairs):
        """Each batch is off by another constant, as of networks that depend on a whole window."""
        made = plain(pairs)
        return made._replace(change=0.2 * made.change + 0.1 * (len(inferencer.seen) % 4))

    inferencer.predict_probabilities = offset
    predict_scene(inferencer, *pair, tmp_path / 'out', overlap=16, batch_size=1)
    found = maps(tmp_path / 'out')['change_prob']
    assert np.ptp(found) > 0.2
    # Unblended, neighbours would differ by up to 0.3 where a window ends.
    assert max(np.abs(np.diff(found, axis=axis)).max() for axis in (0, 1)) < 0.06


class Stopped(Exception):
    """Raised in the middle of a run."""


@pytest.mark.parametrize('after', [1, 5, 9, 14])
def test_stopped_and_started_again(pair, network, staged, tmp_path, after):
    predict_scene(network(), *pair, tmp_path / 'whole', batch_size=1)
    inferencer = network()
    plain = inferencer.predict_probabilities

    def stop(pairs):
        if len(inferencer.seen) >= after + 4:
            raise Stopped
        return plain(pairs)

    inferencer.predict_probabilities = stop
    threads = threading.active_count()
    with pytest.raises(Stopped):
        predict_scene(inferencer, *pair, tmp_path / 'out', batch_size=1)
    assert threading.active_count() == threads
    # The content of rows that the stopped run didn't finish doesn't matter.
    staging = Staging(tmp_path / 'out' / '.staging', WIDTH, HEIGHT)
    plan = WindowPlan(WIDTH, HEIGHT, 32, 8)
    done = staging.finished()
    assert done == set(range(len(done)))
    start = plan.stripes[len(done)][0]
    staging.write(start, {name: np.full((3, WIDTH), 7) for name in STAGED})
    with pytest.raises(ManifestError, match='batch_size was 1, is 3'):
        predict_scene(network(), *pair, tmp_path / 'out', batch_size=3)
    again = network()
    predict_scene(again, *pair, tmp_path / 'out', batch_size=1)
    assert len(again.seen) == 4 * (len(plan.tops) - plan.first_needed(start))
    assert staged(tmp_path / 'out') == staged(tmp_path / 'whole')


def test_other_settings_are_refused(pair, network, staged, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    predict_scene(network(), *pair, out)
    made = staged(out)
    for options, message in (
        (dict(window=48), r'window was 32, is 48.*--overwrite'),
        (dict(grid=20), r'grid\.height was 110, is 55'),
        (dict(stretch=(0, 100)), r'after\.stretch\.\w+ was'),
        (dict(batch_size=1), 'batch_size was 2, is 1'),
        (dict(after_crs='EPSG:32633', bands=[3, 2, 1]), r'bands\[0\] was 1, is 3'),
    ):
        with pytest.raises(ManifestError, match=f'(?s){message}'):
            predict_scene(network(), *pair, out, **options)
    with pytest.raises(ManifestError, match=r'threshold was 0\.5, is 0\.4'):
        predict_scene(network(threshold=0.4), *pair, out)
    assert staged(out) == made
    (out / 'item.json').touch()
    with pytest.warns(UserWarning, match=r'are replaced, and .*item\.json.* beside them'):
        predict_scene(network(), *pair, out, window=48, overwrite=True)
    assert staged(out) != made
    # Where no row was finished, nothing is lost.
    inferencer = network()
    monkeypatch.setattr(inferencer, 'predict_probabilities', lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predict_scene(inferencer, *pair, tmp_path / 'new')
    predict_scene(network(), *pair, tmp_path / 'new', window=48)
    assert staged(tmp_path / 'new') == staged(out)


def test_processes_share_rows_bit_for_bit(pair, network, staged, tmp_path):
    """Each share is computed separately, for any division and set of finished rows."""
    predict_scene(network(), *pair, tmp_path / 'whole')
    expected = staged(tmp_path / 'whole')
    plan = WindowPlan(WIDTH, HEIGHT, 32, 8)
    numbers = list(range(len(plan.tops)))
    for missing in (numbers, [0, 2, 4]):
        for world in (2, 3, 7):
            shares = [share(missing, rank, world) for rank in range(world)]
            assert [number for one in shares for number in one] == missing
            assert max(map(len, shares)) - min(map(len, shares)) <= 1
    rows = needed_rows(plan, [1, 2, 4])
    assert [row[0].top for row in rows] == [0, 24, 48, 48, 72, 78]
    from tfinet_mm.scenes import streaming

    staging = Staging(tmp_path / 'apart', WIDTH, HEIGHT, probabilities=True)
    staging.prepare({})
    for rank in (1, 0):
        mine = Staging(tmp_path / 'apart', WIDTH, HEIGHT, rank, probabilities=True)
        with streaming.WindowReader(lambda: ScenePair(*pair)) as reader:
            streaming.predict_rows(
                plan,
                share(numbers, rank, 2),
                reader,
                lambda pairs: [one.numpy() for one in network().predict_probabilities(pairs)],
                7,
                mine,
                batch_size=2,
            )
    assert staging.finished() == set(numbers)
    for name, content in expected.items():
        assert (tmp_path / 'apart' / name).read_bytes() == content


@pytest.mark.parametrize('workers', [0, 2])
def test_an_error_while_reading_stops_at_once(
    pair, network, staged, tmp_path, monkeypatch, workers
):
    """A damaged tile gives its own message, and leaves no thread."""
    read = ScenePair.read_codes

    def damaged(self, window):
        if window.top > 40:
            raise SceneError('tile 7 is damaged')
        return read(self, window)

    monkeypatch.setattr(ScenePair, 'read_codes', damaged)
    threads = threading.active_count()
    with pytest.raises(SceneError, match='tile 7 is damaged'):
        # Patches of the registration would meet it before the first window.
        predict_scene(network(), *pair, tmp_path / 'out', workers=workers, registration=False)
    assert threading.active_count() == threads
    staging = Staging(tmp_path / 'out' / '.staging', WIDTH, HEIGHT)
    assert staging.finished() in ({0}, {0, 1})


@pytest.mark.parametrize('error', [OSError('no space left'), KeyboardInterrupt()])
def test_an_error_while_writing_stops_at_once(pair, network, staged, tmp_path, monkeypatch, error):
    calls = []

    def full(self, top, maps):
        calls.append(top)
        raise error

    monkeypatch.setattr(prediction.Staging, 'write', full)
    with pytest.raises(type(error)):
        predict_scene(network(), *pair, tmp_path / 'out')
    assert calls == [0]


@pytest.mark.parametrize(
    ('bands', 'names', 'example'),
    [(1, None, '1 1 1'), (4, None, '1 2 3'), (4, ['NIR', *'RGB'], '2 3 4'), (5, ['B8A'] * 5, 0)],
)
def test_the_bands_that_a_message_names_can_be_taken(
    scene, network, smooth, tmp_path, bands, names, example
):
    """Infrared comes first in a file of four bands that says so."""
    from rasterio.enums import ColorInterp

    values = smooth(30, 40, bands=bands)
    pair = [scene(name, values, photometric='MINISBLACK') for name in 'ab']
    for path in pair:
        with rasterio.open(path, 'r+') as file:
            file.descriptions = names or [None] * bands
    with pytest.raises(SceneError, match='takes 3 bands') as error:
        predict_scene(network(), *pair, tmp_path / 'out')
    said = str(error.value)
    words = re.search(r'--bands ([\d ]+) \(from Python bands=(\[.*?\])\)', said)
    assert words[1] == (example or '1 2 3')
    assert ('trained on colour' in said) is (bands == 1)
    assert words[1].split() == re.findall(r'\d', words[2])
    predict_scene(network(), *pair, tmp_path / 'out', bands=[*map(int, words[1].split())])
    if bands == 4 and not names:
        for path in pair:
            with rasterio.open(path, 'r+') as file:
                file.colorinterp = [ColorInterp.nir, *[ColorInterp.undefined] * 3]
        with pytest.raises(SceneError, match='--bands 2 3 4 '):
            predict_scene(network(), *pair, tmp_path / 'other')


def test_what_does_not_fit_the_network(pair, network, tmp_path):
    inferencer = network(bands=5)
    with pytest.raises(SceneError, match=r'takes 5 bands.*gives 3.*3 in all.*repeated'):
        predict_scene(inferencer, *pair, tmp_path / 'out')
    inferencer = network()
    inferencer.other_transforms = ['Resize']
    with pytest.raises(SceneError, match=r'Resize.*--input-type picture'):
        predict_scene(inferencer, *pair, tmp_path / 'out')
    for options, message in (
        (dict(min_area=-1), 'square metres'),
        (dict(batch_size=0), 'batch_size'),
        (dict(window=16, overlap=16), 'overlap of 16'),
        (dict(bands={'before': [1], 'after': [2]}), 'takes 3 bands'),
    ):
        with pytest.raises(SceneError, match=message):
            predict_scene(network(), *pair, tmp_path / 'out', **options)
    assert not (tmp_path / 'out').exists()
    with pytest.raises(FileNotFoundError, match='after'):
        predict_scene(network(), pair[0], tmp_path / 'none.tif', tmp_path / 'out')
