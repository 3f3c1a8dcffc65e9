import inspect

import pytest

from tfinet_mm import errors

KINDS = [
    c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__
]


@pytest.mark.parametrize('kind', KINDS, ids=lambda c: c.__name__)
def test_one_family_that_is_built_in_as_well(kind):
    """``except TFINetError`` catches all of them, ``except ValueError`` and the like still work."""
    assert issubclass(kind, errors.TFINetError)
    if kind is not errors.TFINetError:
        assert any(base.__module__ == 'builtins' for base in kind.__bases__)
        assert kind.__doc__
