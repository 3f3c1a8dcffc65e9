"""Test the nearest pixels that NumPy finds against OpenCV's, and against true distances."""

import cv2
import numpy as np
import pytest

from tfinet_mm.scenes import nearest


def masks():
    random = np.random.default_rng(0)
    shape = (61, 83)
    footprint = np.add.outer(np.arange(61), 0.4 * np.arange(83)) < 40
    cloud = np.ones(shape, bool)
    cloud[20:45, 30:70] = False
    one = np.zeros(shape, bool)
    one[37, 80] = True
    return dict(
        half=random.random(shape) < 0.5,
        sparse=random.random(shape) < 0.005,
        footprint=footprint,
        cloud=cloud,
        one=one,
        row=random.random((1, 30)) < 0.2,
        column=random.random((30, 1)) < 0.2,
    )


@pytest.mark.parametrize('name', masks())
def test_without_opencv_the_same_pixels_are_the_nearest(name, monkeypatch):
    marked = masks()[name]
    distance, labels = cv2.distanceTransformWithLabels(
        (~marked).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.zeros(labels.max() + 1, int)
    places[labels[marked]] = np.flatnonzero(marked)
    for installed in (True, False):
        monkeypatch.setattr(nearest, 'has_opencv', lambda installed=installed: installed)
        np.testing.assert_array_equal(nearest.nearest_marked(marked), places[labels])
        found = nearest.distance_to_marked(marked)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, distance, atol=1e-3)


def test_distances_are_close_to_those_on_a_plane(monkeypatch):
    monkeypatch.setattr(nearest, 'has_opencv', lambda: False)
    marked = masks()['sparse']
    rows, columns = np.nonzero(marked)
    y, x = np.indices(marked.shape)
    true = np.hypot(y[..., None] - rows, x[..., None] - columns).min(-1)
    np.testing.assert_allclose(nearest.distance_to_marked(marked), true, rtol=0.03)
    row, column = np.divmod(nearest.nearest_marked(marked), marked.shape[1])
    np.testing.assert_allclose(np.hypot(y - row, x - column), true, rtol=0.05)
