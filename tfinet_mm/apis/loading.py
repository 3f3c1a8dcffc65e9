"""Load a model, its pipeline and its classes from a config and a checkpoint."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from tfinet_mm.apis.embedded import embedded_config
from tfinet_mm.apis.network_files import CONFIG_SUFFIXES
from tfinet_mm.checkpoints.shipped import DEFAULT
from tfinet_mm.datasets.transforms import LoadImagePair
from tfinet_mm.engine.precision import set_autocast
from tfinet_mm.engine.testing import is_ensemble, set_checkpoint
from tfinet_mm.errors import ClassMismatchError
from tfinet_mm.models.change_only import merge_classes, without_land_cover
from tfinet_mm.models.members import MODEL_KEYS, load_member, member_config
from tfinet_mm.registry import DATASETS, MODELS, TRANSFORMS
from tfinet_mm.structures import CHANGE_ONLY, ClassTable
from tfinet_mm.utils.class_names import class_name, find_class, written_name
from tfinet_mm.utils.config.building import building
from tfinet_mm.utils.config.check import check_config
from tfinet_mm.utils.quiet import import_mmseg
from tfinet_mm.utils.windows import height_width, size_and_stride

ConfigLike: TypeAlias = str | os.PathLike[str] | Mapping[str, Any] | Config
DEFAULT_WINDOW = 512
LABEL_LOADERS = ('LoadPairAnnotations', 'LoadAnnotations', 'LoadPseudoLabels')


def read_config(
    config: ConfigLike | None,
    checkpoint: str | os.PathLike[str] | None,
    cfg_options: Mapping[str, Any] | None = None,
) -> tuple[Config, str | None]:
    """Read the config of a network, whichever way it is given.

    Args:
        config: A config, or a checkpoint that carries one, or None.
        checkpoint: A checkpoint, or None for an ensemble or where the first is one.
            Without either, the weights that come with the package are used, and
            the log says so.
        cfg_options: Values by dotted key that replace the config's.

    Returns:
        The config, its model not wrapped for test-time augmentation, and the
        checkpoint.

    Raises:
        FileNotFoundError, ValueError, UntrustedCheckpointError: They are missing, don't
            belong together, or could run code.
    """
    if checkpoint is None and is_checkpoint(config):
        config, checkpoint = None, config
    if config is None:
        if checkpoint is None:
            checkpoint = DEFAULT
            if get_dist_info()[0] == 0:
                print_log(f'No config or checkpoint was given: using the weights {DEFAULT}', None)
        # Looking up the first part would import it too, with its messages.
        import_mmseg()
        config = embedded_config(checkpoint)
        if is_ensemble(config):
            raise ValueError(
                f'{checkpoint} carries the config of an ensemble, which has no weights of its own; '
                'give the config of the ensemble alone'
            )
    cfg = network_config(config, cfg_options)
    checkpoint = None if checkpoint is None else str(checkpoint)
    set_checkpoint(cfg, checkpoint)
    return cfg, checkpoint


def is_checkpoint(config: Any) -> bool:
    """Return whether what may be a config is the path or name of a checkpoint."""
    return isinstance(config, str | os.PathLike) and Path(config).suffix not in CONFIG_SUFFIXES


def network_config(config: ConfigLike, cfg_options: Mapping[str, Any] | None = None) -> Config:
    """Read a config, its model not wrapped for test-time augmentation.

    Args:
        config: A file, dictionary or config.
        cfg_options: Values by dotted key that replace the config's.
    """
    cfg = member_config(config, cfg_options)
    check_config(cfg, only=MODEL_KEYS)
    if 'module' in cfg.model:
        cfg.tta_model = {k: v for k, v in cfg.model.items() if k != 'module'}
        cfg.model = cfg.model.module
    return cfg


def build_model(
    cfg: Config, checkpoint: str | None, amp: str | None
) -> tuple[Any, ClassTable | None]:
    """Return the network in evaluation mode on the CPU, and the classes its checkpoint names.

    If change alone was trained, its predictions have a single class of land cover,
    'changed', in place of untrained ones, and the log says so.
    """
    model, named = _trained_model(cfg, checkpoint, amp)
    if not without_land_cover(model):
        return model, named
    print_log(
        'The network was trained on change alone, without land cover: what changed is the one '
        f'class {CHANGE_ONLY.names[1]!r} in all results',
        logger='current',
        level=logging.WARNING,
    )
    merge_classes(model)
    return model, CHANGE_ONLY


def _trained_model(
    cfg: Config, checkpoint: str | None, amp: str | None
) -> tuple[Any, ClassTable | None]:
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
        if amp is not None:
            set_autocast(cfg, amp)
        if checkpoint is None:
            with building('model', cfg.model):
                model = MODELS.build(cfg.model).eval()
            return model, model.class_table
    member = load_member(cfg, checkpoint)
    return member.model, member.class_table


def set_windows(
    model: Any, window: int | Sequence[int], overlap: int | Sequence[int] | None
) -> None:
    """Let a detector, or all members of an ensemble, predict in sliding windows.

    Args:
        model: The network.
        window: Side of a window in pixels, or (height, width).
        overlap: Pixels that neighbours share, or (vertical, horizontal); by
            default a quarter of the window.

    Raises:
        ValueError: A window is empty, or all overlap.
    """
    size, stride = size_and_stride(window, overlap)
    for one in getattr(model, 'members', [model]):
        one.test_cfg.update(mode='slide', crop_size=size, stride=stride)


def find_window(cfg: Config, model: Any) -> int:
    """Return the side of the windows that suit a network, in pixels.

    Args:
        cfg: Its config.
        model: The network, or an ensemble, which takes the largest of its members.

    Returns:
        The side that the config notes as ``window``, as files of weights do, or else of the
        network's own sliding windows, or else of the images it was trained on (the size
        that its data preprocessor or the training pipeline cuts to), or else 512. The
        smaller side, where they aren't square.
    """
    if cfg.get('window'):
        return min(height_width(cfg.window))
    sizes = []
    for one in getattr(model, 'members', [model]):
        size = getattr(one.data_preprocessor, 'size', None)
        if one.test_cfg.get('mode') == 'slide':
            size = one.test_cfg['crop_size']
        if size is not None:
            sizes.append(min(height_width(size)))
    if sizes:
        return max(sizes)
    crop = _find(cfg.get('train_dataloader'), 'crop_size')
    return min(height_width(crop)) if crop else DEFAULT_WINDOW


def build_pipeline(
    cfg: Config, bands: Sequence[int] | None, value_range: Sequence[float] | None
) -> tuple[LoadImagePair, list[Any]]:
    """Build the config's test pipeline without labels.

    Args:
        cfg: The config; without a pipeline, images are loaded and packed.
        bands: Replaces the config's, where not None.
        value_range: Replaces the config's, where not None.

    Returns:
        The transform that loads images, and the transforms after it.

    Raises:
        ValueError: The pipeline doesn't begin with ``tfinet_mm.LoadImagePair``.
    """
    steps = inference_steps(cfg)
    if bands is not None:
        steps[0]['bands'] = bands
    if value_range is not None:
        steps[0]['value_range'] = value_range
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
        loader, *rest = [TRANSFORMS.build(step) for step in steps]
    return loader, rest


def inference_steps(cfg: Config) -> list[dict[str, Any]]:
    """Return the configs of the test pipeline's transforms, without those that load labels.

    Args:
        cfg: The config; without a pipeline, images are loaded and packed.

    Raises:
        ValueError: The pipeline doesn't begin with ``tfinet_mm.LoadImagePair``.
    """
    pipeline = _test_pipeline(cfg)
    if not isinstance(pipeline, list | tuple) or not all(
        isinstance(one, Mapping) and 'type' in one for one in pipeline
    ):
        raise ValueError(f'the test pipeline must be a list of transforms, got {pipeline!r}')
    steps = [dict(step) for step in pipeline]
    steps = [step for step in steps if class_name(step['type']) not in LABEL_LOADERS]
    if not steps or class_name(steps[0]['type']) != 'LoadImagePair':
        raise ValueError(
            "the config's test pipeline must begin with tfinet_mm.LoadImagePair, which knows bands "
            f'and value range, got {[written_name(step["type"]) for step in steps]}'
        )
    return steps


def _test_pipeline(cfg: Config) -> Sequence[Mapping[str, Any]]:
    for split in ('test', 'val'):
        pipeline = _find(cfg.get(f'{split}_dataloader'), 'pipeline')
        if pipeline:
            return pipeline
    return cfg.get('test_pipeline') or [
        dict(type='tfinet_mm.LoadImagePair'),
        dict(type='tfinet_mm.PackPairInputs'),
    ]


def _find(part: Any, key: str) -> Any:
    """Return the first value under a key in the config of a data loader, wrapped data too."""
    if isinstance(part, Mapping):
        return part.get(key) or next(
            (found for value in part.values() if (found := _find(value, key))), None
        )
    if isinstance(part, list | tuple):
        return next((found for value in part if (found := _find(value, key))), None)
    return None


def find_classes(cfg: Config, num_classes: int, *known: ClassTable | None) -> ClassTable:
    """Return names and colours of the classes.

    Args:
        cfg: A config whose data sets may name the classes.
        num_classes: Number K of classes of the model.
        *known: Tables that take precedence, where not None.

    Raises:
        ClassMismatchError: The table has another number of classes.
        ValueError: There is no table.
    """
    table = next((one for one in known if one is not None), None) or _dataset_classes(cfg)
    if table is None:
        raise ValueError(
            'neither the checkpoint nor the config names the classes; call '
            'SCDInferencer(..., class_table=ClassTable(names, palette)), unchanged first'
        )
    if table.num_classes != num_classes:
        raise ClassMismatchError(
            f'the model has {num_classes} land-cover classes, the table {table.num_classes}: '
            f'{", ".join(table.land_cover)}; use the table the model was trained on'
        )
    return table


def _dataset_classes(cfg: Config) -> ClassTable | None:
    for split in ('test', 'val', 'train'):
        loader = cfg.get(f'{split}_dataloader')
        classes, palette = _find(loader, 'semantic_classes'), _find(loader, 'semantic_palette')
        if classes and palette:
            return ClassTable(tuple(classes), tuple(palette))
        name = _find((loader or {}).get('dataset'), 'type')
        ours = name is not None and written_name(name).startswith('tfinet_mm.')
        found = find_class(DATASETS, name) if ours else None
        stated = getattr(found, 'METAINFO', {})
        if 'semantic_classes' in stated:
            return ClassTable.from_metainfo(stated)
    return None
