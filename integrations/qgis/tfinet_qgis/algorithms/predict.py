"""Map the change between two images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputHtml,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from .base import TfinetAlgorithm, source_of
from .scene_results import add_outputs, scene_layers, scene_outputs

_DOUBLE = QgsProcessingParameterNumber.Double


class Predict(TfinetAlgorithm):
    """Algorithm ``tfinet:predict``."""

    NAME = 'predict'
    TITLE = 'Map the change between two images'
    TAGS = ('detect', 'predict', 'neural network')
    HELP = (
        'Maps where the land cover changed between two images of one place, and from what to '
        'what.\n\n'
        '<b>Before, After</b>: images with red, green and blue in their first bands, such as '
        'orthophotos. They may differ in CRS, extent and resolution; the map has the pixels of '
        'Before.\n\n'
        '<b>Smallest polygon</b>: smaller regions are left out of the polygons, not of the '
        'rasters.\n\n'
        '<b>Move After onto Before</b>: the shift between the dates is always measured and told '
        'in the log. Where it is more than a pixel it makes false change along edges, and this '
        'corrects it.\n\n'
        '<b>Network</b>: empty for the weights that come with TFINet-MM; or an exported file '
        '(.onnx, .xml), or a checkpoint that carries its config.\n\n'
        'The folder gets the maps with their styles, polygons (changes.gpkg), areas '
        '(areas.csv, totals.csv) and the page report.html, which opens in a browser. A run that '
        'was cancelled resumes when it is started again with the same folder and settings.'
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Define the parameters and outputs."""
        self.addParameter(QgsProcessingParameterRasterLayer('BEFORE', 'Before'))
        self.addParameter(QgsProcessingParameterRasterLayer('AFTER', 'After'))
        self.addParameter(
            QgsProcessingParameterNumber(
                'MIN_AREA', 'Smallest polygon (m²)', _DOUBLE, defaultValue=0, minValue=0
            )
        )
        self.addParameter(
            QgsProcessingParameterBoolean('ALIGN', 'Move After onto Before', defaultValue=False)
        )
        self.add_advanced(
            QgsProcessingParameterNumber(
                'THRESHOLD',
                'Probability from which a pixel is changed',
                _DOUBLE,
                optional=True,
                minValue=0,
                maxValue=1,
            )
        )
        for key, title in (('BEFORE', 'before'), ('AFTER', 'after')):
            self.add_advanced(
                QgsProcessingParameterRasterLayer(
                    f'QUALITY_{key}',
                    f'Quality band {title}, such as a map of clouds',
                    optional=True,
                )
            )
        self.add_advanced(
            QgsProcessingParameterString(
                'BAD_VALUES',
                'Values of the quality bands that count as bad: numbers, scl or landsat-qa',
                optional=True,
            )
        )
        self.add_advanced(
            QgsProcessingParameterString(
                'BANDS', 'Bands of red, green and blue, such as 4 3 2', optional=True
            )
        )
        self.add_advanced(
            QgsProcessingParameterString(
                'STRETCH', 'Values that become 0 and 255, such as 0 3000', optional=True
            )
        )
        self.add_advanced(
            QgsProcessingParameterFile(
                'NETWORK', 'Network (empty: the weights that come along)', optional=True
            )
        )
        self.add_advanced(
            QgsProcessingParameterBoolean(
                'VIEWS', 'Average over three scales: slower and more exact', defaultValue=True
            )
        )
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
        self.addOutput(QgsProcessingOutputHtml('REPORT', 'Page to look through'))

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """Refuse one image for both dates, and bad values without a quality band."""
        before, after = (
            self.parameterAsRasterLayer(parameters, name, context) for name in ('BEFORE', 'AFTER')
        )
        if before is not None and after is not None and before.source() == after.source():
            return False, 'Before and After are the same image; choose one of each date'
        qualities = [parameters.get(name) for name in ('QUALITY_BEFORE', 'QUALITY_AFTER')]
        bad = self.parameterAsString(parameters, 'BAD_VALUES', context).strip()
        if any(qualities) != bool(bad):
            return False, 'Give a quality band and its bad values together, or neither'
        return super().checkParameterValues(parameters, context)

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Predict, and return the files."""

        def layer(name: str) -> Any:
            return self.parameterAsRasterLayer(parameters, name, context)

        def text(name: str) -> list[str]:
            return self.parameterAsString(parameters, name, context).replace(',', ' ').split()

        def flag(name: str) -> bool:
            return bool(self.parameterAsBool(parameters, name, context))

        out = Path(self.parameterAsString(parameters, 'OUTPUT', context))
        network = self.parameterAsString(parameters, 'NETWORK', context)
        words = ['predict', *([network] if network else [])]
        words += [source_of(layer('BEFORE')), source_of(layer('AFTER')), '--out', str(out)]
        words += ['--input-type', 'scene', '--report']
        words += ['--min-area', repr(self.parameterAsDouble(parameters, 'MIN_AREA', context))]
        if parameters.get('THRESHOLD') is not None:
            threshold = self.parameterAsDouble(parameters, 'THRESHOLD', context)
            words += ['--threshold', repr(threshold)]
        quality = [
            f'{date}={source_of(layer(name))}'
            for date, name in (('before', 'QUALITY_BEFORE'), ('after', 'QUALITY_AFTER'))
            if parameters.get(name)
        ]
        for option, values in (
            ('--quality', quality),
            ('--bad-values', text('BAD_VALUES')),
            ('--bands', text('BANDS')),
            ('--stretch', text('STRETCH')),
        ):
            if values:
                words += [option, *values]
        for option, wanted in (
            ('--align', flag('ALIGN')),
            ('--no-tta', not flag('VIEWS')),
            ('--overwrite', flag('OVERWRITE')),
        ):
            if wanted:
                words.append(option)
        self.run_tfinet(words, feedback)
        scene = _scene_in(out)
        if flag('LOAD'):
            self.load_layers(scene_layers(scene), context)
        return scene_outputs(scene) | dict(OUTPUT=str(out), REPORT=str(out / 'report.html'))


def _scene_in(out: Path) -> Path:
    """Return the folder of the one scene in a folder of results."""
    scenes = sorted(path.parent for path in out.glob('*/scene.json'))
    if len(scenes) != 1:
        raise QgsProcessingException(
            f'{out} holds {len(scenes)} scenes after this run, expected 1; choose an empty folder'
        )
    return scenes[0]
