"""Test networks as plain modules."""

import copy

import numpy as np
import pytest
import torch

from tfinet_mm.apis import SCDInferencer, build_module

CONFIG = 'configs/demo/tfinet_r18_synthetic.py'


@pytest.fixture(scope='module')
def module():
    return build_module()


@pytest.fixture(scope='module')
def dates():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 2, 3, 70, 96), generator=generator, dtype=torch.uint8)


def test_logits_are_those_that_the_inferencer_predicts_from(module, dates):
    with torch.no_grad():
        logits = module(*dates)
    assert logits.semantic_from.shape == logits.semantic_to.shape == (2, 6, 70, 96)
    assert logits.change.shape == (2, 1, 70, 96)
    found = logits.probabilities()
    before, after = (date[1].permute(1, 2, 0).numpy() for date in dates)
    result = SCDInferencer(tta=False, amp='float32', calibration=False)(before, after)
    np.testing.assert_allclose(found.change[1, 0], result.change_prob, atol=2e-6)
    assert (found.land_cover_from[1].argmax(0).numpy() + 1 == result.land_cover_from).all()
    assert (found.land_cover_to[1].argmax(0).numpy() + 1 == result.land_cover_to).all()


def test_pairs_come_in_three_forms(module, dates):
    before, after = dates
    with torch.no_grad():
        first = module(before, after)
        for pairs in (torch.stack([before, after], 1), torch.cat([before, after], 1)):
            for one, other in zip(first, module(pairs), strict=True):
                assert torch.equal(one, other)


def test_a_value_range_and_change_alone(module, dates):
    scaled = build_module(value_range=(-1, 1), returns='change')
    with torch.no_grad():
        change = scaled(*(date / 127.5 - 1 for date in dates))
        torch.testing.assert_close(change, module(*dates).change, atol=1e-4, rtol=1e-4)


def test_it_moves_and_casts_as_a_module_does(module, dates):
    double = copy.deepcopy(module).double()
    assert {buffer.dtype for buffer in (double.mean, double.std)} == {torch.float64}
    with torch.no_grad():
        logits = double(*dates)
        torch.testing.assert_close(logits.change.float(), module(*dates).change, atol=1e-3, rtol=0)
    assert logits.change.dtype == torch.float64


def test_its_precision_is_that_of_the_loop(dates):
    module = build_module()
    types = []
    module.network.backbone.register_forward_hook(lambda m, x, y: types.append(y[-1].dtype))
    with torch.no_grad():
        module(*dates)
        with torch.autocast('cpu', torch.bfloat16):
            module(*dates)
    assert types == [torch.float32, torch.bfloat16]


def test_a_config_alone_gives_a_network_to_train():
    module = build_module(CONFIG, cfg_options={'model.backbone.init_cfg': None})
    assert module.training
    assert module.num_classes == 6
    assert module.class_table.names[0] == 'unchanged'
    pairs = torch.rand(2, 2, 3, 64, 64) * 255
    module(pairs).change.mean().backward()
    assert module.network.backbone.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(value_range=(1, 0)), 'low below high'),
        (dict(returns='classes'), "'logits' or 'change'"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build_module(**options)


def test_an_exported_file_is_no_network_to_train():
    for given in (dict(config='a.onnx'), dict(config='a.py', checkpoint='b.xml')):
        with pytest.raises(ValueError, match=r'(a.onnx|b.xml) is an exported network.*SCDInf'):
            build_module(**given)


def test_shapes_that_are_no_pairs_are_refused(module):
    with pytest.raises(ValueError, match=r'\(N, 2, B, H, W\)'):
        module(torch.zeros(2, 3, 64, 64))
    with pytest.raises(ValueError, match=r'both be \(N, B, H, W\)'):
        module(torch.zeros(2, 3, 64, 64), torch.zeros(2, 3, 64, 32))
    with pytest.raises(ValueError, match='4 bands, and the network takes 3'):
        module(torch.zeros(2, 4, 64, 64), torch.zeros(2, 4, 64, 64))
