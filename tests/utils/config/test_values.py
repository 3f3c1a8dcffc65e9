from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from tfinet_mm.utils.config import values

NAN, INF = float('nan'), float('inf')


@pytest.mark.parametrize(
    ('value', 'number', 'whole'),
    [
        (3, True, True),
        (-3.0, True, False),
        (np.int64(3), True, True),
        (np.float32(0.5), True, False),
        (Fraction(1, 2), True, False),
        (True, False, False),
        (np.True_, False, False),
        (NAN, False, False),
        (INF, False, False),
        (np.float64('nan'), False, False),
        ('3', False, False),
        (None, False, False),
        (1j, False, False),
        (Decimal(1), False, False),
        (np.array([1]), False, False),
    ],
    ids=repr,
)
def test_numbers(value, number, whole):
    assert values.is_number(value) is number
    assert values.is_whole(value) is whole


@pytest.mark.parametrize(
    ('rule', 'right', 'wrong'),
    [
        (values.whole(1), [1, 10**9], [0, -1, 1.5, True, '1', None, NAN]),
        (values.whole(1, -1), [1, -1], [0, -2]),
        (values.number(0), [0, 2.5], [-1e-9, NAN, INF, '0', True, None]),
        (values.number(0, 1), [0, 1, 0.5], [1.1, -0.1]),
        (values.number(0, above=True), [1e-9], [0]),
        (values.optional(values.number(0)), [None, 0], [-1]),
        (values.learning_rate, [1e-6, 1], [0, -1, NAN, INF, '1e-3', True]),
        (values.pair_of_shares, [(0.9, 0.999), [0, 0]], [(0.9, 1), 0.9, ('0.9', 0.9), (NAN, 0)]),
        (values.sizes, [8, (8, 16), [[8], [16, 32]], None], [0, -1, '8', 8.5, True, [[8], [0]]]),
        (values.TRUTH, [True, False], [0, 1, 'yes', None]),
        (values.one_of('a', 'b'), ['a', 'b'], ['c', None]),
        (values.priority, ['HIGH', 50, 0, 100], ['high', -1, 101, None, 1.5]),
        (values.level, ['INFO', 10], ['info', 1.5, None]),
        (values.RANDOMNESS['seed'], [None, 0, 2**32 - 1], [-1, 2**32, 1.5, '1', True]),
    ],
)
def test_rules(rule, right, wrong):
    assert [rule(value) for value in right] == [None] * len(right)
    assert all(isinstance(rule(value), str) for value in wrong), [rule(value) for value in wrong]
