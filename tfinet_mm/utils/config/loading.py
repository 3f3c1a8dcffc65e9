"""Read and check a whole config, as a tool takes it from its command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope

from tfinet_mm.utils.config.check import check_config
from tfinet_mm.utils.config.reading import merge_options, read_config_file


def load_config(
    path: str | os.PathLike[str],
    options: dict[str, Any] | None = None,
    work_dir: str | os.PathLike[str] | None = None,
    only: Sequence[str] | None = None,
) -> Config:
    """Read a config, with the changes of the command line.

    Args:
        path: Config file.
        options: Values by dotted key, as ``--cfg-options`` gives them.
        work_dir: Folder for logs and checkpoints. None takes the config's
            ``work_dir``, or else ``work_dirs/NAME`` after the config file.
        only: Keys of the top level whose parts are checked; by default all.

    Returns:
        The config, its ``work_dir`` set, with ``default_scope`` in force.

    Raises:
        FileNotFoundError: There is no such config.
        ConfigError: It can't be read, or has unknown keys, wrong types or values out of
            range.
    """
    cfg = read_config_file(path)
    merge_options(cfg, options)
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(cfg.filename).stem)
    check_config(cfg, only)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return cfg
