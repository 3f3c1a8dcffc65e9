"""Fit the last layer of the semantic head to corrected polygons.

The layer is linear, so its inputs are computed once for each window, and fitting takes seconds.
Where nothing was corrected, it is held to its own earlier probabilities, so that few corrections
change little else. Change isn't fitted: most corrections delete false changes, and of a few of
these a network learns that less changes.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from tfinet_mm.apis.exporting import export_weights
from tfinet_mm.apis.inferencer import SCDInferencer
from tfinet_mm.apis.loading import ConfigLike, read_config
from tfinet_mm.apis.views import find_augmentation
from tfinet_mm.checkpoints.addresses import read_checkpoint
from tfinet_mm.checkpoints.weights import named_weights
from tfinet_mm.errors import ClassMismatchError, ConfigError
from tfinet_mm.models.detectors.augmentation import scaled_side
from tfinet_mm.structures import IGNORE_INDEX

WEIGHT = 0.1
"""Weight of the mean loss of the corrected pixels beside that of the others, which is 1."""
STEPS = 60
RATE = 0.02
RECORD_FILE = 'labels.json'
LAYER = 'semantic_head.conv_seg'


class Fitted(NamedTuple):
    """Content of a fit.

    Attributes:
        windows: Number of windows.
        corrected: Number of labelled changes, in pixels of the layer, over all scales.
        before: Mean loss of these before the fit.
        after: The same after it.
    """

    windows: int
    corrected: int
    before: float
    after: float


class _View(NamedTuple):
    """Inputs of the last layer in one view of a window, P pixels, and their labels.

    Attributes:
        cover: (2, C, P), before and after.
        change: (P,), the probability of change.
        labels: (3, P): change 0 or 1, land cover of either date 0..K-1; -1 where not corrected.
    """

    cover: Tensor
    change: Tensor
    labels: Tensor


class _Layer(nn.Module):
    """The last layer of the semantic head, as a function of the columns of its inputs."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.weight, self.bias = _copies(model.semantic_head, 'semantic_head')

    def forward(self, view: _View) -> Tensor:
        """Return log-probabilities (2, K, P) of the land cover."""
        return (self.weight @ view.cover.float() + self.bias[:, None]).log_softmax(1)


def _copies(head: Any, name: str) -> tuple[nn.Parameter, nn.Parameter]:
    layer = getattr(head, 'conv_seg', None)
    if not isinstance(layer, nn.Conv2d) or layer.kernel_size != (1, 1) or layer.bias is None:
        raise ConfigError(
            f'{name}.conv_seg is {layer}, expected a convolution of 1 x 1 with a bias, as in '
            'heads of mmseg; fine-tune this network with tools/train.py instead'
        )
    weight, bias = (part.detach().float().cpu().clone() for part in (layer.weight, layer.bias))
    return nn.Parameter(weight.flatten(1)), nn.Parameter(bias)


def fit_corrections(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: ConfigLike | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    *,
    weight: float = 1.0,
    device: str | None = None,
) -> Fitted:
    """Fit the land cover of a network to a data set of corrections, and write its weights.

    Change stays as it is. The fit uses the scales of the network's default views, and has no
    random part.

    Args:
        data: Folder that :func:`~tfinet_mm.scenes.corrections.dataset.write_labels` wrote with
            ``rest='ignore'``: labelled pixels are corrections.
        out: File of weights to write, ``NAME.safetensors``.
        config: As for :class:`~tfinet_mm.apis.SCDInferencer`; by default the weights of the
            package.
        checkpoint: Likewise.
        weight: Factor above 0 on the weight of the corrected pixels. The other pixels are held to
            the network's own probabilities.
        device: As for :class:`~tfinet_mm.apis.SCDInferencer`.

    Returns:
        Number of windows and pixels, and the loss of the corrections before and after.

    Raises:
        FileNotFoundError: ``data`` holds no such data set.
        ConfigError: The labels are not corrections alone, or ``weight`` is not above 0.
        ClassMismatchError: The labels have other classes than the network.
        ValueError: ``out`` lacks the suffix.
    """
    data, out = Path(data), Path(out)
    if not weight > 0:
        raise ConfigError(f'expected a factor (--weight) above 0, got {weight}')
    if out.suffix != '.safetensors':
        raise ValueError(f'the file of weights must be called NAME.safetensors, got {out.name}')
    record = _record(data)
    cfg, source = read_config(config, checkpoint, None)
    if source is None:
        raise ConfigError('an ensemble has no last layer of its own; give one of its networks')
    scales = (find_augmentation(cfg, None) or {}).get('scales', (1.0,))
    views = dict(transforms=['identity'], scales=list(scales))
    inferencer = SCDInferencer(cfg, source, device, tta=views)
    if tuple(record['class_names']) != tuple(inferencer.class_table.names):
        raise ClassMismatchError(
            f'{data} has the classes {", ".join(record["class_names"])}, the network '
            f'{", ".join(inferencer.class_table.names)}; give the network that predicted the scene'
        )
    found = [_views(inferencer, data, name, scales) for name in record['windows']]
    layer = _Layer(inferencer.model)
    before, after, corrected = _fit(layer, list(zip(*found, strict=True)), weight)
    if not corrected:
        raise ConfigError(
            f'no changed pixel of {data} is labelled at the stride of the network; expected '
            'polygons that were added or given another class'
        )
    _write(layer, cfg, source, inferencer.class_table, out)
    return Fitted(len(found), corrected, before, after)


def _record(data: Path) -> dict[str, Any]:
    path = data / RECORD_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no file {path}; make the data set with tools/dataset/make_labels.py'
        )
    record: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    if record.get('rest') != 'ignore':
        raise ConfigError(
            f'the labels of {data} are predictions too (rest is {record.get("rest")!r}), expected '
            'corrections alone; make them with --rest ignore'
        )
    return record


def _views(
    inferencer: SCDInferencer, data: Path, name: str, scales: Sequence[float]
) -> list[_View]:
    """Return the inputs of the last layer for a window at each scale, with its labels."""
    model: Any = inferencer.model
    inputs: dict[str, list[Tensor]] = dict(cover=[], change=[])
    hooks = [
        model.semantic_head.conv_seg.register_forward_pre_hook(
            lambda _, args: inputs['cover'].append(args[0].detach())
        ),
        model.change_head.conv_seg.register_forward_hook(
            lambda _, args, made: inputs['change'].append(made.detach().float())
        ),
    ]
    model.test_cfg['mode'] = 'whole'
    files = [next((data / folder).glob(f'{name}.*')) for folder in ('im1', 'im2')]
    try:
        inferencer(*files)
    finally:
        for hook in hooks:
            hook.remove()
    labels = [
        np.array(Image.open(data / part / f'{name}.png')) for part in ('change', 'label1', 'label2')
    ]
    change = labels[0].astype(np.int64)
    change[change == IGNORE_INDEX] = -1
    covers = [np.where(change == 1, label.astype(np.int64) - 1, -1) for label in labels[1:]]
    stacked = torch.from_numpy(np.stack([change, *covers]))
    made = []
    for scale, cover, changed in zip(scales, inputs['cover'], inputs['change'], strict=True):
        columns, nearest = [], []
        for size, cells in zip(change.shape, changed.shape[2:], strict=True):
            # Cells beyond the window are padding.
            scaled = scaled_side(size, scale)
            padded = -(-scaled // model.size_divisor) * model.size_divisor
            middle = ((np.arange(cells) + 0.5) * padded / cells * size / scaled).astype(int)
            columns.append(int((middle < size).sum()))
            nearest.append(torch.from_numpy(middle[middle < size]))
        rows, width = columns
        made.append(
            _View(
                cover[:, :, :rows, :width].flatten(2).half().cpu(),
                _probability(changed[0, :, :rows, :width]).flatten().cpu(),
                stacked[:, nearest[0]][:, :, nearest[1]].flatten(1),
            )
        )
    return made


def _probability(logits: Tensor) -> Tensor:
    """Return P(changed) (h, w) of logits (1 or 2, h, w)."""
    return (logits[0] if len(logits) == 1 else logits[1] - logits[0]).sigmoid()


def _fit(
    layer: _Layer, scales: Sequence[Sequence[_View]], weight: float
) -> tuple[float, float, int]:
    """Fit, and return the loss of the corrections before and after, and the number of pixels."""
    joined = [
        _View(*(torch.cat(parts, dim=-1) for parts in zip(*views, strict=True))) for views in scales
    ]
    with torch.no_grad():
        held = [layer(view).exp() for view in joined]
    optimizer = torch.optim.Adam(layer.parameters(), lr=RATE)
    history = []
    for step in range(STEPS + 1):
        total, corrections = torch.zeros(()), torch.zeros(())
        for view, covers in zip(joined, held, strict=True):
            cover = layer(view)
            known = view.labels[0] >= 0
            corrections = corrections + _correction_loss(cover, view.labels)
            same = -(covers * cover).sum(1).mean(0)
            total = total + _mean(same, (~known) * view.change)
        history.append(float(corrections.detach()) / len(joined))
        if step == STEPS:
            break
        for group in optimizer.param_groups:
            group['lr'] = RATE * (1 - step / STEPS)
        optimizer.zero_grad()
        (total + WEIGHT * weight * corrections).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return history[0], history[-1], sum(int((view.labels[1] >= 0).sum()) for view in joined)


def _correction_loss(cover: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of cross entropies over changed pixels, divided by the corrected pixels."""
    change, *sides = labels
    wrong = torch.zeros_like(cover[0, 0])
    for date, side in enumerate(sides):
        chosen = cover[date].gather(0, side.clamp(min=0)[None])[0]
        wrong = wrong - chosen * (side >= 0) / len(sides)
    return wrong.sum() / (change >= 0).sum().clamp(min=1)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)


def _write(layer: _Layer, cfg: Any, source: str, table: Any, out: Path) -> None:
    loaded = read_checkpoint(source)
    weights = dict(named_weights(loaded, source))
    for kind, values in (('weight', layer.weight), ('bias', layer.bias)):
        key = f'{LAYER}.{kind}'
        weights[key] = values.detach().reshape(weights[key].shape)
    meta = dict(semantic_classes=list(table.names), semantic_palette=list(table.palette))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'fitted.pth'
        torch.save(dict(state_dict=weights, meta=dict(dataset_meta=meta)), file)
        export_weights(file, out, cfg)
