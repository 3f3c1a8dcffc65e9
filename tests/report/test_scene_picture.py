import numpy as np
import pytest

pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
pytest.importorskip('shapely')
from finished_scene import CLASSES, finished_scene

from tfinet_mm.report.scene_picture import FADED, draw_scene, fade, scene_title
from tfinet_mm.scenes.results import SceneResults

WATER, TREE = CLASSES.palette[1:]


@pytest.fixture(scope='module')
def scene(tmp_path_factory) -> SceneResults:
    """200 x 400 pixels, of which three rectangles changed, one of them to the same class."""
    prob = np.zeros((200, 400))
    prob[:100, :200] = prob[100:, 300:] = prob[150:, :50] = 1
    covers = np.full((2, 200, 400), 1, np.uint8)
    covers[0, 100:150] = covers[0, 100:, 300:] = covers[1, :100] = 2
    return finished_scene(tmp_path_factory.mktemp('scene'), prob, *covers)


def test_the_map_shows_classes_after_where_it_changed(scene):
    picture = draw_scene(scene, side=400)
    swatch = 17**2
    assert (picture == TREE).all(-1).sum() == pytest.approx(100 * 200, abs=swatch)
    assert (picture == WATER).all(-1).sum() == pytest.approx(100 * 100 + 50 * 50, abs=swatch)
    # Both dates as they are, the land that stayed in a light grey.
    for colour in ((200, 150, 100), (60, 90, 160)):
        near = np.abs(picture.astype(int) - colour).max(-1) <= 3
        assert near.sum() == pytest.approx(200 * 400, rel=0.01)
    columns = np.flatnonzero((picture == TREE).all(-1)[:200].any(0))
    assert columns[0] > 800


@pytest.mark.parametrize(('darkest', 'brightest'), [(0, 40), (10, 250), (90, 90)])
def test_any_picture_fades_to_pale_grey(darkest, brightest):
    ramp = np.linspace(darkest, brightest, 64 * 48).round().astype(np.uint8).reshape(48, 64)
    pale = fade(np.stack([ramp] * 3, axis=-1))
    assert pale.shape == (48, 64, 3)
    assert (pale == pale[..., :1]).all()
    assert pale.min() == FADED[0]
    assert pale.max() == (FADED[1] if brightest > darkest else FADED[0])
    assert (np.diff(pale[..., 0].ravel().astype(int)) >= 0).all()


def test_the_size_is_that_of_the_panels(scene):
    assert 620 < draw_scene(scene, side=200).shape[1] < 660
    assert 1210 < draw_scene(scene, side=4000).shape[1] < 1260


def test_the_title_has_the_largest_transitions(scene):
    """Of 80,000 pixels of 100 square metres, 20,000, 10,000 and 2,500 changed."""
    assert scene_title(scene.areas()) == (
        '325.00 of 800.00 ha changed: water to tree 200.00, tree to water 100.00'
    )
    assert scene_title(scene.areas(), 1) == '325.00 of 800.00 ha changed: water to tree 200.00'
