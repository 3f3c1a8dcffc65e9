"""Test the storage decided for data sets, with files written by Pillow and rasterio."""

import json
import os
import time

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import SCDDataset, SECONDDataset, label_contract
from tfinet_mm.datasets.annotations import LabelSpec
from tfinet_mm.datasets.label_contract import decide_change_storage, decide_storage
from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.io.change_masks import read_change_mask
from tfinet_mm.io.labels import read_semantic_label
from tfinet_mm.structures import SECOND, ClassTable

COLOURS = np.array(SECOND.palette, np.uint8)
LABEL = np.array([[0, 1, 2, 3], [4, 5, 6, 0]], np.uint8)
LOAD = [dict(type='tfinet_mm.LoadPairAnnotations')]


@pytest.fixture
def save(tmp_path):
    def write(name, pixels, palette=None, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.asarray(pixels), mode='P' if palette is not None else None)
        if palette is not None:
            image.putpalette([int(v) for colour in palette for v in colour])
        image.save(path, **options)
        return str(path)

    return write


def decide(before, after=(), change=(), **options):
    files = dict([('from', before), ('to', after or before), ('change', change)])
    return decide_storage(LabelSpec(options.pop('table', SECOND), **options), files).storages


def names(storages):
    return {role: storage.name for role, storage in storages.items()}


# ------------------------------------------------------------------------------------- semantic


def test_plain_storages(save):
    index = [save(f'i{n}.png', LABEL) for n in range(3)]
    palette = [save(f'p{n}.png', LABEL, COLOURS) for n in range(3)]
    colours = [save(f'c{n}.png', COLOURS[LABEL]) for n in range(3)]
    grey = [save(f'g{n}.png', np.repeat(LABEL[..., None], 3, 2)) for n in range(3)]
    assert names(decide(index, palette)) == {'from': 'index', 'to': 'index'}
    assert names(decide(colours, grey)) == {'from': 'colours', 'to': 'index'}
    assert decide(colours)['from'].reason == '3 RGB files'
    # Palettes in the class colours agree with indices and with colours.
    assert names(decide([*colours, *palette])) == {'from': 'colours', 'to': 'colours'}
    assert names(decide([*index, *palette])) == {'from': 'index', 'to': 'index'}


def test_indices_and_colours_do_not_mix(save):
    files = [save('a.png', LABEL), save('b.png', COLOURS[LABEL])]
    with pytest.raises(LabelFormatError, match=r'a\.png holds class indices, .*b\.png colours'):
        decide(files)


def quantised(save, labels, colours):
    """Write RGB labels that a program reduced to a palette, each file alone."""
    return [
        save(f'{n}.png', np.asarray(image), np.array(image.getpalette()).reshape(-1, 3))
        for n, image in enumerate(
            Image.fromarray(colours[label]).convert('P', palette=Image.Palette.ADAPTIVE)
            for label in labels
        )
    ]


def test_quantised_class_colours_are_read_by_colour(save):
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 7, (8, 8)).astype(np.uint8) for _ in range(4)]
    files = quantised(save, labels, COLOURS)
    assert decide(files)['from'].name == 'colours'


def test_quantised_foreign_colours_are_refused(save):
    """Each file has its own order of colours of no class, so indices have no fixed meaning."""
    rng = np.random.default_rng(0)
    foreign = rng.integers(3, 250, (7, 3)).astype(np.uint8)
    labels = [
        rng.choice(7, (8, 8), p=p / p.sum()).astype(np.uint8)
        for p in (rng.random(7) for _ in range(4))
    ]
    files = quantised(save, labels, foreign)
    with pytest.raises(LabelFormatError, match='palettes that differ do not tell'):
        decide(files)
    # The same with a single file for each date.
    with pytest.raises(LabelFormatError, match='palettes that differ do not tell'):
        decide(files[:1], files[1:2])
    assert decide(files, storage='index')['from'].name == 'index'


def test_one_foreign_palette_and_ones_that_say_nothing_give_indices(save):
    foreign = [(250, 10 * i + 1, 7) for i in range(7)]
    ramp, black = [(i, i, i) for i in range(256)], np.zeros((256, 3), int)
    for palettes in ([foreign] * 3, [ramp, black, foreign]):
        files = [save(f'{n}.png', LABEL, palette) for n, palette in enumerate(palettes)]
        assert decide(files)['from'].name == 'index'


def test_255_in_a_class_colour_is_that_class(save):
    palette = np.zeros((256, 3), np.uint8)
    palette[:7] = COLOURS
    palette[0] = 9
    palette[255] = COLOURS[0]
    path = save('a.png', np.where(LABEL == 0, np.uint8(255), LABEL), palette)
    storage = decide([path])['from']
    assert storage.name == 'colours'
    read = read_semantic_label(path, SECOND, storage)
    assert np.array_equal(read.values, LABEL)


@pytest.mark.parametrize('bits', [1, 8])
def test_change_masks_are_no_land_cover(save, bits):
    mask = LABEL > 0
    masks = [save('m.png', mask if bits == 1 else mask.astype(np.uint8))]
    labels = [save('l.png', LABEL)]
    with pytest.raises(LabelFormatError, match=r'm\.png.*looks? like (a )?change mask'):
        decide(masks, labels)
    with pytest.raises(LabelFormatError, match=r'like (a )?change mask'):
        decide(masks)
    with pytest.raises(LabelFormatError, match='hold only 0 and 255'):
        decide([save('w.png', mask * np.uint8(255))], labels)
    assert decide(masks, labels, storage='index')['from'].name == 'index'


def test_one_class_may_be_all_there_is(save):
    one = [save('o.png', np.array([[0, 1, 1]], np.uint8))]
    few = [save('f.png', np.array([[0, 2, 3]], np.uint8))]
    # Forest changes into other classes, and no other class into forest.
    assert names(decide(one, few)) == {'from': 'index', 'to': 'index'}
    # Class colours, or a table of one class, show that it isn't a mask.
    assert decide([save('p.png', np.array([[0, 1, 1]], np.uint8), COLOURS)])['from'].name == 'index'
    single = ClassTable(('unchanged', 'building'), ((0, 0, 0), (255, 0, 0)))
    assert decide(one, table=single)['from'].name == 'index'


def test_255_for_unchanged_has_to_be_said(save):
    stored = np.where(LABEL == 0, np.uint8(255), LABEL)
    files = [save('a.png', stored)]
    with pytest.raises(LabelFormatError, match=r'255 and never 0.*unchanged_value=255'):
        decide(files)
    storage = decide(files, unchanged_value=255)['from']
    assert np.array_equal(read_semantic_label(files[0], SECOND, storage).values, LABEL)
    with pytest.raises(LabelValueError, match='as 0, but unchanged_value=255'):
        read_semantic_label(save('b.png', LABEL), SECOND, storage)
    # A change mask marks the unchanged pixels.
    mask = [save('m.png', (LABEL > 0).astype(np.uint8))]
    assert decide(files, change=mask)['from'].name == 'index'


def test_a_window_of_ignored_pixels_is_no_mask_where_other_files_hold_classes(save):
    files = [save('a.png', np.array([[0, 255]], np.uint8)), save('b.png', LABEL)]
    storage = decide(files)['from']
    assert read_semantic_label(files[0], SECOND, storage).values.tolist() == [[0, 255]]


# ---------------------------------------------------------------------------------- change masks


def test_a_one_anywhere_makes_255_ignored_everywhere(save):
    """A window of a 0/1/255 mask that holds only 255 must not be read as all changed."""
    files = [save(f'{n}.png', np.array([[0, 255]], np.uint8)) for n in range(40)]
    assert decide_change_storage(files).name == '0/255'
    files.append(save('z.png', np.array([[0, 1]], np.uint8)))
    storage = decide_change_storage(files)
    assert storage.name == '0/1'
    assert 'z.png holds 1' in storage.reason
    assert '40 files' in storage.reason


def test_reading_stops_at_the_first_mask_that_settles_it(save, monkeypatch):
    files = [save(f'{n}.png', np.array([[0, 1]], np.uint8)) for n in range(200)]
    seen = []
    verdict = label_contract._mask_verdict
    monkeypatch.setattr(label_contract, '_mask_verdict', lambda p: seen.append(p) or verdict(p))
    assert decide_change_storage(files).name == '0/1'
    assert len(seen) == 1


@pytest.mark.parametrize('white_first', [False, True])
def test_palette_masks_are_read_by_black_and_white(save, white_first):
    """A program that reduces colours puts the more frequent one first."""
    mask = np.zeros((20, 20), bool)
    mask[3:5, 3:8] = True
    palette = [(255, 255, 255), (0, 0, 0)] if white_first else [(0, 0, 0), (255, 255, 255)]
    path = save('a.png', (mask != white_first).astype(np.uint8), palette)
    storage = decide_change_storage([path])
    read = read_mask(path, storage)
    assert np.array_equal(read, mask)


def read_mask(path, storage):
    return read_change_mask(path, storage).values


def test_palettes_that_do_not_tell_what_changed_are_refused(save):
    path = save('a.png', np.array([[0, 1]], np.uint8), [(255, 255, 255), (255, 0, 0)])
    with pytest.raises(LabelFormatError, match=r'a\.png is a change mask with the palette'):
        decide_change_storage([path])
    assert read_mask(path, '0/1').tolist() == [[0, 1]]
    # With black and red, the first one, black, is unchanged.
    red = save('b.png', np.array([[0, 1]], np.uint8), [(0, 0, 0), (255, 0, 0)])
    assert decide_change_storage([red]).name == '0/1'


def test_palette_masks_among_grey_ones_of_0_and_1_are_refused(save):
    inverted = save('a.png', np.array([[0, 1]], np.uint8), [(255, 255, 255), (0, 0, 0)])
    grey = save('b.png', np.array([[0, 1]], np.uint8))
    with pytest.raises(LabelFormatError, match=r'a\.png .*by its palette, .*b\.png'):
        decide_change_storage([inverted, grey])
    storage = decide_change_storage([grey, inverted])  # It stops at the first one.
    with pytest.raises(LabelFormatError, match='shows other pixels in white'):
        read_mask(inverted, storage)


def test_windows_are_read_as_their_data_set_decides(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    values = np.zeros((6, 8), np.uint8)
    values[0, 0] = 1
    values[:, 4:] = 255
    for folder, array in (
        ('im1', np.zeros((3, 6, 8), np.uint8)),
        ('im2', np.ones((3, 6, 8), np.uint8)),
        ('label1', np.full((1, 6, 8), 2, np.uint8)),
        ('label2', np.full((1, 6, 8), 3, np.uint8)),
        ('change', values[None]),
    ):
        (tmp_path / folder).mkdir()
        profile = dict(driver='GTiff', width=8, height=6, count=len(array), dtype='uint8')
        with rasterio.open(tmp_path / folder / 'a.tif', 'w', **profile) as file:
            file.write(array)
    dataset = SECONDDataset(
        data_root=str(tmp_path),
        data_prefix=dict(seg_map_path='change'),
        label_semantics='land_cover',
        img_suffix='.tif',
        seg_map_suffix='.tif',
        window=4,
        pipeline=LOAD,
    )
    found = {dataset.get_data_info(i)['sample_id']: dataset[i]['gt_seg_map'] for i in range(4)}
    assert found['a_x0_y0'].sum() == 1
    # The window holds only 255, which is ignored because the file holds 1.
    assert (found['a_x4_y0'] == 255).all()
    assert (found['a_x4_y2'] == 255).all()


# -------------------------------------------------------------------------------- whole data sets


def test_a_fold_is_decided_by_all_pairs(make_scd, tmp_path):
    make_scd(['a', 'b'], mask='0/255')
    mask = np.asarray(Image.open(tmp_path / 'change' / 'b.png')).copy()
    mask[mask == 255] = 1
    Image.fromarray(mask).save(tmp_path / 'change' / 'b.png')
    storages = [
        SECONDDataset(
            data_root=str(tmp_path),
            data_prefix=dict(seg_map_path='change'),
            fold=dict(every=2, keep=keep),
        ).label_spec.storages['change']
        for keep in ('held_out', 'rest')
    ]
    assert [one.name for one in storages] == ['0/1', '0/1']


def test_smoothed_colours_need_a_word(make_scd, tmp_path):
    make_scd(['a'], sizes=(2, 4))
    image = COLOURS[LABEL]
    image[0, 1] = (4, 2, 250)  # Near the colour of water.
    image[0, 2] = (60, 120, 60)  # Halfway between two classes.
    for folder in ('label1', 'label2'):
        Image.fromarray(image).save(tmp_path / folder / 'a.png')
    load = dict(data_root=str(tmp_path), pipeline=LOAD)
    with pytest.raises(LabelValueError, match=r'colour_tolerance=.*unknown_colours="ignore"'):
        SECONDDataset(**load)[0]
    with pytest.raises(LabelValueError, match=r'12\.50 %'):
        SECONDDataset(**load, colour_tolerance=5)[0]
    loaded = SECONDDataset(**load, colour_tolerance=5, unknown_colours='ignore')[0]
    assert loaded['gt_seg_map'].tolist() == [[0, 1, 255, 1], [1, 1, 1, 0]]
    assert loaded['gt_seg_map_from'][0].tolist() == [255, 0, 255, 2]
    assert loaded['label_unknown'] == 2


@pytest.mark.parametrize(
    'options',
    [
        dict(unchanged_value=7),
        dict(colour_tolerance=200),
        dict(colour_tolerance=1.5),
        dict(unknown_colours='nearest'),
        dict(change_storage='rgb'),
    ],
)
def test_options_out_of_range(make_scd, tmp_path, options):
    make_scd(['a'])
    with pytest.raises(ValueError, match=next(iter(options))):
        SECONDDataset(data_root=str(tmp_path), **options)


# ------------------------------------------------------------------------------- the kept decision


@pytest.fixture
def settled(make_scd, tmp_path, monkeypatch):
    make_scd(['a', 'b'], mask='0/255')
    time.sleep(0.06)
    looked = []
    decide_all = label_contract._decide
    monkeypatch.setattr(label_contract, '_decide', lambda *a: looked.append(1) or decide_all(*a))
    monkeypatch.setattr(label_contract, '_decided', {})

    def build():
        label_contract._decided.clear()
        dataset = SCDDataset(
            data_root=str(tmp_path),
            data_prefix=dict(seg_map_path='change'),
            metainfo=SECOND.metainfo(),
        )
        return dataset.label_spec.storages, len(looked)

    return build


def test_a_decision_is_kept_until_a_file_changes(settled, tmp_path):
    first, times = settled()
    again, later = settled()
    assert (times, later) == (1, 1)
    assert again == first
    Image.fromarray(np.eye(16, dtype=np.uint8)[:12]).save(tmp_path / 'change' / 'a.png')
    time.sleep(0.06)
    changed, times = settled()
    assert times == 2
    assert (first['change'].name, changed['change'].name) == ('0/255', '0/1')


@pytest.mark.skipif(os.name == 'nt', reason='has no time of status change')
def test_a_damaged_cache_and_one_that_can_not_be_written_only_cost_time(
    settled, tmp_path, monkeypatch
):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    first, _ = settled()
    (kept,) = (tmp_path / 'cache').rglob('*.json')
    assert json.loads(kept.read_text())['change']['name'] == '0/255'
    kept.write_text('{"change"')
    assert settled() == (first, 2)
    monkeypatch.setenv('XDG_CACHE_HOME', str(kept))  # A file where a folder is needed.
    assert settled() == (first, 3)
