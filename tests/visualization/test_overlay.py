"""Test the picture of a pair."""

import warnings
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tfinet_mm.errors import LabelValueError
from tfinet_mm.structures import SECOND
from tfinet_mm.visualization import (
    PairMaps,
    change_errors,
    display_image,
    draw_pair,
    draw_sample,
    overlay,
)
from tfinet_mm.visualization.canvas import HATCH
from tfinet_mm.visualization.overlay import CHANGE_COLOURS


def new_sample(height=40, width=50, labels=True, prob=True):
    """A data sample as a detector returns it, with classes 1..6 in known places."""
    sample = SegDataSample(metainfo={'sample_id': 'folder/a.b c'})

    def put(name, value):
        sample.set_data({name: PixelData(data=value[None])})

    change = torch.zeros(height, width, dtype=torch.int64)
    change[: height // 2] = 1
    predicted = torch.zeros_like(change)
    predicted[:, : width // 2] = 1
    put('pred_sem_seg', predicted)
    put('pred_sem_seg_from', predicted * 5)
    put('pred_sem_seg_to', predicted * 1)
    if prob:
        put('pred_change_prob', predicted.to(torch.bfloat16))
    if labels:
        ignored = change.clone()
        ignored[0] = 255
        put('gt_sem_seg', ignored)
        put('gt_sem_seg_from', torch.full_like(change, 3))
        put('gt_sem_seg_to', torch.full_like(change, 5))
    return sample


def count(picture, colour):
    return int((picture == colour).all(-1).sum())


def test_errors_of_change_against_loop():
    rng = np.random.default_rng(0)
    annotated = rng.choice([0, 1, 255], (9, 11))
    predicted = rng.integers(0, 2, (9, 11))
    cases = {(0, 0): 0, (1, 1): 1, (1, 0): 2, (0, 1): 3, (255, 0): 4, (255, 1): 4}
    expected = [
        [cases[int(a), int(p)] for a, p in zip(*rows, strict=True)]
        for rows in zip(annotated, predicted, strict=True)
    ]
    np.testing.assert_array_equal(change_errors(predicted, annotated), expected)
    np.testing.assert_array_equal(change_errors(predicted, None), predicted)


def test_errors_of_change_of_two_sizes():
    with pytest.raises(LabelValueError, match=r'size \(4, 4\), the annotation of \(4, 3\)'):
        change_errors(np.zeros((4, 4), int), np.zeros((4, 3), int))


def test_maps_of_a_sample():
    maps = PairMaps.from_sample(new_sample())
    assert maps.predicted_from[0, 0] == 5
    assert maps.annotated_from[[0, 1, -1], 0].tolist() == [255, 4, 0]
    assert maps.annotated_to[1, 0] == 6
    assert maps.change_prob.dtype == np.float32
    unlabelled = PairMaps.from_sample(new_sample(labels=False, prob=False))
    assert unlabelled.change is unlabelled.annotated_to is unlabelled.change_prob is None


def test_sample_without_prediction():
    with pytest.raises(LabelValueError, match=r'needs .*pred_sem_seg'):
        PairMaps.from_sample(SegDataSample())


def test_picture_shows_every_map():
    # 384 x 480 on a side of at most 512: panels are 1:1.
    sample = new_sample(384, 480)
    before, after = (np.full((384, 480, 3), value, np.uint8) for value in (77, 99))
    picture = draw_sample(sample, before, after, SECOND)
    area = 384 * 480
    for value in (77, 99):
        # Edges of letters can have any grey.
        assert area <= count(picture, (value,) * 3) < area + 100
    quarter = area // 4
    errors = dict(zip(('unchanged', 'found', 'missed', 'false'), CHANGE_COLOURS, strict=False))
    swatch = 20 * 20
    assert abs(count(picture, errors['missed']) - (quarter - 240)) <= swatch
    assert abs(count(picture, errors['false']) - quarter) <= swatch
    assert abs(count(picture, SECOND.palette[5]) - area // 2) <= swatch  # predicted before
    assert abs(count(picture, SECOND.palette[1]) - area // 2) <= swatch  # predicted after
    assert abs(count(picture, SECOND.palette[4]) - (area // 2 - 480)) <= swatch  # annotated before
    assert abs(count(picture, SECOND.palette[6]) - (area // 2 - 480)) <= swatch  # annotated after


def panels(picture, columns, height=200, width=200):
    """The panels of a picture at 1:1 under a title, by (row, column)."""
    tops = 8 + 20 + 20, 8 + 20 + 20 + height + 8 + 20
    return {
        (row, column): picture[top : top + height, left : left + width]
        for row, top in enumerate(tops)
        for column in range(columns)
        for left in [8 + column * (width + 8)]
    }


def test_what_is_not_annotated_is_striped_and_no_error():
    maps = PairMaps.from_sample(new_sample(200, 200))
    change, cover = maps.change.copy(), maps.annotated_from.copy()
    change[:30] = cover[:30] = 255
    predicted = np.ones_like(change)
    maps = replace(maps, change=change, annotated_from=cover, predicted_change=predicted)
    images = [np.full((200, 200, 3), 90, np.uint8)] * 2
    shown = panels(draw_pair(*images, maps, SECOND, 'title'), 4)
    stripes = np.array(HATCH)[np.add.outer(np.arange(30), np.arange(200)) // 4 % 2]
    for place in ((0, 1), (0, 3)):
        assert (shown[place][:30] == stripes).all()
        assert not (shown[place][30:] == HATCH[0]).all(-1).any()
    errors = shown[0, 3]
    assert (errors[30:100] == CHANGE_COLOURS[1]).all()
    assert (errors[100:] == CHANGE_COLOURS[3]).all()
    # The prediction is drawn nevertheless.
    assert (shown[0, 2][:30, :100] == SECOND.palette[5]).all()


def test_errors_lie_over_the_darkened_second_image():
    maps = PairMaps.from_sample(new_sample(200, 200))
    after = np.zeros((200, 200, 3), np.uint8)
    after[:, 150:] = 255
    picture = draw_pair(np.full_like(after, 90), after, maps, SECOND, 'title')
    unchanged = panels(picture, 4)[0, 3][100:, 100:]
    assert (unchanged[:, :50] == 20).all()
    assert (unchanged[:, 50:] == 90).all()


def test_annotated_change_without_classes_has_a_panel():
    maps = replace(
        PairMaps.from_sample(new_sample(200, 200)), annotated_from=None, annotated_to=None
    )
    images = [np.zeros((200, 200, 3), np.uint8)] * 2
    annotated = panels(draw_pair(*images, maps, SECOND, 'title'), 4)[0, 1]
    assert (annotated[1:100] == CHANGE_COLOURS[1]).all()
    assert (annotated[100:] == 20).all()


@pytest.mark.parametrize('labels', [True, False])
def test_legend_and_headings_are_complete(monkeypatch, labels):
    seen = {}

    def compose(columns, size, title, legend):
        seen['headings'] = [panel[0] for column in columns for panel in column if panel]
        seen['legend'] = {group[0][0]: group[1:] for group in legend}
        seen['title'] = title

    monkeypatch.setattr(overlay, 'compose', compose)
    images = [np.zeros((40, 50, 3), np.uint8)] * 2
    draw_sample(new_sample(labels=labels), *images, SECOND, note='iteration 7')
    assert seen['title'] == 'folder/a.b c, iteration 7'
    legend = seen['legend']
    assert legend['classes:'] == list(zip(SECOND.names, SECOND.palette, strict=True))
    assert legend['probability:'] == [('0', (0,) * 3), ('0.5', (128,) * 3), ('1', (255,) * 3)]
    names = [name for name, _ in legend['change:']]
    if labels:
        assert names == ['unchanged', 'found', 'missed', 'false', 'not annotated']
        headings = ['annotation before', 'annotation after']
    else:
        assert names == ['unchanged', 'predicted']
        headings = []
    assert [colour for _, colour in legend['change:'][:4]] == list(CHANGE_COLOURS[: len(names)][:4])
    assert seen['headings'] == [
        'before',
        'after',
        *headings,
        'prediction before',
        'prediction after',
        'change and its errors' if labels else 'predicted change',
        'probability of change',
    ]


# Machado, Oliveira and Fernandes 2009, full severity, on linear RGB.
COLOUR_BLIND = {
    'red': ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    'green': ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    'blue': ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304)),
}


@pytest.mark.parametrize('blind', COLOUR_BLIND)
def test_colours_of_change_differ_for_the_colour_blind(blind):
    def lab(colour):
        share = np.array(colour) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        linear = np.clip(np.array(COLOUR_BLIND[blind]) @ linear, 0, 1)
        to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
        x, y, z = np.cbrt(np.array(to_xyz) @ linear / (0.9505, 1, 1.089))
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    # CIELAB: a difference of 2 can just be seen.
    colours = [lab(colour) for colour in CHANGE_COLOURS[:4]]
    assert min(np.linalg.norm(a - b) for a, b in combinations(colours, 2)) > 40
    assert np.linalg.norm(colours[2] - colours[3]) > 90


def test_without_labels_there_is_one_column_less():
    images = [np.zeros((200, 200, 3), np.uint8)] * 2
    full = draw_sample(new_sample(200, 200), *images, SECOND)
    less = draw_sample(new_sample(200, 200, labels=False), *images, SECOND)
    assert full.shape[1] - less.shape[1] == 200 + 8
    assert count(less, CHANGE_COLOURS[2]) == count(less, CHANGE_COLOURS[3]) == 0


def test_probability_has_a_panel_of_its_own():
    images = [np.full((200, 200, 3), 77, np.uint8)] * 2
    maps = PairMaps.from_sample(new_sample(200, 200))
    grey = PairMaps(**{**maps.__dict__, 'change_prob': np.full((200, 200), 0.5, np.float32)})
    assert count(draw_pair(*images, grey, SECOND), (128, 128, 128)) >= 200 * 200
    none = PairMaps(**{**maps.__dict__, 'change_prob': None})
    assert count(draw_pair(*images, none, SECOND), (128, 128, 128)) < 500


@pytest.mark.parametrize(
    ('shape', 'longer'), [((32, 32), 192), ((512, 300), 512), ((3000, 1500), 512), ((1, 7), 196)]
)
def test_any_size_is_drawn(shape, longer):
    sample = new_sample(*shape)
    picture = draw_sample(sample, *[np.zeros((*shape, 3), np.uint8)] * 2, SECOND)
    height = round(shape[0] * longer / max(shape))
    assert picture.dtype == np.uint8
    assert 2 * height < picture.shape[0] < 2 * height + 250


@pytest.mark.parametrize('bands', [None, 1, 2, 3, 4, 7])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_any_image_can_be_displayed(bands, dtype):
    shape = (20, 30) if bands is None else (20, 30, bands)
    image = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    shown = display_image(image)
    assert shown.dtype == np.uint8
    assert shown.shape == (20, 30, 3)
    if bands in (None, 1, 2):
        np.testing.assert_array_equal(shown[..., 0], shown[..., 2])
    if dtype == np.uint8 and (bands or 0) >= 3:
        np.testing.assert_array_equal(shown, image[..., :3])


def test_stretch_by_percentiles_per_band():
    ramp = np.linspace(0, 1, 10001).reshape(73, 137)
    image = np.stack([ramp * 100, 5000 + ramp * 10000, ramp * 0 + 3], -1)
    shown = display_image(image)
    for band in range(2):
        values = image[..., band]
        low, high = np.percentile(values, (2, 98))
        assert (shown[..., band][values <= low] == 0).all()
        assert (shown[..., band][values >= high] == 255).all()
        middle = np.abs(ramp - 0.5).argmin()
        assert abs(int(shown[..., band].flat[middle]) - 127) <= 1
    assert (shown[..., 2] == 0).all()


def test_values_that_are_not_finite_turn_black_without_warning():
    image = np.array([[[np.nan], [np.inf], [1.0], [5.0]]])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        shown = display_image(image)
        assert display_image(image[:, :2]).max() == 0
    assert shown[0, :2].max() == 0
    assert shown[0, 3, 0] == 255
