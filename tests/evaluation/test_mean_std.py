"""Test mean and standard deviation over runs against worked numbers."""

import pytest

from tfinet_mm.evaluation.mean_std import mean_and_std


@pytest.mark.parametrize(
    ('values', 'signed', 'cell'),
    [
        # Deviations -2, 0, 0, 2 from 5: a sample variance of 8 / 3.
        ([3.0, 5.0, 5.0, 7.0], False, '5.00 ± 1.63'),
        ([1.0, 3.0], True, '+2.00 ± 1.41'),
        ([-1.0, -3.0], True, '-2.00 ± 1.41'),
        ([4.0, 4.0], False, '4.00 ± 0.00'),
        ([7.125], False, '7.12'),
        ([], False, ''),
    ],
)
def test_worked_numbers(values, signed, cell):
    assert mean_and_std(values, signed) == cell
