"""The small run for tests of hooks."""

from small_run import new_runner

__all__ = ['new_runner']
