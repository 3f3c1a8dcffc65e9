import numpy as np
import pytest

from tfinet_mm.datasets.transforms import LoadImagePair, MatchRadiometry


def match(before, after, **keys):
    """Return the second date (H, W, B) after the transform, and check that the first stays."""
    bands = before.shape[2]
    image = np.concatenate([before, after], axis=2)
    made = MatchRadiometry()(dict(img=image.copy(), **keys))['img']
    assert made.dtype == image.dtype
    assert made.shape == image.shape
    assert np.array_equal(made[..., :bands], before)
    return made[..., bands:]


def column(*values, dtype=np.uint8):
    return np.array(values, dtype)[:, None, None]


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_worked_values(dtype):
    """Mean 100 and deviation 20 before, 50 and 10 after."""
    before, after = column(80, 120, 80, 120, dtype=dtype), column(40, 60, 60, 40, dtype=dtype)
    assert match(before, after)[:, 0, 0].tolist() == [80, 120, 120, 80]


def test_values_between_are_rounded_and_values_outside_cut():
    before, after = column(0, 255, 0, 255), column(10, 13, 11, 12)
    # Mean 127.5 and deviation 127.5 before, 11.5 and sqrt(1.25) after.
    step = 127.5 / 1.25**0.5
    assert match(before, after)[:, 0, 0].tolist() == [
        *(0, 255),
        *(round(127.5 - step / 2), round(127.5 + step / 2)),
    ]
    deep = match(*(one.astype(np.uint16) * 256 for one in (before, after)))[:, 0, 0].tolist()
    # The mean is 256 * 127.5, the values between are a step apart around it.
    assert deep == [0, 65535, *(round(256 * (127.5 + way * step / 2)) for way in (-1, 1))]


@pytest.mark.parametrize(('dtype', 'top'), [(np.uint8, 255), (np.uint16, 65535)])
def test_moments_of_each_band_are_those_of_the_first_date(dtype, top):
    rng = np.random.default_rng(0)
    scale = top / 255
    before = rng.normal([90, 120, 60, 140], [20, 30, 10, 15], (64, 64, 4)) * scale
    after = rng.normal([120, 100, 100, 60], [10, 25, 20, 12], (64, 64, 4)) * scale
    before, after = (one.clip(0, top).astype(dtype) for one in (before, after))
    made = match(before, after)
    for moment in (np.mean, np.std):
        expected = moment(before.reshape(-1, 4), axis=0)
        # Values were rounded, and a few cut.
        np.testing.assert_allclose(moment(made.reshape(-1, 4), axis=0), expected, rtol=0.01)
        assert not np.allclose(moment(after.reshape(-1, 4), axis=0), expected, rtol=0.05)


def test_pixels_without_data_count_nothing_and_stay():
    before = column(80, 120, 80, 120, 255, 0)
    after = column(40, 60, 60, 40, 7, 9)
    missing = np.array([0, 0, 0, 0, 1, 1], bool)[:, None]
    made = match(before, after, image_no_data=missing)
    assert made[:, 0, 0].tolist() == [80, 120, 120, 80, 7, 9]
    assert np.array_equal(match(before, after, image_no_data=np.ones_like(missing)), after)


@pytest.mark.parametrize('constant', [0, 1])
def test_constant_bands_stay(constant):
    rng = np.random.default_rng(1)
    dates = [rng.integers(0, 200, (8, 8, 2), np.uint8) for _ in range(2)]
    dates[constant][..., 0] = 30
    made = match(*dates)
    assert np.array_equal(made[..., 0], dates[1][..., 0])
    assert not np.array_equal(made[..., 1], dates[1][..., 1])


def test_a_pair_of_one_light_stays_and_nothing_is_drawn():
    image = np.random.default_rng(2).integers(0, 256, (16, 16, 3), np.uint8)
    assert np.array_equal(match(image, image), image)
    other = image // 2
    assert np.array_equal(match(image, other), match(image, other))


def test_files_of_16_bits():
    """They are loaded as float32 in 0..255."""
    pair = [
        np.repeat(column(*values, dtype=np.uint16), 3, axis=2)
        for values in ((800, 1200, 800, 1200), (400, 600, 600, 400))
    ]
    loaded = LoadImagePair(value_range=(0, 2550))(dict(img_path=pair))
    assert loaded['img'].dtype == np.float32
    made = MatchRadiometry()(loaded)['img'][:, 0, 3]
    np.testing.assert_allclose(made, [80, 120, 120, 80], rtol=1e-6)


@pytest.mark.parametrize('change', [dict(flip=True), dict(rotation=90), dict(crop=True)])
def test_images_that_were_moved_are_refused(change):
    missing = np.zeros((8, 8), bool)
    missing[0] = True
    size = 4 if change.pop('crop', False) else 8
    results = dict(img=np.zeros((size, size, 6), np.uint8), image_no_data=missing, **change)
    with pytest.raises(ValueError, match='directly after LoadImagePair'):
        MatchRadiometry()(results)


def test_before_or_after_a_flip_without_pixels_to_leave_out():
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (8, 8, 6)).astype(np.uint8)
    made = MatchRadiometry()(dict(img=image, flip=False))['img']
    flipped = MatchRadiometry()(dict(img=image[::-1].copy(), flip=True))['img']
    assert np.array_equal(flipped, made[::-1])
