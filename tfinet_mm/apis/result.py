"""Hold the prediction for one pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tfinet_mm.structures import ClassTable
from tfinet_mm.visualization import PairMaps, draw_pair, write_png


@dataclass(frozen=True, eq=False)
class SCDResult:
    """Maps of one pair, all (H, W), the size of its images.

    Attributes:
        change_prob: P(changed), float32, 0..1; where not all pixels are valid, a masked array
            with 0 under the mask.
        change: True where it reached the threshold, bool.
        land_cover_from: Land cover before, uint8 1..K; 0 where not valid.
        land_cover_to: Land cover after, uint8 1..K; 0 where not valid.
        class_table: Names and colours of the classes, 0 for unchanged.
        before: Image before as the network's pipeline reads it, (H, W, B) in
            RGB order: uint8, or float32 0..255 where a value range is stated.
        after: Image after.
        name: Name of the pair.
        valid: False where an image is masked, see :class:`~tfinet_mm.apis.SCDInferencer`; None
            where all pixels are valid.
    """

    change_prob: np.ndarray
    change: np.ndarray
    land_cover_from: np.ndarray
    land_cover_to: np.ndarray
    class_table: ClassTable
    before: np.ndarray
    after: np.ndarray
    name: str = ''
    valid: np.ndarray | None = None

    @property
    def semantic_from(self) -> np.ndarray:
        """Return the land cover before where it changed, 0 elsewhere: (H, W) uint8, 0..K."""
        return self.land_cover_from * self.change

    @property
    def semantic_to(self) -> np.ndarray:
        """Return the land cover after where it changed, 0 elsewhere: (H, W) uint8, 0..K."""
        return self.land_cover_to * self.change

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the values 0..K, the first that of unchanged pixels."""
        return self.class_table.names

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """Return the RGB colours of the values 0..K."""
        return self.class_table.palette

    def transition_matrix(self) -> np.ndarray:
        """Count the changed pixels by class before and class after.

        Returns:
            (K, K) int64; row i and column j count the changed pixels of class
            i + 1 before and j + 1 after. The diagonal counts those that the
            network calls changed though their class is the same.

        Example:
            >>> import numpy as np
            >>> from tfinet_mm.structures import ClassTable
            >>> table = ClassTable(('same', 'wood', 'town'), ((0, 0, 0), (0, 9, 0), (9, 0, 0)))
            >>> image = np.zeros((1, 3, 3), np.uint8)
            >>> maps = np.array([[1, 1, 2]], np.uint8), np.array([[2, 2, 1]], np.uint8)
            >>> prob = np.array([[0.9, 0.8, 0.1]], np.float32)
            >>> SCDResult(prob, prob >= 0.5, *maps, table, image, image).transition_matrix()
            array([[0, 2],
                   [0, 0]])
        """
        classes = self.class_table.num_classes
        before = self.land_cover_from[self.change].astype(np.int64) - 1
        after = self.land_cover_to[self.change].astype(np.int64) - 1
        counts = np.bincount(before * classes + after, minlength=classes**2)
        return counts.reshape(classes, classes).astype(np.int64)

    def plot(
        self,
        path: str | Path | None = None,
        title: str | None = None,
        min_side: int = 192,
        max_side: int = 512,
    ) -> Image.Image:
        """Draw both images, both maps, the change and its probability over a legend.

        Args:
            path: PNG file to write as well.
            title: Text over the picture; by default the name of the pair.
            min_side: Longer side in pixels to which small images are enlarged.
            max_side: Longer side in pixels to which large images are reduced.

        Returns:
            The picture; a notebook shows it.
        """
        maps = PairMaps(
            self.change.astype(np.uint8),
            self.semantic_from,
            self.semantic_to,
            change_prob=np.ma.filled(self.change_prob, 0),
        )
        drawn = draw_pair(
            self.before,
            self.after,
            maps,
            self.class_table,
            self.name if title is None else title,
            min_side,
            max_side,
        )
        if path is not None:
            write_png(path, drawn)
        return Image.fromarray(drawn)
