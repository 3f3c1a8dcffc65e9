"""Name the part of a config that a library fails to build."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfinet_mm.errors import ConfigError
from tfinet_mm.utils.command import is_expected, message_of
from tfinet_mm.utils.config.wrappers import wrapper_fault

LENGTH = 600
"""Greatest number of characters of a part that a message shows."""


@contextlib.contextmanager
def building(name: str, part: Any = None) -> Iterator[None]:
    """Turn errors of building a part of a config into one that names the part.

    Values that only their class knows to be wrong end in an error of its library, such as
    ``'int' object is not iterable``, which doesn't name the value. Expected errors, which
    explain themselves, pass unchanged. Those of MMEngine's wrappers of data sets are explained
    (see :func:`~tfinet_mm.utils.config.wrappers.wrapper_fault`).

    Args:
        name: Name of the part in the config.
        part: Its config, which the message shows.

    Raises:
        ConfigError: With the name, the library's error and the config.

    Example:
        >>> with building('param_scheduler', dict(type='MultiStepLR', milestones=5)):
        ...     list(5)
        Traceback (most recent call last):
        tfinet_mm.errors.ConfigError: param_scheduler can't be built: TypeError: 'int' object is \
not iterable; its config is {'type': 'MultiStepLR', 'milestones': 5}
    """
    # Before the block, since building removes keys from some configs.
    shown = repr(part) if isinstance(part, Mapping | list | tuple) else ''
    try:
        yield
    except Exception as error:
        if is_expected(error):
            raise
        if (fault := wrapper_fault(error)) is not None:
            raise ConfigError(f"{name} can't be built: {fault}") from error
        said = f'{type(error).__name__}: {message_of(error) or "no message"}'
        if len(shown) > LENGTH:
            shown = f'{shown[:LENGTH]} ...'
        config = f'; its config is {shown}' if shown else ''
        raise ConfigError(f"{name} can't be built: {said}{config}") from error
