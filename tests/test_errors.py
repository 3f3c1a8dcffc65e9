import inspect

import pytest

from tfinet_mm import errors

KINDS = [
    c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__
]


@pytest.mark.parametrize('kind', KINDS, ids=lambda c: c.__name__)
def test_one_family_that_is_built_in_as_well(kind):
    """``except TFINetError`` catches all errors; ``except ValueError`` and others still work."""
    assert issubclass(kind, errors.TFINetError)
    if kind is not errors.TFINetError:
        own = {errors.TFINetError, Exception, BaseException, object}
        assert any(base.__module__ == 'builtins' for base in set(kind.__mro__) - own)
        assert kind.__doc__
