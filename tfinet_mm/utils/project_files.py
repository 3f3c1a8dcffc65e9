"""Find the configs and tools that come with the package."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
PREFIX = 'tfinet_mm::'
"""Prefix of the name of a config of the package, as MMEngine has for other packages."""


def project_folder(name: str) -> Path:
    """Return the folder ``configs`` or ``tools``.

    In an installed package it lies in ``.mim``, as in OpenMMLab's packages; in a checkout beside
    the package.

    Args:
        name: ``'configs'`` or ``'tools'``.

    Raises:
        FileNotFoundError: The package was installed without it.
    """
    folders = PACKAGE / '.mim' / name, PACKAGE.parent / name
    for folder in folders:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f'no folder {name} in {folders[0].parent} or beside the package; install tfinet-mm again'
    )


def named_config(name: str) -> Path:
    """Return the file of a config such as ``tfinet_mm::tfinet_lite0_fpn.py``.

    Args:
        name: Path below the folder ``configs``, after :data:`PREFIX`.

    Raises:
        FileNotFoundError: There is no such config; the message has a similar name.
    """
    folder = project_folder('configs')
    path = folder / name.removeprefix(PREFIX)
    if path.is_file() and folder.resolve() in path.resolve().parents:
        return path
    known = sorted(
        str(found.relative_to(folder).as_posix())
        for found in folder.rglob('*.py')
        if '_base_' not in found.parts
    )
    near = get_close_matches(name.removeprefix(PREFIX), known, n=3, cutoff=0.5)
    raise FileNotFoundError(
        f'the package has no config {name}; '
        + (f'did you mean {PREFIX}{near[0]}?' if near else f'there are {", ".join(known[:8])}, ...')
    )
