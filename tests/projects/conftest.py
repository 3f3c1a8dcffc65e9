"""Share the small network, the data and the processes of the tools' tests."""

from tools.conftest import environment, run, tiny, warm

__all__ = ['environment', 'run', 'tiny', 'warm']
