"""Choose the views that a prediction averages."""

import doctest

import pytest
from mmengine.config import Config

from tfinet_mm.apis import views
from tfinet_mm.apis.views import find_augmentation

THREE = dict(transforms=['identity'], scales=[0.5, 1.0, 2.0])


@pytest.mark.parametrize(
    ('config', 'tta', 'expected'),
    [
        ({}, None, None),
        ({}, True, {}),
        ({}, ['rotation_90'], dict(transforms=['rotation_90'])),
        (dict(default_tta=THREE), None, THREE),
        (dict(default_tta=THREE), False, None),
        (dict(default_tta=THREE), True, {}),
        (dict(default_tta=THREE), dict(scales=[2]), dict(scales=[2])),
        (dict(tta_model=dict(type='SCDTTAModel', scales=[2])), None, None),
        (dict(tta_model=dict(type='SCDTTAModel', scales=[2])), True, dict(scales=[2])),
    ],
)
def test_what_is_said_goes_before_the_config(config, tta, expected):
    assert find_augmentation(Config(config), tta) == expected


@pytest.mark.parametrize(
    ('config', 'tta', 'message'),
    [
        ({}, dict(flips=['identity']), r'^tta must be a dictionary of transforms and scales'),
        ({}, dict(scales=[0]), r'got \[0\]'),
        (dict(default_tta=['identity']), None, '^default_tta must be a dictionary'),
        (dict(default_tta=dict(transforms=['sideways'])), None, 'sideways'),
    ],
)
def test_views_that_can_not_be(config, tta, message):
    with pytest.raises(ValueError, match=message):
        find_augmentation(Config(config), tta)


def test_examples():
    assert doctest.testmod(views) == (0, 1)
