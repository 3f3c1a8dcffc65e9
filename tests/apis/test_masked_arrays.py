import numpy as np
import pytest

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.errors import ImageFormatError


def test_masked_pixels_of_either_date_are_not_seen(member, image):
    """The network sees the value next to them, whatever lies under the mask."""
    before, after = image(1), image(2)
    before[:, 50:], after[:, 50:] = before[:, 49:50], after[:, 49:50]
    inferencer = SCDInferencer(*member())
    plain = inferencer(before, after)
    assert plain.valid.all()
    masks = np.zeros((2, *before.shape), bool)
    masks[0, :, 50:53, 1] = True
    masks[1, :, 52:] = True
    hidden = [np.ma.array(one, mask=mask) for one, mask in zip((before, after), masks, strict=True)]
    hidden[0].data[:, 50:53, 1] = 255
    hidden[1].data[:, 52:] = 255
    found = inferencer(*hidden)
    expected = np.zeros((40, 56), bool)
    expected[:, 50:] = True
    np.testing.assert_array_equal(found.valid, ~expected)
    np.testing.assert_array_equal(np.ma.getmaskarray(found.change_prob), expected)
    assert not found.change_prob.data[expected].any()
    seen = ~expected
    np.testing.assert_allclose(found.change_prob[seen], plain.change_prob[seen], atol=1e-6)
    for name in ('change', 'land_cover_from', 'land_cover_to'):
        np.testing.assert_array_equal(getattr(found, name)[seen], getattr(plain, name)[seen])
        assert not getattr(found, name)[expected].any()
    found.plot()


@pytest.mark.parametrize('value', [np.nan, -9999])
def test_values_under_a_mask_may_be_anything(member, image, value):
    before = np.ma.array(image(1).astype(np.float32))
    before[:5] = np.ma.masked
    before.data[:5] = value
    found = SCDInferencer(*member(), value_range=(0, 255))(before, image(2).astype(np.float32))
    assert not found.valid[:5].any()
    assert found.valid[5:].all()
    assert np.isfinite(found.change_prob[5:]).all()


def test_images_without_a_pixel_that_both_show(member, image):
    hidden = [np.ma.array(image(seed)) for seed in (1, 2)]
    hidden[0][:20], hidden[1][20:] = np.ma.masked, np.ma.masked
    with pytest.raises(ImageFormatError, match='no pixel is seen on both dates: the image before'):
        SCDInferencer(*member())(*hidden)
