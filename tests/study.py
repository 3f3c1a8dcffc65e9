"""Scripts of projects/ as modules."""

import importlib.util
import sys
from functools import cache
from pathlib import Path

PROJECTS = Path(__file__).parents[1] / 'projects'


@cache
def load_study(name):
    """Import a script by its path below projects/, such as 'equal_time/run.py'."""
    path = PROJECTS / name
    spec = importlib.util.spec_from_file_location(f'{path.parent.name}_{path.stem}', path)
    # Where dataclasses look for the types of their fields.
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
