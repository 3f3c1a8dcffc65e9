"""tools/analysis/equal_time.py trains and scores for real, on a tiny network."""

import json

import pytest
from read_only import read_only

from tfinet_mm.analysis.equal_time import measurements

SETTING = """
_base_ = {base!r}
train_dataloader = dict(sampler=dict(type='InfiniteSampler'), batch_size=2)
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=9, val_interval=1000)
param_scheduler = dict(_delete_=True, type='PolyLR', begin=0, end=9, by_epoch=False)
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=500, save_best=None),
    logger=dict(interval=1),
)
log_processor = dict(by_epoch=False)
"""


@pytest.fixture
def setting(tiny, tmp_path):
    file = tmp_path / 'setting.py'
    file.write_text(SETTING.format(base=str(tiny)))
    return file


@pytest.mark.slow
def test_trains_the_steps_that_fit_scores_them_and_skips_what_is_done(
    tiny, setting, tools, run, tmp_path
):
    work = tmp_path / 'w'
    work.mkdir()
    # A measured speed: 3 steps of 0.5 s fit into 1.6 s.
    (work / 'speeds.json').write_text(
        json.dumps({tiny.stem: dict(seconds=0.5, pairs=2, parameters=1000, gflop=1.0)})
    )
    command = [tools / 'analysis' / 'equal_time.py', tiny, '--setting', setting]
    command += ['--seconds', '1.6', '--seeds', '3', '--work-dir', work]
    printed = run(*command)
    assert f'{tiny.stem}: 0.500 s a step, 3 steps' in printed
    folder = work / f'{tiny.stem}_3'
    assert (folder / 'seed_3' / 'iter_3.pth').is_file()
    scores = json.loads((folder / 'seed_3' / 'scores.json').read_text())['scores']
    row = next(line for line in printed.splitlines() if line.startswith(f'| {tiny.stem}'))
    assert row.split('|')[6].strip() == f'{scores["Score"]:.2f}'
    assert (work / 'table.md').read_text().splitlines()[-1] == row

    log = folder / 'seed_3' / 'log.txt'
    before = log.read_text()
    assert row in run(*command)
    assert log.read_text() == before

    # Neither speeds nor scores are taken over from another setting.
    printed = run(*command, '--cfg-options', 'train_dataloader.batch_size=1', code=2)
    name = tiny.stem
    assert f'{name}.config.train_dataloader.batch_size was 2, is 1. Choose' in printed
    assert f'{name}.threads was 1, is 2. Choose' in run(*command, '--threads', '2', code=2)

    # Scores that a full disk cut off are made again, and the training is not.
    (folder / 'seed_3' / 'scores.json').write_text('{"scores": {"Sc')
    with measurements(work) as manifest:
        manifest.lock()
        assert 'is being written to by process' in run(*command, code=2)
    assert row in run(*command)
    assert log.read_text().count('iter_3.pth') > before.count('iter_3.pth')


def test_a_finished_comparison_may_be_read_only(tiny, setting, load_tool, tmp_path, capsys):
    work = tmp_path / 'w'
    scores = work / f'{tiny.stem}_3' / 'seed_0' / 'scores.json'
    scores.parent.mkdir(parents=True)
    scores.write_text(json.dumps(dict(scores=dict(Score=1.0, SeK=2.0, mIoU=3.0, Fscd=4.25))))
    (work / 'speeds.json').write_text(
        json.dumps({tiny.stem: dict(seconds=0.5, pairs=2, parameters=1000, gflop=1.0)})
    )
    main = load_tool('analysis/equal_time.py').main
    command = [str(tiny), '--setting', str(setting), '--seconds', '1.6', '--seeds', '0']
    command += ['--work-dir', str(work)]
    # Once before, since another user may not read all modules.
    main(command)
    (work / 'table.md').unlink()
    capsys.readouterr()
    with read_only(work, tiny):
        main(command)
        assert '| 4.25 |' in capsys.readouterr().out
        with pytest.raises(PermissionError, match='measurements are to be written'):
            main([*command, '--seconds', '5'])
    main(command)
    assert '| 4.25 |' in (work / 'table.md').read_text()


def test_speed_is_measured_on_the_settings_own_data(tiny, setting, load_tool):
    module = load_tool('analysis/equal_time.py')
    cfg = module.combine(module.load_config(tiny), module.load_config(setting))
    speed = module.measure_speed(cfg, repeats=2)
    assert speed.pairs == 2
    assert 0 < speed.seconds < 60
    # The tiny network is an eighth as wide as TFINet-R18 with 25.4 M parameters.
    assert 0.1e6 < speed.parameters < 1e6


@pytest.mark.slow
def test_a_failed_training_names_its_log(tiny, setting, tools, run, tmp_path):
    work = tmp_path / 'w'
    work.mkdir()
    (work / 'speeds.json').write_text(
        json.dumps({tiny.stem: dict(seconds=0.5, pairs=2, parameters=1000, gflop=1.0)})
    )
    printed = run(
        *(tools / 'analysis' / 'equal_time.py', tiny, '--setting', setting, '--seconds', '1'),
        *('--work-dir', work, '--cfg-options', 'train_dataloader.dataset.data_root=nowhere'),
        code=2,
    )
    assert f'see {work / f"{tiny.stem}_2" / "seed_0" / "log.txt"}' in printed


def test_two_configs_of_one_name_are_refused(load_tool, capsys):
    with pytest.raises(SystemExit):
        load_tool('analysis/equal_time.py').parse_args(
            ['a/net.py', 'b/net.py', '--setting', 's.py', '--seconds', '1']
        )
    assert 'same name' in capsys.readouterr().err
