"""Find, or make, the Python environment that has TFINet-MM."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PYTHON_SETTING = 'TFINET_PYTHON'
FOLDER = 'tfinet_mm'
# Started by Python itself, since scripts such as `tfinet` keep the path of the Python they were
# installed for and break when a folder is moved.
START = 'import sys; from tfinet_mm.cli import main; main(sys.argv[1:])'


def own_folder() -> Path:
    """Return the folder of the environment that Set up makes, in the user's QGIS profile."""
    from qgis.core import QgsApplication

    return Path(QgsApplication.qgisSettingsDirPath()) / FOLDER


def python_in(folder: Path) -> Path:
    """Return the Python of a virtual environment.

    Args:
        folder: The environment.
    """
    return folder / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')


def find_python() -> Path:
    """Return the Python that has TFINet-MM.

    The variable ``TFINET_PYTHON`` comes first, then the setting in QGIS's Processing options,
    then the environment that Set up makes.

    Raises:
        FileNotFoundError: There is none; the message says how to get one.
    """
    from processing.core.ProcessingConfig import ProcessingConfig

    named = os.environ.get(PYTHON_SETTING) or ProcessingConfig.getSetting(PYTHON_SETTING)
    python = Path(named) if named else python_in(own_folder())
    if python.is_file():
        return python
    if named:
        raise FileNotFoundError(
            f'there is no Python at {python}, which {PYTHON_SETTING} names; correct it under '
            'Settings > Options > Processing > Providers > TFINet-MM'
        )
    raise FileNotFoundError(
        f'TFINet-MM is not set up: there is no environment in {own_folder()}. Run the algorithm '
        '"Set up TFINet-MM" once, or name the Python of an environment that has it under '
        'Settings > Options > Processing > Providers > TFINet-MM'
    )


def base_python() -> Path:
    """Return a Python that can make an environment: QGIS's own, which isn't ``sys.executable``.

    Raises:
        FileNotFoundError: There is none where QGIS keeps it.
    """
    names = ('python.exe', 'python3.exe') if os.name == 'nt' else ('bin/python3', 'bin/python')
    tried = [Path(sys.exec_prefix) / name for name in names]
    for python in tried:
        if python.is_file():
            return python
    raise FileNotFoundError(
        f'no Python found in {sys.exec_prefix}; name one, 3.11 to 3.13, in "Python to use"'
    )
