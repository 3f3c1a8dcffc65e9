"""The small run that hooks are tried in."""

from small_run import new_runner

__all__ = ['new_runner']
