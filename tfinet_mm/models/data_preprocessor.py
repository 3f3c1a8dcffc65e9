"""Normalise, pad and stack pairs with all their label maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import PixelData
from torch import Tensor

from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.models.band_order import exchanges_bands
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import (
    GT_CHANGE,
    GT_FROM,
    GT_TO,
    IGNORE_INDEX,
    WEIGHT_FROM,
    WEIGHT_TO,
)
from tfinet_mm.utils.config.values import is_number, is_whole

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@MODELS.register_module()
class PairDataPreprocessor(BaseDataPreprocessor):
    """Turn a batch of packed pairs into the model's input (N, 2B, H, W).

    In training, pairs of different sizes are padded on the right and at the
    bottom: images with ``pad_val`` after normalising, every ground-truth map with
    255 and weights of pixels with 0, so that padding adds no loss. In
    testing the pairs of a batch have to be of one size, ground truth is left as
    it is, and ``padding_size`` is the part to cut off predictions.

    The metainfo of each sample gets ``img_shape`` (H, W) before padding,
    ``pad_shape`` (H, W) after it, and ``padding_size`` (left, right, top, bottom).

    Args:
        mean: Mean of each channel on the scale 0..255: B values, used for both
            dates, or 2B; None leaves values as they are.
        std: Standard deviation of each channel, in number and scale as ``mean``.
        size: Least (height, width) to pad to in training; the default is the
            largest of the batch.
        size_divisor: Divisor of the padded height and width in training.
        pad_val: Value of the padding of normalised images; 0 is the mean colour.
        seg_pad_val: Value of the padding of ground-truth maps.
        bgr_to_rgb: Exchange the first and third channel of each date, for
            pipelines that load BGR as mmcv's ``LoadImageFromFile`` and Open-CD's loaders
            do. None, the default, does as the pairs say: this package's loaders state
            their order of bands, those of other packages don't and need True or False.
        test_cfg: ``dict(size=...)`` or ``dict(size_divisor=...)`` to pad in
            testing; by default nothing is padded.
        non_blocking: True to copy to the device without waiting.

    Raises:
        ValueError: An option is out of range, or the inputs don't fit it.
        LabelFormatError, LabelValueError: Labels don't fit their image, or hold values
            without a meaning.
        NormalisationError: ``bgr_to_rgb`` contradicts the order of bands that a pair
            states, or neither says it.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] | None = IMAGENET_MEAN,
        std: Sequence[float] | None = IMAGENET_STD,
        size: Sequence[int] | None = None,
        size_divisor: int | None = None,
        pad_val: float = 0.0,
        seg_pad_val: int = IGNORE_INDEX,
        bgr_to_rgb: bool | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        non_blocking: bool = False,
    ) -> None:
        """See the class."""
        super().__init__(non_blocking)
        if (mean is None) != (std is None):
            raise ValueError(f'give mean and std, or neither; got mean={mean} and std={std}')
        self.normalize = mean is not None
        mean, std = (mean, std) if mean is not None and std is not None else ((0.0,), (1.0,))
        _check_numbers(mean, std)
        unknown = set(test_cfg or {}) - {'size', 'size_divisor'}
        if unknown:
            raise ValueError(f'test_cfg takes size and size_divisor, got {sorted(unknown)}')
        self.register_buffer('mean', torch.tensor(mean).float().view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).float().view(-1, 1, 1), persistent=False)
        self.size = _checked_size(size)
        for name, value in (
            ('size_divisor', size_divisor),
            ('test_cfg.size_divisor', (test_cfg or {}).get('size_divisor')),
        ):
            if value is not None and (not is_whole(value) or value < 1):
                raise ValueError(f'{name} must be a whole number above 0, got {value!r}')
        self.size_divisor = size_divisor
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val
        self.bgr_to_rgb = bgr_to_rgb
        self.test_size = _checked_size((test_cfg or {}).get('size'))
        self.test_size_divisor = (test_cfg or {}).get('size_divisor')

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalise, pad and stack a batch.

        Args:
            data: ``inputs``: a list of tensors (2B, H, W) of any sizes, or one
                tensor (N, 2B, H, W), uint8 or real, values 0..255; and
                optionally ``data_samples``, one each, with label maps of any whole numbers.
            training: Pad label maps, and allow pairs of different sizes.

        Returns:
            ``inputs`` (N, 2B, H, W), float32 (float64 once the module is
            double), and ``data_samples`` (None where there are none), label maps int64.

        Raises:
            ValueError: There are no inputs, they differ in size in testing, or their
                bands or label maps don't fit.
        """
        if 'inputs' in data and data.get('data_samples') is not None:
            # Before they are copied to a device, which would have to be waited for.
            for image, sample in zip(data['inputs'], data['data_samples'], strict=False):
                check_sample(sample, (image.shape[-2], image.shape[-1]), training)
        data = self.cast_data(data)
        if 'inputs' not in data:
            raise ValueError(
                f"the batch has no 'inputs', only {sorted(data)}: the pipeline of the data set "
                'must end in tfinet_mm.PackPairInputs'
            )
        inputs, samples = data['inputs'], data.get('data_samples')
        if not len(inputs):
            raise ValueError(
                'the batch has no inputs, expected at least one pair; check the data loader'
            )
        if samples is not None and len(samples) != len(inputs):
            raise ValueError(
                f'the batch has {len(inputs)} inputs, but {len(samples)} data samples; give one '
                'data sample for each input, or none'
            )
        for sample in samples or []:
            _widen_labels(sample)
        metas = [getattr(sample, 'metainfo', {}) for sample in samples or [None] * len(inputs)]
        images = [
            self._normalized(image, exchanges_bands(meta, self.bgr_to_rgb))
            for image, meta in zip(inputs, metas, strict=True)
        ]
        if not training:
            _check_equal_sizes(images)
        height, width = self._target(images, training)
        padded = []
        for index, image in enumerate(images):
            shape = (image.shape[-2], image.shape[-1])
            padding = (0, width - shape[1], 0, height - shape[0])
            padded.append(F.pad(image, padding, value=self.pad_val) if any(padding) else image)
            if samples is not None:
                if training and any(padding):
                    self._pad_labels(samples[index], shape, padding)
                samples[index].set_metainfo(
                    dict(img_shape=shape, pad_shape=(height, width), padding_size=padding)
                )
        return {**data, 'inputs': torch.stack(padded), 'data_samples': samples}

    def _normalized(self, image: Tensor, exchange: bool) -> Tensor:
        if image.dim() != 3 or image.shape[0] % 2:
            raise ValueError(
                'an input has to be (2B, H, W), the bands of both dates, got '
                f'{tuple(image.shape)}; pack pairs with PackPairInputs'
            )
        channels, values = image.shape[0], len(self.mean)
        if exchange:
            if channels != 6:
                raise ValueError(
                    f'bgr_to_rgb needs two images of 3 bands, got {channels} channels; set it '
                    'to False'
                )
            image = image[[2, 1, 0, 5, 4, 3]]
        image = image.to(self.mean.dtype if self.mean.dtype == torch.float64 else torch.float32)
        if not self.normalize:
            return image
        if values not in (channels, channels // 2):
            raise ValueError(
                f'the input has {channels} channels, two dates of {channels // 2} bands, but mean '
                f'and std have {values} values; expected {channels // 2} (the same for both '
                f'dates) or {channels}: set mean and std of the data preprocessor'
            )
        repeats = (channels // values, 1, 1)
        mean, std = self.mean.repeat(repeats), self.std.repeat(repeats)
        return (image - mean.to(image.dtype)) / std.to(image.dtype)

    def _target(self, images: Sequence[Tensor], training: bool) -> tuple[int, int]:
        least = self.size if training else self.test_size
        divisor = (self.size_divisor if training else self.test_size_divisor) or 1
        sides = []
        for axis in (0, 1):
            side = max(image.shape[1 + axis] for image in images)
            side = max(side, least[axis]) if least is not None else side
            sides.append(math.ceil(side / divisor) * divisor)
        return sides[0], sides[1]

    def _pad_labels(self, sample: Any, shape: tuple[int, int], padding: tuple[int, ...]) -> None:
        for name, field in list(sample.items()):
            if not (name.startswith('gt_') and isinstance(field, PixelData)):
                continue
            values = field.data
            weight = name in (WEIGHT_FROM, WEIGHT_TO)
            values = F.pad(values, padding, value=0 if weight else self.seg_pad_val)
            # A PixelData refuses data of another size, so it is a new one.
            sample.set_field(PixelData(data=values), name)


def _widen_labels(sample: Any) -> None:
    """Turn the label maps of a sample into int64, on the device that they were copied to."""
    for key in (GT_CHANGE, GT_FROM, GT_TO):
        field = sample.get(key)
        values = getattr(field, 'data', None)
        if values is not None and values.dtype != torch.int64:
            # Assigned to the field of a sample that `cast_data` made.
            sample.set_field(PixelData(data=values.long()), key)


def check_sample(sample: Any, shape: tuple[int, int], training: bool) -> None:
    """Refuse ground truth that doesn't fit its image or has no meaning.

    Args:
        sample: Data sample of a pair.
        shape: (H, W) of its image.
        training: True if maps need the size of the image; in testing they may have the stored
            size (``ori_shape``).

    Raises:
        LabelFormatError: A map is of another size, or of real numbers.
        LabelValueError: A change map holds other values than 0, 1 and 255, or a map of land
            cover holds values outside 0..255.
    """
    name = getattr(sample, 'sample_id', 'a pair') if hasattr(sample, 'metainfo') else 'a pair'
    fitting = {shape}
    if not training:
        fitting.add(tuple(getattr(sample, 'ori_shape', shape))[:2])
    sizes = {}
    for key, field in sample.items():
        if not (key.startswith('gt_') and isinstance(field, PixelData) and 'data' in field):
            continue
        sizes[key] = tuple(field.data.shape[-2:])
        if sizes[key] not in fitting or len(set(sizes.values())) > 1:
            raise LabelFormatError(
                f'{key} is {sizes[key]} (H, W) in {name}, but its image is {shape}; a transform of '
                'the pipeline treats them differently; list the map in seg_fields'
            )
        if key in (GT_CHANGE, GT_FROM, GT_TO):
            _check_ground_truth(key, field.data, name)
        elif key in (WEIGHT_FROM, WEIGHT_TO) and field.data.device.type == 'cpu':
            check_weights(key, field.data)


def _check_ground_truth(key: str, values: Tensor, name: str) -> None:
    if values.is_floating_point() or values.is_complex():
        raise LabelFormatError(
            f'{key} of {name} has values of type {values.dtype}, expected whole numbers; a '
            'transform has turned labels into real numbers'
        )
    if values.device.type != 'cpu' or not values.numel():
        return
    array = values.numpy()  # Five times as fast as torch at this.
    low, high = int(array.min()), int(array.max())
    highest = 1 if key == GT_CHANGE else IGNORE_INDEX
    wrong = low < 0 or high > IGNORE_INDEX
    if not wrong and highest < high:
        wrong = bool(((array > highest) & (array != IGNORE_INDEX)).any())
    if wrong:
        raise LabelValueError(
            f'{key} of {name} holds values from {low} to {high}, expected '
            f'{"0, 1" if key == GT_CHANGE else "classes from 0 on"} and 255 (ignored); load it '
            'with tfinet_mm.LoadPairAnnotations'
        )


def check_weights(key: str, values: Tensor) -> None:
    """Refuse weights of pixels that aren't finite or are below 0.

    Raises:
        ValueError: There are such weights.
    """
    if not (torch.isfinite(values) & (values >= 0)).all():
        raise ValueError(
            f'{key} has to be finite and 0 or more, got values from {float(values.min())} '
            f'to {float(values.max())}'
        )


def _check_equal_sizes(images: Sequence[Tensor]) -> None:
    sizes = [tuple(image.shape[-2:]) for image in images]
    if len(set(sizes)) > 1:
        raise ValueError(
            f'a batch in testing has to be of one size, got (H, W) {sizes}; set batch_size=1 in '
            'the dataloader, or resize in the pipeline'
        )


def _checked_size(size: Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f'size has to be (height, width) of 1 pixel or more, got {tuple(size)}')
    return int(size[0]), int(size[1])


def _check_numbers(mean: Any, std: Any) -> None:
    lists = all(isinstance(one, Sequence) and not isinstance(one, str) for one in (mean, std))
    if (
        not lists
        or not mean
        or len(mean) != len(std)
        or not all(map(is_number, (*mean, *std)))
        or min(std) <= 0
    ):
        raise ValueError(
            'mean and std need one finite number for each channel, std above 0; got '
            f'mean={mean} and std={std}'
        )
