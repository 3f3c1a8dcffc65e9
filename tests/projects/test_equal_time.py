"""Test equal time: worked numbers, then real trainings and tests of a tiny network."""

import json
import re
import statistics

import pytest
from mmengine import Config
from read_only import read_only
from study import PROJECTS, load_study

from tfinet_mm.errors import ConfigError, ManifestError

STUDY = load_study('equal_time/run.py')
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


def _setting(**changes):
    return Config(
        dict(
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=1000),
            param_scheduler=[
                dict(type='LinearLR', begin=0, end=50, by_epoch=False),
                dict(type='PolyLR', begin=50, end=1000, by_epoch=False),
            ],
            optim_wrapper=dict(optimizer=dict(lr=1e-3)),
            model=dict(autocast='bfloat16'),
            **changes,
        )
    )


def _network():
    return Config(
        dict(
            model=dict(type='Net', backbone=dict(type='ResNet', init_cfg=dict(type='Pretrained'))),
            optim_wrapper=dict(optimizer=dict(lr=5.0)),
        )
    )


def test_only_the_model_comes_from_the_network():
    network = _network()
    cfg = STUDY.combine(network, _setting())
    assert cfg.optim_wrapper.optimizer.lr == 1e-3
    assert cfg.model.type == 'Net'
    assert cfg.model.autocast == 'bfloat16'
    assert cfg.model.backbone.init_cfg is None
    # The config that was read is not changed.
    assert network.model.backbone.init_cfg == dict(type='Pretrained')


def test_pretrained_weights_stay_where_asked_for():
    cfg = STUDY.combine(_network(), _setting(), pretrained=True)
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained')


def test_a_setting_by_epochs_is_refused():
    setting = Config(dict(train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3)))
    with pytest.raises(ValueError, match='IterBasedTrainLoop'):
        STUDY.combine(_network(), setting)


def test_the_schedule_ends_with_the_training_and_the_warm_up_keeps_its_length():
    cfg = STUDY.with_steps(STUDY.combine(_network(), _setting()), 333)
    assert cfg.train_cfg.max_iters == 333
    assert [scheduler.end for scheduler in cfg.param_scheduler] == [50, 333]


def test_steps_fill_the_time():
    assert STUDY.Speed(seconds=0.1, pairs=8, parameters=1, gflop=1.0).steps(0.3) == 3
    assert STUDY.Speed(seconds=0.4, pairs=8, parameters=1, gflop=1.0).steps(1.0) == 2
    assert STUDY.Speed(seconds=4.0, pairs=8, parameters=1, gflop=1.0).steps(1.0) == 1


SPEED = STUDY.Speed(seconds=0.25, pairs=8, parameters=10, gflop=1.5)


def test_speeds_are_read_as_written(tmp_path):
    manifest = STUDY.measurements(tmp_path / 'deeper')
    cfg = STUDY.combine(_network(), _setting())
    assert STUDY.measured_speed(manifest, 'net', cfg, 1) is None
    STUDY.keep_speed(manifest, 'net', cfg, SPEED)
    STUDY.keep_speed(manifest, 'other', cfg, SPEED)
    assert STUDY.measured_speed(manifest, 'net', cfg, 1) == SPEED
    found = json.loads((tmp_path / 'deeper' / 'speeds.json').read_text())
    assert list(found) == ['net', 'other']
    assert found['net']['seconds'] == 0.25
    assert found['net']['config']['optim_wrapper']['optimizer'] == dict(lr=1e-3)


def test_a_speed_may_be_written_by_hand(tmp_path):
    manifest = STUDY.measurements(tmp_path)
    cfg = STUDY.combine(_network(), _setting())
    manifest.write(dict(net=dict(seconds=0.25, pairs=8, parameters=10, gflop=1.5)))
    assert STUDY.measured_speed(manifest, 'net', cfg, 1) == SPEED
    # An earlier version kept the config in a separate file.
    (tmp_path / 'net.py').touch()
    with pytest.raises(ManifestError, match=r'earlier version.*another --work-dir'):
        STUDY.measured_speed(manifest, 'net', cfg, 1)


def test_the_table_shows_mean_and_spread():
    runs = [dict(Score=s, SeK=10.0, mIoU=50.0, Fscd=40.0) for s in (30.0, 32.0, 34.0)]
    speed = STUDY.Speed(seconds=0.5, pairs=8, parameters=12_345_678, gflop=63.58)
    lines = STUDY.format_comparison({'net': speed}, 60, {'net': runs}).splitlines()
    assert lines[0].startswith('| network | parameters (M) | GFLOP |')
    assert lines[2] == (
        '| net | 12.35 | 63.6 | 16.0 | 120 | 32.00 ± 2.00 | 10.00 ± 0.00 | 50.00 ± 0.00 '
        '| 40.00 ± 0.00 |'
    )


def test_the_table_of_whole_configs_shows_the_difference_by_seed():
    speed = STUDY.Speed(seconds=0.5, pairs=8, parameters=10, gflop=1.0)
    score = dict(Score=1.0, mIoU=1.0, Fscd=1.0)
    scores = {
        'base': [score | dict(SeK=10.0), score | dict(SeK=20.0)],
        'other': [score | dict(SeK=11.0), score | dict(SeK=23.0)],
    }
    speeds = dict(base=speed, other=speed)
    lines = STUDY.format_comparison(speeds, 60, scores, 'base').splitlines()
    cells = [line.strip('| ').split(' | ') for line in lines]
    assert cells[0][-1] == 'SeK, difference'
    # 11 - 10 and 23 - 20: far less spread than either has over its seeds.
    assert cells[3][-1] == '+2.00 ± 1.41'
    assert lines[2].endswith('| 1.00 ± 0.00 |  |')


def test_whole_configs_train_as_they_are(tiny, tmp_path, monkeypatch):
    made = {}
    monkeypatch.setattr(STUDY, 'compare', lambda configs, manifest, args: made.update(configs))
    base = tmp_path / 'base.py'
    base.write_text(SETTING.format(base=str(tiny)))
    other = tmp_path / 'other.py'
    other.write_text(f'_base_ = {str(base)!r}\noptim_wrapper = dict(optimizer=dict(lr=0.125))\n')
    command = [str(base), str(other), '--seconds', '1', '--work-dir', str(tmp_path / 'w')]
    STUDY.main(command)
    assert list(made) == ['base', 'other']
    assert made['other'].optim_wrapper.optimizer.lr == 0.125
    assert made['base'].optim_wrapper.optimizer.lr != 0.125
    assert made['other'].model == made['base'].model
    with pytest.raises(ValueError, match='IterBasedTrainLoop'):
        STUDY.main([str(tiny), '--seconds', '1', '--work-dir', str(tmp_path / 'w')])


def test_weights_of_a_whole_config_are_its_own(capsys):
    with pytest.raises(SystemExit):
        STUDY.parse_args(['a/net.py', '--seconds', '1', '--pretrained'])
    assert '--pretrained belongs to --setting' in capsys.readouterr().err


FACTORS = sorted((PROJECTS / 'ablations/configs/factors').glob('[a-z]*.py'))


PREPARING = ('tfinet_mm.MatchRadiometry',)


def prepared(loader):
    """Return the steps of a pipeline, and their places, that change images without drawing."""
    dataset = loader.dataset
    while 'pipeline' not in dataset:
        dataset = dataset.datasets[0] if 'datasets' in dataset else dataset.dataset
    steps = enumerate(dataset.pipeline)
    return [(place, dict(step)) for place, step in steps if step.type in PREPARING]


@pytest.mark.parametrize('path', FACTORS, ids=lambda path: path.stem)
def test_a_factor_changes_the_base_and_nothing_of_the_test(path):
    cfg, base = (STUDY.load_config(one) for one in (path, path.with_name('base.py')))
    STUDY.check_config(cfg)
    assert (cfg.to_dict() != base.to_dict()) == (path.stem != 'base')
    assert cfg.test_evaluator == base.test_evaluator
    # What prepares the images of a test draws nothing, and is the same in training.
    assert prepared(cfg.test_dataloader) == prepared(cfg.train_dataloader)
    tested = cfg.test_dataloader.to_dict()
    steps = tested['dataset']['pipeline']
    tested['dataset']['pipeline'] = [step for step in steps if step['type'] not in PREPARING]
    assert tested == base.test_dataloader.to_dict()


def test_a_factor_prepares_the_images_of_the_test():
    found = {path.stem: prepared(STUDY.load_config(path).test_dataloader) for path in FACTORS}
    assert {name: steps for name, steps in found.items() if steps} == {
        'aligned_dates': [(1, dict(type='tfinet_mm.MatchRadiometry'))]
    }


def test_measurements_belong_to_one_setting(tmp_path):
    manifest = STUDY.measurements(tmp_path)
    STUDY.keep_speed(manifest, 'net', STUDY.combine(_network(), _setting()), SPEED)
    faster = _setting()
    faster.optim_wrapper.optimizer.lr = 0.25
    said = r'net\.config\.optim_wrapper\.optimizer\.lr was 0\.001, is 0\.25\. Choose .*--work-dir'
    with pytest.raises(ManifestError, match=said):
        STUDY.measured_speed(manifest, 'net', STUDY.combine(_network(), faster), 1)
    with pytest.raises(ManifestError, match=r'net\.threads was 1, is 2'):
        STUDY.measured_speed(manifest, 'net', STUDY.combine(_network(), _setting()), 2)
    # Another network of the same folder.
    assert STUDY.measured_speed(manifest, 'other', STUDY.combine(_network(), faster), 2) is None


@pytest.mark.parametrize('content', ['', '{"net": {"sec', '[]'])
def test_files_that_a_full_disk_cut_off(tmp_path, content):
    path = tmp_path / 'speeds.json'
    path.write_text(content)
    with pytest.raises(ManifestError, match=r'speeds\.json is not what .*another --work-dir'):
        STUDY.measured_speed(
            STUDY.measurements(tmp_path), 'net', STUDY.combine(_network(), _setting()), 1
        )
    assert STUDY.read_scores(path) is None
    assert STUDY.read_scores(tmp_path / 'none.json') is None
    path.write_text('{"scores": {"SeK": 1.5}, "confusion": []}')
    assert STUDY.read_scores(path) == dict(SeK=1.5)


@pytest.fixture
def setting(tiny, tmp_path):
    file = tmp_path / 'setting.py'
    file.write_text(SETTING.format(base=str(tiny)))
    return file


def test_the_setting_of_the_study_goes_with_a_network(tiny, tmp_path, monkeypatch):
    """It has no whole model; its values are checked together with the network's."""
    made = {}
    monkeypatch.setattr(STUDY, 'compare', lambda networks, manifest, args: made.update(networks))
    command = [str(tiny), '--setting', str(PROJECTS / 'equal_time/setting.py'), '--seconds', '1']
    command += ['--work-dir', str(tmp_path / 'w')]
    STUDY.main(command)
    assert made[tiny.stem].model.autocast == 'auto'
    assert made[tiny.stem].model.type
    for wrong in ('model.autocasts=auto', 'optim_wrapper.optimizer.lrate=1'):
        with pytest.raises(ConfigError, match=re.escape(wrong.split('=')[0])):
            STUDY.main([*command, '--cfg-options', wrong])


@pytest.mark.slow
def test_trains_the_steps_that_fit_scores_them_and_skips_what_is_done(tiny, setting, run, tmp_path):
    work = tmp_path / 'w'
    work.mkdir()
    # A measured speed: 3 steps of 0.5 s fit into 1.6 s.
    (work / 'speeds.json').write_text(
        json.dumps({tiny.stem: dict(seconds=0.5, pairs=2, parameters=1000, gflop=1.0)})
    )
    command = [STUDY.__file__, tiny, '--setting', setting]
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

    # Scores that a full disk cut off are computed again, without another training.
    (folder / 'seed_3' / 'scores.json').write_text('{"scores": {"Sc')
    with STUDY.measurements(work) as manifest:
        manifest.lock()
        assert 'is being written to by process' in run(*command, code=2)
    assert row in run(*command)
    assert log.read_text().count('iter_3.pth') > before.count('iter_3.pth')


def test_a_finished_comparison_may_be_read_only(tiny, setting, tmp_path, capsys):
    work = tmp_path / 'w'
    scores = work / f'{tiny.stem}_3' / 'seed_0' / 'scores.json'
    scores.parent.mkdir(parents=True)
    scores.write_text(json.dumps(dict(scores=dict(Score=1.0, SeK=2.0, mIoU=3.0, Fscd=4.25))))
    (work / 'speeds.json').write_text(
        json.dumps({tiny.stem: dict(seconds=0.5, pairs=2, parameters=1000, gflop=1.0)})
    )
    command = [str(tiny), '--setting', str(setting), '--seconds', '1.6', '--seeds', '0']
    command += ['--work-dir', str(work)]
    # Run once to import the modules, some of which the other user can't read.
    STUDY.main(command)
    (work / 'table.md').unlink()
    capsys.readouterr()
    with read_only(work, tiny):
        STUDY.main(command)
        assert '| 4.25 |' in capsys.readouterr().out
        with pytest.raises(PermissionError, match='measurements are to be written'):
            STUDY.main([*command, '--seconds', '5'])
    STUDY.main(command)
    assert '| 4.25 |' in (work / 'table.md').read_text()


def test_speed_is_measured_on_the_settings_own_data(tiny, setting):
    cfg = STUDY.combine(STUDY.load_config(tiny), STUDY.load_config(setting))
    speed = STUDY.measure_speed(cfg, repeats=2)
    assert speed.pairs == 2
    assert 0 < speed.seconds < 60
    # The tiny network is an eighth as wide as TFINet-R18 with 25.4 M parameters.
    assert 0.1e6 < speed.parameters < 1e6


@pytest.mark.slow
def test_a_failed_training_names_its_log(tiny, setting, run, tmp_path):
    work = tmp_path / 'w'
    work.mkdir()
    (work / 'speeds.json').write_text(
        json.dumps({tiny.stem: dict(seconds=0.5, pairs=2, parameters=1000, gflop=1.0)})
    )
    printed = run(
        *(STUDY.__file__, tiny, '--setting', setting, '--seconds', '1'),
        *('--work-dir', work, '--cfg-options', 'train_dataloader.dataset.data_root=nowhere'),
        code=2,
    )
    assert f'see {work / f"{tiny.stem}_2" / "seed_0" / "log.txt"}' in printed


def test_a_config_named_twice_counts_once():
    args = STUDY.parse_args(['a/net.py', 'a/b.py', './a/net.py', '--seconds', '1'])
    assert [STUDY.Path(one).stem for one in args.configs] == ['net', 'b']


def test_two_configs_of_one_name_are_refused(capsys):
    with pytest.raises(SystemExit):
        STUDY.parse_args(['a/net.py', 'b/net.py', '--setting', 's.py', '--seconds', '1'])
    assert 'same name' in capsys.readouterr().err


@pytest.mark.parametrize('file', ['factors.json', 'factors_float32.json'])
def test_the_tables_of_factors_are_those_of_the_results(file):
    """Means and deviations are worked out again from the scores of each seed."""
    folder = PROJECTS / 'ablations'
    results = json.loads((folder / 'results' / file).read_text())
    page = (folder / 'README.md').read_text(encoding='utf-8')
    first = results['base']['seeds']

    def text(values, sign=''):
        spread = f' ± {statistics.stdev(values):.2f}' if len(values) > 1 else ''
        return f'{statistics.mean(values):{sign}.2f}{spread}'

    for name, found in results.items():
        assert (folder / 'configs' / 'factors' / f'{name}.py').is_file()
        seeds = found['seeds']
        columns = [[one[key] for one in seeds.values()] for key in ('SeK', 'Fscd', 'change/IoU')]
        differences = [one['SeK'] - first[seed]['SeK'] for seed, one in seeds.items()]
        last = '' if name == 'base' else text(differences, '+')
        steps = int(100 / found['seconds'] + 1e-9)
        real = [[one['real'][key] for one in seeds.values()] for key in ('SeK', 'change_IoU')]
        cells = [f'`{name}`', str(steps), str(len(seeds)), *map(text, columns), last]
        cells += map(text, real)
        assert f'| {" | ".join(cells)} |' in page, cells
