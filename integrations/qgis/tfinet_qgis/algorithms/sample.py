"""Draw points to label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputHtml,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
)

from .base import TfinetAlgorithm

_DOUBLE = QgsProcessingParameterNumber.Double
_INTEGER = QgsProcessingParameterNumber.Integer
ALLOCATIONS = 'proportional', 'neyman', 'equal'


class DrawSample(TfinetAlgorithm):
    """Algorithm ``tfinet:sample``."""

    NAME = 'sample'
    TITLE = 'Draw a sample of points to label'
    TAGS = ('accuracy', 'assessment', 'stratified', 'validation')
    HELP = (
        'Draws a stratified random sample of points over a predicted scene. People label the '
        'points, and "Estimate areas from labelled points" turns the labels into areas with '
        '95 % intervals.\n\n'
        '<b>Number of points</b>: empty for the number that reaches the standard error. More '
        'are drawn where a class would get fewer than the least number.\n\n'
        'Label the points in QGIS (the layer has a form with both classes), or on the page '
        'label.html, which shows both images around each point.'
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Define the parameters and outputs."""
        self.addParameter(
            QgsProcessingParameterFile('SCENE', 'Scene', QgsProcessingParameterFile.Folder)
        )
        self.addParameter(
            QgsProcessingParameterNumber(
                'POINTS', 'Number of points', _INTEGER, optional=True, minValue=1
            )
        )
        self.addParameter(
            QgsProcessingParameterNumber(
                'TARGET_SE',
                'Standard error of overall accuracy to aim at',
                _DOUBLE,
                defaultValue=0.015,
                minValue=0.0001,
                maxValue=0.5,
            )
        )
        self.addParameter(
            QgsProcessingParameterNumber(
                'MINIMUM',
                'Least number of points of a class',
                _INTEGER,
                defaultValue=50,
                minValue=1,
            )
        )
        self.add_advanced(
            QgsProcessingParameterEnum(
                'ALLOCATION',
                'Distribution over the classes',
                options=['By area', 'By area and expected accuracy (Neyman)', 'Equal'],
                defaultValue=0,
            )
        )
        self.add_advanced(
            QgsProcessingParameterNumber('SEED', 'Seed', _INTEGER, defaultValue=0, minValue=0)
        )
        self.add_advanced(
            QgsProcessingParameterBoolean(
                'CHIPS', 'Make the pictures and the page for labelling', defaultValue=True
            )
        )
        self.addParameter(
            QgsProcessingParameterFolderDestination('OUTPUT', 'Folder for the sample')
        )
        self.addOutput(QgsProcessingOutputVectorLayer('SAMPLE', 'Points to label'))
        self.addOutput(QgsProcessingOutputHtml('PAGE', 'Page for labelling'))

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Draw the points, and open them."""
        out = Path(self.parameterAsString(parameters, 'OUTPUT', context))
        words = ['assess', 'sample', self.parameterAsString(parameters, 'SCENE', context)]
        words += ['--out', str(out)]
        if parameters.get('POINTS') is not None:
            words += ['--points', str(self.parameterAsInt(parameters, 'POINTS', context))]
        else:
            target = self.parameterAsDouble(parameters, 'TARGET_SE', context)
            words += ['--target-se', repr(target)]
        words += ['--minimum', str(self.parameterAsInt(parameters, 'MINIMUM', context))]
        chosen = self.parameterAsEnum(parameters, 'ALLOCATION', context)
        words += ['--allocation', ALLOCATIONS[chosen]]
        words += ['--seed', str(self.parameterAsInt(parameters, 'SEED', context))]
        chips = self.parameterAsBool(parameters, 'CHIPS', context)
        if not chips:
            words.append('--no-chips')
        self.run_tfinet(words, feedback)
        points = out / 'points.gpkg'
        self.load_layers({'Points to label': points}, context)
        made = dict(OUTPUT=str(out), SAMPLE=str(points))
        return made | (dict(PAGE=str(out / 'label.html')) if chips else {})
