import numpy as np
import pytest
from conftest import write_label
from mmengine.registry import DefaultScope

from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.models.detectors.augmentation import TTA_TRANSFORMS
from tfinet_mm.pseudo_labels.predictions import (
    Prediction,
    predict_pairs,
    read_prediction,
    shares,
    write_prediction,
)
from tfinet_mm.pseudo_labels.rules import LEVELS
from tfinet_mm.registry import MODELS

from .conftest import pixel_change, pixel_probabilities


def build(model):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(model)


def slow_winner(before, after):
    """Return the class and its votes for one pixel from the classes 1..K of M members."""
    votes = [a if a == b else 0 for a, b in zip(before, after, strict=True)]
    most = max(votes.count(value) for value in votes)
    winner = min(value for value in votes if votes.count(value) == most)
    return (winner, most) if winner else (0, 0)


@pytest.mark.parametrize('transforms', [('identity',), TTA_TRANSFORMS])
@pytest.mark.parametrize('method', ['vote', 'soft'])
def test_what_is_kept_of_a_pair(second, members, method, transforms):
    """Compute everything from the colours of each pixel, which flips don't affect."""
    pairs, written = second
    model, states = members(3)
    weights = (1.0, 2.0, 0.5)
    for entry, weight in zip(model['members'], weights, strict=True):
        entry['weight'] = weight
    made = predict_pairs(build(model), list(pairs), method, transforms)
    assert len(made) == len(pairs)
    for pair, prediction in zip(pairs, made, strict=True):
        arrays = written[pair.sample_id]
        probabilities = [
            np.stack([pixel_probabilities(state, arrays[date]) for state in states])
            for date in ('before', 'after')
        ]
        before, after = (one.argmax(1) + 1 for one in probabilities)
        changes = [pixel_change(state, arrays['before'], arrays['after']) for state in states]
        free = arrays['label_from'] == 0
        change = np.average(changes, axis=0, weights=weights)
        if method == 'vote':
            assert not prediction.change.any()
            for y, x in np.ndindex(*free.shape):
                winner, votes = slow_winner(before[:, y, x].tolist(), after[:, y, x].tolist())
                assert prediction.cover[y, x] == winner * free[y, x]
                assert prediction.confidence[y, x] == votes * LEVELS // 3 * free[y, x]
        else:
            np.testing.assert_allclose(prediction.change / LEVELS, change * free, atol=3e-5)
            mean = np.average(sum(probabilities) / 2, axis=0, weights=weights)
            np.testing.assert_array_equal(prediction.cover, (mean.argmax(0) + 1) * free)
            np.testing.assert_allclose(
                prediction.confidence / LEVELS, mean.max(0) * free, atol=3e-5
            )
        unchanged = np.argwhere(arrays['change'] == 0).tolist()
        assert prediction.unchanged == len(unchanged)
        assert prediction.unanimous == sum(
            len(set(classes[:, y, x].tolist())) == 1
            for classes in (before, after)
            for y, x in unchanged
        )
        for m in range(3):
            assert prediction.steady[m] == sum(
                before[m, y, x] == after[m, y, x] for y, x in unchanged
            )
            for n in range(3):
                assert prediction.pairwise[m, n] == sum(
                    classes[m, y, x] == classes[n, y, x]
                    for classes in (before, after)
                    for y, x in unchanged
                )
        np.testing.assert_array_equal(prediction.label_from, arrays['label_from'])
        np.testing.assert_array_equal(prediction.label_to, arrays['label_to'])


def test_pixels_that_only_one_date_is_known_of_are_kept_for_the_other(second, members):
    pairs, _ = second
    pair = pairs[0]
    before, after = (label.copy() for label in pair.labels)
    before[:], after[:] = 2, 255
    after[0, 0] = 0
    model, _ = members(1)
    (prediction,) = predict_pairs(
        build(model), [pair._replace(labels=(before, after))], 'soft', ('identity',)
    )
    assert np.argwhere(prediction.cover > 0).tolist() == [[0, 0]]
    assert np.argwhere(prediction.confidence > 0).tolist() == [[0, 0]]
    assert prediction.label_to[0, :2].tolist() == [0, 255]


def test_predictions_come_at_the_size_of_the_labels(tmp_path, make_scd, make_config, members):
    from tfinet_mm.pseudo_labels.pairs import PairsToLabel

    make_scd(['a'], (6, 8), root='data')
    pipeline = [
        dict(type='tfinet_mm.LoadImagePair'),
        dict(type='mmcv.Resize', scale_factor=2.0),
        dict(type='tfinet_mm.PackPairInputs'),
    ]
    dataset = dict(
        type='tfinet_mm.SECONDDataset', data_root=str(tmp_path / 'data'), pipeline=pipeline
    )
    pairs = list(PairsToLabel(make_config(dataset, pipeline)))
    assert pairs[0].inputs.shape == (6, 12, 16)
    (prediction,) = predict_pairs(build(members(2)[0]), pairs, 'vote', ('identity',))
    assert prediction.cover.shape == prediction.change.shape == (6, 8)


def test_a_label_of_a_class_that_members_lack(tmp_path, second, members):
    pairs, _ = second
    for folder in ('label1', 'label2'):
        write_label(tmp_path / 'data' / folder / 'a.png', np.full((12, 16), 5, np.uint8), 'palette')
    model, _ = members(1, num_classes=4, classes=None)
    with pytest.raises(LabelValueError, match='label_from holds values from 5 to 5'):
        predict_pairs(build(model), [pairs[0]], 'vote', ('identity',))


def test_networks_without_an_answer(second, members):
    pairs, _ = second
    ensemble = build(members(2)[0])
    ensemble.members[1].semantic.bias.data[3] = float('nan')
    with pytest.raises(ValueError, match=r'predict NaN for f: .*--amp bfloat16'):
        predict_pairs(ensemble, [pairs[1]], 'vote', ('identity',))


def test_a_file_gives_back_what_was_written(tmp_path):
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 7, (5, 4)).astype(np.uint8) for _ in range(3)]
    levels = [rng.integers(0, LEVELS + 1, (5, 4)).astype(np.uint16) for _ in range(2)]
    counts = [np.array(12), np.array(7), np.arange(4).reshape(2, 2), np.arange(2)]
    prediction = Prediction(*maps, *levels, *counts)
    path = tmp_path / 'sub dir' / 'a.b c.npz'
    write_prediction(path, prediction)
    for a, b in zip(read_prediction(path), prediction, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    first = path.read_bytes()
    write_prediction(path, prediction)
    assert path.read_bytes() == first
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04 and no more', b'text'])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / 'a.npz'
    path.write_bytes(content)
    with pytest.raises(LabelFormatError, match=r'a\.npz can not be read .*; delete it'):
        read_prediction(path)
    with pytest.raises(FileNotFoundError):
        read_prediction(tmp_path / 'b.npz')


def test_a_file_of_something_else(tmp_path):
    np.savez(tmp_path / 'a.npz', cover=np.zeros(3))
    with pytest.raises(LabelFormatError, match='label_from'):
        read_prediction(tmp_path / 'a.npz')


def test_shares_in_eight_bits():
    levels = np.array([0, LEVELS, LEVELS // 2, round(LEVELS * 0.9)], np.uint16)
    assert shares(levels).tolist() == [0, 255, 128, 230]  # round(127.5), round(229.5), to even
