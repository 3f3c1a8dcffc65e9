"""Draw a picture of a pair: images, annotation, prediction and the errors of change.

The rows are the dates, the columns are the images, the annotation, the prediction,
and the errors of change over the darkened second image, over a legend. Pixels
without annotation are striped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tfinet_mm.conventions import convention_of, own_annotation, own_prediction
from tfinet_mm.errors import LabelValueError
from tfinet_mm.io.png import colourise
from tfinet_mm.structures import (
    GT_CHANGE,
    GT_FROM,
    GT_TO,
    IGNORE_INDEX,
    PRED_CHANGE,
    PRED_CHANGE_PROB,
    PRED_FROM,
    PRED_TO,
    ClassTable,
    sample_name,
    to_semantic_change,
)
from tfinet_mm.visualization.canvas import (
    LegendEntry,
    Panel,
    compose,
    hatched,
    panel_size,
    resized,
)

UNCHANGED, FOUND, MISSED, FALSE, LEFT_OUT = range(5)
CHANGE_COLOURS = (
    (55, 55, 55),
    (255, 255, 255),
    (255, 130, 0),
    (60, 130, 255),
    (120, 120, 120),
)
"""Colours of unchanged, change found, change missed, false change, left out.

Orange and blue stay apart with every common kind of colour blindness.
"""
DARKENED = (20, 90)
"""Grey values to which black and white of the image under the errors are darkened."""
COVER_SHARE = 150
"""Share of 255 that the colour of a class has over its image."""
DATES = ('before', 'after')


def field_array(sample: Any, field: str) -> np.ndarray | None:
    """Return one field of a data sample as an array.

    Args:
        sample: SegDataSample, or its dictionary.
        field: Name of a PixelData with ``data`` (1, H, W) or (H, W), on any device.

    Returns:
        Array (H, W), integer or float32; None if the sample lacks the field.
    """
    value = sample.get(field)
    if value is None:
        return None
    data = (value['data'] if isinstance(value, dict) else value.data).detach()
    data = data.squeeze(0) if data.ndim == 3 else data
    # NumPy knows no bfloat16.
    return (data.float() if data.is_floating_point() else data).cpu().numpy()


def land_cover_array(sample: Any, field: str) -> np.ndarray | None:
    """Return annotated land cover (H, W), 0..K-1 and 255, whatever the sample's convention.

    Args:
        sample: SegDataSample with predictions, or its dictionary.
        field: ``gt_sem_seg_from`` or ``gt_sem_seg_to``.

    Raises:
        LabelValueError: Nobody states the convention, see :mod:`tfinet_mm.conventions`.
    """
    labels = field_array(sample, field)
    return None if labels is None else own_annotation(labels, convention_of(sample))


@dataclass(frozen=True)
class PairMaps:
    """Label maps of one pair, each an integer array (H, W) of one size.

    Attributes:
        predicted_change: 1 changed, 0 unchanged.
        predicted_from: Semantic change of the first date, 0..K.
        predicted_to: Semantic change of the second date, 0..K.
        change: Annotated change, 255 left out; None where there are no labels.
        annotated_from: Annotated semantic change of the first date, 0..K or 255.
        annotated_to: That of the second date.
        change_prob: P(changed), float, 0..1.
    """

    predicted_change: np.ndarray
    predicted_from: np.ndarray
    predicted_to: np.ndarray
    change: np.ndarray | None = None
    annotated_from: np.ndarray | None = None
    annotated_to: np.ndarray | None = None
    change_prob: np.ndarray | None = None

    @classmethod
    def from_sample(cls, sample: Any) -> PairMaps:
        """Take the maps out of a data sample, with or without annotation.

        Args:
            sample: SegDataSample with the predictions of a detector.

        Raises:
            LabelValueError: A prediction is missing, or nobody states the convention of its
                classes, see :mod:`tfinet_mm.conventions`.
        """
        predicted_change = field_array(sample, PRED_CHANGE)
        predicted_from = field_array(sample, PRED_FROM)
        predicted_to = field_array(sample, PRED_TO)
        if predicted_change is None or predicted_from is None or predicted_to is None:
            raise LabelValueError(
                f'a data sample to draw needs {PRED_CHANGE!r}, {PRED_FROM!r} and {PRED_TO!r}, '
                f'got one with {sorted(sample.keys())}; give a sample that the model predicted'
            )
        change = field_array(sample, GT_CHANGE)
        convention = convention_of(sample)

        def annotated(name: str) -> np.ndarray | None:
            cover = land_cover_array(sample, name)
            return None if change is None or cover is None else to_semantic_change(cover, change)

        return cls(
            predicted_change,
            own_prediction(predicted_from, predicted_change, convention),
            own_prediction(predicted_to, predicted_change, convention),
            change=change,
            annotated_from=annotated(GT_FROM),
            annotated_to=annotated(GT_TO),
            change_prob=field_array(sample, PRED_CHANGE_PROB),
        )


def display_image(image: np.ndarray) -> np.ndarray:
    """Turn an image of any bit depth and number of bands into 8-bit RGB for the eye.

    The first three bands are shown, or the first alone in grey where there are
    fewer. 8-bit values are kept. All others are stretched, each band of each
    image separately, so that its 2nd percentile becomes 0 and its 98th 255:
    brightness can then be compared within a picture, not between pictures.

    Args:
        image: Array (H, W) or (H, W, B) of any integer or float type; values
            that aren't finite become black.

    Returns:
        RGB image (H, W, 3) of uint8.

    Example:
        >>> import numpy as np
        >>> display_image(np.array([[0, 5000, 10000]], np.uint16))[0, :, 0].tolist()
        [0, 127, 255]
    """
    image = image[..., None] if image.ndim == 2 else image
    image = image[..., :3] if image.shape[2] >= 3 else image[..., :1]
    if image.dtype != np.uint8:
        image = np.stack([_stretch(image[..., i]) for i in range(image.shape[2])], axis=-1)
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def _stretch(band: np.ndarray) -> np.ndarray:
    band = band.astype(np.float32)
    finite = np.isfinite(band)
    if not finite.any():
        return np.zeros(band.shape, np.uint8)
    low, high = np.percentile(band[finite], (2, 98))
    band = np.where(finite, band, low)
    # A constant band has no range to stretch and becomes black.
    return (np.clip((band - low) / max(high - low, 1e-12), 0, 1) * 255).astype(np.uint8)


def change_errors(predicted: np.ndarray, annotated: np.ndarray | None) -> np.ndarray:
    """Sort pixels into unchanged, found, missed, false and left out.

    Args:
        predicted: Predicted change (H, W), 1 or 0.
        annotated: Annotated change (H, W), 1, 0, or 255 left out; None where
            there are no labels, all predicted change then counts as found.

    Returns:
        Map (H, W) of uint8: 0 unchanged, 1 found, 2 missed, 3 false, 4 left out,
        the order of :data:`CHANGE_COLOURS`.

    Raises:
        LabelValueError: The maps differ in size.

    Example:
        >>> import numpy as np
        >>> change_errors(np.array([[0, 1, 0, 1, 1]]), np.array([[0, 1, 1, 0, 255]]))
        array([[0, 1, 2, 3, 4]], dtype=uint8)
    """
    if annotated is None:
        annotated = predicted
    if predicted.shape != annotated.shape:
        raise LabelValueError(
            f'the prediction is of size {predicted.shape}, the annotation of {annotated.shape}; '
            'predictions are drawn at the size of the labels, with the padding cut off'
        )
    cases = [annotated == IGNORE_INDEX, (annotated == 1) & (predicted == 1), annotated == 1]
    cases.append(predicted == 1)
    return np.select(cases, [LEFT_OUT, FOUND, MISSED, FALSE], UNCHANGED).astype(np.uint8)


def draw_pair(
    before: np.ndarray,
    after: np.ndarray,
    maps: PairMaps,
    table: ClassTable,
    title: str = '',
    min_side: int = 192,
    max_side: int = 512,
) -> np.ndarray:
    """Draw the panels of one pair with a legend.

    Args:
        before: Image of the first date (H, W, B), shown by
            :func:`display_image`.
        after: Image of the second date.
        maps: Prediction, and annotation if there is one.
        table: Names and colours of the classes.
        title: Text over the picture, such as the name of the sample.
        min_side: Longer side of a panel in pixels to which small images are
            enlarged.
        max_side: Longer side of a panel to which large images are reduced.

    Returns:
        RGB picture of uint8.

    Raises:
        LabelValueError: A map holds a class without a colour, or prediction and
            annotation differ in size.
    """
    height, width = maps.predicted_change.shape
    size = panel_size(height, width, min_side, max_side)
    shown = [display_image(image) for image in (before, after)]
    columns: list[list[Panel | None]] = [
        [
            (date, resized(image, size, smooth=True))
            for date, image in zip(DATES, shown, strict=True)
        ]
    ]
    annotation = (maps.annotated_from, maps.annotated_to)
    if any(one is not None for one in annotation):
        columns.append(_class_panels('annotation', annotation, table, size))
    elif maps.change is not None:
        changed = change_errors((maps.change == 1).astype(np.uint8), maps.change)
        columns.append([('annotated change', change_panel(changed, shown[1], size)), None])
    predicted = (maps.predicted_from, maps.predicted_to)
    columns.append(_class_panels('prediction', predicted, table, size))

    errors = change_errors(maps.predicted_change, maps.change)
    heading = 'predicted change' if maps.change is None else 'change and its errors'
    columns.append([(heading, change_panel(errors, shown[1], size)), None])
    if maps.change_prob is not None:
        grey = display_image((np.clip(maps.change_prob, 0, 1) * 255 + 0.5).astype(np.uint8))
        columns[-1][1] = ('probability of change', resized(grey, size, smooth=True))

    unknown = (errors == LEFT_OUT).any() or any(
        one is not None and (one == IGNORE_INDEX).any() for one in annotation
    )
    return compose(columns, size, title, _legend(maps, table, bool(unknown)))


def _class_panels(
    what: str, labels: Sequence[np.ndarray | None], table: ClassTable, size: tuple[int, int]
) -> list[Panel | None]:
    """Draw maps 0..K of both dates in the colours of the classes, 255 striped."""
    panels: list[Panel | None] = []
    for one, date in zip(labels, DATES, strict=True):
        if one is None:
            panels.append(None)
            continue
        picture = resized(colourise(one, table.palette), size)
        panels.append((f'{what} {date}', hatched(picture, one == IGNORE_INDEX)))
    return panels


def cover_panel(
    cover: np.ndarray,
    image: np.ndarray,
    table: ClassTable,
    size: tuple[int, int],
    ignored: np.ndarray | None = None,
) -> Image.Image:
    """Return the land cover of one date over its image, which shows through, in white outlines.

    Args:
        cover: Classes (H, W), 0..K-1; where it is 255 the image stays as it is.
        image: 8-bit RGB image (H, W, 3).
        table: Names and colours of the classes.
        size: Width and height of the panel.
        ignored: Boolean map (H, W) of pixels to stripe, or None.
    """
    ground = resized(image, size, smooth=True)
    colours = resized(colourise(cover, table.palette[1:]), size)
    share = np.where(cover == IGNORE_INDEX, 0, COVER_SHARE).astype(np.uint8)
    panel = Image.composite(colours, ground, resized(share, size))
    panel.paste((255, 255, 255), mask=_outlines(np.asarray(resized(cover, size))))
    return panel if ignored is None else hatched(panel, ignored)


def _outlines(labels: np.ndarray) -> Image.Image:
    """Return a mask of the pixels whose right or lower neighbour has another value."""
    edges = np.zeros(labels.shape, np.bool_)
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edges[:-1] |= labels[:-1] != labels[1:]
    return Image.fromarray(edges.astype(np.uint8) * 255)


def change_panel(errors: np.ndarray, image: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Return the cases of :func:`change_errors` over an 8-bit RGB image, darkened and in grey."""
    grey = np.asarray(resized(image, size, smooth=True).convert('L'), np.float32)
    low, high = DARKENED
    ground = Image.fromarray((low + grey / 255 * (high - low)).astype(np.uint8)).convert('RGB')
    cases = resized(colourise(errors, CHANGE_COLOURS), size)
    drawn = resized((errors != UNCHANGED).astype(np.uint8) * 255, size)
    return hatched(Image.composite(cases, ground, drawn), errors == LEFT_OUT)


def _legend(maps: PairMaps, table: ClassTable, unknown: bool) -> list[list[LegendEntry]]:
    """Return every colour of the picture by name, in groups; with stripes for ``unknown``."""
    classes: list[LegendEntry] = [('classes:', None)]
    classes += zip(table.names, table.palette, strict=True)
    names: tuple[str, ...] = ('unchanged', 'predicted')
    if maps.change is not None:
        names = ('unchanged', 'found', 'missed', 'false')
    change: list[LegendEntry] = [('change:', None)]
    change += zip(names, CHANGE_COLOURS, strict=False)
    if unknown:
        tile = Image.new('RGB', (32, 32))
        change.append(('not annotated', hatched(tile, np.ones((1, 1), np.bool_))))
    legend = [classes, change]
    if maps.change_prob is not None:
        greys: list[LegendEntry] = [
            (f'{share:g}', (round(255 * share),) * 3) for share in (0, 0.5, 1)
        ]
        legend.append([('probability:', None), *greys])
    return legend


def draw_sample(
    sample: Any,
    before: np.ndarray,
    after: np.ndarray,
    table: ClassTable,
    note: str = '',
    **options: Any,
) -> np.ndarray:
    """Draw a data sample of a detector by :func:`draw_pair`, titled with its name.

    Args:
        sample: SegDataSample with predictions, with or without annotation.
        before: Image of the first date (H, W, B).
        after: Image of the second date.
        table: Names and colours of the classes.
        note: Text after the name, such as the step of the training.
        **options: ``min_side`` and ``max_side`` of :func:`draw_pair`.

    Returns:
        RGB picture of uint8.
    """
    title = ', '.join(part for part in (sample_name(sample), note) if part)
    return draw_pair(before, after, PairMaps.from_sample(sample), table, title, **options)
