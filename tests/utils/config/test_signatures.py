from mmengine.hooks import CheckpointHook
from mmengine.optim import PolyLR
from torch.optim import Adam

from tfinet_mm.utils.config.signatures import keys_of


class Parent:
    def __init__(self, a, b=0):
        self.a = a


class PassesOn(Parent):
    def __init__(self, c, **kwargs):
        kwargs.setdefault('b', 1)
        self.read = kwargs.pop('d', None)
        super().__init__(a=c, **kwargs)


class Keeps(Parent):
    def __init__(self, c, **kwargs):
        self.kwargs = kwargs
        super().__init__(c)


class PassesElsewhere(Parent):
    def __init__(self, c, **kwargs):
        super().__init__(c, **kwargs)
        self.other = Parent(1, **kwargs)


def test_parameters_and_those_of_the_parents():
    assert keys_of(Parent) == (frozenset('ab'), False, frozenset('a'))
    assert keys_of(PassesOn) == (frozenset('abcd'), False, frozenset('c'))


def test_any_key_may_be_right_where_kwargs_go_elsewhere():
    assert keys_of(Keeps).is_open
    assert keys_of(PassesElsewhere).is_open
    assert keys_of(CheckpointHook).is_open


def test_classes_of_libraries():
    assert {'lr', 'betas', 'weight_decay'} <= keys_of(Adam).names
    assert not keys_of(Adam).is_open
    assert {'eta_min', 'power', 'begin', 'end', 'by_epoch'} <= keys_of(PolyLR).names
    assert not keys_of(PolyLR).is_open


class AddsKeys(Parent):
    def __init__(self, **kwargs):
        kwargs = dict(b=2) | kwargs
        super().__init__(**kwargs)


def test_keys_that_are_added_leave_it_closed():
    assert keys_of(AddsKeys) == (frozenset('ab'), False, frozenset())
    assert 'a' in keys_of(PassesElsewhere).names


def test_functions():
    assert keys_of(lambda x, y=0: x) == (frozenset('xy'), False, frozenset('x'))
