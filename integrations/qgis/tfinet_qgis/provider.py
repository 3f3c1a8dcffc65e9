"""The Processing provider and its one setting: the Python that has TFINet-MM."""

from __future__ import annotations

from pathlib import Path

from processing.core.ProcessingConfig import ProcessingConfig, Setting
from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithms.estimate import EstimateAreas
from .algorithms.finish import Finish
from .algorithms.predict import Predict
from .algorithms.sample import DrawSample
from .algorithms.setup import SetUp
from .environment import PYTHON_SETTING

ICON = Path(__file__).with_name('icon.svg')


class Provider(QgsProcessingProvider):
    """Provider ``tfinet`` with the algorithms predict, finish, sample, estimate and setup."""

    def load(self) -> bool:
        """Add the setting, then the algorithms."""
        ProcessingConfig.settingIcons[self.name()] = self.icon()
        ProcessingConfig.addSetting(
            Setting(
                self.name(),
                PYTHON_SETTING,
                'Python of the environment that has tfinet-mm (empty: the one that Set up makes)',
                '',
                valuetype=Setting.FILE,
            )
        )
        ProcessingConfig.readSettings()
        self.refreshAlgorithms()
        return True

    def unload(self) -> None:
        """Remove the setting."""
        ProcessingConfig.removeSetting(PYTHON_SETTING)

    def loadAlgorithms(self) -> None:
        """Add the algorithms."""
        for algorithm in (Predict, Finish, DrawSample, EstimateAreas, SetUp):
            self.addAlgorithm(algorithm())

    def id(self) -> str:
        """Return the part of an algorithm's name before the colon."""
        return 'tfinet'

    def name(self) -> str:
        """Return the name in the toolbox."""
        return 'TFINet-MM'

    def icon(self) -> QIcon:
        """Return the picture in the toolbox."""
        return QIcon(str(ICON))
