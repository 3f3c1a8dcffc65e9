"""Test calibration from the tool that fits it to the programs that predict with it."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.calibration import Calibration
from tfinet_mm.checkpoints.calibrated import checkpoint_calibrations, write_calibrated


@pytest.fixture(scope='module')
def calibrated(tiny, tools, run, trained, tmp_path_factory):
    """Return the folder with what the tool wrote, and its output."""
    folder = tmp_path_factory.mktemp('calibrated')
    output = run(
        *(tools / 'test.py', tiny, trained[0] / 'epoch_2.pth', '--work-dir', folder / 'logs'),
        *('--calibrate', 'platt', '--calibrated', folder / 'network.pth'),
        *('--reliability', folder / 'report', '--precision', '0.01'),
    )
    return folder, output


@pytest.fixture
def pair(tiny):
    """Return the two images of a held-out pair."""
    data = tiny.parent / 'data' / 'val'
    name = sorted(path.name for path in (data / 'im1').iterdir())[0]
    return [str(data / part / name) for part in ('im1', 'im2')]


def test_the_fit_lowers_the_error_and_is_stored(calibrated, trained):
    folder, output = calibrated
    report = json.loads((folder / 'report' / 'reliability.json').read_text())
    assert report['pairs'] == 3
    assert report['views'] == ['identity']
    before, after = report['as_predicted'], report['calibrated_on_the_same_pairs']
    assert before['pixels'] == 3 * 64 * 64
    # Two epochs from scratch: the network is far from calibrated, and Platt's bias mends most.
    assert after['Brier'] < before['Brier']
    assert after['ECE'] < before['ECE'] / 2
    (stored,) = checkpoint_calibrations(folder / 'network.pth')
    assert stored == Calibration.from_record(report['calibration'], 'report')
    assert stored.origin['pairs'] == len(stored.origin['keys']) == 3
    assert f'ECE {100 * before["ECE"]:.2f} %' in output
    assert f'Calibrated: {folder / "network.pth"}' in output
    kept = [torch.load(path, weights_only=False)['state_dict'] for path in (
        folder / 'network.pth', trained[0] / 'epoch_2.pth')]  # fmt: skip
    assert all(torch.equal(value, kept[1][key]) for key, value in kept[0].items())
    assert (folder / 'report' / 'reliability.png').read_bytes()[:4] == b'\x89PNG'


def test_the_threshold_that_keeps_the_maps_is_said(calibrated, trained, tiny, pair):
    folder, output = calibrated
    same = float(re.search(r'maps stay the same with --threshold (\S+)', output)[1])
    first = SCDInferencer(tiny, trained[0] / 'epoch_2.pth', 'cpu')(*pair)
    second = SCDInferencer(tiny, folder / 'network.pth', 'cpu', threshold=same)(*pair)
    assert (first.change == second.change).mean() > 0.999


def test_a_test_with_the_calibration_names_the_pairs_it_was_fitted_on(
    calibrated, tiny, tools, run, tmp_path
):
    folder, _ = calibrated
    words = (tools / 'test.py', tiny, folder / 'network.pth', '--work-dir', tmp_path / 'logs')
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


def test_other_pairs_are_not_said_to_be_the_same(calibrated, tiny, tools, run, tmp_path):
    folder, _ = calibrated
    output = run(
        *(tools / 'test.py', tiny, folder / 'network.pth', '--work-dir', tmp_path / 'logs'),
        *('--reliability', tmp_path, '--cfg-options'),
        f'test_dataloader.dataset.data_root={tiny.parent / "data" / "train"}',
    )
    assert 'P(changed) over 4 pairs' in output
    assert 'fitted on' not in output


def test_inference_and_export_calibrate(calibrated, trained, tiny, pair, tmp_path):
    pytest.importorskip('onnxscript')
    from tfinet_mm.apis.network_export import export_network

    folder, _ = calibrated
    (stored,) = checkpoint_calibrations(folder / 'network.pth')
    raw = SCDInferencer(tiny, trained[0] / 'epoch_2.pth', 'cpu')
    inferencer = SCDInferencer(tiny, folder / 'network.pth', 'cpu')
    right = stored(torch.from_numpy(raw(*pair).change_prob)).numpy()
    np.testing.assert_allclose(inferencer(*pair).change_prob, right, atol=1e-6)
    assert inferencer.settings['calibration'] == stored.summary()
    assert 'calibration' not in raw.settings
    off = SCDInferencer(tiny, folder / 'network.pth', 'cpu', calibration=False)
    np.testing.assert_array_equal(off(*pair).change_prob, raw(*pair).change_prob)
    # Scenes take batches of windows.
    images = np.concatenate([raw.model and _rgb(path) for path in pair], axis=2)
    batch = images.transpose(2, 0, 1)[None]
    for one, expected in ((inferencer, right), (off, raw(*pair).change_prob)):
        found = one.predict_probabilities(batch).change[0, 0]
        np.testing.assert_allclose(np.asarray(found), expected, atol=1e-5)
    written = export_network(tiny, folder / 'network.pth', tmp_path / 'network.onnx')
    assert written.card.change_calibration == stored.summary()
    network = SCDInferencer(tmp_path / 'network.onnx', backend='onnxruntime')
    np.testing.assert_allclose(network(*pair).change_prob, right, atol=1e-4)
    assert network.settings['calibration'] == stored.summary()
    with pytest.raises(ValueError, match='takes no calibration'):
        SCDInferencer(tmp_path / 'network.onnx', calibration=False)


def test_an_isotonic_table_is_exported(trained, tiny, pair, tmp_path):
    pytest.importorskip('onnxscript')
    from tfinet_mm.apis.network_export import export_network
    from tfinet_mm.calibration import NODES

    rising = Calibration('isotonic', values=tuple(np.linspace(0.1, 0.9, NODES).tolist()))
    write_calibrated(tmp_path / 'a.pth', trained[0] / 'epoch_2.pth', [rising])
    export_network(tiny, tmp_path / 'a.pth', tmp_path / 'a.onnx')
    right = SCDInferencer(tiny, tmp_path / 'a.pth', 'cpu')(*pair).change_prob
    found = SCDInferencer(tmp_path / 'a.onnx', backend='onnxruntime')(*pair).change_prob
    assert 0.1 <= found.min() < found.max() <= 0.9
    np.testing.assert_allclose(found, right, atol=1e-4)


def test_files_of_weights_keep_it(calibrated, tools, run, pair, tmp_path):
    folder, _ = calibrated
    run(tools / 'export_weights.py', folder / 'network.pth', tmp_path / 'w.safetensors')
    assert checkpoint_calibrations(tmp_path / 'w.safetensors') == checkpoint_calibrations(
        folder / 'network.pth'
    )
    assert 'calibration' in SCDInferencer(tmp_path / 'w.safetensors', device='cpu').settings


def test_augmented_views_are_fitted_apart(calibrated, tiny, tools, run, tmp_path):
    folder, _ = calibrated
    run(
        *(tools / 'test.py', tiny, folder / 'network.pth', '--work-dir', tmp_path / 'logs'),
        *('--tta', '--calibrate', 'temperature', '--calibrated', tmp_path / 'both.pth'),
    )
    plain, turned = checkpoint_calibrations(tmp_path / 'both.pth')
    assert plain == checkpoint_calibrations(folder / 'network.pth')[0]
    assert len(turned.views) == 6


def test_an_ensemble_writes_a_json_file(trained, tiny, tools, run, tmp_path):
    member = dict(config=str(tiny), checkpoint=str(trained[0] / 'epoch_2.pth'))
    config = Config.fromfile(tiny)
    config.model = dict(type='tfinet_mm.SCDEnsemble', members=[member])
    config.dump(tmp_path / 'ensemble.py')
    words = (tools / 'test.py', tmp_path / 'ensemble.py', '--work-dir', tmp_path / 'logs')
    run(*words, '--calibrate', 'temperature', '--calibrated', tmp_path / 'mean.json')
    output = run(
        *words, '--reliability', tmp_path, '--cfg-options',
        f'model.test_cfg.calibration={tmp_path / "mean.json"}',
    )  # fmt: skip
    assert 'fitted on 3 of these 3 pairs' in output


def test_a_training_forgets_the_calibration(calibrated, tiny, tools, run, tmp_path):
    folder, _ = calibrated
    shutil.copy(folder / 'network.pth', tmp_path / 'first.pth')
    run(
        *(tools / 'train.py', tiny, '--work-dir', tmp_path / 'run', '--cfg-options'),
        *('train_cfg.max_epochs=1', f'load_from={tmp_path / "first.pth"}'),
    )
    assert checkpoint_calibrations(tmp_path / 'run' / 'epoch_1.pth') == ()


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
    ],
    ids=str,
)
def test_options_that_do_not_go(load_tool, capsys, words, said):
    with pytest.raises(SystemExit):
        load_tool('test.py').parse_args(['config.py', 'network.pth', *words])
    assert re.search(said, capsys.readouterr().err)


def test_a_calibration_takes_the_validation_pairs(load_tool):
    parse = load_tool('test.py').parse_args
    words = ['config.py', 'network.pth']
    assert parse(words).split == 'test'
    both = ['--calibrate', 'isotonic', '--calibrated', 'a.pth']
    assert parse([*words, *both]).split == 'val'
    assert parse([*words, *both, '--split', 'test']).split == 'test'


def test_a_precision_out_of_reach_is_refused(trained, tiny, tools, run, tmp_path):
    output = run(
        *(tools / 'test.py', tiny, trained[0] / 'epoch_2.pth', '--work-dir', tmp_path / 'logs'),
        *('--precision', '1.0'),
        code=2,
    )
    assert re.search(
        r'no threshold has a precision of 100 % on these pairs; the highest is', output
    )


def _rgb(path):
    from tfinet_mm.io.images import read_image

    return read_image(path)
