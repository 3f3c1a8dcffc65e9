"""Write a network for Deepness, the plugin that runs an ONNX file on one raster in QGIS.

Deepness knows single rasters, so the raster has before's bands and then after's. It reads all its
settings from metadata of the file (https://qgis-plugin-deepness.readthedocs.io).
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tfinet_mm.deploy.card import ExportCard
from tfinet_mm.deploy.graph import ExportGraph
from tfinet_mm.deploy.optional import import_exporter
from tfinet_mm.deploy.tracing import plain_resize, quiet
from tfinet_mm.errors import ExportError

SHOWN = ('change', 'before', 'after')
"""Maps that one file can give: changed or not, or the land cover of one date."""
INPUT, OUTPUT = 'image', 'probabilities'


class DeepnessGraph(nn.Module):
    """Predict one map of a stacked raster, as Deepness calls its networks.

    Args:
        graph: The network, of a fixed square size.
        shown: One of :data:`SHOWN`.
        mean: Mean of the 2B bands, on the scale 0..1, that Deepness subtracts.
        std: Standard deviation that it divides by.

    Raises:
        ExportError: The map is unknown, or the size isn't fixed and square.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, graph: ExportGraph, shown: str, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        if shown not in SHOWN:
            raise ExportError(f'the map is one of {", ".join(SHOWN)}, got {shown!r}')
        if graph.size is None or graph.size[0] != graph.size[1]:
            raise ExportError(
                f'Deepness takes square tiles of one size, got {graph.size}; give --size 512 512'
            )
        # A name other than `graph`, which torch's traced modules have already.
        self.network, self.shown = graph, shown
        for name, values in (('mean', mean), ('std', std)):
            self.register_buffer(name, torch.tensor(values).float().view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Predict a batch of tiles.

        Args:
            image: (N, 2B, S, S) float32, bands of before and then of after, divided by 255
                and standardised.

        Returns:
            P(changed) (N, 1, S, S), or the probability of each class (N, K, S, S).
        """
        stored = (image * self.std + self.mean) * 255
        found = self.network.probabilities(stored)
        return found[('before', 'after', 'change').index(self.shown)]


def standardisation(graph: ExportGraph, bands: int) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of the 2B bands as the network was trained, on 0..1.

    Args:
        graph: The network; of an ensemble, its first member counts.
        bands: Bands B of each date.

    Returns:
        Zeros and ones where the network takes values as they are.
    """
    first: Any = graph.members[0]
    if not getattr(first, 'normalize', False):
        return [0.0] * (2 * bands), [1.0] * (2 * bands)
    mean, std = ((values.flatten() / 255).tolist() for values in (first.mean, first.std))
    if first.swap:
        mean, std = ([one[i] for i in (2, 1, 0, 5, 4, 3)] for one in (mean, std))
    return [round(value, 6) for value in mean], [round(value, 6) for value in std]


def metadata(card: ExportCard, graph: DeepnessGraph) -> dict[str, str]:
    """Return Deepness's settings, each as JSON.

    Args:
        card: Facts about the network; with its resolution.
        graph: What is exported.

    Raises:
        ExportError: The card states no resolution.
    """
    if card.resolution is None:
        raise ExportError(
            'Deepness resamples a raster to the resolution of the network, and none is known; give '
            '--resolution METRES, such as 0.5'
        )
    assert graph.network.size is not None
    side = graph.network.size[0]
    change = graph.shown == 'change'
    names = ('unchanged', 'changed') if change else card.class_names[1:]
    settings: dict[str, Any] = dict(
        model_type='Segmentor',
        class_names={str(number): name for number, name in enumerate(names)},
        resolution=round(card.resolution * 100, 4),
        # The plugin's documentation and its program differ in this name.
        tile_size=side,
        tiles_size=side,
        tiles_overlap=25,
        # Of land cover, the likeliest class counts, however unsure.
        seg_thresh=card.threshold if change else 0.0,
        # Without it, the plugin filters by the median of as many pixels as its dialog has set.
        seg_small_segment=0,
        standardization_mean=graph.mean.flatten().tolist(),
        standardization_std=graph.std.flatten().tolist(),
    )
    return {key: json.dumps(value) for key, value in settings.items()}


def deepness_model(graph: DeepnessGraph, bands: int, properties: dict[str, str]) -> Any:
    """Convert a graph to ONNX.

    Args:
        graph: What is exported.
        bands: Bands B of each date.
        properties: The metadata.

    Returns:
        An ``onnx.ModelProto`` with one input and one output, of one tile at a time.

    Raises:
        ExportError: A part of the network has no counterpart in ONNX.
        MissingExtraError: onnx or onnxscript isn't installed.
    """
    for package in ('onnx', 'onnxscript'):
        import_exporter(package, 'Writing ONNX')
    import onnx

    assert graph.network.size is not None
    example = torch.zeros(1, 2 * bands, *graph.network.size)
    try:
        with (
            torch.no_grad(),
            plain_resize(),
            quiet(),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            program = torch.export.export(graph.eval(), (example,), strict=False)
            converted = torch.onnx.export(
                program, dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False
            )
    except Exception as error:
        raise ExportError(
            f'the network can not be written as ONNX ({type(error).__name__}: '
            f'{str(error).splitlines()[0] if str(error) else "no reason given"}); map the scene '
            'with tfinet predict instead'
        ) from error
    assert converted is not None
    model = converted.model_proto
    model.producer_name = 'tfinet_mm'
    onnx.helper.set_model_props(model, properties)
    return model


def write_deepness(model: Any, path: Path) -> None:
    """Write a converted graph.

    Args:
        model: As :func:`deepness_model` returns it.
        path: The file.
    """
    import onnx

    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
