"""Make the Python environment that the other algorithms run in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputFolder,
    QgsProcessingParameterFile,
    QgsProcessingParameterString,
)

from ..environment import START, base_python, own_folder, python_in
from .base import TfinetAlgorithm

DEFAULT = 'tfinet-mm[mm,geo,report]'


class SetUp(TfinetAlgorithm):
    """Algorithm ``tfinet:setup``."""

    NAME = 'setup'
    TITLE = 'Set up TFINet-MM'
    TAGS = ('install', 'environment')
    HELP = (
        'Makes a Python environment in your QGIS profile and installs TFINet-MM there, once. '
        'Nothing is installed into QGIS. It needs a network and a few minutes.\n\n'
        '<b>Package</b>: what pip installs: a name with its extras, or a wheel such as '
        '/path/tfinet_mm-0.1.0-py3-none-any.whl[mm,geo,report], or a folder of the source.\n\n'
        '<b>Python to use</b>: 3.11 to 3.13; empty for the one of QGIS.\n\n'
        'If you have an environment with TFINet-MM already, name its Python under Settings > '
        'Options > Processing > Providers > TFINet-MM instead.'
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Define the parameters and outputs."""
        self.addParameter(QgsProcessingParameterString('PACKAGE', 'Package', defaultValue=DEFAULT))
        self.add_advanced(
            QgsProcessingParameterString(
                'PIP_OPTIONS', 'Further options of pip install', optional=True
            )
        )
        self.add_advanced(QgsProcessingParameterFile('PYTHON', 'Python to use', optional=True))
        self.addOutput(QgsProcessingOutputFolder('ENVIRONMENT', 'Environment'))

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Make the environment, install, and try it."""
        folder = own_folder()
        python = python_in(folder)
        if not python.is_file():
            named = self.parameterAsString(parameters, 'PYTHON', context)
            try:
                base = Path(named) if named else base_python()
            except FileNotFoundError as error:
                raise QgsProcessingException(str(error)) from error
            self.run_program([str(base), '-m', 'venv', str(folder)], feedback)
        package = self.parameterAsString(parameters, 'PACKAGE', context)
        options = self.parameterAsString(parameters, 'PIP_OPTIONS', context).split()
        install = ['-m', 'pip', 'install', '--upgrade', '--progress-bar', 'off', *options, package]
        self.run_program([str(python), *install], feedback)
        version = self.run_program([str(python), '-c', START, '--version'], feedback)
        feedback.pushInfo(f'Ready: {version[-1]} in {folder}')
        return dict(ENVIRONMENT=str(folder))
