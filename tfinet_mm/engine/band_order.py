"""Check that a network gets bands in the order in which its first weights were trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.utils.data import DataLoader

from tfinet_mm.checkpoints.weights import unwrapped
from tfinet_mm.errors import NormalisationError
from tfinet_mm.models.band_order import EXCHANGES
from tfinet_mm.models.normalisation import expected_normalisation

ORDERS = {
    **dict.fromkeys(('LoadImagePair', 'LoadCroppedPair'), 'RGB'),
    **dict.fromkeys(('LoadImageFromFile', 'MultiImgLoadImageFromFile'), 'BGR'),
}
"""Order of bands by the transform that loads them: this package's, mmcv's and Open-CD's."""


def check_band_order(loader: DataLoader[Any], model: nn.Module) -> None:
    """Refuse images in BGR for weights that were trained on RGB.

    Args:
        loader: The data loader of a training.
        model: The detector, before its initial weights are loaded.

    Raises:
        NormalisationError: The network would get BGR: the data preprocessor exchanges
            red and blue of RGB images, or doesn't exchange those of BGR images.
    """
    network: Any = unwrapped(model)
    backbone = getattr(network, 'backbone', None)
    if backbone is None or not getattr(network, 'check_normalisation', False):
        return
    expected = expected_normalisation(backbone)
    if expected is None or getattr(network, 'bands', None) not in (None, 3):
        return
    preprocessor = network.data_preprocessor
    found = [getattr(preprocessor, key) for key in EXCHANGES if hasattr(preprocessor, key)]
    if not found:
        return
    exchanges = bool(found[0])
    for transform in _first_transforms(loader.dataset):
        name = type(transform).__name__
        order = ORDERS.get(name)
        if order is not None and (order == 'BGR') != exchanges:
            raise NormalisationError(
                f'{name} loads {order} and model.data_preprocessor has bgr_to_rgb='
                f'{exchanges}, so the network would get BGR, but the weights '
                f'{expected.weights!r}, with which the backbone begins, were trained on RGB. Set '
                f'model.data_preprocessor.bgr_to_rgb={not exchanges}, or begin with random '
                'weights: model.backbone.init_cfg=None; to train as it is, set '
                'model.check_normalisation=False'
            )


def _first_transforms(dataset: Any) -> Iterator[Any]:
    """Yield the first transform of every data set, those inside wrappers included."""
    if hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from _first_transforms(part)
    elif hasattr(dataset, 'pipeline'):
        yield from list(getattr(dataset.pipeline, 'transforms', ()))[:1]
    elif hasattr(dataset, 'dataset'):
        yield from _first_transforms(dataset.dataset)
