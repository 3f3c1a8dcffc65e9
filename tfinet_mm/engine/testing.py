"""Set augmentation and ensembles in a config, as the options of ``tools/test.py`` ask."""

from __future__ import annotations

import copy

from mmengine.config import Config, ConfigDict
from mmengine.model import BaseTTAModel

from tfinet_mm.checkpoints.addresses import existing_checkpoint
from tfinet_mm.models.detectors import SCDEnsemble, SCDTTAModel
from tfinet_mm.registry import MODELS
from tfinet_mm.utils.class_names import find_class, written_name


def is_ensemble(cfg: Config) -> bool:
    """Return whether the model of a config, wrapped or not, brings its own checkpoints."""
    return _is(cfg.model.get('module', cfg.model), SCDEnsemble)


def set_checkpoint(cfg: Config, checkpoint: str | None) -> None:
    """Set the checkpoint to test.

    Args:
        cfg: The config to change.
        checkpoint: A file or an address; None for an ensemble.

    Raises:
        ValueError: A model is given no checkpoint, or an ensemble is given one.
        FileNotFoundError: There is no such file.
    """
    if is_ensemble(cfg):
        if checkpoint is not None:
            raise ValueError(
                f'{cfg.filename} is an ensemble, whose members have a checkpoint each, so '
                f'{checkpoint} can not be used; leave CHECKPOINT out, and set those of the members '
                'with --cfg-options model.members.0.checkpoint=PATH'
            )
        cfg.load_from = None
    elif checkpoint is None:
        raise ValueError(
            f'{cfg.filename} needs the argument CHECKPOINT after CONFIG; only an ensemble '
            '(tfinet_mm.SCDEnsemble) does without'
        )
    else:
        cfg.load_from = existing_checkpoint(checkpoint)
    cfg.resume = False


def use_tta(cfg: Config) -> None:
    """Test with flips and rotations.

    The model is wrapped in the config's ``tta_model``, which may name the
    transforms, or else in a ``tfinet_mm.SCDTTAModel`` with all six.

    Args:
        cfg: The config to change. One whose model is augmented stays as it is.

    Raises:
        ValueError: ``tta_model`` is of a type that can't average three maps.
    """
    if _is(cfg.model, BaseTTAModel):
        return
    wrapper = copy.deepcopy(cfg.get('tta_model') or ConfigDict())
    wrapper.setdefault('type', 'tfinet_mm.SCDTTAModel')
    if not _is(wrapper, SCDTTAModel):
        raise ValueError(
            f'tta_model of {cfg.filename} is a {written_name(wrapper.type)}, expected '
            'tfinet_mm.SCDTTAModel, which averages land cover and change'
        )
    wrapper.module = cfg.model
    cfg.model = wrapper


def _is(model: ConfigDict, kind: type) -> bool:
    found = find_class(MODELS, model.type)
    return isinstance(found, type) and issubclass(found, kind)
