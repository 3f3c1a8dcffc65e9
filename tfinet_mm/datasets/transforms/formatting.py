"""Pack the dictionary of a pipeline as the input of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tfinet_mm.datasets.transforms.consistency import check_pair
from tfinet_mm.errors import ImageFormatError
from tfinet_mm.registry import TRANSFORMS
from tfinet_mm.structures import (
    BAND_ORDER,
    GT_CHANGE,
    GT_FROM,
    GT_NO_DATA,
    GT_TO,
    SEG_CHANGE,
    SEG_FROM,
    SEG_NO_DATA,
    SEG_TO,
    WEIGHT_FROM,
    WEIGHT_TO,
)

META_KEYS = (
    'sample_id',
    'img_path',
    'seg_map_path',
    'seg_map_path_from',
    'seg_map_path_to',
    'window',
    'ori_shape',
    'img_shape',
    'pad_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'rotation',
    'crop_bbox',
    'exchanged',
)
LABEL_TYPES = ('int64', 'uint8')


class ByteLabelSample(SegDataSample):
    """Data sample whose label maps are uint8 until it is moved to a device.

    Every data preprocessor moves samples first, those of other packages too, and losses take int64.
    """

    def to(self, *args: Any, **kwargs: Any) -> SegDataSample:
        """Return the sample on a device or in a type, with label maps of int64."""
        moved = super().to(*args, **kwargs)
        for key in (GT_CHANGE, GT_FROM, GT_TO):
            if key in moved and moved.get(key).data.dtype == torch.uint8:
                moved.set_field(PixelData(data=moved.get(key).data.long()), key)
        return moved


@TRANSFORMS.register_module()
class PackPairInputs(BaseTransform):
    """Pack a pair as ``dict(inputs=..., data_samples=...)``.

    ``inputs`` is a tensor (2B, H, W), uint8 or float32; ``data_samples`` a
    SegDataSample with ``gt_sem_seg``, ``gt_sem_seg_from`` and
    ``gt_sem_seg_to`` (each (1, H, W) ``label_type``; those that were loaded),
    ``gt_weight_from`` and ``gt_weight_to`` ((1, H, W) float32; if there are
    weights), ``gt_no_data`` ((1, H, W) ``label_type``; if there is a map of it) and the metainfo.

    The result of mmseg's ``ConcatCDInput`` can be packed as well. Before a pair is packed, its
    image and maps are checked, see :mod:`tfinet_mm.datasets.transforms.consistency`.

    Args:
        meta_keys: Keys that go to the metainfo; missing ones are skipped. ``band_order``
            goes there in any case.
        label_type: Type of the label maps: ``'int64'``, which every model takes, or
            ``'uint8'``, an eighth of the memory, which become int64 when a data preprocessor
            moves them to the device. Only maps that are uint8 are kept as such.

    Raises:
        ValueError: There is no image, or ``label_type`` is another one.
        ImageFormatError: The image isn't (H, W, 2B), or lacks the image after.
        LabelFormatError: Maps differ from the image in size, aren't whole numbers, or were moved
            differently from each other.
        LabelValueError: A map holds a value that has no meaning.
    """

    FIELDS = (
        (SEG_CHANGE, GT_CHANGE, None),
        (SEG_FROM, GT_FROM, None),
        (SEG_TO, GT_TO, None),
        (SEG_NO_DATA, GT_NO_DATA, None),
        (WEIGHT_FROM, WEIGHT_FROM, np.float32),
        (WEIGHT_TO, WEIGHT_TO, np.float32),
    )

    def __init__(self, meta_keys: Sequence[str] = META_KEYS, label_type: str = 'int64') -> None:
        """See the class."""
        if label_type not in LABEL_TYPES:
            raise ValueError(f'label_type has to be one of {LABEL_TYPES}, got {label_type!r}')
        self.meta_keys = tuple(meta_keys)
        self.label_type = label_type

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack a pair."""
        if 'img' not in results:
            raise ValueError(
                'there are no images to pack: the pipeline must start with tfinet_mm.LoadImagePair'
            )
        shape = results['img'].shape
        if len(shape) != 3 or shape[2] % 2:
            raise ImageFormatError(
                f'expected both images as one array (H, W, 2B), got {shape}; load pairs with '
                'tfinet_mm.LoadImagePair. With mmseg.apis.inference_model give a list of pairs: '
                'inference_model(model, [(before, after)])'
            )
        if 'img2' in results:
            raise ImageFormatError(
                'the image after (img2) was loaded on its own and is not in img; put '
                'mmseg.ConcatCDInput before packing, or load pairs with tfinet_mm.LoadImagePair'
            )
        check_pair(results)
        image = np.ascontiguousarray(results['img'].transpose(2, 0, 1))
        sample = SegDataSample() if self.label_type == 'int64' else ByteLabelSample()
        for key, name, dtype in self.FIELDS:
            if key in results:
                values = torch.from_numpy(self._typed(results[key][None], dtype))
                sample.set_field(PixelData(data=values), name)
        keys = (*self.meta_keys, BAND_ORDER)
        sample.set_metainfo({key: results[key] for key in keys if key in results})
        return dict(inputs=torch.from_numpy(image), data_samples=sample)

    def _typed(self, values: np.ndarray, dtype: type | None) -> np.ndarray:
        """Return a copy in the type wanted, so that no tensor shares the array of a map."""
        if dtype is None:
            dtype = np.uint8 if values.dtype == self.label_type == 'uint8' else np.int64
        return np.array(values, dtype, order='C')

    def __repr__(self) -> str:
        """Return the name and the options."""
        return f'{type(self).__name__}(meta_keys={self.meta_keys}, label_type={self.label_type!r})'
