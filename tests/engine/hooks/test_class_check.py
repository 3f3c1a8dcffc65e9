from types import SimpleNamespace

import pytest

from tfinet_mm.engine.hooks import ClassCheckHook
from tfinet_mm.errors import ClassMismatchError
from tfinet_mm.structures import LANDSAT_SCD, SECOND


def _runner(num_classes, table, resume=False):
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=table.metainfo()))
    return SimpleNamespace(
        model=SimpleNamespace(num_classes=num_classes),
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
