"""Test calibration from the tool that fits it to the programs that predict with it."""

import json
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.calibration import NODES, Calibration
from tfinet_mm.checkpoints.calibrated import checkpoint_calibrations, write_calibrated
from tfinet_mm.checkpoints.shipped import DEFAULT
from tfinet_mm.io.images import read_image


@pytest.fixture(scope='module')
def network(tiny, tools, tmp_path_factory):
    """Return config and checkpoint of the weights of the package, which tell change apart,
    without their calibrations."""
    folder = tmp_path_factory.mktemp('network')
    base = tools.parent / 'configs' / 'demo' / 'tfinet_lite0_fpn_finetune.py'
    held_out = dict(
        num_workers=0,
        persistent_workers=False,
        dataset=dict(data_root=str(tiny.parent / 'data' / 'val')),
    )
    (folder / 'demo.py').write_text(
        f"_base_ = {str(base)!r}\nmodel = dict(autocast='float32')\n"
        f'val_dataloader = {held_out}\ntest_dataloader = {held_out}\n'
    )
    write_calibrated(folder / 'demo.pth', DEFAULT, [])
    return folder / 'demo.py', folder / 'demo.pth'


@pytest.fixture(scope='module')
def calibrated(network, tools, warm, tmp_path_factory):
    """Return the folder with what the tool wrote, and its output."""
    folder = tmp_path_factory.mktemp('calibrated')
    printed = folder / 'output.txt'
    words = [
        *(tools / 'test.py', *network, '--work-dir', folder / 'logs'),
        *('--calibrate', 'platt', '--calibrated', folder / 'network.pth'),
        *('--reliability', folder / 'report', '--precision', '0.5'),
    ]
    code = warm.run([str(word) for word in words], folder, printed, timeout=240)
    output = printed.read_text()
    assert code == 0, output[-5000:]
    return folder, output


@pytest.fixture
def pair(tiny):
    """Return the two images of a held-out pair."""
    data = tiny.parent / 'data' / 'val'
    name = sorted(path.name for path in (data / 'im1').iterdir())[0]
    return [str(data / part / name) for part in ('im1', 'im2')]


def test_the_fit_lowers_the_error_and_is_stored(calibrated, network):
    folder, output = calibrated
    report = json.loads((folder / 'report' / 'reliability.json').read_text())
    assert report['pairs'] == 3
    assert report['views'] == ['identity']
    before, after = report['as_predicted'], report['calibrated_on_the_same_pairs']
    assert before['pixels'] == 3 * 64 * 64
    assert after['Brier'] < before['Brier']
    assert after['ECE'] < before['ECE']
    assert report['threshold']['precision'] >= 0.5
    printed = float(re.search(r'on these pairs: --threshold (\S+)', output)[1])
    assert 0 <= report['threshold']['threshold'] - printed < 1e-6
    (stored,) = checkpoint_calibrations(folder / 'network.pth')
    assert stored == Calibration.from_record(report['calibration'], 'report')
    assert stored.origin['pairs'] == len(stored.origin['keys']) == 3
    assert f'ECE {100 * before["ECE"]:.2f} %' in output
    assert f'Calibrated: {folder / "network.pth"}' in output
    kept = [torch.load(path, weights_only=False)['state_dict'] for path in (
        folder / 'network.pth', network[1])]  # fmt: skip
    assert all(torch.equal(value, kept[1][key]) for key, value in kept[0].items())
    assert (folder / 'report' / 'reliability.png').read_bytes()[:4] == b'\x89PNG'


def test_the_threshold_that_keeps_the_maps_is_said(calibrated, network, pair):
    folder, output = calibrated
    same = float(re.search(r'maps stay the same with --threshold (\S+)', output)[1])
    first = SCDInferencer(*network, 'cpu')(*pair)
    second = SCDInferencer(network[0], folder / 'network.pth', 'cpu', threshold=same)(*pair)
    assert 0.05 < first.change.mean() < 0.95
    assert (first.change == second.change).mean() > 0.999


def test_a_test_with_the_calibration_names_the_pairs_it_was_fitted_on(
    calibrated, network, tools, run, tmp_path
):
    folder, _ = calibrated
    words = (tools / 'test.py', network[0], folder / 'network.pth', '--work-dir', tmp_path / 'logs')
    output = run(*words, '--reliability', tmp_path / 'report')
    assert 'fitted on 3 of these 3 pairs' in output
    found = json.loads((tmp_path / 'report' / 'reliability.json').read_text())
    fitted = json.loads((folder / 'report' / 'reliability.json').read_text())
    # Each pixel is calibrated here, and the fine histogram there.
    right = fitted['calibrated_on_the_same_pairs']
    assert found['calibrated']['Brier'] == pytest.approx(right['Brier'], abs=1e-4)
    assert found['also_fitted_on'] == 3
    plain = run(*words, '--no-calibration', '--reliability', tmp_path / 'plain')
    assert 'fitted on' not in plain
    found = json.loads((tmp_path / 'plain' / 'reliability.json').read_text())
    assert found['as_predicted'] == fitted['as_predicted']


def test_other_pairs_are_not_said_to_be_the_same(calibrated, network, tiny, tools, run, tmp_path):
    folder, _ = calibrated
    output = run(
        *(tools / 'test.py', network[0], folder / 'network.pth', '--work-dir', tmp_path / 'logs'),
        *('--reliability', tmp_path, '--precision', '1.0', '--cfg-options'),
        f'test_dataloader.dataset.data_root={tiny.parent / "data" / "train"}',
    )
    assert 'P(changed) over 4 pairs' in output
    assert 'fitted on' not in output
    # The surest pixels did change, few as they are.
    point = json.loads((tmp_path / 'reliability.json').read_text())['threshold']
    assert point['precision'] == 1
    assert 0 < point['recall'] < 1


@pytest.mark.parametrize(
    'calibration',
    [
        Calibration('platt', scale=2.0, bias=0.4),
        Calibration('isotonic', values=tuple(np.linspace(0.0, 0.8, NODES).tolist())),
    ],
    ids=lambda one: one.method,
)
def test_inference_and_export_calibrate(calibration, trained, tiny, pair, tmp_path):
    pytest.importorskip('onnxscript')
    from tfinet_mm.apis.network_export import export_network

    file = tmp_path / 'network.pth'
    write_calibrated(file, trained[0] / 'epoch_2.pth', [calibration])
    raw = SCDInferencer(tiny, trained[0] / 'epoch_2.pth', 'cpu')
    inferencer = SCDInferencer(tiny, file, 'cpu')
    before = raw(*pair).change_prob
    right = calibration(torch.from_numpy(before)).numpy()
    assert np.abs(right - before).max() > 0.01
    np.testing.assert_allclose(inferencer(*pair).change_prob, right, atol=1e-6)
    assert inferencer.settings['calibration'] == calibration.summary()
    assert 'calibration' not in raw.settings
    off = SCDInferencer(tiny, file, 'cpu', calibration=False)
    np.testing.assert_array_equal(off(*pair).change_prob, before)
    # Scenes take batches of windows.
    batch = np.concatenate([read_image(path) for path in pair], axis=2).transpose(2, 0, 1)[None]
    for one, expected in ((inferencer, right), (off, before)):
        found = one.predict_probabilities(batch).change[0, 0]
        np.testing.assert_allclose(np.asarray(found), expected, atol=1e-5)
    written = export_network(tiny, file, tmp_path / 'network.onnx', size=(64, 64))
    assert written.card.change_calibration == calibration.summary()
    network = SCDInferencer(tmp_path / 'network.onnx', backend='onnxruntime')
    np.testing.assert_allclose(network(*pair).change_prob, right, atol=1e-4)
    assert network.settings['calibration'] == calibration.summary()
    with pytest.raises(ValueError, match='takes no calibration'):
        SCDInferencer(tmp_path / 'network.onnx', calibration=False)


def test_files_of_weights_keep_it(calibrated, network, tools, run, tmp_path):
    folder, _ = calibrated
    words = (tools / 'export_weights.py', folder / 'network.pth', '--config', network[0])
    run(*words, tmp_path / 'w.safetensors')
    stored = checkpoint_calibrations(folder / 'network.pth')
    assert checkpoint_calibrations(tmp_path / 'w.safetensors') == stored
    found = SCDInferencer(tmp_path / 'w.safetensors', device='cpu').settings
    assert found['calibration'] == stored[0].summary()


def test_augmented_views_are_fitted_apart(calibrated, network, tools, run, tmp_path):
    folder, _ = calibrated
    run(
        *(tools / 'test.py', network[0], folder / 'network.pth', '--work-dir', tmp_path / 'logs'),
        *('--tta', '--calibrate', 'temperature', '--calibrated', tmp_path / 'both.pth'),
    )
    plain, turned = checkpoint_calibrations(tmp_path / 'both.pth')
    assert plain == checkpoint_calibrations(folder / 'network.pth')[0]
    assert len(turned.views) == 6


def test_an_ensemble_writes_a_json_file(network, tools, run, tmp_path):
    config = Config.fromfile(network[0])
    member = dict(config=str(network[0]), checkpoint=str(network[1]))
    config.model = dict(type='tfinet_mm.SCDEnsemble', members=[member])
    config.dump(tmp_path / 'ensemble.py')
    words = (tools / 'test.py', tmp_path / 'ensemble.py', '--work-dir', tmp_path / 'logs')
    run(*words, '--calibrate', 'temperature', '--calibrated', tmp_path / 'mean.json')
    output = run(
        *(*words, '--reliability', tmp_path, '--cfg-options'),
        f'model.test_cfg.calibration={tmp_path / "mean.json"}',
    )
    assert 'fitted on 3 of these 3 pairs' in output


def test_a_training_forgets_the_calibration(trained, tiny, tools, run, tmp_path):
    half = Calibration('temperature', scale=0.5)
    write_calibrated(tmp_path / 'first.pth', trained[0] / 'epoch_2.pth', [half])
    run(
        *(tools / 'train.py', tiny, '--work-dir', tmp_path / 'run', '--cfg-options'),
        *('train_cfg.max_epochs=1', f'load_from={tmp_path / "first.pth"}'),
    )
    assert checkpoint_calibrations(tmp_path / 'run' / 'epoch_1.pth') == ()


def test_a_network_that_tells_nothing_apart_is_not_calibrated(trained, tiny, tools, run, tmp_path):
    """Two epochs from scratch: P(changed) is 0.5 everywhere, and rises with nothing."""
    output = run(
        *(tools / 'test.py', tiny, trained[0] / 'epoch_2.pth', '--work-dir', tmp_path / 'logs'),
        *('--calibrate', 'platt', '--calibrated', tmp_path / 'a.pth', '--precision', '1.0'),
        code=2,
    )
    assert 'changed pixels have no higher P(changed)' in output
    assert not (tmp_path / 'a.pth').exists()


def test_a_precision_out_of_reach_is_refused(trained, tiny, tools, run, tmp_path):
    output = run(
        *(tools / 'test.py', tiny, trained[0] / 'epoch_2.pth', '--work-dir', tmp_path / 'logs'),
        *('--precision', '1.0'),
        code=2,
    )
    assert 'no threshold has a precision of 100 % on these pairs; the highest is' in output


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--calibrate', 'platt'], 'go together'),
        (['--calibrated', 'a.pth'], 'go together'),
        (['--precision', '90'], r'above 0 and up to 1'),
        (
            ['--calibrate', 'platt', '--calibrated', 'a.pth', '--tta', '--time-budget', '9'],
            'may stop augmentation',
        ),
        (['--tta', '--time-budget', '9', '--reliability', 'a'], 'that of two networks in one'),
        (['--tta', '--time-budget', '9', '--precision', '0.9'], 'that of two networks in one'),
    ],
    ids=str,
)
def test_options_that_do_not_go(load_tool, capsys, words, said):
    with pytest.raises(SystemExit):
        load_tool('test.py').parse_args(['config.py', 'network.pth', *words])
    assert re.search(said, capsys.readouterr().err)


@pytest.mark.parametrize('option', ['--out', '--show-dir', '--reliability', '--json', '--report'])
def test_a_folder_that_is_a_file_is_refused_before_the_test(load_tool, tmp_path, option):
    (tmp_path / 'file').touch()
    place = tmp_path / 'file' / ('a.html' if option == '--report' else 'a')
    with pytest.raises(NotADirectoryError, match=rf'{option}: .*/file is a file'):
        load_tool('test.py').main(['config.py', 'network.pth', option, str(place)])


def test_a_calibrated_file_below_a_file_is_refused_before_the_test(load_tool, tmp_path):
    (tmp_path / 'file').touch()
    words = ['--calibrate', 'platt', '--calibrated', str(tmp_path / 'file' / 'a.pth')]
    with pytest.raises(NotADirectoryError, match=r'--calibrated: .*/file is a file'):
        load_tool('test.py').main(['config.py', 'network.pth', *words])


def test_a_calibration_takes_the_validation_pairs(load_tool):
    parse = load_tool('test.py').parse_args
    words = ['config.py', 'network.pth']
    assert parse(words).split == 'test'
    both = ['--calibrate', 'isotonic', '--calibrated', 'a.pth']
    assert parse([*words, *both]).split == 'val'
    assert parse([*words, *both, '--split', 'test']).split == 'test'
