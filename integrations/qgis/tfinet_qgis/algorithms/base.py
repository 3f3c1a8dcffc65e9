"""Run a word of ``tfinet`` for an algorithm, and pass on what it prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingParameterDefinition,
)
from qgis.PyQt.QtGui import QIcon

from ..environment import START, find_python
from ..process import Cancelled, run

ICON = Path(__file__).parents[1] / 'icon.svg'
# The command's status where some pairs of several failed.
SOME_FAILED = 3


class OwnStyle(QgsProcessingLayerPostProcessorInterface):
    """Give a layer the style beside its file, or in it, which Processing leaves out."""

    def postProcessLayer(
        self, layer: Any, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Load the style."""
        layer.loadDefaultStyle()


# One for each layer, since QGIS deletes them; kept, since it holds no reference to their Python
# side, and an algorithm is gone before its layers are opened.
_STYLES: list[OwnStyle] = []


class TfinetAlgorithm(QgsProcessingAlgorithm):
    """Algorithm that runs a word of the command line.

    Subclasses set the attributes and define the parameters, as Processing asks.
    """

    NAME = ''
    TITLE = ''
    HELP = ''
    TAGS: tuple[str, ...] = ()

    def name(self) -> str:
        """Return the name after ``tfinet:``."""
        return self.NAME

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return self.TITLE

    def shortHelpString(self) -> str:
        """Return the text at the right of the dialog."""
        return self.HELP

    def tags(self) -> list[str]:
        """Return words to search by."""
        return ['change', 'land cover', *self.TAGS]

    def icon(self) -> QIcon:
        """Return the picture in the toolbox."""
        return QIcon(str(ICON))

    def createInstance(self) -> TfinetAlgorithm:
        """Return a new one of the same class."""
        return type(self)()

    def add_advanced(self, parameter: QgsProcessingParameterDefinition) -> None:
        """Add a parameter under "Advanced parameters".

        Args:
            parameter: The parameter.
        """
        flag = QgsProcessingParameterDefinition.FlagAdvanced
        parameter.setFlags(parameter.flags() | flag)
        self.addParameter(parameter)

    def run_tfinet(self, words: Sequence[str], feedback: QgsProcessingFeedback) -> list[str]:
        """Run ``tfinet`` in its own environment.

        Args:
            words: The word and its options.
            feedback: Where lines and progress go, and who says that the user cancelled.

        Returns:
            The lines that it printed.

        Raises:
            QgsProcessingException: It isn't set up, failed, or was cancelled.
        """
        try:
            python = find_python()
        except FileNotFoundError as error:
            raise QgsProcessingException(str(error)) from error
        return self.run_program([str(python), '-c', START, *words], feedback, shown=words)

    def run_program(
        self,
        words: Sequence[str],
        feedback: QgsProcessingFeedback,
        shown: Sequence[str] | None = None,
    ) -> list[str]:
        """Run a program, and raise its last sentence as the error when it fails.

        Args:
            words: The program and its arguments.
            feedback: As in :meth:`run_tfinet`.
            shown: Words to show in the log as the command of ``tfinet``.

        Returns:
            The lines that it printed.

        Raises:
            QgsProcessingException: It failed, or was cancelled.
        """
        feedback.pushCommandInfo(' '.join(['tfinet', *shown] if shown else words))
        try:
            status, lines = run(
                words,
                on_line=lambda line: _tell(line, feedback),
                on_progress=feedback.setProgress,
                is_cancelled=feedback.isCanceled,
            )
        except Cancelled as error:
            raise QgsProcessingException(f'{self.TITLE} was {error}') from error
        except OSError as error:
            raise QgsProcessingException(f'{words[0]} could not be started: {error}') from error
        if status:
            said = lines[-1] if lines else f'it ended with status {status} and said nothing'
            raise QgsProcessingException(said)
        feedback.setProgress(100)
        return lines

    def load_layers(self, paths: Mapping[str, Path], context: QgsProcessingContext) -> None:
        """Open files in the project when the algorithm has ended, the last one on top.

        Args:
            paths: Files by the name of the layer.
            context: Where the algorithm runs.
        """
        project = context.project()
        if project is None:
            return
        for place, (title, path) in enumerate(paths.items()):
            details = QgsProcessingContext.LayerDetails(title, project, title)
            _STYLES.append(OwnStyle())
            details.setPostProcessor(_STYLES[-1])
            # Older versions draw in the order of the files' names.
            if hasattr(details, 'layerSortKey'):
                details.layerSortKey = place
            context.addLayerToLoadOnCompletion(str(path), details)


def source_of(layer: Any) -> str:
    """Return the file, or GDAL's address, of a raster layer.

    Args:
        layer: A layer, or None.

    Raises:
        QgsProcessingException: It isn't a file that GDAL reads, such as a web map service.
    """
    if layer is None:
        raise QgsProcessingException('choose an image for each date')
    if layer.dataProvider() is None or layer.dataProvider().name() != 'gdal':
        raise QgsProcessingException(
            f'the layer {layer.name()!r} comes from a service, and an image in a file is needed; '
            'export it as a GeoTIFF first (Layer > Save As)'
        )
    return str(layer.source())


def _tell(line: str, feedback: QgsProcessingFeedback) -> None:
    if line.startswith('warning: '):
        feedback.pushWarning(line[len('warning: ') :])
    else:
        feedback.pushInfo(line)
