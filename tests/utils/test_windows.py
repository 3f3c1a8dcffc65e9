import pytest

from tfinet_mm.utils.windows import LEAST_WINDOW, warn_of_small_windows, window_starts


@pytest.mark.parametrize('length', [1, 5, 8, 9, 17, 100])
@pytest.mark.parametrize(('window', 'stride'), [(8, 8), (8, 5), (1, 1), (30, 7)])
def test_every_pixel_is_covered_and_no_window_leaves(length, window, stride):
    starts = window_starts(length, window, stride)
    covered = {p for s in starts for p in range(s, min(s + window, length))}
    assert covered == set(range(length))
    assert all(s + window <= length for s in starts) or starts == [0]
    assert starts == sorted(set(starts))


def test_small_windows_are_named(recwarn):
    warn_of_small_windows((LEAST_WINDOW, 512))
    assert not recwarn
    found = r'windows of 512 x 7 pixels .* expected 64 or more.*--window'
    with pytest.warns(UserWarning, match=found):
        warn_of_small_windows((512, 7))
