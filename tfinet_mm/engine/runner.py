"""MMEngine's Runner with the guards that this package's training relies on."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.runner import Runner

from tfinet_mm.registry import RUNNERS


@RUNNERS.register_module()
class SCDRunner(Runner):
    """MMEngine's Runner, for configs of this package and of any other.

    ``runner_type = 'tfinet_mm.SCDRunner'`` in a config makes mmseg's and Open-CD's
    own tools use it too.
    """


def build_runner(cfg: Config) -> Runner:
    """Build the Runner that a config names, or else :class:`SCDRunner`.

    Args:
        cfg: The config.

    Returns:
        The Runner, which has not run yet.
    """
    if 'runner_type' in cfg:
        return MMENGINE_RUNNERS.build(cfg)
    return SCDRunner.from_cfg(cfg)
