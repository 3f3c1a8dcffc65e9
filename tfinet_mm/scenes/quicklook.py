"""Write small pictures of both dates, for viewing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfinet_mm.io.jpeg import encode_jpeg
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.utils.files import whole_file

QUICKLOOK_SIDE = 2048
JPEG_QUALITY = 85


def write_quicklooks(pair: ScenePair, folder: str | Path, max_side: int = QUICKLOOK_SIDE) -> None:
    """Write ``before.jpg`` and ``after.jpg``, both dates on the grid of the results.

    They show the first three bands as red, green and blue, or the first one in
    grey, stretched to 0..255; pixels without data are black.

    Args:
        pair: The open scene.
        folder: Folder to write to.
        max_side: Greatest length of the longer side in pixels.
    """
    values, _ = pair.picture(max_side)
    for name, date in zip(('before', 'after'), np.split(values, 2), strict=True):
        shown = date[:3] if len(date) >= 3 else date[:1]
        image = np.round(shown).astype(np.uint8).transpose(1, 2, 0)
        with whole_file(Path(folder) / f'{name}.jpg') as partial:
            partial.write_bytes(encode_jpeg(image, JPEG_QUALITY))
