import numpy as np
import pytest
import torch
from PIL import Image

from tfinet_mm.models.detectors.augmentation import (
    TTA_TRANSFORMS,
    apply_transform,
    augmented_probabilities,
    check_scales,
    check_transforms,
    mean_probabilities,
    undo_transform,
    view_names,
)
from tfinet_mm.structures import SCDProbabilities

BY_NUMPY = {
    'identity': lambda x: x,
    'vertical_flip': lambda x: np.flip(x, -2),
    'horizontal_flip': lambda x: np.flip(x, -1),
    'rotation_90': lambda x: np.rot90(x, 1, (-2, -1)),
    'rotation_180': lambda x: np.rot90(x, 2, (-2, -1)),
    'rotation_270': lambda x: np.rot90(x, 3, (-2, -1)),
}


class Positions:
    """A model whose probabilities depend on the pixel, its place and the size of the image."""

    def predict_probabilities(self, inputs):
        height, width = inputs.shape[2:]
        place = torch.arange(height * width, dtype=inputs.dtype).view(height, width)
        value = inputs[:, :1] * (1 + place / width)
        return SCDProbabilities(value, 2 * value + height, value.sin())


def test_the_six_published_transforms():
    assert set(TTA_TRANSFORMS) == set(BY_NUMPY)


@pytest.mark.parametrize('name', TTA_TRANSFORMS)
def test_transforms_are_those_of_numpy_and_can_be_undone(name):
    x = torch.rand(2, 3, 5, 7)
    transformed = apply_transform(x, name)
    np.testing.assert_array_equal(transformed.numpy(), BY_NUMPY[name](x.numpy()))
    assert torch.equal(undo_transform(transformed, name), x)


@pytest.mark.parametrize(
    'transforms',
    [TTA_TRANSFORMS, ('identity',), ('rotation_90',), ('vertical_flip', 'rotation_270')],
)
def test_the_mean_of_each_transform_by_hand(transforms):
    x = torch.rand(2, 6, 5, 7, dtype=torch.float64)
    found = augmented_probabilities(Positions(), x, transforms)
    parts = []
    for name in transforms:
        turned = torch.from_numpy(BY_NUMPY[name](x.numpy()).copy())
        predicted = Positions().predict_probabilities(turned)
        back = {'rotation_90': 'rotation_270', 'rotation_270': 'rotation_90'}.get(name, name)
        parts.append([BY_NUMPY[back](maps.numpy()) for maps in predicted])
    for index, maps in enumerate(found):
        expected = sum(part[index] for part in parts) / len(parts)
        np.testing.assert_allclose(maps.numpy(), expected, rtol=1e-12)


def test_the_mean_of_scales_by_pillow():
    """Scaled sides are multiples of 32: 25 x 35 becomes 32 x 32, 75 x 105 becomes 64 x 96."""
    x = torch.rand(2, 6, 50, 70)
    found = augmented_probabilities(Positions(), x, ['identity', 'rotation_90'], [0.5, 1.0, 1.5])
    parts = []
    for height, width in ((32, 32), (50, 70), (64, 96)):
        scaled = torch.from_numpy(_resized(x.numpy(), height, width))
        for turn in (0, 1):
            turned = Positions().predict_probabilities(torch.rot90(scaled, turn, (-2, -1)))
            back = [np.rot90(maps.numpy(), -turn, (-2, -1)) for maps in turned]
            parts.append([_resized(maps, 50, 70) for maps in back])
    for index, maps in enumerate(found):
        assert maps.shape == (2, 1, 50, 70)
        expected = sum(part[index] for part in parts) / len(parts)
        np.testing.assert_allclose(maps.numpy(), expected, rtol=1e-4, atol=1e-4)


def _resized(maps, height, width):
    def resize(band):
        one = Image.fromarray(np.ascontiguousarray(band, np.float32))
        return np.asarray(one.resize((width, height), Image.Resampling.BILINEAR))

    bands = [resize(band) for band in maps.reshape(-1, *maps.shape[2:])]
    return np.stack(bands).reshape(*maps.shape[:2], height, width)


def test_a_scale_leaves_a_pixel_and_the_type():
    x = torch.rand(1, 6, 1, 9).half()
    found = augmented_probabilities(Positions(), x, ['identity'], [0.25])
    assert all(maps.shape == (1, 1, 1, 9) and maps.dtype == torch.float16 for maps in found)


def test_views_are_named():
    assert view_names(['identity', 'rotation_90'], [1, 0.5]) == [
        *('identity', 'rotation_90', 'identity x 0.5', 'rotation_90 x 0.5')
    ]


def _constant(*values):
    return SCDProbabilities(*(torch.full((1, 1, 2, 2), value) for value in values))


def test_weighted_means_by_hand():
    parts = [_constant(0.2, 0.4, 0.0), _constant(0.6, 0.4, 1.0)]
    assert [x.unique().tolist() for x in mean_probabilities(parts)] == [
        [pytest.approx(v)] for v in (0.4, 0.4, 0.5)
    ]
    weighted = mean_probabilities(iter(parts), [1, 3])
    assert [x.unique().tolist() for x in weighted] == [[pytest.approx(v)] for v in (0.5, 0.4, 0.75)]


@pytest.mark.parametrize(
    ('parts', 'weights'), [([], None), ([], []), ([_constant(1, 1, 1)] * 2, [1]), ([], [1, 2])]
)
def test_numbers_must_agree(parts, weights):
    with pytest.raises(ValueError, match='expected one prediction for each weight'):
        mean_probabilities(parts, weights)


def test_one_alone_stays_bit_for_bit():
    part = SCDProbabilities(*(torch.rand(1, 2, 9, 9) for _ in range(3)))
    for a, b in zip(mean_probabilities([part], [0.3]), part, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ('transforms', 'message'),
    [
        ([], 'must be a list'),
        ('identity', 'must be a list'),
        (['rotation_45'], 'rotation_45'),
        (['identity', 'identity'], 'every transform once'),
    ],
)
def test_transforms_that_cannot_be(transforms, message):
    with pytest.raises(ValueError, match=message):
        check_transforms(transforms)


@pytest.mark.parametrize(
    ('scales', 'message'),
    [
        ([], 'must be a list of numbers from 0.1 to 8'),
        (2.0, 'got 2.0'),
        ('12', "got '12'"),
        ([0.0], r'got \[0.0\]'),
        ([9], r'got \[9\]'),
        ([float('nan')], 'nan'),
        ([True], 'True'),
        ([1, 1.0], 'every scale counts once'),
    ],
)
def test_scales_that_cannot_be(scales, message):
    with pytest.raises(ValueError, match=message):
        check_scales(scales)
