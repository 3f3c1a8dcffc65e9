"""Trained models of several kinds, ready to predict together."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope

from tfinet_mm.checkpoints.addresses import existing_checkpoint, read_checkpoint
from tfinet_mm.checkpoints.contents import (
    stored_calibrations,
    trained_classes,
    trained_roles,
)
from tfinet_mm.checkpoints.starting import check_trained_normalisation
from tfinet_mm.checkpoints.weights import load_weights, unwrapped
from tfinet_mm.errors import CheckpointMismatchError, ClassMismatchError, ConfigError
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import ALL_ROLES, ClassTable
from tfinet_mm.utils.class_names import written_name
from tfinet_mm.utils.config.building import building
from tfinet_mm.utils.config.check import check_config
from tfinet_mm.utils.config.reading import merge_options, read_config_file

MODEL_KEYS = ('model', 'data_preprocessor', 'tta_model')
"""Parts of a config that predicting builds; those of the training's data may be missing."""


class Member(NamedTuple):
    """A trained model in evaluation mode, on the CPU.

    Attributes:
        name: Name in reports.
        model: The detector (a module), with its own data preprocessor.
        checkpoint: File or address of its weights.
        bands: Bands B of each date that it takes.
        class_names: The K + 1 class names it was trained on, the first that of
            unchanged pixels; None where its checkpoint doesn't say.
        palette: Their RGB colours, or None.
        trained_roles: What was trained: ``'land_cover'`` and ``'change'``, or the latter alone.
    """

    name: str
    model: Any
    checkpoint: str
    bands: int
    class_names: tuple[str, ...] | None
    palette: tuple[tuple[int, int, int], ...] | None
    trained_roles: tuple[str, ...] = ALL_ROLES

    @property
    def num_classes(self) -> int:
        """Return the number K of land-cover classes."""
        return int(self.model.num_classes)

    @property
    def class_table(self) -> ClassTable | None:
        """Return names and colours of the classes; None where the checkpoint lacks either."""
        if self.class_names is None or self.palette is None:
            return None
        return ClassTable(self.class_names, self.palette)

    def __str__(self) -> str:
        """Return the name and the checkpoint, for messages."""
        return f'{self.name} ({self.checkpoint})'


def member_config(
    config: str | os.PathLike[str] | Mapping[str, Any] | Config,
    cfg_options: Mapping[str, Any] | None = None,
) -> Config:
    """Read the config of a member.

    Args:
        config: A config file, relative to the current directory; a whole
            config; or only its ``model``.
        cfg_options: Values by dotted key that replace the config's.

    Returns:
        A copy of the config, which has ``model``.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: It can't be read, or has no model.
    """
    if isinstance(config, str | os.PathLike):
        cfg = read_config_file(config)
    elif isinstance(config, Config):
        cfg = copy.deepcopy(config)
    else:
        plain = copy.deepcopy(dict(config))
        cfg = Config(plain if 'model' in plain else dict(model=plain))
    merge_options(cfg, cfg_options)
    if not isinstance(cfg.get('model'), Mapping) or 'type' not in cfg.model:
        raise ConfigError(
            f'the config of a member needs a model with a type, got {cfg.filename or cfg.to_dict()}'
        )
    return cfg


def load_member(
    config: str | os.PathLike[str] | Mapping[str, Any] | Config,
    checkpoint: str | os.PathLike[str],
    name: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    autocast: str | None = None,
) -> Member:
    """Build a model and load its weights.

    Args:
        config: As :func:`member_config` takes it.
        checkpoint: A file, relative to the current directory, or an address.
        name: Name in reports; by default that of the config file.
        cfg_options: Values by dotted key that replace the config's.
        autocast: ``'auto'``, ``'bfloat16'``, ``'float16'`` or ``'float32'`` in place of
            the model's own.

    Returns:
        The model, in evaluation mode. Synchronised batch norm, which matters in
        training only, is plain batch norm.

    Raises:
        FileNotFoundError: The config or the checkpoint isn't there.
        ConfigError: The config has unknown keys, or values out of range.
        DamagedCheckpointError, UntrustedCheckpointError: The checkpoint can't be
            read, or holds no weights.
        NotFiniteWeightsError: A weight is NaN or infinite.
        CheckpointMismatchError: The checkpoint holds another network;
            auxiliary heads may differ.
        CalibrationError: The calibration of P(changed) in the checkpoint can't be used.
        NormalisationError: A file of weights was trained with another mean or standard
            deviation.
        TypeError: The model doesn't predict probabilities of all three maps.
    """
    cfg = member_config(config, cfg_options)
    check_config(cfg, only=MODEL_KEYS)
    checkpoint = existing_checkpoint(str(checkpoint))
    name = name or (Path(cfg.filename).stem if cfg.filename else written_name(cfg.model.type))
    if autocast is not None:
        cfg.model.autocast = autocast
    scope = DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg'))
    with scope, building(f'the model of {name}', cfg.model):
        model = MODELS.build(cfg.model)
    if not hasattr(model, 'predict_probabilities') or unwrapped(model) is not model:
        raise TypeError(
            f'{name} is a {type(model).__name__}, expected a tfinet_mm.SemanticChangeDetector or '
            'another model with the method predict_probabilities, not wrapped'
        )
    loaded = read_checkpoint(checkpoint)
    check_trained_normalisation(model, loaded, checkpoint)
    problem = load_weights(model, loaded, name=checkpoint)
    if problem is not None:
        raise CheckpointMismatchError(f'{name}, {checkpoint}: {problem}')
    names, palette = trained_classes(loaded, checkpoint)
    roles = trained_roles(loaded)
    if hasattr(model, 'trained_roles'):
        network: Any = model
        network.trained_roles = roles
        network.calibrations = stored_calibrations(loaded, checkpoint)
    return Member(
        name,
        revert_sync_batchnorm(model).eval(),
        checkpoint,
        network_bands(cfg),
        None if names is None else tuple(names),
        None if palette is None else tuple(tuple(colour) for colour in palette),
        roles,
    )


def network_bands(cfg: Config) -> int:
    """Return the bands of each date that a config's backbone takes: ``in_channels``, or 3.

    Of an ensemble, those of its first member.
    """
    model = cfg.model.get('module', cfg.model)
    if 'members' in model:
        member = model.members[0]
        return network_bands(member_config(member.config, member.get('cfg_options')))
    return int(model.get('backbone', {}).get('in_channels', 3))


def check_alike(members: Sequence[Member]) -> None:
    """Refuse models whose predictions can't be averaged.

    Raises:
        ClassMismatchError: Two of them have different classes, or change alone was trained
            of one only.
        ValueError: Two of them differ in the number of bands, or in their order.
    """
    first = members[0]
    named = next((member for member in members if member.class_names is not None), first)
    for member in members[1:]:
        if member.trained_roles != first.trained_roles:
            raise ClassMismatchError(
                f'{first} was trained on {" and ".join(first.trained_roles)}, {member} on '
                f'{" and ".join(member.trained_roles)}; use models that predict the same'
            )
        if member.num_classes != first.num_classes:
            raise ClassMismatchError(
                f'the members differ in their land-cover classes: {first} has '
                f'{first.num_classes}, {member} has {member.num_classes}; use models that were '
                'trained on the same classes'
            )
        if member.class_names is not None and member.class_names != named.class_names:
            raise ClassMismatchError(
                'the members were trained on different classes: '
                f'{named} on {", ".join(named.class_names or ())}; '
                f'{member} on {", ".join(member.class_names)}; '
                'use models that were trained on the same classes, in the same order'
            )
        if member.bands != first.bands:
            raise ValueError(
                f'the members take different images: {first} takes {first.bands} bands a date, '
                f'{member} takes {member.bands}; use models that read the same bands'
            )
        if _order(member) != _order(first):
            raise ValueError(
                f'{first} and {member} take the bands in different orders: bgr_to_rgb of the data '
                f'preprocessor is {_order(first)} for one and {_order(member)} for the other, '
                'but both see what one pipeline loads; make them equal with cfg_options'
            )


def _order(member: Member) -> bool:
    return bool(getattr(member.model.data_preprocessor, 'bgr_to_rgb', False))
