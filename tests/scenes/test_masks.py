"""Test masks beside transparency, and masks of single bands, against the masks themselves."""

import numpy as np
import pytest

from tfinet_mm.scenes.reader import ScenePair

rasterio = pytest.importorskip('rasterio')
from rasterio.enums import ColorInterp

RGBA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]


def hole(left, top):
    seen = np.ones((30, 40), bool)
    seen[top : top + 8, left : left + 12] = False
    return seen


def valid_of(before, after, **options):
    with ScenePair(before, after, **options) as pair:
        return pair.read()[1]


@pytest.fixture
def after(scene, smooth):
    return scene('after', smooth(30, 40, seed=2))


@pytest.fixture
def beside(scene, smooth):
    """Write the same place in pixels of half the size, to which the other date is warped."""
    return scene('fine', smooth(60, 80, seed=2), size=5)


def inner(seen):
    """Return pixels of half the size that are clear of the edges of holes, and their state."""
    import cv2

    fine = np.kron(seen, np.ones((2, 2), bool)).astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    return cv2.erode(fine, kernel) == cv2.dilate(fine, kernel), fine > 0


def check(before, after, beside, seen, **options):
    np.testing.assert_array_equal(valid_of(before, after, **options), seen)
    warped = valid_of(before, beside, grid='after', **options)
    clear, fine = inner(seen)
    np.testing.assert_array_equal(warped[clear], fine[clear])


@pytest.mark.parametrize('internal', [True, False])
def test_a_mask_beside_transparency_counts(scene, smooth, after, beside, internal):
    values = smooth(30, 40, bands=4)
    transparent, masked = hole(3, 4), hole(20, 15)
    values[3] = np.where(transparent, 255, 0)
    before = scene('before', values, photometric='RGB')
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal),
        rasterio.open(before, 'r+') as file,
    ):
        file.colorinterp = RGBA
        file.write_mask(np.where(masked, 255, 0).astype(np.uint8))
    check(before, after, beside, transparent & masked)


def test_masks_of_single_bands_count(scene, smooth, after, beside):
    """A pixel is seen where every band that is read has it."""
    masks = np.stack([hole(3, 4), hole(20, 15), np.ones((30, 40), bool)])
    before = scene('before', smooth(30, 40))
    bytes_of = np.where(masks, 255, 0).astype(np.uint8)
    scene('before.tif', bytes_of).rename(f'{before}.msk')
    with rasterio.open(f'{before}.msk', 'r+') as file:
        file.update_tags(**{f'INTERNAL_MASK_FLAGS_{number}': 0 for number in (1, 2, 3)})
    check(before, after, beside, masks[0] & masks[1])
    only = dict(bands={'before': [2, 2, 3], 'after': [1, 2, 3]})
    check(before, after, beside, masks[1], **only)
    check(before, after, beside, masks[2], nodata={'before': 0})


def test_nodata_of_one_band_of_bytes_counts(scene, smooth, after, beside, tmp_path):
    """The other bands state none."""
    values, seen = smooth(30, 40), hole(8, 20)
    values[1] = np.where(seen, values[1].clip(0, 199), 200)
    path = scene('values', values)
    band = """<VRTRasterBand dataType="Byte" band="{number}">{nodata}<SimpleSource>
<SourceFilename>{path}</SourceFilename><SourceBand>{number}</SourceBand></SimpleSource>
</VRTRasterBand>"""
    stated = {2: '<NoDataValue>200</NoDataValue>'}
    bands = [
        band.format(number=number, nodata=stated.get(number, ''), path=path) for number in (1, 2, 3)
    ]
    before = tmp_path / 'before.vrt'
    before.write_text(
        '<VRTDataset rasterXSize="40" rasterYSize="30"><SRS>EPSG:32633</SRS><GeoTransform>500000, '
        f'10, 0, 5000000, 0, -10</GeoTransform>{"".join(bands)}</VRTDataset>',
        encoding='utf-8',
    )
    check(before, after, beside, seen)
    check(before, after, beside, np.ones((30, 40), bool), bands={'before': [1, 3, 3]})
