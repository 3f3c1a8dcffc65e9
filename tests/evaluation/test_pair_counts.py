"""Test the sums, the memory and the order of the counts of pairs."""

import numpy as np
import pytest

from tfinet_mm.evaluation import PairCounts, SCDConfusion


def drawn_pairs(number, num_classes=2, seed=0, side=40):
    """Return counts of pairs of random maps that agree at most pixels."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(number):
        change = rng.integers(0, 2, (2, side))
        cover = rng.integers(0, num_classes, (2, 2, side))
        wrong = rng.random((3, 2, side)) < rng.uniform(0.1, 0.6)
        found = np.where(wrong[0], 1 - change, change)
        maps = [
            np.where(w, (c + 1) % num_classes, c) for w, c in zip(wrong[1:], cover, strict=True)
        ]
        predicted = [(one + 1) * found for one in maps]
        pairs.append(SCDConfusion.from_maps(change, *cover, found, *predicted, num_classes))
    return pairs


def collected(counts, num_classes=2):
    pairs = PairCounts(num_classes)
    for one in counts:
        pairs.add(one)
    return pairs


@pytest.mark.parametrize('number', [1, 2, 9])
def test_sums_are_those_of_the_matrices(number, monkeypatch):
    # Two pairs at once, so that the sum goes over several blocks.
    monkeypatch.setattr('tfinet_mm.evaluation.pair_counts.CHUNK', 40)
    counts = drawn_pairs(number)
    weights = np.random.default_rng(1).integers(0, 4, (5, number))
    for row, total in zip(weights, collected(counts).sums(weights), strict=True):
        for name in ('change', 'date_from', 'date_to', 'from_to'):
            expected = sum(w * getattr(one, name) for w, one in zip(row, counts, strict=True))
            np.testing.assert_array_equal(getattr(total, name), expected)
            assert getattr(total, name).dtype == np.int64


def test_the_first_pairs_alone():
    counts = drawn_pairs(4)
    first = PairCounts.merge([collected(counts).pack(3)], 2)
    assert len(first) == 3
    (total,) = first.sums(np.ones((1, 3)))
    np.testing.assert_array_equal(total.from_to, sum(one.from_to for one in counts[:3]))
    assert len(PairCounts.merge([collected(counts).pack(0), PairCounts(2).pack()], 2)) == 0


def test_the_order_does_not_depend_on_the_distribution():
    counts = drawn_pairs(7)
    shares = [counts[0::2][::-1], counts[1::2], []]
    merged = PairCounts.merge([collected(share).pack() for share in shares], 2)
    expected = PairCounts.merge([collected(counts).pack()], 2)
    assert all(map(np.array_equal, merged.pack(), expected.pack()))
    identity = np.eye(7)
    assert {one.flatten().tobytes() for one in merged.sums(identity)} == {
        one.flatten().tobytes() for one in counts
    }


def test_only_counts_above_zero_take_memory():
    # 53 of 1471 counts, of 12 bytes each instead of 8.
    pairs = collected([SCDConfusion(*(np.diag([9] * side) for side in (2, 7, 7, 37)))] * 5, 6)
    assert pairs.nbytes == 5 * (8 + 12 * 53)
