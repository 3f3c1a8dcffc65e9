"""Test the option ``compile`` of the inferencer."""

import pytest

from tfinet_mm.apis import SCDInferencer


def test_a_network_of_torch_takes_it():
    assert SCDInferencer(device='cpu', tta=False).model.compiled.mode == 'auto'
    assert SCDInferencer(device='cpu', tta=False, compile='on').model.compiled.mode == 'on'
    with pytest.raises(ValueError, match="compile must be one of 'auto', 'on', 'off', got 'yes'"):
        SCDInferencer(device='cpu', compile='yes')


def test_other_programs_do_not():
    with pytest.raises(ValueError, match='--compile on is an option of torch'):
        SCDInferencer('network.onnx', compile='on')
    with pytest.raises(ValueError, match='leave --compile out'):
        SCDInferencer(device='cpu', backend='openvino', compile='off')
