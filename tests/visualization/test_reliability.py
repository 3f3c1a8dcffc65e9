"""Test that the reliability diagram shows a line for each series."""

import numpy as np
from PIL import Image

from tfinet_mm.visualization.reliability import draw_reliability


def bins(changed):
    """Return three bins, of which the middle one has no pixels."""
    borders = np.arange(4) / 3
    return [
        dict(
            low=borders[i],
            high=borders[i + 1],
            pixels=0 if share is None else 10,
            predicted=None if share is None else float(borders[i]) + 0.1,
            changed=share,
        )
        for i, share in enumerate(changed)
    ]


def rows(path, colour):
    """Return the rows of the upper diagram with pixels of a colour."""
    image = np.asarray(Image.open(path).convert('RGB')).astype(int)[:480, 75:]
    # Without the legend, in the upper left.
    image[:110, :280] = 255
    return np.flatnonzero((np.abs(image - colour).sum(2) < 12).any(1))


ORANGE, BLUE = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)


def test_lines_are_where_the_shares_are(tmp_path):
    path = tmp_path / 'diagram.png'
    draw_reliability(path, {'low': bins([0.1, None, 0.2]), 'high': bins([0.6, None, 0.7])})
    low, high = rows(path, ORANGE), rows(path, BLUE)
    assert Image.open(path).format == 'PNG'
    # Rows count from the top: the larger shares are above.
    assert len(low) > 10
    assert len(high) > 10
    assert high.max() < low.min()
    draw_reliability(path, {'low': bins([0.1, None, 0.2])})
    assert len(rows(path, ORANGE)) > 10
    assert len(rows(path, BLUE)) == 0
