"""Test the fit of the land cover to corrections, against predictions before and after it."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from mmengine import Config

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.apis.correcting import _views, fit_corrections
from tfinet_mm.checkpoints.addresses import read_checkpoint
from tfinet_mm.errors import ClassMismatchError, ConfigError
from tfinet_mm.io.png import write_palette_png, write_png
from tfinet_mm.structures import SECOND

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'fit_corrections.py'
SIZE = 64
# Rows 0..31 of the first window: no change, and a change from class 2 to class 5.
DELETED, ADDED = np.s_[:32, :32], np.s_[:32, 32:]


@pytest.fixture
def data(tmp_path, image):
    """Return a data set of two windows, one of them with corrections."""
    out = tmp_path / 'data'
    for number, name in enumerate(('x0_y0', 'x64_y0')):
        change, old, new = np.full((3, SIZE, SIZE), 255, np.uint8)
        if number == 0:
            for label, value in ((change, 1), (old, 2), (new, 5)):
                label[DELETED], label[ADDED] = 0, value
        # The added change alone differs between the dates.
        before, after = image(number, SIZE, SIZE), image(number, SIZE, SIZE)
        after[ADDED] = image(7, SIZE, SIZE)[ADDED]
        for folder, picture in (('im1', before), ('im2', after)):
            write_png(out / folder / f'{name}.png', picture)
        for folder, label in (('label1', old), ('label2', new)):
            write_palette_png(out / folder / f'{name}.png', label, SECOND.palette)
        write_png(out / 'change' / f'{name}.png', change)
    record(out)
    return out


def record(out, **other):
    values = dict(class_names=list(SECOND.names), rest='ignore', windows=['x0_y0', 'x64_y0'])
    (out / 'labels.json').write_text(json.dumps(values | other))


def predicted(weights, data, name):
    inferencer = SCDInferencer(checkpoint=weights)
    return inferencer(*(data / f'im{date}' / f'{name}.png' for date in (1, 2)))


def test_corrections_are_learnt_and_the_rest_stays(member, data, tmp_path):
    _, checkpoint = member()
    first = predicted(checkpoint, data, 'x0_y0')
    out = tmp_path / 'fitted.safetensors'
    fitted = fit_corrections(data, out, checkpoint=checkpoint, weight=20.0)
    assert fitted.windows == 2
    assert fitted.after < fitted.before - 0.1
    second = predicted(out, data, 'x0_y0')
    np.testing.assert_allclose(second.change_prob, first.change_prob, atol=2e-3)
    wrong = (first.land_cover_to != 5)[ADDED].sum(), (second.land_cover_to != 5)[ADDED].sum()
    assert wrong[1] < wrong[0]


def test_few_corrections_change_little_elsewhere(member, data, tmp_path):
    _, checkpoint = member()
    weak, strong = tmp_path / 'weak.safetensors', tmp_path / 'strong.safetensors'
    fit_corrections(data, weak, checkpoint=checkpoint, weight=0.01)
    fit_corrections(data, strong, checkpoint=checkpoint, weight=100)
    first, *others = (predicted(file, data, 'x64_y0') for file in (checkpoint, weak, strong))
    moved = [(other.land_cover_to != first.land_cover_to).mean() for other in others]
    assert moved[0] < 0.02 < moved[1]


def test_only_the_last_layer_of_land_cover_changes(member, data, tmp_path):
    _, checkpoint = member()
    out = tmp_path / 'fitted.safetensors'
    fit_corrections(data, out, checkpoint=checkpoint)
    weights = [read_checkpoint(str(file))['state_dict'] for file in (checkpoint, out)]
    changed = {
        key
        for key, value in weights[1].items()
        if not np.allclose(value.float(), weights[0][key].float(), atol=1e-3, rtol=1e-3)
    }
    assert changed
    assert changed <= {'semantic_head.conv_seg.weight', 'semantic_head.conv_seg.bias'}


def test_deleted_polygons_alone_fit_nothing(member, data, tmp_path):
    _, checkpoint = member()
    change = np.full((SIZE, SIZE), 255, np.uint8)
    change[DELETED] = 0
    write_png(data / 'change' / 'x0_y0.png', change)
    with pytest.raises(ConfigError, match=r'no changed pixel of .* is labelled'):
        fit_corrections(data, tmp_path / 'w.safetensors', checkpoint=checkpoint)
    assert not (tmp_path / 'w.safetensors').exists()


@pytest.mark.parametrize('size', [64, 60])
def test_labels_lie_on_the_cells_of_each_scale(member, data, size):
    config, checkpoint = member()
    scales = (0.5, 1.0, 2.0)
    views = dict(transforms=['identity'], scales=list(scales))
    inferencer = SCDInferencer(Config.fromfile(config), checkpoint, tta=views)
    for folder in ('im1', 'im2'):
        image = np.zeros((size, size, 3), np.uint8)
        write_png(data / folder / 'x0_y0.png', image)
    # Changed in the lower left quarter alone.
    label = np.zeros((size, size), np.uint8)
    label[size // 2 :, : size // 2] = 3
    for folder in ('label1', 'label2'):
        write_palette_png(data / folder / 'x0_y0.png', label, SECOND.palette)
    write_png(data / 'change' / 'x0_y0.png', (label > 0).astype(np.uint8))
    for view in _views(inferencer, data, 'x0_y0', scales):
        side = round(view.labels.shape[1] ** 0.5)
        assert view.cover.shape[2] == view.change.shape[0] == side * side
        change, old, _ = view.labels.reshape(3, side, side).numpy()
        half = side // 2
        expected = np.zeros((side, side))
        expected[side - half :, :half] = 1
        # A cell in the middle of an odd number lies on either side.
        sure = np.ones(side, bool)
        sure[half : side - half] = False
        np.testing.assert_array_equal(change[sure][:, sure], expected[sure][:, sure])
        np.testing.assert_array_equal(old[change == 1], 2)
        assert (old[change == 0] == -1).all()


def test_mistakes(member, data, tmp_path):
    _, checkpoint = member()
    out = tmp_path / 'w.safetensors'
    with pytest.raises(ConfigError, match=r'factor \(--weight\) above 0, got 0'):
        fit_corrections(data, out, checkpoint=checkpoint, weight=0)
    with pytest.raises(ValueError, match=r'must be called NAME\.safetensors, got w\.pth'):
        fit_corrections(data, tmp_path / 'w.pth', checkpoint=checkpoint)
    with pytest.raises(FileNotFoundError, match=r'no file .*labels\.json; make the data set'):
        fit_corrections(tmp_path, out, checkpoint=checkpoint)
    record(data, rest='prediction')
    with pytest.raises(ConfigError, match=r'predictions too .* --rest ignore'):
        fit_corrections(data, out, checkpoint=checkpoint)
    record(data, class_names=['unchanged', 'lake'])
    with pytest.raises(ClassMismatchError, match='unchanged, lake, the network unchanged, water'):
        fit_corrections(data, out, checkpoint=checkpoint)


def test_the_tool_tells_the_loss(member, data, tmp_path, capsys):
    _, checkpoint = member()
    out = tmp_path / 'w.safetensors'
    main = runpy.run_path(str(TOOL))['main']
    main([str(data), '--out', str(out), '--checkpoint', str(checkpoint)])
    shown = capsys.readouterr().out
    assert f'{out}: loss of the corrections ' in shown
    assert shown.endswith('in 2 windows\n')
    assert out.is_file()
