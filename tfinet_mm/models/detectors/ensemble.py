"""Several trained models as one, averaged in probability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from mmengine.model import BaseModel
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from tfinet_mm.calibration import Calibration
from tfinet_mm.models.detectors.augmentation import augmented_probabilities, mean_probabilities
from tfinet_mm.models.detectors.calibrated import active_calibration, read_calibrations
from tfinet_mm.models.detectors.postprocess import with_predictions
from tfinet_mm.models.detectors.shapes import check_threshold
from tfinet_mm.models.members import Member, check_alike, load_member
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import ClassTable, SCDProbabilities
from tfinet_mm.utils.config.values import is_number
from tfinet_mm.utils.device import check_precision

MEMBER_KEYS = ('config', 'checkpoint', 'weight', 'name', 'cfg_options')


@MODELS.register_module()
class SCDEnsemble(BaseModel):
    """The weighted mean of what several trained models predict.

    The members may differ in backbone, neck, heads, test settings (windows) and
    memory format; they must know the same classes and read the same bands. Each
    normalises the images as it was trained. An ensemble of one predicts the same
    as its member, bit for bit.

    Args:
        members: One dictionary for each: ``config`` (a file, relative to the
            current directory, or a whole config, or a ``model`` alone),
            ``checkpoint`` (a file, relative to the current directory, or an
            address), and optionally ``weight`` > 0 (1), ``name`` (that of the
            config file) and ``cfg_options`` (values that replace the config's).
        test_cfg: ``threshold`` on the mean P(changed); by default that of the
            members, where they agree; ``calibration``, a JSON file of ``tools/test.py
            --calibrated``. Those of the members don't hold for the mean.
        data_preprocessor: Config of the preprocessor that stacks raw pairs
            without normalising; by default a ``tfinet_mm.PairDataPreprocessor``
            without mean and std.
        autocast: ``'auto'``, ``'bfloat16'``, ``'float16'`` or ``'float32'`` for all
            members, in place of their own.
        pretrained: None; mmseg's ``init_model`` gives it to every model.
        train_cfg: None, likewise.

    Attributes:
        members: The models, a :class:`torch.nn.ModuleList`.
        calibrations: Calibrations of the mean P(changed), for some views each.
        member_names: One unique name for each member.
        weights: One number > 0 for each member, as given.
        num_classes: Number K of land-cover classes.
        class_table: The classes as the checkpoints name them; None where none does.
        trained_on: A member whose checkpoint names its classes, for messages,
            and the K + 1 names; None where no checkpoint does.

    Raises:
        ClassMismatchError: Two members have different classes; the message names both.
        CheckpointMismatchError: A checkpoint doesn't fit its config.
        FileNotFoundError: A config or a checkpoint isn't there.
        ValueError: A member lacks ``config`` or ``checkpoint``, an option is out of
            range, or the members differ in bands or, without one in ``test_cfg``, in
            threshold.
    """

    def __init__(
        self,
        members: Sequence[Mapping[str, Any]],
        test_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | nn.Module | None = None,
        autocast: str | None = None,
        pretrained: None = None,
        train_cfg: None = None,
    ) -> None:
        if pretrained is not None or train_cfg is not None:
            raise ValueError(
                'an ensemble is for testing, each member with the weights of its checkpoint; '
                f'leave pretrained and train_cfg out, got {pretrained!r} and {train_cfg!r}'
            )
        if data_preprocessor is None:
            data_preprocessor = dict(type='tfinet_mm.PairDataPreprocessor', mean=None, std=None)
        super().__init__(data_preprocessor=data_preprocessor)
        if getattr(self.data_preprocessor, 'normalize', False):
            raise ValueError(
                'the data preprocessor of an ensemble must leave values as they are, since each '
                'member normalises its own input; set mean=None and std=None'
            )
        if isinstance(members, Mapping) or not members:
            raise ValueError(f'an ensemble needs a list of one member or more, got {members!r}')
        check_precision(autocast)
        loaded = [_load(index, member, autocast) for index, member in enumerate(members)]
        check_alike(loaded)
        self.members = nn.ModuleList(member.model for member in loaded)
        self.member_names = _unique([member.name for member in loaded])
        self.weights = [float(member.get('weight', 1.0)) for member in members]
        self.num_classes = loaded[0].num_classes
        self.bands = loaded[0].bands
        self.trained_roles = loaded[0].trained_roles
        self.class_table: ClassTable | None = next(
            (member.class_table for member in loaded if member.class_table is not None), None
        )
        self.trained_on: tuple[str, tuple[str, ...]] | None = next(
            ((str(member), member.class_names) for member in loaded if member.class_names), None
        )
        self.test_cfg = dict(threshold=_threshold(loaded, test_cfg or {}))
        self.calibrations: tuple[Calibration, ...] = ()
        if file := (test_cfg or {}).get('calibration'):
            self.calibrations = read_calibrations(file)
        self.eval()

    def init_weights(self) -> None:
        """Do nothing: the weights are those of the members' checkpoints."""

    def member_probabilities(
        self, inputs: Tensor, transforms: Sequence[str] = ('identity',)
    ) -> list[SCDProbabilities]:
        """Predict with each member.

        Args:
            inputs: Raw pairs (N, 2B, H, W), values 0..255, as the ensemble's
                data preprocessor stacks them.
            transforms: Names out of
                :data:`~tfinet_mm.models.detectors.augmentation.TTA_TRANSFORMS`
                that each member averages over.

        Returns:
            One for each member, at the size of the inputs.
        """
        return list(self._each(inputs, transforms))

    def _each(
        self, inputs: Tensor, transforms: Sequence[str] = ('identity',)
    ) -> Iterator[SCDProbabilities]:
        for member in self.members:
            yield augmented_probabilities(_Normalising(member), inputs, transforms)

    def predict_probabilities(self, inputs: Tensor) -> SCDProbabilities:
        """Return the weighted mean of the members' probabilities, not calibrated.

        Args:
            inputs: Raw pairs (N, 2B, H, W), values 0..255.
        """
        return mean_probabilities(self._each(inputs), self.weights)

    def predict(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Predict, with or without labels.

        Args:
            inputs: Raw pairs (N, 2B, H, W), values 0..255.
            data_samples: One a pair, or None. Their ground truth stays as it is.

        Returns:
            The samples with the prediction fields of :mod:`tfinet_mm.structures`.
        """
        return with_predictions(
            self.predict_probabilities(inputs),
            data_samples,
            self.test_cfg['threshold'],
            calibration=active_calibration(self),
        )

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[SegDataSample] | None = None,
        mode: str = 'tensor',
    ) -> list[SegDataSample] | SCDProbabilities:
        """Predict in the mode that MMEngine asks for.

        Args:
            inputs: Raw pairs (N, 2B, H, W), values 0..255.
            data_samples: One a pair, or None.
            mode: ``'predict'`` for data samples with predictions, ``'tensor'``
                for the mean probabilities (an ensemble has no logits).

        Raises:
            NotImplementedError: ``'loss'``: an ensemble can't be trained.
            ValueError: The mode is unknown.
        """
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.predict_probabilities(inputs)
        if mode == 'loss':
            self._refuse_training()
        raise ValueError(f"mode must be 'tensor' or 'predict', got {mode!r}")

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """Refuse to train."""
        self._refuse_training()

    @staticmethod
    def _refuse_training() -> NoReturn:
        raise NotImplementedError(
            'an ensemble is for testing; train its members one by one, each with its own config'
        )


class _Normalising:
    """Member that takes raw pairs and normalises them."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict_probabilities(self, inputs: Tensor) -> SCDProbabilities:
        """Normalise as the member was trained, and predict."""
        height, width = inputs.shape[2:]
        normalised = self.model.data_preprocessor(dict(inputs=inputs), False)['inputs']
        probabilities = self.model.predict_probabilities(normalised)
        # The member's own preprocessor may pad at the bottom and on the right.
        return SCDProbabilities(*(x[..., :height, :width] for x in probabilities))


def _load(index: int, member: Mapping[str, Any], autocast: str | None) -> Member:
    """Load one member; errors name it and the option to set."""
    unknown = sorted(set(member) - set(MEMBER_KEYS))
    if unknown or member.get('config') is None or member.get('checkpoint') is None:
        raise ValueError(
            f'member {index} of the ensemble needs config and checkpoint, and may have '
            f'{", ".join(MEMBER_KEYS[2:])}; got {sorted(member)}; set what is missing with '
            f'--cfg-options model.members.{index}.checkpoint=PATH'
        )
    weight = member.get('weight', 1.0)
    if not is_number(weight) or weight <= 0:
        raise ValueError(f'a weight is a number above 0, member {index} has {weight!r}')
    try:
        return load_member(
            member['config'],
            member['checkpoint'],
            member.get('name'),
            member.get('cfg_options'),
            autocast,
        )
    except FileNotFoundError as error:
        key = 'config' if str(error).startswith('there is no config') else 'checkpoint'
        raise FileNotFoundError(
            f'member {index} of the ensemble: {error}; paths are relative to the current '
            f'directory, set this one with --cfg-options model.members.{index}.{key}=PATH'
        ) from None


def _threshold(members: Sequence[Member], test_cfg: Mapping[str, Any]) -> float:
    unknown = sorted(set(test_cfg) - {'threshold', 'calibration'}, key=str)
    if unknown:
        raise ValueError(
            f'test_cfg of an ensemble has threshold and calibration, got {unknown}; '
            'windows are set for each member, e.g. '
            "members=[dict(..., cfg_options={'model.test_cfg.mode': 'slide', ...})]"
        )
    if test_cfg.get('threshold') is not None:
        check_threshold(test_cfg['threshold'], 'test_cfg.threshold')
        return float(test_cfg['threshold'])
    own = {str(m): float((m.model.test_cfg or {}).get('threshold', 0.5)) for m in members}
    if len(set(own.values())) > 1:
        raise ValueError(
            f'the members have different thresholds, {own}; give one for the ensemble: '
            'test_cfg=dict(threshold=0.5)'
        )
    return next(iter(own.values()))


def _unique(names: Sequence[str]) -> list[str]:
    """Return the names, with a number where one is repeated."""
    result: list[str] = []
    for name in names:
        count = 2
        unique = name
        while unique in result:
            unique, count = f'{name}-{count}', count + 1
        result.append(unique)
    return result
