"""MMEngine's model for test-time augmentation, on the device that predicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from mmengine.model import BaseTTAModel
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from tfinet_mm.models.detectors.augmentation import (
    TTA_TRANSFORMS,
    augmented_probabilities,
    check_scales,
    check_transforms,
    view_names,
)
from tfinet_mm.models.detectors.calibrated import active_calibration
from tfinet_mm.models.detectors.postprocess import with_predictions
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import SCDProbabilities


@MODELS.register_module()
class SCDTTAModel(BaseTTAModel):
    """A detector or an ensemble that is tested with flips, rotations and scales.

    Every pair of a batch is predicted once for each transform and scale. The
    probabilities of both land-cover maps and of the change are brought back and
    averaged, then calibrated where the model has a calibration for these views, and the
    model's threshold applies. All of this happens on
    the device, so the test pipeline stays the plain one. The model may use windows
    or 16 bits, and pairs needn't be square or labelled.

    ``tools/test.py --tta`` wraps the config's model in it; a config may name the
    views: ``tta_model = dict(type='tfinet_mm.SCDTTAModel',
    transforms=['identity', 'horizontal_flip'], scales=[0.5, 1.0])``.

    Args:
        module: Config of the model, or the model.
        transforms: Names out of
            :data:`~tfinet_mm.models.detectors.augmentation.TTA_TRANSFORMS`; by
            default all six.
        scales: Factors of the pairs' height and width, 0.1..8, each with each
            transform; by default 1 alone.
        data_preprocessor: Replaces the model's own, as in MMEngine's class.
        pretrained: None; mmseg's ``init_model`` gives it to every model.
        train_cfg: None, likewise.

    Attributes:
        active: If False, :meth:`test_step` is that of the model itself.

    Raises:
        ValueError: A transform is unknown, a scale is out of
            range, either list is empty, or ``pretrained`` or
            ``train_cfg`` is given.
        TypeError: The model doesn't predict probabilities of all three maps.
    """

    def __init__(
        self,
        module: dict[str, Any] | nn.Module,
        transforms: Sequence[str] = TTA_TRANSFORMS,
        scales: Sequence[float] = (1.0,),
        data_preprocessor: dict[str, Any] | None = None,
        pretrained: None = None,
        train_cfg: None = None,
    ) -> None:
        if pretrained is not None or train_cfg is not None:
            raise ValueError(
                'test-time augmentation is for testing; set pretrained and train_cfg in module, '
                f'got {pretrained!r} and {train_cfg!r} beside it'
            )
        super().__init__(module, data_preprocessor)
        self.module: Any
        if not hasattr(self.module, 'predict_probabilities'):
            raise TypeError(
                f'{type(self.module).__name__} has no method predict_probabilities; expected a '
                'tfinet_mm.SemanticChangeDetector or a tfinet_mm.SCDEnsemble'
            )
        self.transforms = check_transforms(transforms)
        self.scales = check_scales(scales)
        self.active = True

    def predict_probabilities(self, inputs: Tensor) -> SCDProbabilities:
        """Return the mean probabilities over the transforms and scales, not calibrated.

        Args:
            inputs: Pairs (N, 2B, H, W) as the model's data preprocessor gives them.
        """
        return augmented_probabilities(self.module, inputs, self.transforms, self.scales)

    def test_step(self, data: dict[str, Any]) -> list[SegDataSample]:
        """Predict a batch.

        Args:
            data: ``inputs``, pairs of one size as the pipeline packs them, and
                optionally ``data_samples``, with or without labels.

        Returns:
            The data samples with predictions, ground truth untouched.

        Raises:
            NotImplementedError: The batch comes from a ``TestTimeAug`` pipeline.
        """
        if not isinstance(data['inputs'], Tensor) and isinstance(data['inputs'][0], list | tuple):
            self.merge_preds([])
        if not self.active:
            return list(self.module.test_step(data))
        data = self.module.data_preprocessor(data, False)
        inputs, samples = data['inputs'], data.get('data_samples')
        if samples:
            # Cut padding off before a flip, which would move it to the top or the left, into
            # the windows and the network's own padding. The batch is of one size.
            height, width = samples[0].metainfo.get('img_shape', inputs.shape[2:])[:2]
            inputs = inputs[..., :height, :width]
        return with_predictions(
            self.predict_probabilities(inputs),
            samples,
            self.module.test_cfg['threshold'],
            cover_semantic=getattr(self.module, 'postprocess_pred_and_label', None) is not None,
            calibration=active_calibration(self.module, view_names(self.transforms, self.scales)),
        )

    def merge_preds(self, data_samples_list: Any) -> NoReturn:
        """Refuse to merge the samples of a ``TestTimeAug`` pipeline.

        The model has resized and decided them before they get here, rotated ones
        to the size they had before they were rotated.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            'tfinet_mm.SCDTTAModel itself flips and rotates batches; use the plain test '
            'pipeline, without TestTimeAug, and choose transforms in '
            "tta_model=dict(type='tfinet_mm.SCDTTAModel', transforms=[...])"
        )
