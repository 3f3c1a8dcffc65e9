"""Build script; the metadata is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = 'configs', 'tools', 'model-index.yml'


class BuildWithConfigs(build_py):
    """Also build configs and tools into ``.mim``, where OpenMMLab's packages keep them."""

    def run(self) -> None:
        """Build the modules, then copy; an editable installation reads the checkout itself."""
        super().run()
        if getattr(self, 'editable_mode', False):
            return
        target = Path(self.build_lib, 'tfinet_mm', '.mim')
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in SHIPPED:
            source = ROOT / name
            if source.is_dir():
                unwanted = shutil.ignore_patterns('__pycache__', '*.pyc')
                shutil.copytree(source, target / name, ignore=unwanted)
            elif source.is_file():
                shutil.copy2(source, target / name)


setup(cmdclass=dict(build_py=BuildWithConfigs))
