"""Test in QGIS what AcATaMa asks of a sample's files, by the calls that it makes."""

import csv
import json
import os
import shutil
import subprocess

import numpy as np
import pytest

pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
from finished_scene import CLASSES, PLACE, UTM, finished_scene
from rasterio import Affine

from tfinet_mm.scenes.assessment.sample import Design, sample_scene

SYSTEM_PYTHON = '/usr/bin/python3'
QGIS = shutil.which('qgis_process.bin') or shutil.which('qgis_process')
pytestmark = pytest.mark.skipif(QGIS is None, reason='needs QGIS')
SIZE = 60

# AcATaMa reads the classes from the style that QGIS stores, the map's class of a point by
# `identify`, and the number of a point from the field `id`.
OPEN = """
import json, sys
from xml.etree import ElementTree
from qgis.core import QgsApplication, QgsPointXY, QgsRaster, QgsRasterLayer, QgsVectorLayer
app = QgsApplication([], False)
app.initQgis()
raster = QgsRasterLayer(f'{sys.argv[1]}/strata.tif', 'strata', 'gdal')
provider = raster.dataProvider()
styles = raster.styleManager()
style = ElementTree.fromstring(styles.style(styles.currentStyle()).xmlData())
path = 'pipe/rasterrenderer[@band="1"]/colorPalette/paletteEntry'
points = QgsVectorLayer(f'{sys.argv[1]}/points.gpkg', 'points', 'ogr')
field = points.fields().lookupField('id')
block = provider.block(1, provider.extent(), raster.width(), raster.height())
values = bytes(block.data())
labelled = {}
for one in points.getFeatures():
    x, y = one.geometry().asPoint()
    found = provider.identify(QgsPointXY(x, y), QgsRaster.IdentifyFormatValue).results()[1]
    labelled[one.attributes()[field]] = found
print('FOUND' + json.dumps(dict(
    valid=[raster.isValid(), points.isValid()],
    type=int(provider.dataType(1)),
    bands=raster.bandCount(),
    nodata=[provider.sourceHasNoDataValue(1), provider.sourceNoDataValue(1)],
    entries=[[one.get('value'), one.get('label'), one.get('color')] for one in style.findall(path)],
    crs=[raster.crs().authid(), points.crs().authid(), int(points.crs().mapUnits())],
    pixel=[raster.rasterUnitsPerPixelX(), raster.rasterUnitsPerPixelY()],
    counts={value: values.count(value) for value in set(values)},
    geometry=points.wkbType(),
    labelled=labelled,
)))
app.exitQgis()
"""
BYTE, POINT = 1, 1
METRES, DEGREES = 0, 6


@pytest.mark.parametrize(
    ('crs', 'place', 'unit'),
    [
        (UTM, PLACE, METRES),
        (UTM, Affine(10, 0, 500_000, 0, 10, 5e6), METRES),
        ('EPSG:4326', Affine(1e-4, 0, 15, 0, -1e-4, 45), DEGREES),
    ],
)
def test_qgis_answers_what_acatama_asks(crs, place, unit, tmp_path):
    draw = np.random.default_rng(0)
    prob = draw.choice([0.1, 0.9], (SIZE, SIZE), p=[0.7, 0.3])
    prob[:, :5] = np.nan
    covers = [draw.integers(1, 3, (SIZE, SIZE)).astype(np.uint8) for _ in range(2)]
    for one in covers:
        one[:, :5] = 0
    scene = finished_scene(tmp_path, prob, *covers, classes=CLASSES, crs=crs, place=place).folder
    folder = sample_scene(scene, design=Design(points=80, minimum=5, chip=0))
    made = subprocess.run(
        [SYSTEM_PYTHON, '-c', OPEN, folder],
        env=os.environ | dict(QT_QPA_PLATFORM='offscreen', XDG_RUNTIME_DIR=str(tmp_path)),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert 'FOUND' in made.stdout, made.stderr
    found = json.loads(made.stdout.split('FOUND')[1])
    strata, key = (
        list(csv.DictReader((folder / name).open(newline=''))) for name in ('strata.csv', 'key.csv')
    )
    assert found['valid'] == [True, True]
    # AcATaMa takes maps of whole numbers alone.
    assert (found['type'], found['bands'], found['nodata']) == (BYTE, 1, [True, 0])
    # The classes are those of the style, one for each stratum and none for no data.
    assert [entry[:2] for entry in found['entries']] == [
        [one['code'], one['stratum']] for one in strata
    ]
    colours = [entry[2] for entry in found['entries']]
    assert len(set(colours)) == len(colours)
    assert {code: int(number) for code, number in found['counts'].items() if code != '0'} == {
        one['code']: int(one['pixels']) for one in strata if int(one['pixels'])
    }
    # It has no default scale for points of unknown units.
    assert found['crs'] == [crs, crs, unit]
    assert found['pixel'] == pytest.approx([place.a, abs(place.e)])
    assert found['geometry'] == POINT
    # Each labelled point finds its stratum in the map.
    assert found['labelled'] == {one['id']: int(one['stratum']) for one in key}
