"""Test the options that state the meaning of label values, on files with worked values."""

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import SCDDataset, scd_dataset
from tfinet_mm.datasets.check import check_dataset
from tfinet_mm.datasets.label_meaning import parse_label_map
from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.io import label_bands, label_files

LOAD = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]
NO = 255
CLASSES = dict(
    semantic_classes=['unchanged', 'water', 'soil', 'road'],
    semantic_palette=[(255, 255, 255), (0, 0, 255), (90, 60, 30), (80, 80, 80)],
)
FROM_ZERO = dict(
    semantic_classes=['water', 'soil', 'road'],
    semantic_palette=[(0, 0, 255), (90, 60, 30), (80, 80, 80)],
    zero_is='class',
    label_semantics='land_cover',
)


@pytest.fixture
def build(tmp_path):
    """Return a function that writes images and labels of one pair, and builds its data set."""

    def write(path, pixels):
        path.parent.mkdir(exist_ok=True)
        pixels = np.asarray(pixels)
        if path.suffix == '.tif':
            rasterio = pytest.importorskip('rasterio')
            bands = pixels.transpose(2, 0, 1)
            height, width = pixels.shape[:2]
            facts = dict(width=width, height=height, count=len(bands), dtype=bands.dtype)
            with rasterio.open(path, 'w', driver='GTiff', **facts) as file:
                file.write(bands)
        else:
            Image.fromarray(pixels).save(path)

    def make(labels, images=None, suffix='.png', name='a', **options):
        labels = {folder: np.asarray(one) for folder, one in labels.items()}
        height, width = next(iter(labels.values())).shape[:2]
        for number, folder in enumerate(('im1', 'im2')):
            image = np.full((height, width, 3), 50 * number + 50, np.uint8)
            write(tmp_path / folder / f'{name}.png', image if images is None else images[number])
        for folder, one in labels.items():
            write(tmp_path / folder / f'{name}{suffix}', one)
        options = {**CLASSES, **options}
        return SCDDataset(data_root=str(tmp_path), seg_map_suffix=suffix, pipeline=LOAD, **options)

    return make


def maps(dataset, index=0):
    results = dataset[index]
    return [
        results[key].ravel().tolist() for key in ('gt_seg_map', 'gt_seg_map_from', 'gt_seg_map_to')
    ]


def row(*values, dtype=np.uint8):
    return np.array([values], dtype)


def decided(dataset):
    return {role: str(one) for role, one in dataset.label_spec.storages.items()}


# ----------------------------------------------------------------------------------- transitions

TYPES = {0: None, 1: ('soil', 'road'), 2: (1, None), 7: ('water', 'water'), 9: 'ignored'}


def test_types_of_transition_give_change_and_both_dates(build):
    label = row(0, 1, 2, 7, 9)
    prefix = dict(seg_map_path='types')
    dataset = build({'types': label}, data_prefix=prefix, transitions=TYPES)
    assert maps(dataset) == [[0, 1, 1, 0, NO], [NO, 1, 0, 0, NO], [NO, 2, NO, 0, NO]]
    assert '1 soil to road' in decided(dataset)['from']
    assert '7 unchanged water' in decided(dataset)['from']
    with pytest.raises(ValueError, match='reads one label file'):
        build({'types': label}, transitions=TYPES)
    report = check_dataset(dataset, progress=iter)
    assert not [p for p in report.problems if 'transitions' in p.message]


def test_a_type_that_is_not_listed_stops_and_an_unused_one_is_told(build):
    prefix = dict(seg_map_path_from='types')
    dataset = build({'types': row(0, 1, 1, 4)}, data_prefix=prefix, transitions=TYPES)
    with pytest.raises(LabelValueError, match=r'a\.png holds 25\.00 % .* value 4, which trans'):
        dataset[0]
    dataset = build({'types': row(0, 1, 1, 7)}, data_prefix=prefix, transitions=TYPES)
    problems = [p.message for p in check_dataset(dataset, progress=iter).problems]
    assert any('no label holds the types 2, 9 of transitions' in one for one in problems)


def test_types_by_colour_and_of_16_bits(build):
    red, green = (255, 0, 0), (0, 255, 0)
    label = np.array([[red, green, (1, 255, 0)]], np.uint8)
    options = dict(data_prefix=dict(seg_map_path='t'), transitions={red: (1, 2), green: None})
    with pytest.raises(LabelValueError, match=r'33\.33 % .* colour \(1, 255, 0\), which trans'):
        build({'t': label}, **options)[0]
    near = build({'t': label}, colour_tolerance=1, **options)
    assert maps(near) == [[1, 0, 0], [0, NO, NO], [1, NO, NO]]
    smoke = build({'t': label}, unknown_colours='ignore', **options)
    assert maps(smoke)[0] == [1, 0, NO]
    palette = Image.fromarray(row(0, 1), mode='P')
    palette.putpalette([*green, *red])
    palette.save(f'{smoke.data_root}/t/a.png')
    for folder in ('im1', 'im2'):
        Image.fromarray(np.zeros((1, 2, 3), np.uint8)).save(f'{smoke.data_root}/{folder}/a.png')
    assert maps(smoke)[0] == [0, 1]
    options['transitions'] = {203: ('soil', 'road'), 1000: None}
    wide = build({'t': row(1000, 203, dtype=np.uint16)}, **options)
    assert maps(wide) == [[0, 1], [NO, 1], [NO, 2]]


@pytest.mark.parametrize(
    ('table', 'message'),
    [
        ({}, 'dictionary of values'),
        ({1: ('soil', 'sand')}, r"transitions\[1\] names the class 'sand'"),
        ({1: ('soil', 'unchanged')}, 'stands for unchanged pixels'),
        ({1: ('soil',)}, 'pair of classes'),
        ({0: None, 1: ('soil', 'soil')}, 'nothing would be changed'),
        ({0: None, (1, 2, 3): ('soil', 'road')}, 'mixes values and colours'),
        ({1.5: None}, r'has the key 1\.5'),
    ],
)
def test_tables_of_transitions_that_can_not_be_read(build, table, message):
    with pytest.raises(ValueError, match=message):
        build({'t': row(0)}, data_prefix=dict(seg_map_path='t'), transitions=table)


# ----------------------------------------------------------------------------------------- bands

BANDS = dict(seg_map_path_from=1, seg_map_path_to=2, seg_map_path=3)
HI_UCD = np.array([[[0, 0, 0], [1, 1, 1], [2, 3, 2], [3, 3, 2]]], np.uint8)
HI_UCD_OPTIONS = dict(
    data_prefix=dict(seg_map_path='mask'),
    label_bands=BANDS,
    label_semantics='land_cover',
    change_map={0: 'ignored', 1: 'unchanged', 2: 'changed'},
)


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('window', [None, (1, 2)])
def test_a_band_for_each_role_is_read_once_a_sample(build, monkeypatch, suffix, window):
    dataset = build({'mask': HI_UCD}, suffix=suffix, window=window, **HI_UCD_OPTIONS)
    opened = []
    for module, name in (
        (label_bands, 'decode_picture'),
        (label_files, 'decode_picture'),
        (label_files, 'open_rasterio'),
    ):
        function = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *a, f=function, **k: opened.append(a[0]) or f(*a, **k)
        )
    found = [maps(dataset, index) for index in range(len(dataset))]
    assert len(opened) == len(dataset)
    joined = [[value for one in found for value in one[part]] for part in range(3)]
    assert joined == [[NO, 0, 1, 1], [NO, 0, 1, 2], [NO, 0, 2, 2]]
    assert 'band 2' in decided(dataset)['to']
    assert '2 is changed' in decided(dataset)['change']


def test_bands_that_are_missing_or_given_twice(build):
    options = {**HI_UCD_OPTIONS, 'label_bands': dict(BANDS, seg_map_path=4)}
    with pytest.raises(LabelFormatError, match=r'a\.png has 3 bands, but label_bands names band 4'):
        build({'mask': HI_UCD}, **options)[0]
    for bands, message in (
        (dict(seg_map_path_from=1, seg_map_path_to=1), 'one band in two roles'),
        (dict(before=1), 'keys of'),
        (dict(seg_map_path=0), 'counted from 1'),
    ):
        with pytest.raises(ValueError, match=message):
            build({'mask': HI_UCD}, **{**HI_UCD_OPTIONS, 'label_bands': bands})
    folders = dict(seg_map_path_from='mask', seg_map_path_to='mask')
    with pytest.raises(ValueError, match='set label_bands'):
        build({'mask': HI_UCD}, data_prefix=folders)
    with pytest.raises(LabelValueError, match='the value 2, which change_map does not list'):
        build({'mask': HI_UCD}, **{**HI_UCD_OPTIONS, 'change_map': {0: 'unchanged', 1: 'changed'}})[
            0
        ]


def test_a_mask_of_0_and_255_in_a_band(build):
    label = HI_UCD.copy()
    label[..., 2] = [[0, 0, 255, 255]]
    dataset = build({'mask': label}, **{**HI_UCD_OPTIONS, 'change_map': None})
    assert maps(dataset)[0] == [0, 0, 1, 1]
    assert decided(dataset)['change'].startswith('0/255 (no 1 in 1 files')


# --------------------------------------------------------------------------------------- one-hot

ONE_HOT = dict(label_storage='one_hot', label_semantics='land_cover', change_storage='difference')


def one_hot(*numbers, bands=3, scale=255):
    stored = np.zeros((1, len(numbers), bands), np.uint8)
    for column, number in enumerate(numbers):
        if number:
            stored[0, column, number - 1] = scale
    return stored


@pytest.mark.parametrize('scale', [1, 255])
def test_one_hot_bands(build, scale):
    labels = {
        'label1': one_hot(1, 2, 3, 0, scale=scale),
        'label2': one_hot(1, 3, 1, 2, scale=scale),
    }
    dataset = build(labels, suffix='.tif', **ONE_HOT)
    assert maps(dataset) == [[0, 1, 1, NO], [0, 1, 2, NO], [0, 2, 0, 1]]
    assert dataset[0]['label_unknown'] == 1
    roles = dict(seg_map_path_from='one_hot', seg_map_path_to='one_hot')
    assert maps(build(labels, suffix='.tif', **{**ONE_HOT, 'label_storage': roles}))[0][:2] == [
        0,
        1,
    ]


def test_one_hot_bands_that_contradict_each_other(build):
    twice = one_hot(1, 2)
    twice[0, 0, 2] = 255
    good = one_hot(1, 2)
    with pytest.raises(LabelValueError, match=r'a\.tif has two .*50\.00 %.*bands 1, 3 at row 0'):
        build(dict(label1=good, label2=twice), suffix='.tif', **ONE_HOT)[0]
    labels = dict(label1=good, label2=one_hot(1, 2, bands=4))
    with pytest.raises(LabelFormatError, match='has 4 bands, expected one for each of the 3'):
        build(labels, suffix='.tif', **ONE_HOT)[0]
    odd = good.copy()
    odd[0, 1, 2] = 7
    with pytest.raises(LabelValueError, match='holds the values 0, 7, 255'):
        build(dict(label1=good, label2=odd), suffix='.tif', **ONE_HOT)[0]


def test_one_hot_bands_that_label_map_merges_or_drops(build):
    labels = dict(label1=one_hot(1, 4, 5, bands=5), label2=one_hot(2, 2, 5, bands=5))
    options = dict(ONE_HOT, label_map={4: 'soil', 5: None})
    dataset = build(labels, suffix='.tif', **options)
    assert maps(dataset) == [[1, 0, NO], [0, 1, NO], [1, 1, NO]]


# ---------------------------------------------------------------------- zero, and what is ignored


@pytest.mark.parametrize('storage', ['index', 'rgb', 'palette'])
def test_zero_is_a_class(build, storage):
    before, after = row(0, 0, 1, 2), row(0, 1, 1, 0)
    colours = np.array(FROM_ZERO['semantic_palette'], np.uint8)
    labels = dict(label1=before, label2=after)
    if storage == 'rgb':
        labels = {folder: colours[one] for folder, one in labels.items()}
    dataset = build(labels, **FROM_ZERO, change_storage='difference')
    if storage == 'palette':
        for folder, one in labels.items():
            image = Image.fromarray(one, mode='P')
            image.putpalette(colours.ravel().tolist())
            image.save(f'{dataset.data_root}/{folder}/a.png')
        dataset = SCDDataset(
            data_root=dataset.data_root, pipeline=LOAD, change_storage='difference', **FROM_ZERO
        )
    assert maps(dataset) == [[0, 1, 0, 1], [0, 0, 1, 2], [0, 1, 1, 0]]
    assert dataset.metainfo['semantic_classes'] == ('unchanged', 'water', 'soil', 'road')
    assert "0 is the class 'water'" in decided(dataset)['from']
    problems = check_dataset(dataset, progress=iter).problems
    assert not [one for one in problems if 'land cover, but index 0' in one.message]


def test_zero_is_a_class_with_masks_beside_it(build):
    labels = dict(label1=row(0, 0, 255, 2), label2=row(0, 2, 1, 2), change=row(1, 1, 0, 0))
    dataset = build(labels, data_prefix=dict(seg_map_path='change'), **FROM_ZERO)
    # A class may be replaced by itself.
    assert maps(dataset) == [[1, 1, 0, 0], [0, 0, NO, 2], [0, 2, 1, 2]]
    Image.fromarray(row(0, 3, 1, 2)).save(f'{dataset.data_root}/label2/a.png')
    with pytest.raises(
        LabelValueError, match=r'label2/a\.png .* as 3, expected class indices 0 to 2'
    ):
        dataset[0]


def test_white_is_no_class_of_rgb_labels_counted_from_zero(build):
    labels = np.array([[(255, 255, 255), (0, 0, 255)]], np.uint8)
    options = dict(FROM_ZERO, change_storage='difference')
    with pytest.raises(LabelValueError, match=r'\(255, 255, 255\) 50\.00 %'):
        build(dict(label1=labels, label2=labels), **options)[0]
    ignored = build(dict(label1=labels, label2=labels), ignore_values=[(255, 255, 255)], **options)
    assert maps(ignored) == [[NO, 0], [NO, 0], [NO, 0]]


def test_labels_where_something_changed_counted_from_zero(build):
    labels = dict(label1=row(255, 0, 2), label2=row(255, 1, 0))
    options = dict(FROM_ZERO, label_semantics='semantic_change', unchanged_value=255)
    assert maps(build(labels, **options)) == [[0, 1, 1], [NO, 0, 2], [NO, 1, 0]]


def test_unknown_zero_leaves_the_change_to_the_mask(build):
    labels = dict(label1=row(0, 1, 0), label2=row(0, 0, 0), change=row(0, 1, 1))
    prefix = dict(seg_map_path='change')
    dataset = build(labels, data_prefix=prefix, zero_is='unknown')
    assert maps(dataset) == [[0, 1, 1], [NO, 0, NO], [NO, NO, NO]]
    with pytest.raises(ValueError, match="zero_is='unknown' leaves no value"):
        build(labels, zero_is='unknown')


def test_label_map_merges_drops_and_skips_holes(build):
    options = dict(FROM_ZERO, change_storage='difference')
    labels = dict(label1=row(40, 7, 1, 99), label2=row(40, 0, 40, 1))
    table = dict(label_map={40: 'road', 7: 0}, ignore_values=99)
    dataset = build(labels, **options, **table)
    assert maps(dataset) == [[0, 0, 1, NO], [2, 0, 1, NO], [2, 0, 2, 1]]
    assert "40 is 'road'; 7 is 'water'; 99 is ignored" in decided(dataset)['from']
    with pytest.raises(LabelValueError, match=r'as 99, expected .*values 40, 7 of label_map'):
        build(labels, **options, label_map=table['label_map'])[0]


def test_numbers_as_text_from_the_command_line_and_json():
    names = ('unchanged', 'water')
    assert parse_label_map({'40': 'water', '-1': None}, (), names) == ((40, 1), (-1, -1))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(zero_is='water'), 'zero_is has to be one of'),
        (dict(zero_is='class'), "lists 'unchanged', but zero_is='class'"),
        (
            dict(FROM_ZERO, label_semantics='semantic_change'),
            'leaves no value for unchanged pixels',
        ),
        (dict(zero_is='unchanged', label_semantics='land_cover'), 'contradicts label_semantics'),
        (dict(label_map={3: 'sand'}), r"label_map\[3\] names the class 'sand'"),
        (dict(label_map={3: 4}), 'names the class 4'),
        (dict(label_map={3: 'road'}, ignore_values=3), 'remove one'),
        (dict(label_map=[3]), 'dictionary of values'),
        (dict(ignore_values='3'), 'list of values'),
        (dict(ignore_values=[(0, 0, 256)]), 'has the key'),
        (dict(ignore_values=[(0, 0, 25)], label_storage='index'), 'name colours'),
        (dict(ignore_values=9, label_storage='rgb'), 'are of numbers'),
        (dict(label_storage=dict(before='rgb')), 'label_storage has the unknown keys'),
        (dict(change_map={0: 'same'}), r'change_map\[0\] has to be one of'),
        (dict(change_map={0: 'changed'}, change_storage='0/1'), 'both say'),
        (dict(change_storage='difference'), "needs label_semantics='land_cover'"),
        (
            dict(label_bands=dict(seg_map_path=1), change_storage='palette'),
            'is not for bands',
        ),
        (dict(no_data='white'), 'no_data has to be'),
        (dict(no_data=[]), 'no_data has to be'),
    ],
)
def test_options_that_contradict_each_other(build, options, message):
    with pytest.raises(ValueError, match=message):
        build(dict(label1=row(1), label2=row(1)), **options)


def test_a_mask_contradicts_the_difference(build):
    labels = dict(label1=row(1), label2=row(1), change=row(1))
    options = dict(label_semantics='land_cover', change_storage='difference')
    with pytest.raises(ValueError, match='remove one of the two'):
        build(labels, data_prefix=dict(seg_map_path='change'), **options)


# -------------------------------------------------------------------------------------- one date


@pytest.mark.parametrize('semantics', ['semantic_change', 'land_cover'])
def test_land_cover_of_one_date_and_a_mask(build, monkeypatch, semantics):
    said = []
    monkeypatch.setattr(scd_dataset, 'print_log', lambda text, **_: said.append(text))
    labels = dict(label1=row(0, 2, 3, 0), change=row(0, 1, 0, 1))
    prefix = dict(seg_map_path='change', seg_map_path_to=None)
    dataset = build(labels, data_prefix=prefix, label_semantics=semantics)
    contradicted = semantics == 'semantic_change'
    change, before, after = maps(dataset)
    assert change == ([0, 1, NO, NO] if contradicted else [0, 1, 0, 1])
    assert before == ([NO, 1, NO, NO] if contradicted else [NO, 1, 2, NO])
    assert after == [NO] * 4
    assert dataset[0]['label_conflicts'] == (2 if contradicted else 0)
    assert 'the land cover after is not labelled' in said[-1]
    problems = [p.message for p in check_dataset(dataset, progress=iter).problems]
    assert any('land cover is labelled at one date only (from)' in one for one in problems)
    with pytest.raises(ValueError, match='both dates or neither'):
        build(labels, data_prefix=dict(seg_map_path_to=None))


# ---------------------------------------------------------------------------------------- images


def test_labels_are_ignored_where_an_image_has_no_data(build):
    before = np.full((1, 4, 3), 9, np.uint8)
    after = before.copy()
    before[0, 0], after[0, 1] = 0, (255, 255, 255)
    after[0, 2] = (255, 255, 0)
    labels = dict(label1=row(1, 0, 2, 3), label2=row(2, 0, 2, 1))
    images = (before, after)
    assert maps(build(labels, images))[0] == [1, 0, 1, 1]
    dataset = build(labels, images, no_data=[(0, 0, 0), (255, 255, 255)])
    assert maps(dataset) == [[NO, NO, 1, 1], [NO, NO, 1, 2], [NO, NO, 1, 0]]
    assert 'ignored where an image is (0, 0, 0) or (255, 255, 255)' in decided(dataset)['from']
    assert maps(build(labels, images, no_data=0))[0] == [NO, 0, 1, 1]
    with pytest.raises(ValueError, match='no_data has 2 values, but 3 bands'):
        build(labels, images, no_data=(0, 0))[0]


def test_no_data_is_found_whatever_the_order_of_the_pipeline(build):
    before = np.full((1, 3, 3), 9, np.uint8)
    before[0, 1] = 0
    labels = dict(label1=row(1, 1, 0), label2=row(2, 2, 0))
    dataset = build(labels, (before, before), no_data=0)
    dataset.pipeline.transforms.reverse()
    assert maps(dataset)[0] == [1, NO, 0]


def test_no_data_is_the_stored_value_not_the_scaled_one(build):
    before = np.full((1, 3, 3), 120, np.uint8)
    before[0, 0] = 3
    labels = dict(label1=row(1, 1, 0), label2=row(2, 2, 0))
    dataset = build(labels, (before, before), no_data=3)
    dataset.pipeline.transforms[0].value_range = (100.0, 200.0)
    assert maps(dataset)[0] == [NO, 1, 0]
