"""Finish a predicted scene with other settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from .base import TfinetAlgorithm
from .scene_results import add_outputs, scene_layers, scene_outputs

_DOUBLE = QgsProcessingParameterNumber.Double
_INTEGER = QgsProcessingParameterNumber.Integer


class Finish(TfinetAlgorithm):
    """Algorithm ``tfinet:finish``."""

    NAME = 'finish'
    TITLE = 'Finish a map with other settings'
    TAGS = ('threshold', 'merge', 'smooth')
    HELP = (
        'Gives a predicted scene another threshold, smallest polygon or classes, in seconds and '
        'without predicting again.\n\n'
        '<b>Scene</b>: the folder of a predicted scene, with scene.json in it.\n\n'
        '<b>Probability from which a pixel is changed</b>: lower finds more change and more '
        'false change. With <b>Lower probability</b> as well, regions count from the lower '
        'one when a pixel of theirs reaches the higher one.\n\n'
        '<b>Classes to merge</b>: such as <i>tree,low vegetation=plants</i>; several are '
        'separated by semicolons.'
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Define the parameters and outputs."""
        self.addParameter(
            QgsProcessingParameterFile('SCENE', 'Scene', QgsProcessingParameterFile.Folder)
        )
        for name, title in (
            ('THRESHOLD', 'Probability from which a pixel is changed'),
            ('LOW', 'Lower probability, from which its neighbours are'),
        ):
            self.addParameter(
                QgsProcessingParameterNumber(
                    name, title, _DOUBLE, optional=True, minValue=0, maxValue=1
                )
            )
        self.addParameter(
            QgsProcessingParameterNumber(
                'MIN_AREA', 'Smallest polygon (m²)', _DOUBLE, optional=True, minValue=0
            )
        )
        self.addParameter(
            QgsProcessingParameterNumber(
                'SMOOTH',
                'Smooth by the majority of so many pixels across (odd; 1 for none)',
                _INTEGER,
                defaultValue=1,
                minValue=1,
                maxValue=255,
            )
        )
        self.addParameter(QgsProcessingParameterString('MERGE', 'Classes to merge', optional=True))
        self.add_advanced(
            QgsProcessingParameterBoolean('OVERWRITE', 'Replace other results', defaultValue=False)
        )
        self.add_advanced(
            QgsProcessingParameterBoolean('LOAD', 'Open the maps in QGIS', defaultValue=True)
        )
        self.addParameter(
            QgsProcessingParameterFolderDestination('OUTPUT', 'Folder for the results')
        )
        add_outputs(self)

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """Refuse a lower probability alone, and an even side."""
        low, high = parameters.get('LOW'), parameters.get('THRESHOLD')
        if low is not None and high is None:
            return False, 'The lower probability needs the probability above it as well'
        if low is not None and float(low) > float(high):
            return False, f'The lower probability {low} is above {high}'
        if self.parameterAsInt(parameters, 'SMOOTH', context) % 2 == 0:
            return False, 'The side to smooth by must be odd, such as 3 or 5'
        return super().checkParameterValues(parameters, context)

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Finish, and return the files."""

        def number(name: str) -> str:
            return repr(self.parameterAsDouble(parameters, name, context))

        scene = self.parameterAsString(parameters, 'SCENE', context)
        out = Path(self.parameterAsString(parameters, 'OUTPUT', context))
        words = ['finish', scene, '--out', str(out)]
        if parameters.get('LOW') is not None:
            words += ['--hysteresis', number('LOW'), number('THRESHOLD')]
        elif parameters.get('THRESHOLD') is not None:
            words += ['--threshold', number('THRESHOLD')]
        if parameters.get('MIN_AREA') is not None:
            words += ['--min-area', number('MIN_AREA')]
        words += ['--smooth', str(self.parameterAsInt(parameters, 'SMOOTH', context))]
        merges = self.parameterAsString(parameters, 'MERGE', context).split(';')
        if merges := [one.strip() for one in merges if one.strip()]:
            words += ['--merge', *merges]
        if self.parameterAsBool(parameters, 'OVERWRITE', context):
            words.append('--overwrite')
        self.run_tfinet(words, feedback)
        if self.parameterAsBool(parameters, 'LOAD', context):
            self.load_layers(scene_layers(out), context)
        return scene_outputs(out) | dict(OUTPUT=str(out))
