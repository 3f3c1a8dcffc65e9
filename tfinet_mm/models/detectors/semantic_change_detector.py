"""The detector: one backbone for both dates, a neck of three branches, heads of either role."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from tfinet_mm.calibration import Calibration
from tfinet_mm.conventions import COVER_SEMANTIC
from tfinet_mm.errors import NotFiniteWeightsError
from tfinet_mm.models.band_order import check_exchange
from tfinet_mm.models.data_preprocessor import PairDataPreprocessor
from tfinet_mm.models.detectors.calibrated import active_calibration
from tfinet_mm.models.detectors.compiled import CompiledNetwork
from tfinet_mm.models.detectors.head_losses import head_losses, label_views, pixel_weights
from tfinet_mm.models.detectors.layout import check_layout, fit_layout, set_layout
from tfinet_mm.models.detectors.network import (
    HeadOutputs,
    full_size_logits,
    head_outputs,
    padding_of,
    pair_branches,
    windowed_logits,
)
from tfinet_mm.models.detectors.options import checked_test_cfg, with_pretrained
from tfinet_mm.models.detectors.partial_labels import weigh_ranks
from tfinet_mm.models.detectors.parts import build_auxiliary, build_backbone, build_neck
from tfinet_mm.models.detectors.postprocess import with_predictions
from tfinet_mm.models.detectors.shapes import backbone_bands, with_channels
from tfinet_mm.models.losses.roles import fit_losses
from tfinet_mm.models.normalisation import check_normalisation
from tfinet_mm.models.norms import with_fitting_norms
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import (
    ALL_ROLES,
    GT_CHANGE,
    GT_FROM,
    GT_TO,
    LAND_COVER_ROLE,
    Branches,
    SCDLogits,
    SCDProbabilities,
)
from tfinet_mm.utils.config.values import is_whole
from tfinet_mm.utils.device import (
    autocast,
    check_precision,
    resolve_precision,
    say_once,
    surrounding_autocast,
)

UNSCALED = (
    "a network with autocast='float16' trains with a scaled loss only, or small gradients become "
    "0; use optim_wrapper=dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16') on a "
    "GPU, or autocast='auto' or 'bfloat16'"
)


@MODELS.register_module()
class SemanticChangeDetector(BaseSegmentor):
    """Detector of where the land cover changed, and from what to what.

    The backbone runs once on both dates (a batch of 2N), the neck turns the
    two feature pyramids into three branches, one semantic head reads the land
    cover of either date, one change head the change. Every part comes from the
    config: any backbone of mmseg, either neck of this package, any mmseg
    ``BaseDecodeHead`` that returns one map of logits for the two roles.

    Args:
        backbone: Config of the backbone, which sees (2N, B, H, W). One that takes two images,
            as Open-CD's do, runs in a :class:`~tfinet_mm.models.TwoImageBackbone`.
        neck: Config of the neck; it is called with the features of the two
            dates and returns :class:`~tfinet_mm.structures.Branches`, or levels of the
            change alone. One that takes the features of one date, as mmseg's do, runs in a
            :class:`~tfinet_mm.models.OneDateNeck`. None after a backbone that fuses the
            dates itself. ``in_channels=None`` takes the ``out_channels`` of the backbone.
        semantic_head: Config of the head for land cover, ``num_classes`` = K.
            In either head ``in_channels=None`` takes the channels of a backbone
            of one level before a neck that keeps them (``AbsoluteDifference``),
            and ``channels=None`` a quarter of these.
        change_head: Config of the head for change, with one output channel
            (logit of change) or two (unchanged, changed).
        auxiliary_head: Configs of further heads used in training only, each
            with the key ``branch``: ``'difference'`` (the neck's own logits),
            ``'change'``, ``'semantic'`` (both dates) or ``'land_cover'`` (the logits of the
            semantic head, for :class:`~tfinet_mm.models.ConsistencyHead`).
        data_preprocessor: Config of the preprocessor, usually
            ``tfinet_mm.PairDataPreprocessor``.
        train_cfg: Accepted for mmseg's sake, and not used.
        test_cfg: ``mode`` ``'whole'`` or ``'slide'``; for the latter
            ``crop_size`` (h, w) and ``stride`` (h, w); ``threshold`` on
            P(changed), 0.5 by default; ``calibration=False`` for P(changed) as the
            network predicts it, where a checkpoint has a calibration.
        size_divisor: Images are padded to a multiple of this at the bottom and
            right (border pixels repeated) and logits cut back, so that no size
            is stretched.
        autocast: Type that the network computes in under ``torch.autocast``, in
            training and testing; losses and logits stay float32. ``'auto'``
            takes the fastest of the device, ``'bfloat16'`` and ``'float16'`` are
            used as given; None or ``'float32'`` casts nothing. Training in float16
            needs MMEngine's ``AmpOptimWrapper``, which scales the loss; without,
            ``'auto'`` never takes it.
        channels_last: Keep images and weights in channels-last memory format, in which
            convolutions of many branches are far faster. ``'auto'`` does so but in float32
            without TF32 on a GPU, which is slower that way.
        init_cfg: Initialisation, as everywhere in MMEngine.
        pretrained: Checkpoint of the backbone, as mmseg's detectors take it: the
            same as ``init_cfg=dict(type='Pretrained', checkpoint=...)`` there.
        check_normalisation: Refuse a data preprocessor whose mean, standard deviation
            or order of bands differs from that of the weights which the backbone
            begins with.
        postprocess_pred_and_label: ``'cover_semantic'`` gives predicted samples the ground
            truth of land cover as semantic change 0..K, as Open-CD's detectors do with this
            option and as its metric needs it. The samples state it in their metainfo, where
            this package's metric and hooks find it.
        compile: Run backbone, neck and heads compiled by ``torch.compile``: ``'on'``,
            ``'off'``, or ``'auto'``, where a run is long enough to gain by it. Only sizes
            that repeat are compiled; where the compiler fails, a warning says so and
            everything runs as it is.
        log_accuracy: Log the accuracy of land cover in each step too, as ``acc_seg``.

    Attributes:
        compiled: Runs the functions of tensors, see
            :class:`~tfinet_mm.models.detectors.compiled.CompiledNetwork`.
        trained_roles: What is trained, and what a checkpoint was trained on: out of
            ``'land_cover'`` and ``'change'``, both by default. Without land cover, the
            semantic head and the auxiliary heads on ``'semantic'`` or ``'land_cover'`` aren't run
            in training and get no gradient. :class:`~tfinet_mm.engine.hooks.LandCoverHook`
            sets it from the data set.
        calibrations: Calibrations of P(changed) that the checkpoint has, for some views
            each. They apply to what :meth:`predict` returns, and not to
            :meth:`predict_probabilities`, which views and members are averaged from.
        partly_labelled: Whether some training pairs lack labels of change, or land cover of a
            date. Then the losses have ``labelled.*`` beside them, and several ranks average their
            gradients by labelled pixels. Also set from the data set.

    Raises:
        ValueError: A head, its loss, a branch, a mode, an option or a type can't work, or
            ``pretrained`` is given beside an ``init_cfg`` of the backbone.
    """

    part_keys = {'auxiliary_head': ('branch',)}
    """Keys that the configs of parts may have besides those of their classes."""

    def __init__(
        self,
        backbone: dict[str, Any],
        neck: dict[str, Any] | None,
        semantic_head: dict[str, Any],
        change_head: dict[str, Any],
        auxiliary_head: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        train_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        size_divisor: int = 32,
        autocast: str | None = None,
        channels_last: bool | str = 'auto',
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
        pretrained: str | None = None,
        check_normalisation: bool = True,
        postprocess_pred_and_label: str | None = None,
        compile: str = 'auto',
        log_accuracy: bool = False,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.autocast = check_precision(autocast)
        self.trained_roles: tuple[str, ...] = ALL_ROLES
        self.calibrations: tuple[Calibration, ...] = ()
        self.partly_labelled = False
        self.check_normalisation = check_normalisation
        if postprocess_pred_and_label not in (None, COVER_SEMANTIC):
            raise ValueError(
                f'postprocess_pred_and_label must be None or {COVER_SEMANTIC!r}, got '
                f'{postprocess_pred_and_label!r}'
            )
        self.postprocess_pred_and_label = postprocess_pred_and_label
        self._resolved: dict[tuple[str, str, bool], str] = {}
        if not is_whole(size_divisor) or size_divisor < 1:
            raise ValueError(f'size_divisor must be a whole number above 0, got {size_divisor!r}')
        if pretrained is not None:
            backbone = with_pretrained(backbone, pretrained)
        self.backbone = build_backbone(backbone)
        self.bands = backbone_bands(backbone, self.backbone)
        if neck is not None:
            neck = with_channels(neck, 'neck', self.backbone)
        self.neck = build_neck(neck, self.backbone)
        semantic_head = with_channels(semantic_head, 'semantic_head', self.backbone, self.neck)
        change_head = with_channels(change_head, 'change_head', self.backbone, self.neck)
        # Heads with mmseg's default loss, which is checked when a loss is computed.
        self._default_losses: list[tuple[Any, str]] = []
        self.semantic_head = MODELS.build(with_fitting_norms(semantic_head))
        self.change_head = MODELS.build(with_fitting_norms(change_head))
        if self.change_head.out_channels not in (1, 2):
            raise ValueError(
                'the change head needs one output channel (logit of change) or two '
                f'(unchanged, changed), got {self.change_head.out_channels}; set num_classes=1'
            )
        # Of a single class there is nothing to tell apart, so any loss does.
        if self.semantic_head.out_channels > 1:
            self._fit_losses(self.semantic_head, semantic_head, 'semantic head')
        self._fit_losses(self.change_head, change_head, 'change head')
        self.auxiliary_branches: list[str] = []
        self.auxiliary_heads = nn.ModuleList()
        if isinstance(auxiliary_head, dict):
            auxiliary_head = [auxiliary_head]
        for config in auxiliary_head or ():
            self._add_auxiliary(config)
        self.train_cfg = train_cfg
        self.test_cfg = checked_test_cfg(test_cfg)
        self.size_divisor = size_divisor
        self.layout = check_layout(channels_last)
        self.channels_last = bool(channels_last)
        self.compiled = CompiledNetwork(compile)
        self.log_accuracy = log_accuracy
        if self.channels_last:
            set_layout(self, True)

    def init_weights(self) -> None:
        """Initialise all parts, the backbone with the weights that its ``init_cfg`` names.

        MMEngine's Runner calls this before the first step of a training.

        Raises:
            NormalisationError: The data preprocessor's mean or standard deviation isn't
                that of these weights.
        """
        if self.check_normalisation:
            check_normalisation(self.backbone, self.data_preprocessor, self.bands)
        super().init_weights()

    def _add_auxiliary(self, config: dict[str, Any]) -> None:
        branch, head = build_auxiliary(config)
        self.auxiliary_branches.append(branch)
        self.auxiliary_heads.append(head)
        self._fit_losses(head, config, f'auxiliary head on {branch!r}')

    def _fit_losses(self, head: Any, config: dict[str, Any], role: str) -> None:
        if 'loss_decode' in config:
            fit_losses(head, role)
        else:
            self._default_losses.append((head, role))

    @property
    def num_classes(self) -> int:
        """Return the number K of land-cover classes."""
        return self.semantic_head.out_channels

    @property
    def with_decode_head(self) -> bool:
        """Return True, which mmseg asks for."""
        return True

    @property
    def with_auxiliary_head(self) -> bool:
        """Return whether there are heads for training only."""
        return len(self.auxiliary_heads) > 0

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[SegDataSample] | None = None,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[SegDataSample] | SCDLogits:
        """Compute logits, predictions or losses, as MMEngine asks for.

        Args:
            inputs: Normalised pairs (N, 2B, H, W), before's bands first.
            data_samples: One a pair; needed in ``'loss'`` mode only.
            mode: ``'tensor'`` for logits at input size, ``'predict'`` for data
                samples with predictions, ``'loss'`` for a dict of losses.

        Raises:
            ValueError: The number of bands is odd, or the mode unknown.
            NormalisationError: Another package's data preprocessor has made BGR of a pair
                that was loaded as RGB.
        """
        if inputs.ndim != 4 or inputs.shape[1] % 2:
            raise ValueError(
                'expected pairs as one tensor (N, 2B, H, W), the bands of the first date and '
                f'then those of the second, got {tuple(inputs.shape)}'
            )
        if data_samples and hasattr(data_samples[0], 'metainfo'):
            check_exchange(self.data_preprocessor, data_samples[0].metainfo)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'loss':
            with self._autocast(inputs.device, training=torch.is_grad_enabled()):
                return self.loss(inputs, data_samples)
        if mode == 'tensor':
            with self._autocast(inputs.device):
                return self._forward(inputs, data_samples)
        raise ValueError(f"mode must be 'tensor', 'predict' or 'loss', got {mode!r}")

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Compute losses and gradients, and change the weights, as MMEngine does.

        Args:
            data: A batch of the training's data loader.
            optim_wrapper: MMEngine's wrapper of the optimizer.

        Returns:
            The losses, for the log.

        Raises:
            ValueError: The network computes in float16, and the wrapper doesn't
                scale the loss.
        """
        if self.autocast == 'float16' and getattr(optim_wrapper, 'loss_scaler', None) is None:
            raise ValueError(UNSCALED)
        return super().train_step(data, optim_wrapper)

    def _autocast(
        self, device: torch.device, training: bool = False
    ) -> contextlib.AbstractContextManager[Any]:
        if self.autocast is None:
            return contextlib.nullcontext()
        # Such as AmpOptimWrapper's, which scales the loss, or that of a test loop with fp16.
        surrounding = surrounding_autocast(device)
        unscaled = training and surrounding is None
        if self.autocast == 'auto' and surrounding is not None:
            say_once(
                f"Computing in {surrounding} on the device {device.type!r} ('auto'): the autocast "
                'of the optimizer wrapper or the loop takes precedence'
            )
            return contextlib.nullcontext()
        if self.autocast == 'float16' and unscaled:
            raise ValueError(UNSCALED)
        key = (self.autocast, device.type, unscaled)
        if key not in self._resolved:
            self._resolved[key] = resolve_precision(self.autocast, device, scaled=not unscaled)
        return autocast(self._resolved[key], device)

    def extract_feat(self, inputs: Tensor) -> Branches:
        """Run backbone and neck.

        Args:
            inputs: Pairs (N, 2B, H, W), H and W multiples of ``size_divisor``.

        Returns:
            The three branches.
        """
        return pair_branches(self, inputs)

    def encode_decode(
        self, inputs: Tensor, batch_img_metas: Sequence[dict[str, Any]] | None = None
    ) -> SCDLogits:
        """Compute logits of all three maps at the size of the inputs, without windows.

        Args:
            inputs: Pairs (N, 2B, H, W) of any size.
            batch_img_metas: Not used; mmseg's signature.

        Returns:
            float32 (or float64) logits.
        """
        fit_layout(self, inputs.device, inputs.dtype)
        logits: SCDLogits = self.compiled(full_size_logits, self, inputs)
        return logits

    def slide_inference(self, inputs: Tensor) -> SCDLogits:
        """Compute logits as the mean over overlapping windows of ``test_cfg.crop_size``."""
        options = self.test_cfg['crop_size'], self.test_cfg['stride']
        return windowed_logits(self.encode_decode, inputs, *options)

    def inference(self, inputs: Tensor) -> SCDLogits:
        """Compute logits of the whole image or in windows, as ``test_cfg.mode`` says."""
        if self.test_cfg['mode'] == 'slide':
            return self.slide_inference(inputs)
        return self.encode_decode(inputs)

    def _forward(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> SCDLogits:
        return self.encode_decode(inputs)

    def predict(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Predict, with or without labels.

        Args:
            inputs: Normalised pairs (N, 2B, H, W).
            data_samples: One a pair, or None. Their ground truth stays as it is, unless
                ``postprocess_pred_and_label`` is set.

        Returns:
            The samples (new ones without ``data_samples``) with the fields
            ``pred_sem_seg``, ``pred_sem_seg_from``, ``pred_sem_seg_to``,
            ``pred_land_cover_from``, ``pred_land_cover_to``,
            ``pred_change_prob``, ``pred_prob_from`` and ``pred_prob_to``, as
            :mod:`tfinet_mm.structures` describes them, at the original size.
        """
        return with_predictions(
            self.predict_probabilities(inputs),
            data_samples,
            self.test_cfg['threshold'],
            cover_semantic=self.postprocess_pred_and_label is not None,
            calibration=active_calibration(self),
        )

    def predict_probabilities(self, inputs: Tensor) -> SCDProbabilities:
        """Return probabilities of all three maps at the size of the inputs, not calibrated.

        Args:
            inputs: Normalised pairs (N, 2B, H, W).

        Raises:
            NotFiniteWeightsError: They are NaN, because sums of large weights overflow. NaN
                would count as unchanged.
        """
        with self._autocast(inputs.device):
            found = self.inference(inputs).probabilities()
        # One wait for the device, not one for each map.
        sums = torch.stack([part.sum(dtype=torch.float32) for part in found])
        if not bool(sums.isfinite().all()):
            raise NotFiniteWeightsError(
                'the network predicts NaN: its weights are so large that numbers overflow. Use '
                'float32 where it computes in 16 bits (autocast=None), or another checkpoint'
            )
        return found

    def loss(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None
    ) -> dict[str, Tensor]:
        """Compute the losses of all heads that are trained, see ``trained_roles``.

        Args:
            inputs: Normalised pairs (N, 2B, H, W).
            data_samples: One a pair, with ``gt_sem_seg`` and, unless change alone is
                trained, ``gt_sem_seg_from`` and ``gt_sem_seg_to``, each (1, H, W). Where there are
                ``gt_weight_from`` and ``gt_weight_to``, (1, H, W) and >= 0,
                pixels count by them in the losses of land cover.

        Returns:
            Losses by name, ``semantic_from.*``, ``semantic_to.*``,
            ``change.*`` and one group for each auxiliary head; MMEngine adds
            up those whose name contains ``loss``.

        Raises:
            ValueError: A label is missing or not of the images' size, a semantic head's
                loss takes no weights, or mmseg's default loss can't be computed on a head's logits.
        """
        while self._default_losses:
            fit_losses(*self._default_losses[-1])
            self._default_losses.pop()
        padding = padding_of(inputs, self.size_divisor)
        dated = [GT_FROM, GT_TO] if LAND_COVER_ROLE in self.trained_roles else []
        size = (inputs.shape[2], inputs.shape[3])
        checked = isinstance(self.data_preprocessor, PairDataPreprocessor)
        views = {
            field: label_views(data_samples, field, padding, size) for field in (*dated, GT_CHANGE)
        }
        weights = {
            field: pixel_weights(data_samples or (), field, padding, size, not checked)
            for field in dated
        }
        fit_layout(self, inputs.device, inputs.dtype)
        outputs = self.compiled(
            head_outputs, self, inputs, land_cover=bool(dated), auxiliary=self.with_auxiliary_head
        )
        losses: dict[str, Tensor] = {}
        for prefix, head, logits, field in self._to_train(outputs):
            losses.update(
                head_losses(
                    prefix, head, logits, views[field], weights.get(field), self.log_accuracy
                )
            )
        return weigh_ranks(losses, views) if self.partly_labelled else losses

    def _to_train(self, outputs: HeadOutputs) -> Iterator[tuple[str, Any, Any, str]]:
        """Yield the prefix of its losses, the head, its logits and the label of each loss."""
        if outputs.semantic is not None:
            yield from _by_date('semantic', self.semantic_head, outputs.semantic)
        yield 'change', self.change_head, outputs.change, GT_CHANGE
        for index, (branch, head, logits) in enumerate(
            zip(self.auxiliary_branches, self.auxiliary_heads, outputs.auxiliary, strict=False)
        ):
            prefix = f'aux{index}_{branch}'
            if branch == 'semantic' and logits is not None:
                yield from _by_date(prefix, head, logits)
            elif logits is not None:
                yield prefix, head, logits, GT_CHANGE


def _by_date(prefix: str, head: Any, both: Tensor) -> Iterator[tuple[str, Any, Tensor, str]]:
    """Yield the logits (2N, K, h, w) of a head on land cover by date, see ``_to_train``."""
    for date, logits, field in zip(('from', 'to'), both.chunk(2), (GT_FROM, GT_TO), strict=True):
        yield f'{prefix}_{date}', head, logits, field
