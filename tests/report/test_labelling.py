"""Test the page for labelling in a browser."""

import numpy as np
import pytest

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
pytest.importorskip('shapely')
pytest.importorskip('pyproj')
from finished_scene import PLACE, UTM, finished_scene

from tfinet_mm.report.labelling import write_labelling_page
from tfinet_mm.scenes.assessment.sample import Design, sample_scene


def test_label_by_keyboard_and_save(tmp_path, browse):
    prob = np.full((30, 30), 0.1)
    prob[:10] = 0.9
    scene = finished_scene(tmp_path, prob, *np.ones((2, 30, 30), np.uint8)).folder
    image = tmp_path / 'image.tif'
    place = dict(crs=UTM, transform=PLACE, width=30, height=30)
    with rasterio.open(image, 'w', driver='GTiff', count=1, dtype='uint8', **place) as file:
        file.write(np.full((1, 30, 30), 90, np.uint8))
    sample = sample_scene(
        scene, design=Design(points=8, minimum=2, chip=9), before=image, after=image
    )
    answer = browse(write_labelling_page(sample), 'act_on_labelling.js')
    assert answer['total'] == 8
    assert (answer['said'], answer['cleared']) == ('2 of 8 labelled', '1 of 8 labelled')
    assert answer['shown'] == 'data:image/jpeg'
    first, second = answer['again']
    assert (first['ref_from'], first['ref_to'], first['ref_changed']) == ('water', 'tree', '')
    assert (second['ref_from'], second['ref_to'], second['ref_changed']) == ('tree', 'tree', '1')
    assert {one['labelled_by'] for one in answer['again']} == {'A, B'}
