"""Test the inferencer against the network itself and against tools/test.py."""

import importlib.util
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import Config
from PIL import Image

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.errors import ClassMismatchError, ImageFormatError
from tfinet_mm.models.detectors.augmentation import apply_transform, undo_transform
from tfinet_mm.models.members import load_member
from tfinet_mm.structures import SECOND, ClassTable

ROOT = Path(__file__).parents[2]


def direct(member, before, after):
    """Return P(changed) and land cover of the network alone."""
    model = load_member(*member).model
    pair = np.concatenate([before, after], 2).astype(np.float32)
    inputs = (torch.from_numpy(pair).permute(2, 0, 1)[None] - 100) / 50
    with torch.no_grad():
        return model.predict_probabilities(inputs)


def check(result, expected, threshold=0.5):
    prob = expected.change[0, 0].numpy()
    np.testing.assert_allclose(result.change_prob, prob, atol=1e-5)
    sure = abs(prob - threshold) > 1e-4
    assert (result.change == (prob >= threshold))[sure].all()
    assert 0 < result.change.mean() < 1
    for cover, semantic, probabilities in (
        (result.land_cover_from, result.semantic_from, expected.land_cover_from),
        (result.land_cover_to, result.semantic_to, expected.land_cover_to),
    ):
        assert (cover == probabilities[0].argmax(0).numpy() + 1).mean() > 0.99
        np.testing.assert_array_equal(semantic, np.where(result.change, cover, 0))


def test_arrays_and_types(member, image):
    files = member()
    before, after = image(1), image(2)
    result = SCDInferencer(*files)(before, after)
    check(result, direct(files, before, after))
    assert result.change_prob.dtype == np.float32
    assert result.change.dtype == bool
    for name in ('land_cover_from', 'land_cover_to', 'semantic_from', 'semantic_to'):
        assert getattr(result, name).dtype == np.uint8
        assert getattr(result, name).shape == (40, 56)
    assert result.classes == SECOND.names
    assert result.palette == SECOND.palette


@pytest.mark.parametrize('size', [(1, 70), (70, 1), (1, 1), (33, 47), (64, 31)])
@pytest.mark.parametrize('options', [{}, dict(window=32, overlap=8), dict(tta=True)])
def test_any_size(member, image, size, options):
    """One call sees the same pixels as the network, or as its windows."""
    files = member()
    before, after = (image(seed, *size) for seed in (1, 2))
    result = SCDInferencer(*files, **options)(before, after)
    assert result.change_prob.shape == size
    if not options:
        expected = direct(files, before, after).change[0, 0]
        np.testing.assert_allclose(result.change_prob, expected, atol=1e-5)


def test_windows_are_the_mean_of_logits_where_they_overlap(member, image):
    files = member()
    before, after = image(1, 32, 48), image(2, 32, 48)
    result = SCDInferencer(*files, window=32, overlap=16)(before, after)
    left, right = (
        direct(files, before[:, x : x + 32], after[:, x : x + 32]).change[0, 0].double()
        for x in (0, 16)
    )
    middle = torch.sigmoid((torch.logit(left[:, 16:]) + torch.logit(right[:, :16])) / 2)
    expected = torch.cat([left[:, :16], middle, right[:, 16:]], 1)
    np.testing.assert_allclose(result.change_prob, expected, atol=1e-4)
    small = image(3, 20, 20), image(4, 20, 20)
    whole = SCDInferencer(*files)(*small)
    np.testing.assert_allclose(
        SCDInferencer(*files, window=32)(*small).change_prob, whole.change_prob, atol=1e-6
    )


def test_augmentation_averages_what_is_turned_back(member, image):
    files = member()
    before, after = image(1), image(2)
    names = ['identity', 'rotation_90']
    result = SCDInferencer(*files, tta=names)(before, after)
    turned = []
    for name in names:
        pair = [
            apply_transform(torch.from_numpy(one).permute(2, 0, 1), name).permute(1, 2, 0).numpy()
            for one in (before, after)
        ]
        turned.append(undo_transform(direct(files, *pair).change, name)[0, 0])
    np.testing.assert_allclose(result.change_prob, sum(turned) / 2, atol=1e-5)
    cfg = Config.fromfile(files[0])
    cfg.tta_model = dict(type='tfinet_mm.SCDTTAModel', transforms=names)
    again = SCDInferencer(cfg, files[1], tta=True)(before, after)
    np.testing.assert_allclose(again.change_prob, result.change_prob, atol=1e-6)


def test_a_config_may_ask_for_augmentation(member, image, capsys):
    files = member()
    pair, views = (image(1), image(2)), ['identity', 'rotation_180']
    plain, mean = (SCDInferencer(*files, tta=tta)(*pair) for tta in (False, views))
    assert np.abs(plain.change_prob - mean.change_prob).max() > 1e-3
    cfg = Config.fromfile(files[0])
    cfg.default_tta = dict(transforms=views)
    capsys.readouterr()
    asked = SCDInferencer(cfg, files[1])
    assert 'the mean of 2 views (identity, rotation_180)' in capsys.readouterr().out
    np.testing.assert_allclose(asked(*pair).change_prob, mean.change_prob, atol=1e-6)
    assert asked.settings['tta'] == views
    one = SCDInferencer(cfg, files[1], tta=False)
    np.testing.assert_array_equal(one(*pair).change_prob, plain.change_prob)
    assert one.settings['tta'] == []
    assert len(SCDInferencer(cfg, files[1], tta=True).settings['tta']) == 6
    cfg.default_tta = dict(flips=views)
    with pytest.raises(ValueError, match='must be a dictionary of transforms and scales'):
        SCDInferencer(cfg, files[1])


def test_scales_are_predicted_and_averaged(member, image):
    """Against Pillow, which smooths what it makes smaller."""
    files = member()
    pair = image(1), image(2)
    views = dict(transforms=['identity'], scales=[1.0, 1.5])
    found = SCDInferencer(*files, tta=views)(*pair).change_prob
    large = [
        np.stack([resized(band, 96, 64) for band in one.transpose(2, 0, 1)], 2) for one in pair
    ]
    expected = resized(direct(files, *large).change[0, 0].numpy(), 56, 40)
    plain = SCDInferencer(*files)(*pair).change_prob
    np.testing.assert_allclose(found, (plain + expected) / 2, atol=2e-5)
    assert np.abs(found - plain).max() > 0.05


def resized(band, width, height):
    one = Image.fromarray(np.ascontiguousarray(band, np.float32))
    return np.asarray(one.resize((width, height), Image.Resampling.BILINEAR))


def test_lists_keep_their_order_and_batches_one_size(member, image, saved):
    files = member()
    sizes = [(40, 56), (32, 32), (40, 56), (32, 32), (40, 56)]
    before = [image(i, *size) for i, size in enumerate(sizes)]
    after = [image(10 + i, *size) for i, size in enumerate(sizes)]
    inferencer = SCDInferencer(*files, batch_size=2)
    batches = []
    step = inferencer.model.test_step
    inferencer.model.test_step = lambda data: batches.append(len(data['inputs'])) or step(data)
    paths = [saved(f'1/{i}.png', one) for i, one in enumerate(before)]
    results = inferencer(paths, after)
    assert sorted(batches) == [1, 2, 2]
    assert [result.name for result in results] == list('01234')
    for one, other, result in zip(before, after, results, strict=True):
        check(result, direct(files, one, other))
        np.testing.assert_array_equal(result.before, one)
    assert inferencer([], []) == []


def test_equals_the_tool(member, image, saved, tmp_path, monkeypatch):
    """Files of a data set, predicted by tools/test.py and here."""
    files = member()
    for name in ('a', 'b'):
        for folder, seed in (('im1', 1), ('im2', 2)):
            saved(f'data/{folder}/{name}.png', image(seed + ord(name)))
        for folder in ('label1', 'label2'):
            (tmp_path / 'data' / folder).mkdir(exist_ok=True)
            label = np.random.default_rng(0).integers(0, 7, (40, 56)).astype(np.uint8)
            Image.fromarray(label).save(tmp_path / 'data' / folder / f'{name}.png')
    spec = importlib.util.spec_from_file_location('tool_test', ROOT / 'tools/test.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.chdir(tmp_path)
    options = ['--tta', '--cfg-options', 'tta_model.transforms=[rotation_90]']
    tool.main([*map(str, files), '--out', 'maps', *options])
    inferencer = SCDInferencer(*files, tta=['rotation_90'])
    for name in ('a', 'b'):
        result = inferencer(*(tmp_path / f'data/im{i}/{name}.png' for i in (1, 2)))
        for folder, mine in (('label1', result.semantic_from), ('label2', result.semantic_to)):
            written = np.asarray(Image.open(tmp_path / 'maps' / folder / f'{name}.png'))
            assert len(np.unique(written)) > 1
            np.testing.assert_array_equal(mine, written)


def test_threshold_and_16_bits(member, image):
    files = member()
    before, after = image(1), image(2)
    plain = SCDInferencer(*files)(before, after)
    strict = SCDInferencer(*files, threshold=0.9)(before, after)
    np.testing.assert_array_equal(strict.change, plain.change_prob >= 0.9)
    half = SCDInferencer(*files, amp='bfloat16')(before, after)
    difference = abs(half.change_prob - plain.change_prob)
    assert 0 < difference.max() < 0.3


def test_an_ensemble_without_a_checkpoint(member, image, tmp_path):
    pairs = [member('a'), member('b', seed=1)]
    members = [dict(config=str(c), checkpoint=str(w)) for c, w in pairs]
    config = tmp_path / 'ensemble.py'
    Config(dict(model=dict(type='tfinet_mm.SCDEnsemble', members=members))).dump(config)
    before, after = image(1), image(2)
    result = SCDInferencer(config)(before, after)
    mean = sum(direct(pair, before, after).change for pair in pairs)[0, 0] / 2
    np.testing.assert_allclose(result.change_prob, mean, atol=1e-5)
    windowed = SCDInferencer(config, window=32)(before, after)
    assert abs(windowed.change_prob - result.change_prob).max() > 1e-3
    with pytest.raises(ValueError, match='is an ensemble'):
        SCDInferencer(config, pairs[0][1])


def test_bands_and_range_of_the_config(member, image):
    files = member(bands=2, load=dict(bands=[5, 1], value_range=(100, 1120)))
    raw = [image(seed, bands=5, dtype=np.uint16, high=1200) for seed in (1, 2)]
    result = SCDInferencer(*files)(*raw)
    scaled = [np.clip((one[..., [4, 0]] - 100.0) / 4, 0, 255) for one in raw]
    expected = direct(files, *scaled)
    np.testing.assert_allclose(result.change_prob, expected.change[0, 0], atol=1e-5)
    given = SCDInferencer(*member('b', bands=2), bands=[5, 1], value_range=(100, 1120))(*raw)
    np.testing.assert_allclose(given.change_prob, result.change_prob, atol=1e-6)


def test_one_band_as_a_plane(member, image):
    inferencer = SCDInferencer(*member(load=dict(bands=[1, 1, 1])))
    before, after = image(1, bands=1), image(2, bands=1)
    plane = inferencer(before[..., 0], after[..., 0])
    np.testing.assert_array_equal(plane.change_prob, inferencer(before, after).change_prob)


def test_a_checkpoint_alone(member, image):
    """Its init_cfg names a file that isn't there, and isn't looked for."""
    files = member()
    before, after = image(1), image(2)
    expected = direct(files, before, after)
    check(SCDInferencer(files[1])(before, after), expected)
    check(SCDInferencer(None, files[1])(before, after), expected)


def test_classes(member, tmp_path):
    files = member(table=None)
    assert SCDInferencer(*files).class_table == SECOND
    cfg = Config.fromfile(files[0])
    model = dict(model=cfg.model)
    with pytest.raises(ValueError, match='class_table=ClassTable'):
        SCDInferencer(model, files[1])
    own = ClassTable(tuple('0123456'), tuple((i, 0, 0) for i in range(7)))
    assert SCDInferencer(model, files[1], class_table=own).class_table is own
    with pytest.raises(ClassMismatchError, match='has 6 land-cover classes, the table 1: 1'):
        SCDInferencer(model, files[1], class_table=ClassTable(own.names[:2], own.palette[:2]))


def test_pictures_that_do_not_fit(member, image, tmp_path):
    inferencer = SCDInferencer(*member())
    good = image(1)
    for before, after, error, message in (
        (good, image(2, 41), ImageFormatError, r'agree in width, height.*56 x 41'),
        (good, image(2, bands=4), ImageFormatError, 'the image after has 4 bands, expected 3'),
        (good[..., 0], good, ImageFormatError, r'the image before has 1 band,.*SCDInferencer'),
        (good / 255, good / 255, ImageFormatError, r'float64 from 0.*8 bit.*SCDInferencer'),
        (good[None], good, ImageFormatError, r'shape \(1, 40, 56, 3\).*as a list'),
        (good[:0], good[:0], ImageFormatError, r'shape \(0, 56, 3\)'),
        ([good], [], ValueError, 'got 1 before and 0 after'),
        ([good], good, ValueError, 'two images or two lists'),
        (torch.zeros(3), good, TypeError, 'the image before is a Tensor'),
        (tmp_path / 'none.png', good, FileNotFoundError, 'none.png'),
    ):
        with pytest.raises(error, match=message):
            inferencer(before, after)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(batch_size=0), 'batch_size must be 1'),
        (dict(threshold=50), 'from 0 to 1, got 50'),
        (dict(overlap=3), 'give window as well'),
        (dict(window=8, overlap=8), 'overlap 0 up to window - 1'),
        (dict(window=(8, 8, 8)), 'height, width'),
        (dict(tta=['sideways']), 'sideways'),
        (dict(amp='int8'), 'int8'),
    ],
)
def test_options_that_cannot_be_used(member, options, message):
    with pytest.raises(ValueError, match=message):
        SCDInferencer(*member(), **options)


def test_models_that_are_missing(member):
    files = member()
    with pytest.raises(ValueError, match='needs the argument CHECKPOINT'):
        SCDInferencer(files[0])
    with pytest.raises(FileNotFoundError, match='there is no checkpoint'):
        SCDInferencer(files[0], 'none.pth')
    cfg = Config.fromfile(files[0])
    cfg.test_dataloader.dataset.pipeline[0] = dict(type='LoadImageFromFile')
    with pytest.raises(ValueError, match=r'must begin with tfinet_mm\.LoadImagePair'):
        SCDInferencer(cfg, files[1])


def test_probabilities_of_a_batch(member, image):
    files = member()
    pairs = [(image(i), image(i + 9)) for i in range(2)]
    stacked = np.stack([np.concatenate(pair, 2).transpose(2, 0, 1) for pair in pairs])
    for options in ({}, dict(tta=['identity', 'rotation_90'])):
        inferencer = SCDInferencer(*files, **options)
        made = inferencer.predict_probabilities(stacked)
        assert [tuple(part.shape) for part in made] == [(2, 6, 40, 56)] * 2 + [(2, 1, 40, 56)]
        for index, pair in enumerate(pairs):
            expected = inferencer(*pair).change_prob
            np.testing.assert_allclose(made.change[index, 0], expected, atol=1e-5)
    # A preprocessor that pads: cut off again, and for rotations before them.
    pad = {'model.data_preprocessor.test_cfg': dict(size_divisor=64)}
    for options in ({}, dict(tta=['rotation_90'])):
        padded = SCDInferencer(*files, cfg_options=pad, **options)
        made = padded.predict_probabilities(stacked)
        assert made.change.shape == (2, 1, 40, 56)
        expected = padded(*pairs[0]).change_prob
        np.testing.assert_allclose(made.change[0, 0], expected, atol=1e-5)


def test_threads_that_read_do_not_matter(member, image, saved):
    inferencer = SCDInferencer(*member(), batch_size=2)
    pairs = [(saved(f'1/{i}.png', image(i)), saved(f'2/{i}.png', image(9 - i))) for i in range(5)]
    plain = dict(inferencer.predict(pairs))
    threaded = dict(inferencer.predict(pairs, workers=3))
    assert list(plain) == list(threaded) == list(range(5))
    for index, result in plain.items():
        np.testing.assert_array_equal(result.change_prob, threaded[index].change_prob)


def test_settings_tell_what_decides(member):
    """Equal for equal networks, wherever they are; different where results could differ."""
    files = member('a')
    base = SCDInferencer(*files).settings
    assert base['threshold'] == 0.5
    assert base['classes'][0] == 'unchanged'
    entry = base['model'][0]
    others = [
        SCDInferencer(*member('b', seed=1)),
        SCDInferencer(*files, threshold=0.4),
        SCDInferencer(*files, tta=True),
        SCDInferencer(*files, amp='bfloat16'),
        SCDInferencer(*files, cfg_options={'model.channels_last': True}),
    ]
    changed = [{key for key in base if base[key] != other.settings[key]} for other in others]
    assert changed == [{'model'}, {'threshold'}, {'tta'}, {'amp'}, {'model'}]
    copied = shutil.copy(files[1], files[1].with_name('copy.pth'))
    moved = SCDInferencer(files[0], copied).settings['model'][0]
    assert (moved['model'], moved['weights']) == (entry['model'], entry['weights'])


def test_settings_tell_the_type_that_is_computed_in(member, made_up_cpu, no_gpu, tmp_path):
    """A run that resumes on another kind of machine is refused."""
    files = member('a')
    auto = Config.fromfile(files[0])
    auto.model.autocast = 'auto'
    pairs = [member('b'), member('c', seed=1)]
    members = [
        dict(config=str(config), checkpoint=str(weights), cfg_options={'model.autocast': one})
        for (config, weights), one in zip(pairs, ('auto', 'float16'), strict=True)
    ]
    ensemble = Config(dict(model=dict(type='tfinet_mm.SCDEnsemble', members=members)))
    for units, best in ((True, 'bfloat16'), (False, 'float32')):
        made_up_cpu(units)
        assert SCDInferencer(*files).settings['amp'] == 'float32'
        assert SCDInferencer(*files, amp='float16').settings['amp'] == 'float16'
        for amp in (True, 'auto'):
            assert SCDInferencer(*files, amp=amp).settings['amp'] == best
        assert SCDInferencer(auto, files[1]).settings['amp'] == best
        assert SCDInferencer(auto, files[1], amp='float32').settings['amp'] == 'float32'
        assert SCDInferencer(ensemble).settings['amp'] == [best, 'float16']
        assert SCDInferencer(ensemble, amp=True).settings['amp'] == best


def test_windows_of_the_config_rest_in_a_block(member, image, tmp_path):
    pairs = [member('a'), member('b', seed=1)]
    members = [dict(config=str(c), checkpoint=str(w)) for c, w in pairs]
    config = tmp_path / 'ensemble.py'
    Config(dict(model=dict(type='tfinet_mm.SCDEnsemble', members=members))).dump(config)
    for files in (pairs[0], (config,)):
        inferencer = SCDInferencer(*files, window=32, overlap=8)
        batch = np.concatenate([image(1), image(2)], -1).transpose(2, 0, 1)[None]
        whole = SCDInferencer(*files).predict_probabilities(batch).change
        windows = inferencer.predict_probabilities(batch).change
        assert abs(windows - whole).max() > 1e-3
        with suppress(KeyError), inferencer.whole_images():
            assert torch.equal(inferencer.predict_probabilities(batch).change, whole)
            raise KeyError
        assert torch.equal(inferencer.predict_probabilities(batch).change, windows)


def test_windows_for_scenes(member):
    def sizes(**options):
        inferencer = SCDInferencer(*member(), **options)
        return inferencer.window, inferencer.overlap

    assert sizes() == (512, 128)
    assert sizes(window=(64, 96), overlap=(3, 9)) == (64, 3)
    slide = dict(mode='slide', crop_size=(40, 48), stride=(30, 30))
    assert sizes(cfg_options={'model.test_cfg': slide}) == (40, 10)
    assert sizes(cfg_options={'model.data_preprocessor.size': (96, 80)}) == (80, 20)
    pipeline = [dict(type='RandomCrop', crop_size=(100, 100))]
    assert sizes(cfg_options={'train_dataloader': dict(dataset=dict(pipeline=pipeline))})[0] == 100
