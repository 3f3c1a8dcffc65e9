import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.runner import load_checkpoint
from published_reference import load_reference

from tfinet_mm.errors import TFINetError
from tfinet_mm.registry import MODELS

ROOT = Path(__file__).parents[2]


def test_published_file_to_working_model(tools, run, tmp_path):
    """Convert a file with the published keys, and compare with the published outputs."""
    reference = load_reference('tfinet_resnet18')
    source, target = tmp_path / 'published v1.0.pth', tmp_path / 'new folder' / 'tfinet.pth'
    torch.save(reference.state_dict, source)
    printed = run(tools / 'convert_checkpoint.py', source, target, '--network', 'tfinet')
    assert '274 tensors of 277' in printed

    cfg = Config.fromfile(ROOT / 'configs' / 'published' / 'tfinet_r18.py')
    model = MODELS.build(cfg.model)
    load_checkpoint(model, str(target), map_location='cpu', strict=True)
    with torch.no_grad():
        logits = model.double().eval()(reference.inputs, mode='tensor')
    expected = reference.outputs['change_logit']
    error = np.abs(logits.change[0, 0, ::3, ::3].numpy() - expected).max()
    assert error / np.abs(expected).max() < 1e-6


@pytest.mark.parametrize(
    ('content', 'message'),
    [({'decoder.weight': torch.ones(1)}, 'none of the published TFINet'), ([1], 'a state dict')],
)
def test_other_files_are_refused(tools, run, tmp_path, content, message):
    torch.save(content, tmp_path / 'other.pth')
    words = (tmp_path / 'other.pth', tmp_path / 'out.pth', '--network', 'tfinet')
    assert message in run(tools / 'convert_checkpoint.py', *words, code=2)
    assert not (tmp_path / 'out.pth').exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (
            {'neck.beta': torch.tensor([float('nan')])},
            r'other\.pth: the weights neck\.beta hold NaN',
        ),
        ({'neck.beta': torch.ones(1).int()}, r'other\.pth: neck\.beta is torch\.int32, expected'),
        ({}, r'other\.pth: expected a state dict'),
        ({'state_dict': {1: torch.ones(1)}}, r'other\.pth: expected a state dict'),
        (torch.ones(1), r'other\.pth: expected a state dict .* got Tensor'),
    ],
)
def test_the_file_at_fault_is_named(tmp_path, content, message):
    main = runpy.run_path(str(ROOT / 'tools' / 'convert_checkpoint.py'))['main']
    torch.save(content, tmp_path / 'other.pth')
    with pytest.raises(TFINetError, match=message):
        main([str(tmp_path / 'other.pth'), str(tmp_path / 'out.pth'), '--network', 'tfinet'])
    assert not (tmp_path / 'out.pth').exists()
