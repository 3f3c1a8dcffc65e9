from types import SimpleNamespace

import pytest
import torch

from tfinet_mm.engine.hooks import ClassCheckHook
from tfinet_mm.errors import ClassMismatchError
from tfinet_mm.models import SCDTTAModel
from tfinet_mm.structures import LANDSAT_SCD, SECOND, ClassTable


def _runner(num_classes, table, resume=False):
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=table.metainfo()))
    return SimpleNamespace(
        model=SimpleNamespace(num_classes=num_classes, predict_probabilities=None),
        train_dataloader=loader,
        val_dataloader=loader,
        test_dataloader=loader,
        _resume=resume,
    )


def _checkpoint(table):
    return {'meta': {'dataset_meta': table.metainfo()}}


@pytest.mark.parametrize('stage', ['before_train', 'before_val', 'before_test'])
def test_number_of_classes(stage):
    getattr(ClassCheckHook(), stage)(_runner(6, SECOND))
    with pytest.raises(ClassMismatchError, match=r'has 6 land-cover classes, the \w+ data set 4'):
        getattr(ClassCheckHook(), stage)(_runner(6, LANDSAT_SCD))


def test_the_change_head_of_another_package_is_not_counted():
    runner = _runner(2, SECOND)
    runner.model = SimpleNamespace(num_classes=2)
    ClassCheckHook().before_train(runner)
    runner.model.semantic_num_classes = 6  # as Open-CD's detectors have it
    ClassCheckHook().before_train(runner)
    runner.model.semantic_num_classes = 7
    with pytest.raises(ClassMismatchError, match='has 7 land-cover classes, the training'):
        ClassCheckHook().before_train(runner)
    # Open-CD's BANDON counts its background among the classes.
    runner.train_dataloader.dataset.metainfo['reduce_semantic_zero_label'] = False
    ClassCheckHook().before_train(runner)


@pytest.mark.parametrize(
    ('stage', 'resume', 'stops'),
    [('before_test', False, True), ('before_train', True, True), ('before_train', False, False)],
)
def test_names_of_the_checkpoint(stage, resume, stops):
    hook = ClassCheckHook()
    runner = _runner(6, SECOND, resume)
    hook.after_load_checkpoint(runner, _checkpoint(SECOND))
    getattr(hook, stage)(runner)
    hook.after_load_checkpoint(runner, _checkpoint(LANDSAT_SCD))
    if not stops:
        getattr(hook, stage)(runner)
        return
    with pytest.raises(ClassMismatchError, match='trained on the classes no change, farmland'):
        getattr(hook, stage)(runner)


def test_checkpoints_that_say_nothing_pass():
    hook = ClassCheckHook()
    hook.after_load_checkpoint(_runner(6, SECOND), {'state_dict': {}})
    hook.before_test(_runner(6, SECOND))


@pytest.mark.parametrize('wrap', [lambda model: model, SCDTTAModel])
def test_members_of_an_ensemble(wrap):
    """The classes of the members' trainings count, even wrapped for augmentation."""

    class Ensemble(torch.nn.Module):
        num_classes = 4
        trained_on = ('w18 (w18.pth)', LANDSAT_SCD.names)
        test_step = predict_probabilities = None

    runner = _runner(4, LANDSAT_SCD)
    runner.model = wrap(Ensemble())
    ClassCheckHook().before_test(runner)
    renamed = ClassTable((*LANDSAT_SCD.names[:-1], 'lake'), LANDSAT_SCD.palette)
    runner.test_dataloader.dataset.metainfo = renamed.metainfo()
    message = r'w18 \(w18\.pth\) .* no change, farmland, .* data set has .*lake'
    with pytest.raises(ClassMismatchError, match=message):
        ClassCheckHook().before_test(runner)
    runner.test_dataloader.dataset.metainfo = SECOND.metainfo()
    with pytest.raises(ClassMismatchError, match='model has 4 land-cover classes'):
        ClassCheckHook().before_test(runner)
