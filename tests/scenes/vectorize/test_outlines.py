import numpy as np
import pytest
from scipy import ndimage

from tfinet_mm.scenes.vectorize.outlines import (
    concatenate_edges,
    find_edges,
    merge_edges,
    no_edges,
    polygons,
)

features = pytest.importorskip('rasterio.features')
shapely = pytest.importorskip('shapely')


def outline(picture, top=0):
    """Return the polygons of the letters of a picture; the regions are a, b, ..."""
    labels = np.array([[max(ord(pixel) - 96, 0) for pixel in row] for row in picture.split()])
    return polygons(find_edges(labels, np.ones(labels.max(), bool), top))


def points(polygon):
    return [list(ring.coords)[:-1] for ring in (polygon.exterior, *polygon.interiors)]


def test_a_hole_and_a_ledge():
    made, owners = outline('aaaa a..a aaa.', top=5)
    assert owners.tolist() == [0]
    # From the upper left corner on, with the area on the right: rows go down.
    assert points(made[0]) == [
        [(0, 5), (4, 5), (4, 7), (3, 7), (3, 8), (0, 8)],
        [(1, 6), (1, 7), (3, 7), (3, 6)],
    ]
    assert made[0].is_valid


def test_parts_that_share_a_corner_are_two():
    made, owners = outline('a. .a')
    assert owners.tolist() == [0, 0]
    assert [one.bounds for one in made] == [(0, 0, 1, 1), (1, 1, 2, 2)]


def test_two_holes_that_share_a_corner():
    made, _ = outline('aaaa a.aa aa.a aaaa')
    assert len(made) == 1
    assert len(made[0].interiors) == 2
    assert made[0].is_valid
    assert made[0].area == 14


def test_a_ring_that_closes_at_a_corner():
    """The notch is a hole that touches the outer ring, on the left or on the right."""
    for picture in ('.aa a.a aaa', 'aa. a.a aaa'):
        made, _ = outline(picture)
        assert len(made) == 1
        assert len(made[0].interiors) == 1
        assert made[0].is_valid
        assert made[0].area == 7


def test_an_island_in_a_hole_of_its_own_area():
    """It touches the ring by corners, and has a hole, as has the ring."""
    made, owners = outline('aaaaaaa a.....a a.aaa.a a.a.a.a a.aaa.a aa...aa aaaaaaa')
    assert owners.tolist() == [0, 0]
    ring, island = made
    assert shapely.is_valid(made).all()
    assert island.bounds == (2, 2, 5, 5)
    assert (len(ring.interiors), len(island.interiors)) == (1, 1)
    assert (ring.area, island.area) == (26, 8)


@pytest.mark.parametrize('share', [0.3, 0.5, 0.65, 0.85])
@pytest.mark.parametrize('structure', [None, np.ones((3, 3))])
def test_noise_is_outlined_as_by_gdal(share, structure):
    values = np.random.default_rng(0).random((60, 70)) < share
    labels, count = ndimage.label(values, structure)
    labels = labels.astype(np.int32)
    made, owners = polygons(find_edges(labels, np.ones(count, bool), 0))
    assert shapely.is_valid(made).all()
    parts = {}
    for shape, label in features.shapes(labels, mask=labels > 0, connectivity=4):
        parts.setdefault(int(label) - 1, []).append(shapely.geometry.shape(shape))
    assert sorted(set(owners)) == list(range(count))
    for owner in range(count):
        mine = made[owners == owner]
        assert len(mine) == len(parts[owner])
        assert shapely.union_all(mine).equals(shapely.union_all(parts[owner]))


@pytest.mark.parametrize('rows', [1, 4])
def test_joined_parts_are_the_whole(rows):
    values = np.random.default_rng(1).random((30, 33)) < 0.65
    labels, count = ndimage.label(values)
    labels = labels.astype(np.int32)
    every = np.ones(count, bool)
    parts = [find_edges(labels[top : top + rows], every, top) for top in range(0, 30, rows)]
    made, owners = polygons(merge_edges(concatenate_edges(*parts)))
    whole, whole_owners = polygons(find_edges(labels, every, 0))
    assert owners.tolist() == whole_owners.tolist()
    assert [points(one) for one in made] == [points(one) for one in whole]


def test_nothing():
    made, owners = polygons(merge_edges(no_edges()))
    assert len(made) == len(owners) == 0
    labels = np.array([[1, 2]], np.int32)
    made, owners = polygons(find_edges(labels, np.array([False, True]), 0))
    assert owners.tolist() == [1]
    assert made[0].equals(shapely.box(1, 0, 2, 1))
