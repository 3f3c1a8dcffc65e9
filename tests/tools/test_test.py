"""Test tools/test.py as users run it."""

import json
import re

import pytest


def scores_of(output):
    """Return the metrics in the last line that MMEngine logs of a test or validation."""
    line = [line for line in output.splitlines() if 'Epoch(' in line and 'Score:' in line][-1]
    values = re.findall(r'(\w+): (-?\d+\.\d+)', line)
    return {name: float(value) for name, value in values if not name.endswith('time')}


def test_scores_maps_and_pictures(tiny, tools, run, trained, tmp_path):
    work_dir, training = trained
    output = run(
        *(tools / 'test.py', tiny, work_dir / 'epoch_2.pth', '--work-dir', tmp_path / 'logs'),
        *('--split', 'val', '--cfg-options', 'test_dataloader.dataset.data_root=nowhere'),
        *('--json', tmp_path / 'scores.json', '--out', tmp_path / 'maps'),
        *('--show-dir', tmp_path / 'pictures'),
    )
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert scores['scores']['Score'] == pytest.approx(scores_of(output)['Score'], abs=1e-3)
    assert scores_of(output) == scores_of(training)
    for what, where in (
        ('Scores', 'scores.json'),
        ('Predicted maps', 'maps'),
        ('Visualisations', 'pictures'),
        ('Logs', 'logs'),
    ):
        assert f'{what}: {tmp_path / where}' in output
    # Three pairs were held out; each gives maps and at least one picture.
    assert {path.stem for path in (tmp_path / 'maps').rglob('*.png')} == {'00000', '00001', '00002'}
    assert len(list((tmp_path / 'pictures').rglob('*.png'))) >= 3


def test_amp(tiny, tools, run, trained):
    work_dir, output = trained
    half = scores_of(run(tools / 'test.py', tiny, work_dir / 'epoch_2.pth', '--amp'))
    assert half['OA'] == pytest.approx(scores_of(output)['OA'], abs=5)


def test_a_missing_checkpoint_is_named(tiny, load_tool):
    with pytest.raises(FileNotFoundError, match=r'there is no checkpoint nowhere\.pth'):
        load_tool('test.py').main([str(tiny), 'nowhere.pth'])


def test_a_checkpoint_of_another_network_is_not_scored(tiny, tools, run, trained, tmp_path):
    work_dir, _ = trained
    other = tmp_path / 'other.py'
    other.write_text(f'_base_ = {str(tiny)!r}\nmodel = dict(backbone=dict(depth=34))\n')
    output = run(tools / 'test.py', other, work_dir / 'epoch_2.pth', code=2)
    assert 'CheckpointMismatchError' in output
    assert 'missing: backbone.layer1.2.conv1.weight' in output
    assert 'Precision_scd' not in output


def test_augmentation_with_and_without_a_budget(tiny, tools, run, trained, tmp_path):
    """Use the transforms of the config's tta_model; too little time gives the plain scores."""
    work_dir, training = trained
    config = tmp_path / 'one.py'
    config.write_text(f"_base_ = {str(tiny)!r}\ntta_model = dict(transforms=['rotation_90'])\n")
    test = (tools / 'test.py', config, work_dir / 'epoch_2.pth')
    plain = scores_of(training)
    turned = scores_of(run(*test, '--tta', '--amp', '--out', tmp_path / 'maps'))
    assert turned['OA'] != plain['OA']
    assert len(list((tmp_path / 'maps' / 'label1').glob('*.png'))) == 3
    options = ('--tta', '--json', tmp_path / 'scores.json', '--show-dir', tmp_path / 'pictures')
    output = run(*test, *options, '--time-budget', '0')
    assert '0 of 3 images had test-time augmentation' in output
    assert scores_of(output) == plain
    report = json.loads((tmp_path / 'scores.json').read_text())
    assert report['test_time_augmentation']['images'] == 0
    assert report['test_time_augmentation']['of'] == 3


def test_a_budget_needs_augmentation(tiny, load_tool):
    with pytest.raises(SystemExit):
        load_tool('test.py').parse_args([str(tiny), 'x.pth', '--time-budget', '9'])


@pytest.mark.parametrize(
    'words', [['c.py', 'x.pth', '--tta'], ['c.py', '--out', 'd', 'x.pth', '--tta']]
)
def test_the_checkpoint_may_stand_anywhere(words, load_tool):
    args = load_tool('test.py').parse_args(words)
    assert (args.config, args.checkpoint, args.tta) == ('c.py', 'x.pth', True)
    assert load_tool('test.py').parse_args(['c.py', '--out', 'd']).checkpoint is None


def test_an_ensemble_of_one_scores_as_its_member(ensemble, tools, run, trained, tmp_path):
    options = ('--split', 'val', '--cfg-options', 'model.members.1.weight=1e-9')
    output = run(tools / 'test.py', ensemble, *options, '--out', tmp_path / 'maps')
    assert scores_of(output) == scores_of(trained[1])
    assert len(list((tmp_path / 'maps' / 'label2').glob('*.png'))) == 3


def test_the_member_that_is_missing_is_named(ensemble, tools, run):
    option = ('--cfg-options', 'model.members.1.checkpoint=nowhere.pth')
    output = run(tools / 'test.py', ensemble, *option, code=2)
    assert 'member 1 of the ensemble: there is no checkpoint nowhere.pth' in output
    assert 'model.members.1.checkpoint=PATH' in output
