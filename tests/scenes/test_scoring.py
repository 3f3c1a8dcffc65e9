import numpy as np
import pytest

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
pytest.importorskip('shapely')
from finished_scene import PLACE, finished_scene

from tfinet_mm.errors import LabelValueError, SceneError
from tfinet_mm.evaluation.functional import binary_scores
from tfinet_mm.io.rasters import row_blocks
from tfinet_mm.scenes import scoring
from tfinet_mm.scenes.scoring import score_scene

NAMES = ('change', 'land_cover_from', 'land_cover_to')


@pytest.fixture
def maps():
    """Predicted P(changed) and classes, then annotated change and classes."""
    rng = np.random.default_rng(3)
    prob = rng.random((40, 50))
    prob[:, -4:] = np.nan
    covers = rng.integers(1, 3, (4, 40, 50)).astype(np.uint8)
    change = rng.integers(0, 2, (40, 50)).astype(np.uint8)
    change[:5] = 255
    covers[2, 10:12] = 0
    return prob, covers[:2], change, covers[2:]


@pytest.fixture
def annotate(raster, tmp_path):
    def annotate(values, x=PLACE.c, **options):
        for name, one in zip(NAMES, values, strict=True):
            raster(f'labels/{name}.tif', one[None], x, PLACE.f, 10.0, **options)
        return tmp_path / 'labels'

    return annotate


def test_every_pixel_counts_once(maps, annotate, tmp_path, monkeypatch):
    """Pixels are counted one by one, in blocks of seven rows."""
    prob, (old, new), change, (true_old, true_new) = maps
    monkeypatch.setattr(scoring, 'row_blocks', lambda h, w: row_blocks(h, w, 7 * w))
    counts = score_scene(
        finished_scene(tmp_path, prob, old, new), annotate((change, true_old, true_new))
    )
    expected = np.zeros((2, 2), int)
    date_from = np.zeros((3, 3), int)
    for row in range(5, 40):
        for column in range(46):
            found = prob[row, column] >= 0.5
            expected[change[row, column], int(found)] += 1
            truth = true_old[row, column] * change[row, column]
            if not (change[row, column] and true_old[row, column] == 0):
                date_from[truth, old[row, column] * found] += 1
    np.testing.assert_array_equal(counts.change, expected)
    np.testing.assert_array_equal(counts.date_from, date_from)
    assert counts.date_to.sum() == 35 * 46


def test_the_truth_scores_full_marks(maps, annotate, tmp_path):
    _, (old, new), change, _ = maps
    change[change == 255] = 1
    scene = finished_scene(tmp_path, change.astype(float), old, new)
    counts = score_scene(scene, annotate((change, old, new)))
    assert binary_scores(counts.change)['F1'] == 100
    assert np.count_nonzero(counts.from_to - np.diag(np.diag(counts.from_to))) == 0


@pytest.mark.parametrize(
    'options', [dict(x=PLACE.c + 5), dict(x=PLACE.c + 10), dict(crs='EPSG:32632')]
)
def test_other_pixels_are_refused(maps, annotate, tmp_path, options):
    prob, (old, new), change, truth = maps
    scene = finished_scene(tmp_path, prob, old, new)
    with pytest.raises(SceneError, match=r'change\.tif has 50 x 40 .*Warp the annotation'):
        score_scene(scene, annotate((change, *truth), **options))


def test_another_size_is_refused(maps, annotate, tmp_path):
    prob, (old, new), change, truth = maps
    scene = finished_scene(tmp_path, prob, old, new)
    with pytest.raises(SceneError, match='has 49 x 40 pixels'):
        score_scene(scene, annotate([one[:, 1:] for one in (change, *truth)]))


def test_other_classes_are_refused(maps, annotate, tmp_path):
    prob, (old, new), change, truth = maps
    truth[0][20, 20] = 3
    scene = finished_scene(tmp_path, prob, old, new)
    with pytest.raises(LabelValueError, match=r'holds 2, expected 0\.\.1'):
        score_scene(scene, annotate((change, *truth)))


def test_a_missing_file_is_named(maps, annotate, tmp_path):
    prob, (old, new), change, truth = maps
    scene = finished_scene(tmp_path, prob, old, new)
    (annotate((change, *truth)) / 'land_cover_to.tif').unlink()
    with pytest.raises(OSError, match=r'land_cover_to\.tif could not be read'):
        score_scene(scene, tmp_path / 'labels')
