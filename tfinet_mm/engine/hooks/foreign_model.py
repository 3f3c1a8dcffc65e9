"""Check what another package's data preprocessor hands to another package's network."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import PixelData
from torch import nn

from tfinet_mm.checkpoints.weights import unwrapped
from tfinet_mm.errors import LabelFormatError
from tfinet_mm.models.band_order import check_exchange
from tfinet_mm.registry import HOOKS


@HOOKS.register_module()
class ForeignModelHook(Hook):
    """Stop a training on shifted labels or exchanged bands in networks of other packages.

    Open-CD's data preprocessor pads the images and the change, and leaves the maps of land cover
    at their size. Its heads then resize their logits to them, and train on shifted pixels. This
    package's detector pads such maps itself. ``SCDRunner`` registers the hook.

    Raises:
        LabelFormatError: Later: a label isn't of the size of the network's images.
        NormalisationError: Later: a pair that was loaded as RGB gets into the network as BGR.
    """

    def __init__(self) -> None:
        self._handle: Any = None

    def before_train(self, runner: Runner) -> None:
        """Check every batch from now on, unless the network is of this package."""
        network: Any = unwrapped(runner.model)
        if hasattr(network, 'predict_probabilities') or not isinstance(network, nn.Module):
            return
        self._handle = network.register_forward_pre_hook(_check, with_kwargs=True)

    def after_train(self, runner: Runner) -> None:
        """Check no more."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None


def _check(network: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    inputs: Any = kwargs.get('inputs')
    samples = kwargs.get('data_samples')
    if kwargs.get('mode') != 'loss' or not hasattr(inputs, 'shape') or not samples:
        return
    preprocessor = getattr(network, 'data_preprocessor', None)
    for sample in samples:
        if not hasattr(sample, 'metainfo'):
            continue
        check_exchange(preprocessor, sample.metainfo)
        for name, field in sorted(sample.items()):
            if not (name.startswith('gt_') and isinstance(field, PixelData) and 'data' in field):
                continue
            size = tuple(field.data.shape[-2:])
            if size != tuple(inputs.shape[-2:]):
                raise LabelFormatError(
                    f'{type(preprocessor).__name__} hands on {name} of {size} (H, W) with images '
                    f'of {tuple(inputs.shape[-2:])}, so that {type(network).__name__} would train '
                    'on shifted pixels; set model.data_preprocessor to '
                    'tfinet_mm.PairDataPreprocessor, which pads all labels with the images'
                )
