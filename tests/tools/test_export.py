"""Test tools/export.py, whose files tests/apis/test_network_export.py compares with the network."""

import json

import pytest
from tiny_export import card as tiny_card

from tfinet_mm.apis.network_export import ExportedNetwork


def test_a_checkpoint_becomes_an_archive_with_its_cards(load_tool, trained, tmp_path, capsys):
    checkpoint = trained[0] / 'epoch_2.pth'
    out = tmp_path / 'a.pt2'
    words = [str(checkpoint), '--out', str(out), '--size', '64', '64', '--stretch', '0', '3000']
    load_tool('export.py').main([*words, '--threshold', '0.3', '--resolution', '0.5'])
    printed = capsys.readouterr().out
    assert 'Inputs: before and after, 3 bands, uint16, 64 x 64 pixels' in printed
    assert f'written to {out}' in printed
    item = json.loads((tmp_path / 'a.pt2.mlm.json').read_text())
    settings = item['properties']['mlm:hyperparameters']
    assert (settings['threshold'], settings['resolution']) == (0.3, 0.5)
    assert item['properties']['mlm:name'] == 'epoch_2'
    assert '| threshold | P(changed) from 0.3 on' in (tmp_path / 'a.pt2.md').read_text()


def test_a_file_without_a_known_suffix(load_tool, tools, run, tmp_path):
    refused = run(tools / 'export.py', '--out', tmp_path / 'a.engine', code=2)
    assert "the format is one of onnx, openvino, pt2, got 'a.engine'" in refused


def test_out_is_needed(load_tool, capsys):
    with pytest.raises(SystemExit):
        load_tool('export.py').main([])
    assert '--out' in capsys.readouterr().err


def test_sizes_are_fixed_or_open(load_tool, monkeypatch, tmp_path, capsys):
    tool, given = load_tool('export.py'), []

    def export(*_, size, **options):
        given.append(size)
        return ExportedNetwork(tmp_path / 'a.onnx', tiny_card(), 5, ())

    monkeypatch.setattr(tool, 'export_network', export)
    words = ['--out', str(tmp_path / 'a.onnx')]
    for more in ([], ['--dynamic'], ['--size', '64', '96']):
        tool.main([*words, *more])
    assert given == [None, None, [64, 96]]
    for more, said in ((['--size', '64', '64'], '--size'), (['--for', 'deepness'], 'one size')):
        with pytest.raises(SystemExit):
            tool.main([*words, '--dynamic', *more])
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ('bands', 'words'), [(None, ''), ((1, 2, 3), ''), ((4, 3, 2), '-b 4 -b 3 -b 2')]
)
def test_deepness_gets_bands_in_the_order_of_the_network(
    load_tool, monkeypatch, tmp_path, capsys, bands, words
):
    tool = load_tool('export.py')
    written = ExportedNetwork(tmp_path / 'a.onnx', tiny_card(bands=bands), 5, ())
    monkeypatch.setattr(tool, 'export_for_deepness', lambda *_, **__: written)
    tool.main(['--out', str(tmp_path / 'a.onnx'), '--for', 'deepness'])
    printed = capsys.readouterr().out
    assert ('gdal_translate' in printed) == bool(words)
    assert words in printed


def test_the_agreement_of_int8(load_tool, monkeypatch, tmp_path, capsys):
    tool, given = load_tool('export.py'), {}
    share = dict(change=99.5, land_cover_from=99.1, land_cover_to=99.2)
    found = dict(data='a, b', pairs=8, agreement=share, layers=40, float_layers=7)
    card = tiny_card(precision='int8', calibration=found)

    def export(*_, **options):
        given.update(options)
        return ExportedNetwork(tmp_path / 'a.xml', card, 5, ())

    monkeypatch.setattr(tool, 'export_network', export)
    words = ['--out', str(tmp_path / 'a.xml'), '--precision', 'int8', '--calibrate', 'a', 'b']
    tool.main([*words, '--agreement', '98.5'])
    assert given['agreement'] == 98.5
    assert 'On 8 pairs of a, b, labels are those of float32 on 99.50 %' in capsys.readouterr().out
    tool.main(words)
    assert given['agreement'] == 99
    with pytest.raises(SystemExit):
        tool.main([*words[:2], '--for', 'deepness', '--agreement', '98'])
    assert '--agreement does not go with --for deepness' in capsys.readouterr().err
