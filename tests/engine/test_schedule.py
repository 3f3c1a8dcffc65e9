import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner

from tfinet_mm.engine.schedule import idle_steps
from tfinet_mm.errors import ScheduleError

LINEAR = dict(type='PolyLR', power=1.0, eta_min=0.0)


@pytest.fixture
def rates(monkeypatch):
    """Record learning rate and momentum of each iteration."""
    found = []
    original = OptimWrapper.update_params

    def noting(wrapper, *args, **kwargs):
        group = wrapper.param_groups[0]
        found.append((group['lr'], group.get('betas', (group.get('momentum'),))[0]))
        return original(wrapper, *args, **kwargs)

    monkeypatch.setattr(OptimWrapper, 'update_params', noting)
    return found


def _log(folder):
    return '\n'.join(path.read_text() for path in sorted(folder.glob('*/*.log')))


def _schedules(epochs):
    """Schedules that end with the training, of every kind, by name."""
    warm_up = dict(type='LinearLR', start_factor=0.1, end=4, by_epoch=False)
    return dict(
        epochs=dict(LINEAR, end=epochs),
        default_end=dict(LINEAR),
        iterations=dict(LINEAR, end=epochs, convert_to_iter_based=True),
        plain_iterations=dict(LINEAR, by_epoch=False, end=3 * epochs),
        cosine=dict(type='CosineAnnealingLR', T_max=epochs, end=epochs),
        steps=dict(type='MultiStepLR', milestones=[epochs // 2, epochs - 1], gamma=0.1),
        one_cycle=dict(type='OneCycleLR', eta_max=0.1, total_steps=3 * epochs, by_epoch=False),
        warm_up=[warm_up, dict(LINEAR, begin=1, end=epochs)],
        both=[warm_up, dict(LINEAR, end=epochs)],
        momentum=[
            dict(LINEAR, end=epochs),
            dict(type='LinearMomentum', start_factor=0.5, end=epochs),
        ],
    )


@pytest.mark.parametrize(
    ('optimizer', 'kind'),
    [*(('Adam', kind) for kind in _schedules(6)), ('SGD', 'momentum'), ('SGD', 'both')],
)
def test_a_longer_training_has_the_rates_of_one_planned_so(
    small_runner, tmp_path, rates, kind, optimizer
):
    settings = dict(type=optimizer, lr=0.01)
    if optimizer == 'SGD':
        settings['momentum'] = 0.9
    options = dict(optim_wrapper=dict(optimizer=settings))
    small_runner('one', 6, **options, param_scheduler=_schedules(6)[kind]).train()
    expected = list(rates)
    assert len(expected) == 18
    assert len(set(expected)) > 2
    small_runner('two', 2, **options, param_scheduler=_schedules(2)[kind]).train()
    rates.clear()
    resumed = dict(resume=True, load_from=str(tmp_path / 'two/epoch_2.pth'))
    runner = small_runner('two', 6, **options, **resumed, param_scheduler=_schedules(6)[kind])
    runner.train()
    assert rates == expected[6:]
    assert 'the schedule of the config differs from that of the checkpoint' in _log(
        tmp_path / 'two'
    )


def test_what_changed_is_logged(small_runner, tmp_path, rates):
    small_runner('two', 2, param_scheduler=dict(LINEAR, end=2)).train()
    resumed = dict(resume=True, load_from=str(tmp_path / 'two/epoch_2.pth'))
    small_runner('two', 6, **resumed, param_scheduler=dict(LINEAR, end=6)).train()
    # Worked by hand: 0.01 * (1 - epoch / 5).
    assert [rate for rate, _ in rates[::3][2:]] == pytest.approx([0.006, 0.004, 0.002, 0.0])
    assert 'counts from here on: PolyLR.end 2 became 6\n' in _log(tmp_path / 'two')


def test_mmengine_alone_goes_on_with_the_rate_of_the_checkpoint(small_runner, tmp_path, rates):
    small_runner('two', 2, param_scheduler=dict(LINEAR, end=2)).train()
    resumed = dict(resume=True, load_from=str(tmp_path / 'two/epoch_2.pth'), runner=Runner)
    small_runner('two', 6, **resumed, param_scheduler=dict(LINEAR, end=6)).train()
    assert {rate for rate, _ in rates[6:]} == {0.0}


def test_the_same_schedule_goes_on_without_a_word(small_runner, tmp_path, rates):
    small_runner('one', 4, param_scheduler=dict(LINEAR, end=5)).train()
    expected = list(rates)
    rates.clear()
    resumed = dict(resume=True, load_from=str(tmp_path / 'one/epoch_2.pth'))
    small_runner('two', 4, **resumed, param_scheduler=dict(LINEAR, end=5)).train()
    assert rates == expected[6:]
    assert 'counts from here on' not in _log(tmp_path / 'two')


@pytest.mark.parametrize(
    'new',
    [
        dict(type='CosineAnnealingLR', T_max=6),
        [dict(LINEAR, end=6), dict(type='MultiStepLR', milestones=[4])],
        dict(type='OneCycleLR', eta_max=0.1, total_steps=18, by_epoch=False),
    ],
)
def test_another_type_or_number_of_schedules(small_runner, tmp_path, rates, new):
    small_runner('one', 6, param_scheduler=new).train()
    expected = list(rates)
    small_runner('two', 2, param_scheduler=dict(LINEAR, end=2)).train()
    rates.clear()
    resumed = dict(resume=True, load_from=str(tmp_path / 'two/epoch_2.pth'))
    small_runner('two', 6, **resumed, param_scheduler=new).train()
    assert rates == expected[6:]


def test_a_loop_over_iterations(small_runner, tmp_path, rates):
    def options(total):
        return dict(
            train_cfg=dict(by_epoch=False, max_iters=total),
            loader=dict(sampler=dict(type='InfiniteSampler')),
            param_scheduler=dict(LINEAR, by_epoch=False, end=total),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2)),
        )

    small_runner('one', **options(8)).train()
    expected = list(rates)
    small_runner('two', **options(4)).train()
    rates.clear()
    resumed = dict(resume=True, load_from=str(tmp_path / 'two/iter_4.pth'))
    small_runner('two', **resumed, **options(8)).train()
    assert rates == expected[4:]


def test_a_schedule_that_waits_for_scores_keeps_what_they_led_to(small_runner, tmp_path, rates):
    plateau = dict(type='ReduceOnPlateauLR', monitor='Score', rule='greater', patience=0)
    options = dict(scores=[1.0, 0.5, 0.4, 0.3])
    small_runner('two', 3, **options, param_scheduler=dict(plateau, factor=0.5)).train()
    assert [rate for rate, _ in rates[::3]] == [0.01, 0.01, 0.005]
    rates.clear()
    resumed = dict(resume=True, load_from=str(tmp_path / 'two/epoch_3.pth'))
    small_runner('two', 5, **options, **resumed, param_scheduler=dict(plateau, factor=0.1)).train()
    assert [rate for rate, _ in rates[::3]] == pytest.approx([0.0005, 0.00005])


def test_another_learning_rate_is_reported(small_runner, tmp_path, rates):
    small_runner('two', 2).train()
    rates.clear()
    options = dict(optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.5)))
    resumed = dict(resume=True, load_from=str(tmp_path / 'two/epoch_2.pth'))
    small_runner('three', 3, **options, **resumed).train()
    assert rates[0][0] == pytest.approx(0.01 * (1 - 2 / 9))
    text = 'the learning rate of the config, 0.5, differs from that of the checkpoint, 0.01, which'
    assert text in _log(tmp_path / 'three')


def test_a_rate_of_nothing_is_refused_when_resumed_for_longer(small_runner, tmp_path, rates):
    schedule = dict(param_scheduler=dict(LINEAR, end=2))
    small_runner('two', 2, **schedule).train()
    rates.clear()
    resumed = dict(resume=True, load_from=str(tmp_path / 'two/epoch_2.pth'))
    with pytest.raises(ScheduleError) as caught:
        small_runner('two', 6, **resumed, **schedule).train()
    assert not rates
    assert str(caught.value).startswith(
        'resumed to more than the 2 epochs planned: the learning rate is 0 in the last 4 of 6 '
        'epochs, which train nothing, because the schedule ends after 2; set param_scheduler.end=6'
    )
    # With the planned length such a training resumes.
    runner = small_runner('three', 6, **schedule)
    runner.train()
    assert 'the learning rate is 0 in the last 5 of 6 epochs' in _log(tmp_path / 'three')
    resumed = dict(resume=True, load_from=str(tmp_path / 'three/epoch_4.pth'))
    small_runner('four', 6, **resumed, **schedule).train()


@pytest.mark.parametrize(
    ('schedule', 'idle'),
    [
        (dict(LINEAR, end=8), 0),
        (dict(LINEAR, end=3), 4),
        (dict(LINEAR, end=3, eta_min=1e-5), 0),
        (dict(LINEAR, end=3, convert_to_iter_based=True), 10 / 3),
        ([dict(type='LinearLR', end=1), dict(LINEAR, begin=1, end=4)], 3),
        (dict(type='MultiStepLR', milestones=[2], end=4), 0),
        (dict(type='LinearMomentum', end=2), 0),
        (None, 0),
    ],
)
def test_steps_without_a_learning_rate(small_runner, rates, schedule, idle):
    runner = small_runner(epochs=6, param_scheduler=schedule)
    assert runner.train_loop.max_epochs == 6
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    if schedule is not None:
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
        before = [scheduler.state_dict() for scheduler in runner.param_schedulers]
        assert idle_steps(runner, runner.param_schedulers) == pytest.approx(idle)
        assert [scheduler.state_dict() for scheduler in runner.param_schedulers] == before
    runner.train()
    assert sum(rate == 0 for rate, _ in rates) / 3 == pytest.approx(idle)


class NotesRates(Hook):
    def __init__(self):
        self.found = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.found.append({name: lrs[0] for name, lrs in runner.optim_wrapper.get_lr().items()})


def test_schedules_of_several_optimizers(small_runner, tmp_path):
    class TwoOptimizers(small_runner.network):
        def train_step(self, data, optim_wrapper):
            loss, terms = self.parse_losses(self._run_forward(data, mode='loss'))
            loss.backward()
            for wrapper in optim_wrapper.values():
                wrapper.step()
                wrapper.zero_grad()
            return terms

    def train(name, epochs, **more):
        network, notes = TwoOptimizers(), NotesRates()
        wrappers = {
            part: OptimWrapper(torch.optim.SGD(getattr(network, part).parameters(), lr=rate))
            for part, rate in (('first', 0.1), ('last', 0.01))
        }
        schedules = dict(
            first=dict(LINEAR, end=epochs), last=[dict(type='MultiStepLR', milestones=[1, 3])]
        )
        small_runner(
            name,
            epochs,
            network=network,
            optim_wrapper=OptimWrapperDict(**wrappers),
            param_scheduler=schedules,
            custom_hooks=[notes],
            **more,
        ).train()
        return notes.found

    expected = train('one', 5)
    train('two', 2)
    resumed = dict(resume=True, load_from=str(tmp_path / 'two/epoch_2.pth'))
    assert train('two', 5, **resumed) == expected[6:]
    assert 'PolyLR.end 2 became 5; ' not in _log(tmp_path / 'two')
    assert 'counts from here on: PolyLR.end 2 became 5\n' in _log(tmp_path / 'two')
