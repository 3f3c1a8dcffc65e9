"""Test tools/analysis/get_flops.py on networks of known size."""

import re

import pytest


def test_the_published_network(load_tool, tools, capsys):
    config = tools.parent / 'configs' / 'published' / 'tfinet_r18.py'
    load_tool('analysis/get_flops.py').main([str(config), '--shape', '128', '256'])
    output = capsys.readouterr().out
    assert 'one pair of 128 x 256' in output
    lines = re.findall(r'^(\w+) +([\d.]+) +([\d.]+)$', output, re.M)
    numbers = {name: (float(size), float(flop)) for name, size, flop in lines}
    # Published: 25.37 M parameters; 362.7 GFLOP at 512 x 512, eight times as many pixels.
    size, flop = numbers.pop('all')
    assert size == pytest.approx(25.37, abs=0.005)
    assert 8 * flop == pytest.approx(362.7, abs=0.1)
    assert sum(part[0] for part in numbers.values()) == pytest.approx(size, abs=0.005)
    assert sum(part[1] for part in numbers.values()) == pytest.approx(flop, abs=0.05)


def test_impossible_shapes(load_tool, capsys):
    with pytest.raises(SystemExit):
        load_tool('analysis/get_flops.py').main(['x.py', '--shape', '0'])
    assert 'above 0' in capsys.readouterr().err


def test_bands_are_those_of_the_backbone(load_tool, tools, capsys):
    config = tools.parent / 'configs' / 'demo' / 'tfinet_r18_synthetic.py'
    options = ['--shape', '32', '--cfg-options', 'model.backbone.in_channels=5']
    load_tool('analysis/get_flops.py').main([str(config), *options])
    assert '5 bands a date' in capsys.readouterr().out
