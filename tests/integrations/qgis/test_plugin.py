"""Test the plugin in QGIS itself, where it is installed (Debian's package qgis)."""

import json
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tfinet_mm.apis.command_options import parse_args as parse_prediction

ROOT = Path(__file__).parents[3]
# Debian's script of this name passes an option that the program doesn't know.
QGIS = shutil.which('qgis_process.bin') or shutil.which('qgis_process')
SYSTEM_PYTHON = '/usr/bin/python3'
needs_qgis = pytest.mark.skipif(QGIS is None, reason='needs QGIS')


@pytest.fixture(scope='module')
def plugin(tmp_path_factory):
    """Install the zip file into a profile of its own."""
    folder = tmp_path_factory.mktemp('qgis')
    subprocess.run(
        [sys.executable, ROOT / 'integrations/qgis/make_zip.py', folder / 'plugin.zip'], check=True
    )
    with zipfile.ZipFile(folder / 'plugin.zip') as archive:
        archive.extractall(folder / 'plugins')
    (folder / 'runtime').mkdir(mode=0o700)
    (folder / 'tmp').mkdir()
    return folder


def qgis_process(folder, *words, python=None, status=0):
    environment = os.environ | dict(
        QT_QPA_PLATFORM='offscreen',
        QGIS_PLUGINPATH=str(folder / 'plugins'),
        QGIS_CUSTOM_CONFIG_PATH=str(folder / 'profile'),
        XDG_RUNTIME_DIR=str(folder / 'runtime'),
        OMP_NUM_THREADS='1',
    )
    environment.pop('TFINET_PYTHON', None)
    if python is not None:
        environment['TFINET_PYTHON'] = str(python)
    done = subprocess.run(
        [QGIS, *map(str, words)], env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def enabled(plugin):
    qgis_process(plugin, 'plugins', 'enable', 'tfinet_qgis')
    return plugin


@pytest.fixture
def recorder(tmp_path):
    """Write a program that stands for Python, keeps its words, and makes the files of a scene."""
    program = tmp_path / 'python'
    program.write_text(
        '#!/bin/sh\n'
        f'printf "%s\\n" "$@" > {shlex.quote(str(tmp_path / "words"))}\n'
        f'mkdir -p {shlex.quote(str(tmp_path / "out/before"))}\n'
        f'echo "{{}}" > {shlex.quote(str(tmp_path / "out/before/scene.json"))}\n'
        'echo "warning: said by the program"\n'
    )
    program.chmod(0o755)
    return program


def words_of(recorder):
    """Return the words after ``-c`` and the code."""
    return (recorder.parent / 'words').read_text().splitlines()[2:]


def rasters(folder, *names):
    import numpy as np
    import rasterio

    for name in names:
        with rasterio.open(
            folder / name, 'w', 'GTiff', 32, 32, 3, 'EPSG:32632',
            rasterio.Affine(1, 0, 600000, 0, -1, 5300000), 'uint8',
        ) as file:  # fmt: skip
            file.write(np.zeros((3, 32, 32), np.uint8))
    return [folder / name for name in names]


def test_the_zip_holds_what_qgis_asks_for(plugin):
    names = {str(p.relative_to(plugin / 'plugins')) for p in (plugin / 'plugins').rglob('*.*')}
    assert {'tfinet_qgis/metadata.txt', 'tfinet_qgis/__init__.py', 'tfinet_qgis/icon.svg'} <= names
    assert all('__pycache__' not in name for name in names)
    metadata = (plugin / 'plugins/tfinet_qgis/metadata.txt').read_text()
    assert 'hasProcessingProvider=yes' in metadata
    from tfinet_mm.version import __version__

    assert f'\nversion={__version__}\n' in metadata


@needs_qgis
def test_predict_says_what_the_command_takes(enabled, recorder, tmp_path):
    before, after, cloud = rasters(tmp_path, 'before.tif', 'after.tif', 'cloud.tif')
    out = qgis_process(
        enabled, 'run', 'tfinet:predict', f'--BEFORE={before}', f'--AFTER={after}',
        '--MIN_AREA=25', '--ALIGN=true', '--VIEWS=false', '--THRESHOLD=0.4', '--BANDS=3,2,1',
        f'--QUALITY_AFTER={cloud}', '--BAD_VALUES=1 2', f'--OUTPUT={tmp_path / "out"}',
        python=recorder,
    )  # fmt: skip
    words = words_of(recorder)
    assert words[0] == 'predict'
    args = parse_prediction(words[1:])
    assert (args.before, args.after) == (str(before), str(after))
    assert args.out == str(tmp_path / 'out')
    assert (args.min_area, args.threshold, args.align, args.tta) == (25, 0.4, True, False)
    assert '--bands 3 2 1' in ' '.join(words)
    assert f'--quality after={cloud} --bad-values 1 2' in ' '.join(words)
    assert 'said by the program' in out
    assert str(tmp_path / 'out/before/transition.tif') in out


@needs_qgis
def test_finish_and_sample_say_what_the_commands_take(enabled, recorder, tmp_path):
    scene = tmp_path / 'out/before'
    scene.mkdir(parents=True)
    qgis_process(
        enabled, 'run', 'tfinet:finish', f'--SCENE={scene}', '--THRESHOLD=0.7', '--LOW=0.4',
        '--MIN_AREA=50', '--SMOOTH=3', '--MERGE=tree,low vegetation=plants; water=blue',
        f'--OUTPUT={tmp_path / "fin"}', python=recorder,
    )  # fmt: skip
    word, *words = words_of(recorder)
    args = runpy.run_path(str(ROOT / 'tools/finish_scene.py'))['parse_args'](words)
    assert (word, list(args.hysteresis), args.smooth) == ('finish', [0.4, 0.7], 3)
    assert words[words.index('--merge') + 1 :][:2] == ['tree,low vegetation=plants', 'water=blue']
    qgis_process(
        enabled, 'run', 'tfinet:sample', f'--SCENE={scene}', '--POINTS=30', '--MINIMUM=5',
        '--ALLOCATION=1', '--CHIPS=false', f'--OUTPUT={tmp_path / "sample"}', python=recorder,
    )  # fmt: skip
    word, *words = words_of(recorder)
    args = runpy.run_path(str(ROOT / 'tools/assess.py'))['parse_args'](words)
    assert word == 'assess'
    assert (args.points, args.minimum, args.allocation) == (30, 5, 'neyman')


@needs_qgis
def test_errors_name_the_way_out(enabled, recorder, tmp_path):
    (image,) = rasters(tmp_path, 'before.tif')
    same = ['run', 'tfinet:predict', f'--BEFORE={image}', f'--AFTER={image}', '--OUTPUT=/nowhere']
    assert 'same image' in qgis_process(enabled, *same, python=recorder, status=1)
    (other,) = rasters(tmp_path, 'after.tif')
    pair = ['run', 'tfinet:predict', f'--BEFORE={image}', f'--AFTER={other}', '--OUTPUT=/nowhere']
    assert 'Set up TFINet-MM' in qgis_process(enabled, *pair, status=1)
    assert 'correct it' in qgis_process(enabled, *pair, python='/nowhere/python', status=1)
    recorder.write_text('#!/bin/sh\necho "before.tif: no band 4; choose others"\nexit 1\n')
    assert 'no band 4; choose' in qgis_process(enabled, *pair, python=recorder, status=1)


OPEN = """
import json, sys
from qgis.core import QgsApplication, QgsRasterLayer, QgsVectorLayer
app = QgsApplication([], False)
app.initQgis()
found = {}
for name in ('change', 'transition', 'land_cover_from', 'land_cover_to', 'valid'):
    layer = QgsRasterLayer(f'{sys.argv[1]}/{name}.tif', name)
    found[name] = [layer.crs().authid(), [
        (int(one.value), one.label, one.color.name()) for one in layer.renderer().classes()
    ]]
layer = QgsVectorLayer(f'{sys.argv[1]}/changes.gpkg|layername=changes', 'changes', 'ogr')
found['polygons'] = [layer.crs().authid(), [one.label() for one in layer.renderer().categories()]]
found['features'] = layer.featureCount()
print('FOUND' + json.dumps(found))
app.exitQgis()
"""


@needs_qgis
@pytest.mark.slow
def test_a_scene_is_predicted_and_opens_in_its_colours(enabled, tmp_path):
    subprocess.run(
        [sys.executable, ROOT / 'tools/dataset/make_scene.py', tmp_path / 'scene', '--size', '160'],
        check=True,
    )
    scene = tmp_path / 'scene'
    out = qgis_process(
        enabled, 'run', 'tfinet:predict', f'--BEFORE={scene / "before.tif"}',
        f'--AFTER={scene / "after.tif"}', '--VIEWS=false', f'--OUTPUT={tmp_path / "out"}',
        python=sys.executable,
    )  # fmt: skip
    assert '...90...100' in out
    made = subprocess.run(
        [SYSTEM_PYTHON, '-c', OPEN, tmp_path / 'out/before'],
        env=os.environ | dict(QT_QPA_PLATFORM='offscreen', XDG_RUNTIME_DIR=str(tmp_path)),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    found = json.loads(made.stdout.split('FOUND')[1])
    import rasterio

    with rasterio.open(tmp_path / 'out/before/change.tif') as change:
        crs = change.crs.to_string()
    assert {value[0] for value in found.values() if isinstance(value, list)} == {crs}
    # The colours of the generator's classes, as the first published data set has them.
    covers = found['land_cover_to'][1]
    assert [1, 'water', '#0000ff'] in covers
    assert [5, 'building', '#800000'] in covers
    assert [label for _, label, _ in found['change'][1]] == ['unchanged', 'changed']
    assert found['features'] > 0
    assert all(' to ' in label for label in found['polygons'][1])
