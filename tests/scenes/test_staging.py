"""Test the staged rows of a scene."""

import json

import numpy as np
import pytest

from tfinet_mm.errors import ManifestError, SceneError
from tfinet_mm.scenes.staging import STAGED, Staging

SETTINGS = dict(window=32, model=[dict(checkpoint='a.pth', weights='123')])


def rows(value, count, width=5):
    return {name: np.full((count, width), value, kind) for name, kind in STAGED.items()}


def test_rows_of_several_processes(tmp_path):
    first, second = (Staging(tmp_path / 'a' / 's', 5, 7, rank) for rank in (0, 1))
    first.prepare(SETTINGS)
    assert first.finished() == set()
    second.write(3, rows(2, 4))
    second.mark(1)
    first.write(0, rows(1, 3))
    first.mark(0)
    assert first.finished() == second.finished() == {0, 1}
    for name, kind in STAGED.items():
        found = first.read(name)
        assert found.dtype == kind
        np.testing.assert_array_equal(found[:, 2], [1, 1, 1, 2, 2, 2, 2])
    # A later run of fewer processes adds to the list of its number.
    later = Staging(tmp_path / 'a' / 's', 5, 7)
    later.mark(2)
    assert later.finished() == {0, 1, 2}


def test_gdal_reads_the_rasters(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    staging = Staging(tmp_path / 's', 5, 7)
    staging.prepare(SETTINGS)
    values = rows(3, 7)
    values['change_prob'][2, 1] = np.nan
    staging.write(0, values)
    for name, expected in values.items():
        with rasterio.open(staging.path(name)) as file:
            np.testing.assert_array_equal(file.read(1), expected)


def test_only_rows_of_the_same_settings_are_kept(tmp_path):
    staging = Staging(tmp_path / 's', 5, 7)
    staging.prepare(SETTINGS)
    staging.prepare(SETTINGS | dict(window=64))
    staging.prepare(SETTINGS)
    staging.write(0, rows(1, 7))
    staging.mark(0)
    with pytest.raises(ManifestError, match=r'window was 32, is 64.*--overwrite'):
        Staging(tmp_path / 's', 9, 9).prepare(SETTINGS | dict(window=64))
    # A checkpoint may move.
    moved = dict(SETTINGS, model=[dict(checkpoint='b/a.pth', weights='123')])
    staging.prepare(moved)
    assert staging.finished() == {0}
    assert (staging.read('change_prob') == 1).all()
    assert json.loads((tmp_path / 's/settings.json').read_text()) == moved
    # A raster that was cut off isn't used, and neither is half a list.
    (tmp_path / 's/change_prob.img').write_bytes(b'')
    staging.prepare(moved)
    assert staging.finished() == set()
    (tmp_path / 's/finished_3.json').write_text('[1, 2')
    assert staging.finished() == set()
    # Neither are rows whose settings a full disk has cut off.
    staging.prepare(moved)
    staging.mark(0)
    for content in ('', '{"window": 3', '[]'):
        (tmp_path / 's/settings.json').write_text(content)
        staging.prepare(moved)
        assert staging.finished() == set()
        staging.mark(0)
    staging.remove()
    assert not (tmp_path / 's').exists()
    staging.remove()


@pytest.mark.parametrize('name', ['a\nb', 'a\tb', 'a\r'])
def test_folders_in_which_no_geopackage_opens(tmp_path, name):
    with pytest.raises(SceneError, match=r"folder '.*a\\[ntr].*' has a tabulator .*--out"):
        Staging(tmp_path / name / 's', 5, 7)
    Staging(tmp_path / 'a\x01 b' / 's', 5, 7)
