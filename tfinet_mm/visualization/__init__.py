"""Draw pairs, annotations and predictions, and write label maps as files."""

from tfinet_mm.io.png import colourise, write_palette_png, write_png
from tfinet_mm.visualization.overlay import (
    PairMaps,
    change_errors,
    display_image,
    draw_pair,
    draw_sample,
    field_array,
    land_cover_array,
)

__all__ = [
    'PairMaps',
    'change_errors',
    'colourise',
    'display_image',
    'draw_pair',
    'draw_sample',
    'field_array',
    'land_cover_array',
    'write_palette_png',
    'write_png',
]
