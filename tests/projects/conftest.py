"""The tools' small network and data, and processes to run scripts in."""

from tools.conftest import environment, run, tiny, warm

__all__ = ['environment', 'run', 'tiny', 'warm']
