import numpy as np

from tfinet_mm.pseudo_labels.counts import Counts
from tfinet_mm.pseudo_labels.predictions import Prediction

CLASSES, MEMBERS = 3, 2


def random_pair(rng, size):
    labels = [rng.choice([0, 0, 0, 1, 2, 3, 255], size).astype(np.uint8) for _ in range(2)]
    cover = rng.integers(0, CLASSES + 1, size).astype(np.uint8)
    counts = [rng.integers(0, 9, shape) for shape in ((), (), (MEMBERS, MEMBERS), (MEMBERS,))]
    level = np.zeros(size, np.uint16)
    kept = np.where(rng.random(size) < 0.6, cover, 0)
    written = [np.where(label == 0, kept, np.where(label == 255, 0, label)) for label in labels]
    truth = [rng.choice([0, 1, 2, 3, 255], size).astype(np.uint8) for _ in range(2)]
    prediction = Prediction(*labels, cover, level, level, *counts)
    return prediction, [one.astype(np.uint8) for one in written], truth


def test_counts_are_those_of_a_loop_over_pixels():
    rng = np.random.default_rng(0)
    counts = Counts.zeros(CLASSES, MEMBERS)
    expected = Counts.zeros(CLASSES, MEMBERS)
    for number, size in enumerate([(3, 4), (5, 2), (1, 7)]):
        prediction, labels, truth = random_pair(rng, size)
        counts.add(prediction, labels, truth if number else None)
        expected.pairs += 1
        expected.unchanged += prediction.unchanged
        expected.unanimous += prediction.unanimous
        expected.pairwise += prediction.pairwise
        expected.steady += prediction.steady
        for date in (0, 1):
            for y, x in np.ndindex(*size):
                annotation = (prediction.label_from, prediction.label_to)[date][y, x]
                assigned, label = prediction.cover[y, x], labels[date][y, x]
                expected.pixels += 1
                if annotation == 255:
                    expected.ignored += 1
                elif annotation:
                    expected.annotated[annotation - 1] += 1
                else:
                    expected.unlabelled += 1
                    if assigned:
                        expected.assigned[assigned - 1] += 1
                    if label:
                        expected.filled[label - 1] += 1
                    if number and truth[date][y, x] in (1, 2, 3):
                        expected.truth[truth[date][y, x] - 1, label] += 1
    np.testing.assert_array_equal(counts.flatten(), expected.flatten())
    assert counts.filled.sum() > 5
    assert counts.truth.sum() > 5


def test_a_vector_and_back():
    counts = Counts.zeros(CLASSES, MEMBERS)
    vector = np.arange(counts.flatten().size)
    again = counts.unflatten(vector)
    np.testing.assert_array_equal(again.flatten(), vector)
    assert again.truth.shape == (3, 4)
    assert again.pairs == 0
    assert again.truth[-1, -1] == vector[-1]
