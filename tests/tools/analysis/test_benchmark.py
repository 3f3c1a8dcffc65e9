"""Test tools/analysis/benchmark.py on a small shape."""

import re

import pytest

from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset


def test_a_table_of_both_types_in_one_run(
    load_tool, tools, tmp_path, monkeypatch, capsys, made_up_cpu, no_gpu
):
    made_up_cpu(True)
    monkeypatch.chdir(tmp_path)  # a folder without data
    load_tool('analysis/benchmark.py').main(
        [
            *(str(tools.parent / 'configs' / 'tfinet_r18.py'), '--shape', '32', '--repeats', '1'),
            *('--channels', 'last', 'first', '--modes', 'inference', 'data'),
        ]
    )
    printed = capsys.readouterr()
    rows = [line for line in printed.out.splitlines() if line.startswith('| inference')]
    assert [row.split('|')[2].strip() for row in rows] == [
        f'{dtype}, channels {layout}'
        for layout in ('last', 'first')
        for dtype in ('float32', 'bfloat16')
    ]
    # 512 x 512 takes 362.2 GFLOP without the published classifier; this has a 256th of the pixels.
    assert {row.split('|')[6].strip() for row in rows} == {'1.4'}
    assert 'No data to load' in printed.out
    assert 'row' in printed.err


def test_impossible_numbers(load_tool, capsys):
    with pytest.raises(SystemExit):
        load_tool('analysis/benchmark.py').main(['x.py', '--batch-size', '0'])
    assert 'above 0' in capsys.readouterr().err


def test_types_that_are_the_same_are_measured_once(
    load_tool, tools, tmp_path, monkeypatch, capsys, made_up_cpu, no_gpu
):
    made_up_cpu(False)
    monkeypatch.chdir(tmp_path)
    config = str(tools.parent / 'configs' / 'tfinet_r18_fpn.py')
    options = ['--shape', '64', '--repeats', '1', '--modes', 'inference']
    load_tool('analysis/benchmark.py').main([config, *options])
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith('| inference')]
    assert [row.split('|')[2].strip() for row in rows] == ['float32, channels last']
    assert 'auto is float32 here, measured once: this CPU has no bfloat16 units' in printed


def test_the_workers_that_a_rate_takes(load_tool, tools, tmp_path, capsys):
    write_dataset(tmp_path, 4, 0, SyntheticConfig(size=32))
    root = f'train_dataloader.dataset.data_root={tmp_path / "train"}'
    options = ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False', root]
    config = str(tools.parent / 'configs' / 'demo' / 'tfinet_r18_synthetic.py')
    tool = load_tool('analysis/benchmark.py')
    tool.main([config, '--modes', 'data', '--pairs', '8', '--wanted', '1300',
               '--cfg-options', *options])  # fmt: skip
    printed = capsys.readouterr().out
    milliseconds = re.search(r'a worker, processor time of a pair +\| +([\d.]+)', printed).group(1)
    workers = re.search(r'1300 pairs a second take (\d+) worker', printed).group(1)
    assert abs(int(workers) - 1.3 * float(milliseconds)) < 1.1
    for wrong in (['--wanted', '0'], ['--modes', 'train', '--wanted', '5']):
        with pytest.raises(SystemExit):
            tool.main([config, *wrong])
        assert '--wanted takes a number above 0' in capsys.readouterr().err
