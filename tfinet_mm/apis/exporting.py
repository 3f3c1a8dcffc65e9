"""Write the weights of a checkpoint as a file that predicts without a config."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor

from tfinet_mm.apis.embedded import embedded_config
from tfinet_mm.apis.loading import (
    ConfigLike,
    find_classes,
    find_window,
    inference_steps,
    read_config,
)
from tfinet_mm.apis.views import list_views
from tfinet_mm.checkpoints.addresses import read_checkpoint
from tfinet_mm.checkpoints.contents import (
    CALIBRATIONS_KEY,
    ROLES_KEY,
    stored_calibrations,
    trained_classes,
    trained_roles,
)
from tfinet_mm.checkpoints.shipped import SUFFIX
from tfinet_mm.checkpoints.weight_files import DTYPES, write_weight_file
from tfinet_mm.checkpoints.weights import AUXILIARY, load_weights, named_weights
from tfinet_mm.errors import CheckpointMismatchError, ConfigError
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import ALL_ROLES, ClassTable
from tfinet_mm.utils.class_names import with_paths
from tfinet_mm.utils.config.building import building
from tfinet_mm.utils.files import whole_file

TRAINING_KEYS = ('init_cfg', 'pretrained', 'train_cfg', 'auxiliary_head')
"""Keys of a model, at any depth, that predicting doesn't need."""
AVERAGES = 'ema_state_dict'
"""Key of the plain weights of MMEngine's EMAHook, which saves averages as the state dict."""


class Exported(NamedTuple):
    """File of weights that was written.

    Attributes:
        tensors: Number of tensors.
        dropped: Keys of auxiliary heads, which are for training only.
        averaged: True if the weights are the averages of MMEngine's ``EMAHook``.
        size: Bytes of the file.
    """

    tensors: int
    dropped: tuple[str, ...]
    averaged: bool
    size: int


def export_weights(
    checkpoint: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: ConfigLike | None = None,
    dtype: str = 'float16',
    license: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> Exported:
    """Write the weights of a checkpoint, and everything else that predicting needs.

    The file holds no state of an optimizer and no auxiliary heads, and reading it runs no
    code. It serves as a checkpoint for everything but resuming.

    Args:
        checkpoint: A file or an address.
        out: The file to write, ``NAME.safetensors``.
        config: Config of the training; by default the one in the checkpoint, which is read
            without running it.
        dtype: Type of the stored numbers: ``'float16'``, ``'bfloat16'`` or ``'float32'``.
        license: SPDX identifier of the licence of the weights, to be stated in the file.
        cfg_options: Values by dotted key that replace the config's.

    Returns:
        Facts about the file.

    Raises:
        ValueError: ``out`` lacks the suffix, ``dtype`` is unknown, or neither config
            nor checkpoint names the classes.
        ConfigError: The config is more than JSON can hold, or is an ensemble's.
        CheckpointMismatchError: The checkpoint holds another network.
        NotFiniteWeightsError: A weight isn't finite, or too large for the type.
    """
    out = Path(out)
    if out.suffix != SUFFIX:
        raise ValueError(f'the file of weights must be called NAME{SUFFIX}, got {out.name}')
    if dtype not in DTYPES:
        raise ValueError(f'dtype must be one of {", ".join(DTYPES)}, got {dtype!r}')
    cfg, source = read_config(config, checkpoint, cfg_options)
    assert source is not None
    loaded = read_checkpoint(source)
    values = _config_of_predicting(cfg)
    weights, dropped = _weights_of_predicting(named_weights(loaded, source))
    network = _fitting_network(values, weights, source)
    _state_normalisation(values, network)
    names, palette = trained_classes(loaded, source)
    trained = None if names is None or palette is None else ClassTable(names, palette)
    table = find_classes(cfg, network.num_classes, trained)
    values['window'] = find_window(cfg, network)
    meta = loaded.get('meta') or {}
    training = {key: meta[key] for key in ('epoch', 'iter') if isinstance(meta.get(key), int)}
    if (roles := trained_roles(loaded)) != ALL_ROLES:
        training[ROLES_KEY] = list(roles)
    if calibrations := stored_calibrations(loaded, source):
        training[CALIBRATIONS_KEY] = [one.record() for one in calibrations]
    with whole_file(out) as partial:
        write_weight_file(partial, weights, values, table, training, dtype, license)
        # Read the file as its users will.
        embedded_config(partial)
    return Exported(len(weights), dropped, AVERAGES in loaded, out.stat().st_size)


def _config_of_predicting(cfg: Config) -> dict[str, Any]:
    """Return the parts of a config that predicting needs, as plain values."""
    plain = dict(
        model=with_paths(cfg.model),
        tta_model=with_paths(cfg.get('tta_model')),
        default_tta=with_paths(cfg.get('default_tta')),
        default_scope=cfg.get('default_scope', 'mmseg'),
        test_pipeline=with_paths(inference_steps(cfg)),
    )
    if cfg.get('default_tta') is not None:
        list_views(cfg.default_tta, 'default_tta')
    kept = {key: _without_training(value) for key, value in plain.items() if value is not None}
    try:
        return json.loads(json.dumps(kept, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f'{cfg.filename or "the config"} holds values that JSON does not have ({error}); '
            'write the model with numbers, texts, lists and dictionaries'
        ) from None


def _without_training(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_training(v) for k, v in value.items() if k not in TRAINING_KEYS}
    if isinstance(value, list | tuple):
        return [_without_training(part) for part in value]
    return value


def _weights_of_predicting(
    weights: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the tensors without those of auxiliary heads, and the keys of the latter."""
    dropped = tuple(key for key in weights if key.startswith(AUXILIARY))
    kept = {k: v for k, v in weights.items() if isinstance(v, Tensor) and k not in dropped}
    return kept, dropped


def _fitting_network(values: Mapping[str, Any], weights: dict[str, Tensor], source: str) -> Any:
    """Build the network with the weights.

    Raises:
        CheckpointMismatchError: A weight is missing, left over or of another shape.
    """
    cfg = Config(dict(values))
    with DefaultScope.overwrite_default_scope(cfg.default_scope), building('model', cfg.model):
        model = MODELS.build(cfg.model)
    problem = load_weights(model, dict(state_dict=weights), training=True, name=source)
    if problem is not None:
        raise CheckpointMismatchError(f'{source}: {problem}')
    return model


def _state_normalisation(values: dict[str, Any], network: Any) -> None:
    """Add mean and standard deviation where the config leaves them to the default."""
    stated, made = values['model'].get('data_preprocessor'), network.data_preprocessor
    if isinstance(stated, dict) and getattr(made, 'normalize', False):
        for key in ('mean', 'std'):
            # From float32, in which 123.675 is 123.675003.
            exact = [round(value, 4) for value in getattr(made, key).flatten().tolist()]
            stated.setdefault(key, exact)
