import pytest
import torch

from tfinet_mm.utils.torch_device import usable_device


def test_the_cpu_can_be_used():
    assert usable_device('cpu') == torch.device('cpu')
    assert usable_device(torch.device('cpu')) == torch.device('cpu')


@pytest.mark.parametrize('name', ['gpu', 'cuda:99', 'meta', 'cpu:x'])
def test_what_cannot_be_used_is_named(name):
    with pytest.raises(ValueError, match=f"device '{name}' can't be used"):
        usable_device(name)
