"""Test the commands that place rasters of control points and RPCs, with GDAL's own program."""

import shlex
import shutil
import subprocess

import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.reader import ScenePair

rasterio = pytest.importorskip('rasterio')
pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
EAST, NORTH = 500_000, 5_000_000
HEIGHT, WIDTH = 30, 40


@pytest.fixture
def write(tmp_path):
    """Write a file without transform, placed by points (column, row) every few pixels or RPCs."""
    from rasterio.control import GroundControlPoint
    from rasterio.crs import CRS
    from rasterio.rpc import RPC

    def write(name, values, points=(), crs='EPSG:32633', rpcs=False, **options):
        path = tmp_path / name
        size = dict(count=3, height=HEIGHT, width=WIDTH, dtype='uint8')
        with rasterio.open(path, 'w', driver='GTiff', **size, **options) as file:
            file.write(values)
            if points:
                placed = [
                    GroundControlPoint(row, column, EAST + 10 * column, NORTH - 10 * row)
                    for column, row in points
                ]
                file.gcps = (placed, CRS.from_user_input(crs) if crs else CRS())
            if rpcs:
                zeros = [0.0] * 17
                file.rpcs = RPC(
                    **dict(height_off=120.0, height_scale=100.0, lat_off=-33.0, lat_scale=0.1),
                    **dict(line_off=15.0, line_scale=15.0, long_off=-70.0, long_scale=0.1),
                    **dict(samp_off=20.0, samp_scale=20.0, err_bias=None, err_rand=None),
                    line_den_coeff=[1.0, 0, 0, *zeros],
                    samp_den_coeff=[1.0, 0, 0, *zeros],
                    line_num_coeff=[0.0, 0, -1, *zeros],
                    samp_num_coeff=[0.0, 1, 0, *zeros],
                )
        return path

    return write


def command(before, after):
    """Return the message for a pair, and the words of its command."""
    with pytest.raises(SceneError) as error:
        ScenePair(before, after)
    message = str(error.value)
    return message, shlex.split(message.partition('warp it first: ')[2].partition(' (')[0])


CORNERS = [(column, row) for row in (0, HEIGHT) for column in (0, WIDTH)]
LATTICE = [(column, row) for row in range(0, 31, 10) for column in range(0, 41, 10)]


def test_the_command_for_control_points(write, smooth, scene):
    if shutil.which('gdalwarp') is None:
        pytest.skip('gdalwarp is not installed')
    values = smooth(HEIGHT, WIDTH)
    placed = scene('placed', values)
    for name, points, how in (('four points.tif', CORNERS, '-order 1'), ('b.tif', LATTICE, '-tps')):
        path = write(name, values, points)
        message, words = command(placed, path)
        assert message.startswith(f'after ({path}) is placed on the ground by {len(points)} ground')
        assert f'gdalwarp {how} -t_srs EPSG:32633 -r bilinear -dstalpha ' in message
        subprocess.run([*words, '-q'], check=True)
        assert words[-1] == str(path.with_name(f'{path.stem}_warped.tif'))
        with ScenePair(placed, words[-1]) as pair:
            read, valid = pair.read()
        assert valid.all()
        np.testing.assert_allclose(read[3:].astype(int), read[:3], atol=1)


def test_the_command_for_rpcs(write, smooth, tmp_path):
    """Both dates lie in Chile, and one height is that of the file."""
    path = write('rpc.tif', smooth(HEIGHT, WIDTH), rpcs=True, nodata=0)
    message, words = command(path, path)
    assert words[:4] == ['gdalwarp', '-rpc', '-to', 'RPC_DEM=DEM.tif']
    # Nodata marks what the image doesn't show.
    assert words[4:-2] == ['-t_srs', 'EPSG:32719', '-r', 'bilinear']
    assert 'an elevation model' in message
    assert '-to RPC_HEIGHT=120 in its place' in message
    if shutil.which('gdalwarp') is not None:
        words[3] = 'RPC_HEIGHT=120'
        subprocess.run([*words, '-q'], check=True)
        with rasterio.open(words[-1]) as file:
            assert file.crs.to_epsg() == 32719
            assert (file.read() > 0).mean() > 0.9


def test_points_without_a_crs_and_a_geolocation_array(write, smooth):
    path = write('bare.tif', smooth(HEIGHT, WIDTH), CORNERS, crs=None)
    message, words = command(path, path)
    assert words[3:7] == ['-s_srs', 'EPSG:...', '-t_srs', 'EPSG:...']
    assert 'the points state no CRS' in message
    path = write('array.tif', smooth(HEIGHT, WIDTH))
    with rasterio.open(path, 'r+') as file:
        file.update_tags(ns='GEOLOCATION', X_DATASET='x.tif', Y_DATASET='y.tif')
    assert command(path, path)[1][:2] == ['gdalwarp', '-geoloc']
