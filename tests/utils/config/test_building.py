import pytest
from mmengine.optim import MultiStepLR
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn, optim

from tfinet_mm.errors import ConfigError, SceneError
from tfinet_mm.utils.config.building import building


def test_names_the_part_where_a_library_does_not():
    assert 'MultiStepLR' in PARAM_SCHEDULERS
    optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    with (
        pytest.raises(ConfigError, match=r"^param_scheduler can't be built: TypeError: .*'mil"),
        building('param_scheduler', dict(milestones=5)),
    ):
        MultiStepLR(optimizer, milestones=5)


@pytest.mark.parametrize('error', [SceneError('x'), FileNotFoundError('x'), MemoryError()])
def test_errors_that_say_what_is_wrong_pass(error):
    with pytest.raises(type(error)) as caught, building('model', {}):
        raise error
    assert caught.value is error


def test_says_what_is_known_of_an_error_without_words():
    said = 'AssertionError: no message; its config is'
    with pytest.raises(ConfigError, match=said), building('a hook', dict(type='x')):
        raise AssertionError


def test_long_configs_are_cut():
    with pytest.raises(ConfigError) as caught, building('model', dict(a='b' * 5000)):
        raise KeyError('a')
    assert len(str(caught.value)) < 800
