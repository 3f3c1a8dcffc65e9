"""Test tools/check_dataset.py as users run it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CONFIG = """
default_scope = 'mmseg'
pipeline = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.PackPairInputs'),
]
def loader(keep):
    return dict(
        batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='tfinet_mm.SECONDDataset', data_root={root!r}, pipeline=pipeline,
            fold=dict(every=2, start=0, keep=keep), test_mode=keep == 'held_out'))
train_dataloader = loader('rest')
val_dataloader = loader('held_out')
test_dataloader = None
model = dict(semantic_head=dict(num_classes=6))
del loader
"""


@pytest.fixture
def config(make_scd, tmp_path):
    make_scd(['a', 'b', 'c v1.2', 'd'], root='data set')
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(root=str(tmp_path / 'data set')))
    return path


def test_a_good_data_set(config, tools, run, tmp_path):
    output = run(tools / 'check_dataset.py', config, '--json', tmp_path / 'out' / 'report.json')
    assert 'train' in output
    assert output.count('no problems found') == 2
    assert 'from: rgb (2)' in output
    report = json.loads((tmp_path / 'out' / 'report.json').read_text())
    assert report['train']['pairs'] == report['val']['pairs'] == 2
    assert report['train']['ok'] is True
    assert report['leaks'] == []
    assert 'note:' not in output


def test_copies_between_splits_are_shown_on_a_page(config, load_tool, capsys, tmp_path):
    rng = np.random.default_rng(0)
    for folder in ('im1', 'im2'):
        for name in ('a', 'b', 'c v1.2', 'd'):
            blobs = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
            path = tmp_path / 'data set' / folder / f'{name}.png'
            blobs.resize((16, 12), Image.Resampling.BICUBIC).save(path)
        # "b" is trained on, "c" isn't.
        copied = np.asarray(Image.open(path.with_name('b.png'))) * 0.9 + 3
        Image.fromarray(copied.astype(np.uint8)).save(path.with_name('c v1.2.png'))
    page, report = tmp_path / 'page.html', tmp_path / 'report.json'
    options = ['--workers', '0', '--html', str(page), '--json', str(report), '--each', '1']
    assert load_tool('check_dataset.py').main([str(config), *options]) == 1
    printed = capsys.readouterr().out
    assert '1 of 2 pairs of val look the same as a training pair (at most 10 of 128' in printed
    assert "'c v1.2' as 'b'" in printed
    found = json.loads(report.read_text())
    (leak,) = found['leaked']
    assert (leak['name'], leak['of_name'], leak['identical']) == ('c v1.2', 'b', False)
    assert found['strange'][0]['name'] == 'c v1.2'
    assert found['train']['empty'] == 0
    assert 'looks the same as b of train' in page.read_text()


def test_exit_code_1_where_training_would_be_wrong(config, tools, run, tmp_path):
    label = tmp_path / 'data set' / 'label1' / 'd.png'
    pixels = np.asarray(Image.open(label)).copy()
    pixels[0, 0] = (1, 2, 3)
    Image.fromarray(pixels).save(label)
    output = run(tools / 'check_dataset.py', config, '--split', 'train', '--workers', '0', code=1)
    assert f'error: d: {label} holds 0.52 % of its pixels in 1 colour of no class' in output
    assert 'val' not in [line.strip() for line in output.splitlines()]
    fine = run(tools / 'check_dataset.py', config, '--split', 'val', '--workers', '0')
    assert 'no problems found' in fine


def test_what_can_not_be_listed_and_other_classes_are_errors(config, tools, run, tmp_path):
    (tmp_path / 'data set' / 'im2' / 'b.png').unlink()
    options = [
        '--cfg-options',
        'model.semantic_head.num_classes=7',
        'train_dataloader.dataset.fold',
    ]
    options[-1] += '=None'
    # No split can be listed, so that nothing is checked.
    output = run(tools / 'check_dataset.py', config, *options, code=2)
    assert output.count("img_path_to lacks 'b'") == 2
    assert 'Traceback' not in output
    (tmp_path / 'data set' / 'im2' / 'b.png').write_bytes(
        Path(tmp_path / 'data set' / 'im2' / 'a.png').read_bytes()
    )
    output = run(tools / 'check_dataset.py', config, *options, code=1)
    assert 'the data set has 6 land-cover classes, the model 7' in output
    assert '2 of 2 pairs of val are trained on as well' in output


def test_a_split_that_can_not_be_joined_leaves_the_others_to_check(config, load_tool, capsys):
    tool = load_tool('check_dataset.py')
    with config.open('a') as file:
        file.write("""
import copy
masks = copy.deepcopy(train_dataloader['dataset'])
masks.update(type='tfinet_mm.SCDDataset')
masks['data_prefix'] = dict(seg_map_path='label1', seg_map_path_from=None, seg_map_path_to=None)
joined = [train_dataloader['dataset'], masks]
train_dataloader = dict(train_dataloader, dataset=dict(type='ConcatDataset', datasets=joined))
del copy, masks, joined
""")
    assert tool.main([str(config), '--workers', '0']) == 1
    printed = capsys.readouterr().out
    assert 'train\n  error: train_dataloader.dataset ' in printed
    assert 'differ in semantic_classes: datasets[0] (SECONDDataset ' in printed
    assert 'give datasets[1], which has change masks alone, the same classes' in printed
    assert 'no problems found' in printed
    report = config.parent / 'report.json'
    only = ['--workers', '0', '--split', 'train', '--json', str(report)]
    assert tool.main([str(config), *only]) == 2
    assert json.loads(report.read_text())['train']['ok'] is False


def test_exit_code_2_where_nothing_can_be_checked(config, tools, run, load_tool):
    tool = load_tool('check_dataset.py')
    with pytest.raises(ValueError, match='--workers must be 0 or more, got -1'):
        tool.main([str(config), '--workers', '-1'])
    with pytest.raises(ValueError, match=r'no dataloader for --split test; it needs test_data'):
        tool.main([str(config), '--split', 'test'])
    printed = run(tools / 'check_dataset.py', config, '--workers', '-1', code=2)
    assert printed.endswith('ValueError: --workers must be 0 or more, got -1\n')
    assert 'Traceback' not in printed
