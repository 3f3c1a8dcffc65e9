"""Predictions of the members of an ensemble for a pair, and the file that keeps them.

Networks run once. Labels are selected afterwards from these files: quotas need
all pairs, and other thresholds then need no second run of the networks.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tfinet_mm.errors import LabelFormatError
from tfinet_mm.models.detectors.augmentation import mean_probabilities
from tfinet_mm.models.detectors.postprocess import predictions
from tfinet_mm.pseudo_labels.pairs import Pair
from tfinet_mm.pseudo_labels.rules import (
    LEVELS,
    check_labels,
    count_votes,
    likeliest,
    quantised,
)
from tfinet_mm.structures import (
    PRED_CHANGE_PROB,
    PRED_COVER_FROM,
    PRED_COVER_TO,
    PRED_PROB_FROM,
    PRED_PROB_TO,
    SCDProbabilities,
)
from tfinet_mm.utils.files import whole_file

METHODS = ('vote', 'soft')


class Prediction(NamedTuple):
    """The annotation of a pair, and the class that its other pixels may get.

    Attributes:
        label_from: Annotation of the first date, (H, W) uint8: 1..K, 0 where a
            pseudo label is allowed, 255 where it is not.
        label_to: That of the second date.
        cover: Class 1..K that an unchanged pixel would get, (H, W) uint8, 0 for none.
        confidence: Its share of the votes, or its mean probability, in
            0..LEVELS, (H, W) uint16.
        change: Mean P(changed) in 0..LEVELS, (H, W) uint16; 0 for the vote.
        unchanged: Number of unchanged pixels.
        unanimous: Number of unchanged pixels, both dates counted (twice
            ``unchanged``), for which all M members predict the same class, before
            any rule.
        pairwise: The same for each two members, (M, M) int64.
        steady: Number of unchanged pixels for which a member predicts the same
            class on both dates, (M,) int64.
    """

    label_from: np.ndarray
    label_to: np.ndarray
    cover: np.ndarray
    confidence: np.ndarray
    change: np.ndarray
    unchanged: np.ndarray
    unanimous: np.ndarray
    pairwise: np.ndarray
    steady: np.ndarray


def predict_pairs(
    ensemble: Any, pairs: Sequence[Pair], method: str, transforms: Sequence[str]
) -> list[Prediction]:
    """Run the members of an ensemble on pairs.

    Args:
        ensemble: A :class:`~tfinet_mm.models.detectors.ensemble.SCDEnsemble`.
        pairs: Pairs of any sizes; consecutive pairs of the same size form a batch.
        method: 'vote' or 'soft'.
        transforms: Names of the test-time augmentation, see
            :data:`~tfinet_mm.models.detectors.augmentation.TTA_TRANSFORMS`.

    Returns:
        One prediction for each pair.

    Raises:
        LabelValueError: An annotation holds a class that the members don't have.
        ValueError: A network predicts NaN.
    """
    made: list[Prediction] = []
    start = 0
    while start < len(pairs):
        stop = start + 1
        while stop < len(pairs) and pairs[stop].inputs.shape == pairs[start].inputs.shape:
            stop += 1
        batch = pairs[start:stop]
        made += _predict_batch(ensemble, batch, method, transforms)
        start = stop
    return made


def _predict_batch(
    ensemble: Any, pairs: Sequence[Pair], method: str, transforms: Sequence[str]
) -> list[Prediction]:
    with torch.inference_mode():
        stacked = ensemble.data_preprocessor(dict(inputs=[pair.inputs for pair in pairs]), False)
        parts = ensemble.member_probabilities(stacked['inputs'], transforms)
        mean = mean_probabilities(parts, ensemble.weights)
        for index, pair in enumerate(pairs):
            if not all(bool(torch.isfinite(maps[index]).all()) for maps in mean):
                raise ValueError(
                    f'the networks predict NaN for {pair.sample_id}: a training diverged, or '
                    'numbers are too large for float16. Use another checkpoint, or --amp bfloat16, '
                    'which has the range of float32'
                )
        return [
            _decide(
                [_at_original_size(part, index, pair) for part in parts],
                _at_original_size(mean, index, pair),
                pair,
                method,
                ensemble.num_classes,
            )
            for index, pair in enumerate(pairs)
        ]


def _at_original_size(probabilities: SCDProbabilities, index: int, pair: Pair) -> dict[str, Tensor]:
    one = SCDProbabilities(*(maps[index] for maps in probabilities))
    return predictions(one, dict(ori_shape=pair.metainfo['ori_shape']))


def _decide(
    members: Sequence[dict[str, Tensor]],
    mean: dict[str, Tensor],
    pair: Pair,
    method: str,
    num_classes: int,
) -> Prediction:
    before, after = (
        np.stack([_array(member[field])[0] for member in members])
        for field in (PRED_COVER_FROM, PRED_COVER_TO)
    )
    label_from, label_to = check_labels(*pair.labels, before.shape[1:], num_classes)
    if method == 'vote':
        cover, votes = count_votes(before, after)
        confidence = quantised(votes / len(members))
    else:
        cover, share = likeliest(_array(mean[PRED_PROB_FROM]), _array(mean[PRED_PROB_TO]))
        confidence = quantised(share)
    # Pixels that can't be filled become 0, which compresses to almost nothing.
    free = (label_from == 0) | (label_to == 0)
    cover = np.where(free, cover, np.uint8(0))
    confidence = np.where(cover > 0, confidence, np.uint16(0))
    change = np.zeros(free.shape, np.uint16)
    if method == 'soft':
        change = np.where(free, quantised(_array(mean[PRED_CHANGE_PROB])[0]), change)
    return Prediction(
        label_from, label_to, cover, confidence, change, *_agreement(before, after, pair.unchanged)
    )


def _agreement(
    before: np.ndarray, after: np.ndarray, unchanged: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the last four fields of a Prediction, from land cover (M, H, W) of both dates."""
    before, after = before[:, unchanged], after[:, unchanged]
    both = np.concatenate([before, after], axis=1)
    unanimous = (both == both[0]).all(axis=0).sum()
    pairwise = np.stack([(both == one).sum(axis=1) for one in both])
    steady = (before == after).sum(axis=1)
    counts = (np.array(unchanged.sum()), unanimous, pairwise, steady)
    first, second, third, fourth = (np.asarray(count, np.int64) for count in counts)
    return first, second, third, fourth


def _array(tensor: Tensor) -> np.ndarray:
    return np.asarray(tensor.float().cpu()) if tensor.is_floating_point() else tensor.cpu().numpy()


def write_prediction(path: str | Path, prediction: Prediction) -> None:
    """Write the prediction of a pair; a write that is interrupted leaves no file of this name."""
    with whole_file(path) as partial:
        np.savez_compressed(partial, **prediction._asdict())


def read_prediction(path: str | Path) -> Prediction:
    """Read a file of :func:`write_prediction`.

    Raises:
        FileNotFoundError: There is no such file.
        LabelFormatError: The file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return Prediction(*(file[name] for name in Prediction._fields))
    except FileNotFoundError:
        raise
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise LabelFormatError(
            f'{path} can not be read ({error}); delete it and run the tool again'
        ) from error


def shares(levels: np.ndarray) -> np.ndarray:
    """Return whole levels 0..LEVELS as uint8, round(255 * share)."""
    return np.rint(levels.astype(np.float64) * (255 / LEVELS)).astype(np.uint8)
