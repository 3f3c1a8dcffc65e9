"""Estimate areas from labelled points."""

from __future__ import annotations

from html import escape
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputFolder,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
)

from .base import TfinetAlgorithm


class EstimateAreas(TfinetAlgorithm):
    """Algorithm ``tfinet:estimate``."""

    NAME = 'estimate'
    TITLE = 'Estimate areas from labelled points'
    TAGS = ('accuracy', 'assessment', 'confidence interval', 'Olofsson')
    HELP = (
        'Estimates the area of each class and transition with its 95 % interval, and the '
        'accuracies of the map, from labelled points: the stratified estimator of Olofsson et '
        'al. (2014).\n\n'
        '<b>Scene</b>: the folder of the scene, or of its sample.\n\n'
        '<b>Labels</b>: the file that the page saved, or the points labelled in QGIS; empty for '
        'points.gpkg of the sample. Save your edits first.'
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Define the parameters and outputs."""
        self.addParameter(
            QgsProcessingParameterFile(
                'SCENE', 'Scene or sample', QgsProcessingParameterFile.Folder
            )
        )
        self.addParameter(QgsProcessingParameterFile('LABELS', 'Labels', optional=True))
        self.addParameter(
            QgsProcessingParameterBoolean(
                'ALLOW_MISSING', 'Leave out points without label', defaultValue=False
            )
        )
        self.addParameter(
            QgsProcessingParameterFileDestination(
                'OUTPUT', 'Table', 'HTML files (*.html)', optional=True
            )
        )
        self.addOutput(QgsProcessingOutputFolder('SCENE', 'Folder with the figures'))

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Estimate, and show the table."""
        scene = self.parameterAsString(parameters, 'SCENE', context)
        words = ['assess', 'estimate', scene]
        labels = self.parameterAsString(parameters, 'LABELS', context)
        if labels:
            words += ['--labels', labels]
        if self.parameterAsBool(parameters, 'ALLOW_MISSING', context):
            words.append('--allow-missing')
        lines = self.run_tfinet(words, feedback)
        made: dict[str, Any] = dict(SCENE=scene)
        page = self.parameterAsString(parameters, 'OUTPUT', context)
        if page:
            with open(page, 'w', encoding='utf-8') as file:
                file.write(as_page(lines))
            made['OUTPUT'] = page
        return made


def as_page(lines: list[str]) -> str:
    """Return the lines of the command as a page, its tables in Markdown as tables.

    Args:
        lines: What ``tfinet assess estimate`` printed.
    """
    parts: list[str] = []
    inside = False
    for line in lines:
        if not line.startswith('|'):
            parts.append(('</table>' if inside else '') + f'<p>{escape(line)}</p>')
            inside = False
            continue
        cells = [escape(cell.strip()) for cell in line.strip('|').split('|')]
        if all(set(cell) <= set('-: ') for cell in cells):
            continue
        tag = 'td' if inside else 'th'
        row = ''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)
        parts.append(('' if inside else '<table>') + f'<tr>{row}</tr>')
        inside = True
    if inside:
        parts.append('</table>')
    style = 'body{font-family:sans-serif}td,th{padding:2px 8px;text-align:left}'
    head = f'<meta charset="utf-8"><title>Areas with intervals</title><style>{style}</style>'
    return f'<!doctype html><html><head>{head}</head><body>{"".join(parts)}</body></html>\n'
