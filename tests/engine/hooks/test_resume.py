import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tfinet_mm.checkpoints.reading import load_checkpoint_file

RISING = [0.1, 0.2, 0.15, 0.9]
EARLY = [0.1, 0.9, 0.5, 0.4]


class Killed(Exception):
    """End of the process, simulated."""


class KillBeforeValidation(Hook):
    def before_val(self, runner):
        if runner.epoch == 2:
            raise Killed


def _kill_at_saving(monkeypatch, name, times):
    """Let the process end when a file of this name is saved for the n-th time."""
    original, seen = Runner.save_checkpoint, []

    def save(self, out_dir, filename, *args, **kwargs):
        seen.append(filename)
        if seen.count(name) == times:
            monkeypatch.setattr(Runner, 'save_checkpoint', original)
            raise Killed
        return original(self, out_dir, filename, *args, **kwargs)

    monkeypatch.setattr(Runner, 'save_checkpoint', save)


def _files(folder):
    return {path.name for path in folder.glob('*.pth')}


def _log(folder):
    return '\n'.join(path.read_text() for path in sorted(folder.glob('*/*.log')))


def _comparable(path):
    """Return weights, scores and counts of a checkpoint, without times and paths."""
    checkpoint = load_checkpoint_file(path)
    hub = checkpoint['message_hub']
    names = ('epoch', 'iter', 'best_score', 'max_epochs', 'last_validated_iter')
    info = {name: hub['runtime_info'].get(name) for name in names}
    scalars = {
        name: buffer._log_history.tolist()
        for name, buffer in hub['log_scalars'].items()
        if 'time' not in name
    }
    weights = {name: value.tolist() for name, value in checkpoint['state_dict'].items()}
    meta = {name: checkpoint['meta'][name] for name in ('epoch', 'iter', 'seed')}
    return dict(weights=weights, info=info, meta=meta, scalars=scalars)


@pytest.fixture
def resumed(small_runner, tmp_path):
    """Resume a training, and return its runner."""

    def go_on(name, epoch, epochs=4, folder=None, **options):
        path = tmp_path / (folder or name) / f'epoch_{epoch}.pth'
        runner = small_runner(name, epochs, resume=True, load_from=str(path), **options)
        runner.train()
        return runner

    return go_on


@pytest.mark.parametrize(
    ('scores', 'moment', 'best'),
    [
        (EARLY, 'before the validation', 2),
        (EARLY, 'while the best is saved', 2),
        (EARLY, 'after the best is saved', 2),
        (RISING, 'before the validation', 4),
        (RISING, 'after the best is saved', 4),
        ([0.9, 0.1, 0.2, 0.3], 'before the validation', 1),
    ],
)
def test_the_best_after_a_kill_is_that_of_the_undisturbed_training(
    small_runner, resumed, tmp_path, monkeypatch, scores, moment, best
):
    small_runner('one', 4, scores=scores).train()
    options = {}
    if moment == 'before the validation':
        options = dict(custom_hooks=[KillBeforeValidation()])
    elif moment == 'while the best is saved':
        _kill_at_saving(monkeypatch, 'best_Score_epoch_2.pth', 1)
    else:
        _kill_at_saving(monkeypatch, 'epoch_2.pth', 2)
    with pytest.raises(Killed):
        small_runner('two', 4, scores=scores, **options).train()
    runner = resumed('two', 2, scores=scores)
    assert _files(tmp_path / 'two') == _files(tmp_path / 'one')
    best_file = tmp_path / 'two' / f'best_Score_epoch_{best}.pth'
    assert runner.message_hub.runtime_info['best_ckpt'] == str(best_file)
    for name in (best_file.name, 'epoch_4.pth'):
        assert _comparable(tmp_path / 'two' / name) == _comparable(tmp_path / 'one' / name)
    assert _log(tmp_path / 'two').count('Validating epoch 2') == 1


def test_a_loop_over_iterations_validates_first(small_runner, tmp_path, monkeypatch):
    saving = dict(type='CheckpointHook', by_epoch=False, interval=2, save_best='Score')
    options = dict(
        scores=[0.3],
        train_cfg=dict(by_epoch=False, max_iters=6, val_interval=4),
        param_scheduler=None,
        loader=dict(sampler=dict(type='InfiniteSampler')),
        default_hooks=dict(checkpoint=dict(saving, rule='greater')),
    )
    _kill_at_saving(monkeypatch, 'best_Score_iter_4.pth', 1)
    with pytest.raises(Killed):
        small_runner(**options).train()
    load_from = str(tmp_path / 'work/iter_4.pth')
    small_runner(**options, resume=True, load_from=load_from).train()
    assert 'best_Score_iter_4.pth' in _files(tmp_path / 'work')
    # From iteration 2, after which no validation is due.
    other = str(tmp_path / 'work/iter_2.pth')
    small_runner('other', **options, resume=True, load_from=other).train()
    assert 'Validating' not in _log(tmp_path / 'other')


def test_what_was_validated_is_not_validated_again(small_runner, resumed, tmp_path):
    small_runner('work', 2, scores=RISING).train()
    resumed('work', 2, epochs=2, scores=RISING)
    log = _log(tmp_path / 'work')
    assert 'Validating' not in log
    assert log.count('Nothing is left to train: the checkpoint is of epoch 2 of 2') == 1


@pytest.mark.parametrize(('rule', 'scores'), [('greater', 0.3), ('less', 1.5)])
def test_a_better_file_in_the_folder_is_the_best(small_runner, resumed, tmp_path, rule, scores):
    def options(found):
        saving = dict(type='CheckpointHook', save_best='Score', rule=rule)
        return dict(scores=found, default_hooks=dict(checkpoint=dict(saving, interval=1)))

    first = [0.5, 0.6, 0.7, 0.9] if rule == 'greater' else [0.9, 0.7, 0.6, 0.5]
    small_runner('work', 4, **options(first)).train()
    # The second time the training takes another course, as on GPUs.
    runner = resumed('work', 2, **options([0.5, scores, scores, scores]))
    assert {name for name in _files(tmp_path / 'work') if 'best' in name} == {
        'best_Score_epoch_4.pth'
    }
    info = runner.message_hub.runtime_info
    assert info['best_ckpt'] == str(tmp_path / 'work/best_Score_epoch_4.pth')
    assert info['best_score'] == first[3]


def test_several_scores_and_a_file_that_cannot_be_read(small_runner, resumed, tmp_path):
    saving = dict(type='CheckpointHook', interval=1, save_best=['Score', 'Other'])
    hooks = dict(checkpoint=dict(saving, rule=['greater', 'less']))
    small_runner('work', 4, scores=EARLY, default_hooks=hooks).train()
    best = {'best_Score_epoch_2.pth', 'best_Other_epoch_4.pth'}
    assert best < _files(tmp_path / 'work')
    torn = tmp_path / 'work' / 'best_Score_epoch_3.pth'
    torn.write_bytes((tmp_path / 'work/best_Score_epoch_2.pth').read_bytes()[:-999])
    (tmp_path / 'work/best_Score_epoch_1.pth').write_bytes(
        (tmp_path / 'work/epoch_1.pth').read_bytes()
    )
    # Other files of such a name, which hold no score.
    odd = {7: [1], 8: dict(message_hub=None), 9: dict(message_hub=dict(runtime_info='x'))}
    odd[6] = dict(message_hub=dict(runtime_info=dict(best_score_Score='high')))
    for epoch, content in odd.items():
        torch.save(content, tmp_path / 'work' / f'best_Score_epoch_{epoch}.pth')
    runner = resumed('work', 3, epochs=3, scores=EARLY, default_hooks=hooks)
    left = {f'best_Score_epoch_{epoch}.pth' for epoch in odd} | {torn.name}
    assert {name for name in _files(tmp_path / 'work') if 'best' in name} == best | left
    info = runner.message_hub.runtime_info
    assert (info['best_score_Score'], info['best_score_Other']) == (0.9, -3.0)
    assert f'not counted as the best checkpoint: {torn}' in _log(tmp_path / 'work')


def test_a_folder_that_was_moved(small_runner, resumed, tmp_path):
    small_runner('old', 2, scores=EARLY).train()
    (tmp_path / 'old').rename(tmp_path / 'new')
    runner = resumed('new', 2, scores=[0.1, 0.9, 0.5, 0.95])
    assert runner.message_hub.runtime_info['best_ckpt'].endswith('new/best_Score_epoch_4.pth')
    assert 'best_Score_epoch_2.pth' not in _files(tmp_path / 'new')


def test_the_best_of_another_run_is_not_removed(small_runner, resumed, tmp_path):
    small_runner('one', 2, scores=EARLY).train()
    resumed('two', 2, folder='one', scores=[0.1, 0.9, 0.95, 0.5])
    assert 'best_Score_epoch_2.pth' in _files(tmp_path / 'one')
    assert 'best_Score_epoch_3.pth' in _files(tmp_path / 'two')


def test_a_best_that_is_gone_makes_room(small_runner, resumed, tmp_path):
    small_runner('work', 2, scores=EARLY).train()
    (tmp_path / 'work/best_Score_epoch_2.pth').unlink()
    resumed('work', 2, scores=EARLY)
    assert 'best_Score_epoch_3.pth' in _files(tmp_path / 'work')
    assert 'is gone; the best of the others takes its place' in _log(tmp_path / 'work')


def test_a_training_from_the_start_looks_for_nothing(small_runner, tmp_path):
    small_runner('work', 1, scores=[0.9]).train()
    small_runner('work', 1, scores=[0.8]).train()
    assert 'best checkpoint so far' not in _log(tmp_path / 'work')
