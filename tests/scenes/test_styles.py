"""Styles for QGIS, read back as XML and from the GeoPackage's table."""

import sqlite3
from xml.etree import ElementTree

import numpy as np
import pytest

from tfinet_mm.scenes.result_rasters import scene_rasters
from tfinet_mm.scenes.styles import polygon_style, raster_style, write_raster_style
from tfinet_mm.structures import ClassTable

CLASSES = ClassTable(('same', 'water', 'a<b> & "c"'), ((255, 255, 255), (0, 0, 200), (0, 100, 0)))


def entries(name):
    root = ElementTree.fromstring(raster_style(scene_rasters(CLASSES)[name]))
    assert root.tag == 'qgis'
    (renderer,) = root.findall('pipe/rasterrenderer')
    assert (renderer.get('band'), renderer.get('type')) == ('1', 'paletted')
    return {
        int(one.get('value')): (one.get('label'), one.get('color'), int(one.get('alpha')))
        for one in renderer.findall('colorPalette/paletteEntry')
    }


def test_rasters():
    """Unchanged pixels are transparent; no data has no entry."""
    assert entries('land_cover_to') == {
        1: ('water', '#0000c8', 255), 2: ('a<b> & "c"', '#006400', 255)
    }  # fmt: skip
    found = entries('transition')
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert (found[0][2], found[2]) == (0, ('water to a<b> & "c"', '#004146', 255))
    found = entries('change')
    assert found[0][2] == 0
    assert found[1][:2] == ('changed', '#e6007e')


def test_probabilities():
    root = ElementTree.fromstring(raster_style(scene_rasters(CLASSES)['change_prob']))
    (renderer,) = root.findall('pipe/rasterrenderer')
    assert renderer.get('type') == 'singlebandpseudocolor'
    (shader,) = renderer.findall('rastershader/colorrampshader')
    assert shader.get('colorRampType') == 'INTERPOLATED'
    items = shader.findall('item')
    assert [float(one.get('value')) for one in items] == [0, 0.25, 0.5, 1]
    assert int(items[0].get('alpha')) == 0


def test_too_many_transitions_have_no_style(tmp_path):
    names = [f'class {number}' for number in range(17)]
    table = ClassTable(names, [(number, 0, 0) for number in range(17)])
    raster = scene_rasters(table)['transition']
    assert raster_style(raster) is None
    (tmp_path / 'transition.qml').touch()
    write_raster_style(raster, tmp_path / 'transition.tif')
    assert list(tmp_path.iterdir()) == []
    # Polygons have a style, of the transitions that occur.
    root = ElementTree.fromstring(polygon_style(table, [3, 256]))
    labels = [one.get('label') for one in root.iter('category')]
    assert labels == ['class 1 to class 3', 'class 16 to class 16']


def test_geopackage(tmp_path):
    """One default style of the layer, a category for each transition in it."""
    pytest.importorskip('rasterio')
    pytest.importorskip('pyproj')
    pytest.importorskip('shapely')
    pyogrio = pytest.importorskip('pyogrio')
    from finished_scene import finished_scene

    prob = np.full((8, 8), 0.1)
    prob[:2, :2] = prob[5:, 5:] = 0.9
    old, new = np.ones((2, 8, 8), np.uint8)
    new[:4] = 2
    path = finished_scene(tmp_path, prob, old, new, classes=CLASSES).folder / 'changes.gpkg'
    layers = dict(pyogrio.list_layers(path).tolist())
    assert layers == {'changes': 'Polygon', 'layer_styles': None}
    database = sqlite3.connect(path)
    (row,) = database.execute(
        'SELECT f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, '
        'useAsDefault, styleQML FROM layer_styles'
    )
    database.close()
    geometry = pyogrio.read_info(path, layer='changes')['geometry_name']
    assert row[:6] == ('', '', 'changes', geometry, 'changes', 1)
    renderer = ElementTree.fromstring(row[6]).find('renderer-v2')
    assert renderer.get('type') == 'categorizedSymbol'
    categories = {one.get('value'): one.get('symbol') for one in renderer.iter('category')}
    assert list(categories) == ['water to water', 'water to a<b> & "c"']
    colours = {
        one.get('name'): one.find('layer/Option/Option[@name="color"]').get('value')
        for one in renderer.iter('symbol')
    }
    assert colours[categories['water to water']] == '0,0,200,200'
    # The expression of the categories, as SQL reads it too, gives the categories' values.
    database = sqlite3.connect(path)
    made = database.execute(f'SELECT DISTINCT {renderer.get("attr")} FROM changes').fetchall()
    database.close()
    assert {one for (one,) in made} == set(categories)
