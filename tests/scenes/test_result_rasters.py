import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.result_rasters import from_and_to, scene_rasters, transition_codes
from tfinet_mm.structures import SECOND, ClassTable


def table(number):
    return ClassTable(
        tuple(f'c{i}' for i in range(number + 1)), tuple((i, 0, 0) for i in range(number + 1))
    )


@pytest.mark.parametrize(
    ('number', 'dtype', 'nodata'), [(1, 'uint8', 255), (15, 'uint8', 255), (16, 'uint16', 65535)]
)
def test_transitions_fit_their_type(number, dtype, nodata):
    """15 x 15 = 225 codes fit a byte beside unchanged and nodata, 256 don't."""
    raster = scene_rasters(table(number))['transition']
    assert (raster.dtype, raster.nodata) == (dtype, nodata)
    assert len(raster.class_names) == number**2 + 1
    assert len(raster.colours) == (number**2 + 1 if dtype == 'uint8' else 0)


@pytest.mark.parametrize('number', [6, 16])
def test_codes_lead_back_to_their_classes(number):
    raster = scene_rasters(table(number))['transition']
    old, new = (grid.ravel() + 1 for grid in np.mgrid[:number, :number].astype(np.uint8))
    codes = transition_codes(np.ones_like(old), old, new, raster)
    assert codes.tolist() == list(range(1, number**2 + 1))
    before, after = from_and_to(codes, number)
    np.testing.assert_array_equal(before, old)
    np.testing.assert_array_equal(after, new)
    assert [raster.class_names[code] for code in codes] == [
        f'c{a} to c{b}' for a, b in zip(old, new, strict=True)
    ]


def test_classes_of_second():
    rasters = scene_rasters(SECOND)
    assert list(rasters) == [
        *('change_prob', 'change', 'land_cover_from', 'land_cover_to', 'transition', 'valid')
    ]
    water, tree = 1, 4
    transition = rasters['transition']
    code = (water - 1) * 6 + tree
    assert transition.class_names[code] == 'water to tree'
    blended = [
        0.35 * a + 0.65 * b for a, b in zip(*np.array(SECOND.palette)[[water, tree]], strict=True)
    ]
    np.testing.assert_allclose(transition.colours[code], blended, atol=0.5)
    assert transition.colours[0] == SECOND.palette[0]
    assert rasters['land_cover_to'].class_names == ('no data', *SECOND.names[1:])
    assert rasters['land_cover_to'].colours[1:] == SECOND.palette[1:]


def test_too_many_or_no_classes():
    with pytest.raises(ValueError, match='at least one land-cover class'):
        scene_rasters(table(0))
    with pytest.raises(SceneError, match=r'1 to 255 land-cover classes .* got 256'):
        scene_rasters(
            ClassTable(
                tuple(map(str, range(257))), tuple((0, i // 256, i % 256) for i in range(257))
            )
        )
