"""Start a training from weights of another one, with other classes too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from logging import INFO
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from tfinet_mm.checkpoints.contents import trained_classes
from tfinet_mm.checkpoints.weight_files import FORMAT_KEY
from tfinet_mm.checkpoints.weights import AUXILIARY, load_weights, named_weights, unwrapped
from tfinet_mm.errors import (
    CheckpointMismatchError,
    DamagedCheckpointError,
    NormalisationError,
)
from tfinet_mm.utils.config.values import is_number

CLASSIFIER = ('semantic_head.conv_seg.weight', 'semantic_head.conv_seg.bias')
"""Layer with a row for each land-cover class, in every head of mmseg."""
TOLERANCE = 0.5
"""Largest difference of equal means, on the scale 0..255; some write 123.675 as 123.68."""


def starting_weights(
    model: nn.Module, checkpoint: dict[str, Any], classes: Sequence[str] | None, name: str
) -> dict[str, Any]:
    """Fit a file of weights to the network of a training.

    The classifier of land cover takes over the rows of classes of the same name.
    Rows of other classes keep their first values, and so do auxiliary heads, which
    such a file lacks, and parts that change nothing at first (``begins_without`` of
    a module) if the file lacks them; the log names them.

    Args:
        model: The network with its first values.
        checkpoint: The checkpoint as read.
        classes: Names of the training's classes, the first that of unchanged pixels;
            None where the data set doesn't say.
        name: Origin of the checkpoint, for messages.

    Returns:
        A checkpoint with a value for every weight of the network.

    Raises:
        CheckpointMismatchError: Any other weight is missing, left over or of another shape.
    """
    network = unwrapped(model)
    own = network.state_dict()
    weights = dict(named_weights(checkpoint, name))
    trained = trained_classes(checkpoint, name)[0]
    said = _fit_classifier(own, weights, trained, classes)
    auxiliary = [key for key in own if key.startswith(AUXILIARY) and key not in weights]
    weights |= {key: own[key] for key in auxiliary}
    for part, keys in _parts_to_begin_with(network, own):
        if not any(key in weights for key in keys):
            weights |= {key: own[key] for key in keys}
            said.append(f'{part}, which the file lacks')
    problem = load_weights(network, dict(state_dict=weights), training=True, name=name)
    if problem is not None:
        raise CheckpointMismatchError(f'{name}: {problem}')
    if any('num_batches_tracked' not in key for key in auxiliary):
        said.append('the auxiliary heads, which the file lacks')
    if said:
        print_log(f'{name}: these start fresh: {", ".join(said)}', 'current', INFO)
    return checkpoint | dict(state_dict=weights)


def _parts_to_begin_with(
    network: nn.Module, own: Mapping[str, Tensor]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the weights of each part that changes nothing at first."""
    for name, module in network.named_modules():
        parts = [f'{name}.{part}' for part in getattr(module, 'begins_without', ())]
        keys = [key for key in own for part in parts if key.startswith(f'{part}.')]
        if keys:
            yield ' and '.join(parts), keys


def _fit_classifier(
    own: Mapping[str, Tensor],
    weights: dict[str, Tensor],
    trained: Sequence[str] | None,
    classes: Sequence[str] | None,
) -> list[str]:
    """Sort the rows of the classifier by class name, and name those that start fresh."""
    keys = [key for key in CLASSIFIER if key in own and key in weights]
    # Rows of another length belong to another head, whatever its classes.
    if not keys or any(own[key].shape[1:] != weights[key].shape[1:] for key in keys):
        return []
    here, there = (len(found[keys[0]]) for found in (own, weights))
    rows: list[int | None] = [None] * here
    if classes and trained and (len(classes) - 1, len(trained) - 1) == (here, there):
        known = {one: row for row, one in enumerate(trained[1:])}
        rows = [known.get(one) for one in classes[1:]]
    elif here == there:
        return []
    for key in keys:
        value = own[key].detach().clone()
        for row, source in enumerate(rows):
            if source is not None:
                value[row] = weights[key][source]
        weights[key] = value
    fresh = [row for row, source in enumerate(rows) if source is None]
    if not fresh:
        return []
    every = len(fresh) == here or not classes
    of = 'all classes' if every or not classes else ', '.join(classes[1 + row] for row in fresh)
    return [f'{" and ".join(keys)} of {of}']


def check_trained_normalisation(model: nn.Module, checkpoint: Mapping[str, Any], name: str) -> None:
    """Refuse a network whose normalisation isn't that of a file of weights.

    Args:
        model: The network. One with ``check_normalisation=False`` is not checked.
        checkpoint: The checkpoint as read; only a file of weights has a normalisation.
        name: Its origin, for messages.

    Raises:
        NormalisationError: Mean or standard deviation differ.
        DamagedCheckpointError: Those of the file aren't lists of numbers.
    """
    network: Any = unwrapped(model)
    preprocessor: Any = getattr(network, 'data_preprocessor', None)
    if not is_weights_checkpoint(checkpoint) or not hasattr(preprocessor, 'normalize'):
        return
    if not getattr(network, 'check_normalisation', True):
        return
    # Plain values: building what a file describes could run any code.
    stated = checkpoint['meta']['cfg']['model'].get('data_preprocessor')
    if not isinstance(stated, Mapping) or 'mean' not in stated:
        return
    trained = [stated['mean'], stated.get('std')]
    if not all(one is None or (one and all(map(is_number, one))) for one in trained):
        raise DamagedCheckpointError(
            f'{name}: mean and std of its data preprocessor must be lists of numbers, got '
            f'{trained}; export the weights again'
        )
    own = [
        getattr(preprocessor, key).flatten().tolist() if preprocessor.normalize else None
        for key in ('mean', 'std')
    ]
    if all(_near(one, other) for one, other in zip(own, trained, strict=True)):
        return
    raise NormalisationError(
        f'model.data_preprocessor has mean={_text(own[0])} and std={_text(own[1])}, but {name} '
        f'was trained with mean={_text(trained[0])} and std={_text(trained[1])}. Set these values '
        'in model.data_preprocessor; to keep both as they are, set '
        'model.check_normalisation=False'
    )


def is_weights_checkpoint(checkpoint: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint was read from a file of weights."""
    meta = checkpoint.get('meta')
    return isinstance(meta, Mapping) and FORMAT_KEY in meta


def _near(one: Sequence[float] | None, other: Sequence[float] | None) -> bool:
    """Return whether two lists of values, for each date or for both, are nearly the same."""
    if one is None or other is None:
        return one is other
    length = max(len(one), len(other))
    if length % len(one) or length % len(other):
        return False
    return all(
        abs(one[index % len(one)] - other[index % len(other)]) <= TOLERANCE
        for index in range(length)
    )


def _text(values: Sequence[float] | None) -> str:
    return 'None' if values is None else f'[{", ".join(f"{value:g}" for value in values)}]'
