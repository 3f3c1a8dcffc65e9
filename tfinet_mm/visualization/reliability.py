"""Draw the reliability diagram of P(changed)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

COLOURS = ('#d55e00', '#0072b2', '#009e73')
"""Colours of the lines, which the colour-blind can tell apart (Okabe and Ito)."""


def draw_reliability(
    path: str | os.PathLike[str], series: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """Draw the share of pixels that changed over P(changed), and below it where pixels are.

    Args:
        path: The PNG file to write.
        series: For each name its bins, as dictionaries with ``low``, ``high``, ``pixels``,
            ``predicted`` and ``changed``; at most three.
    """
    # A figure without pyplot needs no display and no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 6), dpi=120, layout='constrained')
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color='grey', linewidth=1, linestyle='--', label='equal')
    for (name, bins), colour in zip(series.items(), COLOURS, strict=False):
        filled = [one for one in bins if one['pixels']]
        upper.plot(
            [one['predicted'] for one in filled],
            [one['changed'] for one in filled],
            marker='o',
            markersize=3,
            color=colour,
            label=name,
        )
        lower.stairs(
            [one['pixels'] for one in bins],
            [bins[0]['low'], *(one['high'] for one in bins)],
            color=colour,
        )
    upper.set(ylabel='share that changed', xlim=(0, 1), ylim=(0, 1))
    upper.legend()
    lower.set(xlabel='P(changed)', ylabel='pixels', yscale='log')
    figure.savefig(path, format='png')
