import logging

import numpy as np
import pytest
from conftest import write_label
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from PIL import Image
from torch.utils.data import DataLoader

from tfinet_mm.datasets import LandsatSCDDataset, SCDDataset, SECONDDataset
from tfinet_mm.datasets.transforms import LoadImagePair, LoadPairAnnotations
from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.pseudo_labels.layout import confidence_path, pseudo_label_path
from tfinet_mm.pseudo_labels.transforms import LoadPseudoLabels
from tfinet_mm.structures import LANDSAT_SCD, SECOND, ClassTable

DATES = ('from', 'to')


def confidence_of(label, date):
    """Return the confidence 0..255 by class and date, so that it is known after any crop."""
    return (label * 30 + (date == 'to') * 7).astype(np.uint8)


def write_pseudo(root, name, labels, seed=0, table=SECOND, storage='palette', confidence=True):
    """Write pseudo labels: the annotation, random classes 0..K where it has none."""
    rng = np.random.default_rng(seed)
    written = {}
    for date, label in zip(DATES, labels, strict=True):
        guess = rng.integers(0, table.num_classes + 1, label.shape).astype(np.uint8)
        written[date] = np.where(label > 0, label, guess)
        write_label(pseudo_label_path(root, name, date), written[date], storage, table)
        if confidence:
            path = confidence_path(root, name, date)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(confidence_of(written[date], date)).save(path)
    return written


@pytest.fixture
def pair(make_scd, tmp_path):
    """Return arrays of one pair, its pseudo labels, and a function that loads it with options."""
    made = make_scd(names=['sub dir/a.b c'])['sub dir/a.b c']
    pseudo = write_pseudo(
        tmp_path / 'pseudo', 'sub dir/a.b c', (made['label_from'], made['label_to'])
    )
    dataset = SECONDDataset(data_root=str(tmp_path))

    def load(**options):
        results = LoadPairAnnotations()(LoadImagePair()(dataset.get_data_info(0)))
        return LoadPseudoLabels(tmp_path / 'pseudo', **options)(results)

    return made, pseudo, load


def test_fills_what_is_unchanged_and_unknown(pair):
    made, pseudo, load = pair
    results = load()
    assert np.array_equal(results['gt_seg_map'], made['change'])
    filled = 0
    for date in DATES:
        found = results[f'gt_seg_map_{date}']
        assert found.dtype == np.uint8
        for y, x in np.ndindex(found.shape):
            if made['change'][y, x] == 1:
                expected = made[f'label_{date}'][y, x] - 1
            elif pseudo[date][y, x] > 0:
                expected = pseudo[date][y, x] - 1
                filled += 1
            else:
                expected = 255
            assert found[y, x] == expected
    assert filled > 100
    assert 'gt_weight_from' not in results
    assert results['seg_fields'] == ['gt_seg_map', 'gt_seg_map_from', 'gt_seg_map_to']


def test_the_arrays_that_came_are_left_alone(pair, tmp_path):
    results = pair[2]()
    results['gt_seg_map_from'] = np.full_like(results['gt_seg_map_from'], 255)
    results['gt_seg_map'] = np.zeros_like(results['gt_seg_map'])
    before = results['gt_seg_map_from']
    LoadPseudoLabels(tmp_path / 'pseudo')(results)
    assert (before == 255).all()
    assert (results['gt_seg_map_from'] != 255).any()


@pytest.mark.parametrize('weight', [None, 0.25, 3, 'confidence'])
@pytest.mark.parametrize('least', [0.0, 0.5])
def test_confidence_and_weights(pair, least, weight):
    made, pseudo, load = pair
    results = load(min_confidence=least, weight=weight)
    filled = 0
    for date in DATES:
        confidence = confidence_of(pseudo[date], date)
        for y, x in np.ndindex(made['change'].shape):
            label = results[f'gt_seg_map_{date}'][y, x]
            share = int(confidence[y, x]) / 255
            if made['change'][y, x] == 1:
                expected = 1.0
            elif pseudo[date][y, x] > 0 and share >= least:
                assert label == pseudo[date][y, x] - 1
                expected = share if weight == 'confidence' else weight
                filled += 1
            else:
                assert label == 255
                expected = 0.0
            if weight is not None:
                assert results[f'gt_weight_{date}'][y, x] == pytest.approx(expected, abs=1e-6)
    assert filled > 30
    if weight is None:
        assert 'gt_weight_to' not in results
    else:
        assert results['gt_weight_to'].dtype == np.float32
        assert results['seg_fields'][3:] == ['gt_weight_from', 'gt_weight_to']


def test_ignored_pixels_stay_ignored(make_scd, tmp_path):
    """Pixels are ignored if the annotation contradicts itself, changed on one date alone."""
    made = make_scd(names=['a'], storage='palette')['a']
    label_from, label_to = made['label_from'].copy(), made['label_to'].copy()
    label_from[:4], label_to[:4] = 3, 0
    write_label(tmp_path / 'im1' / '..' / 'label1' / 'a.png', label_from, 'palette')
    write_label(tmp_path / 'label2' / 'a.png', label_to, 'palette')
    write_pseudo(tmp_path / 'pseudo', 'a', (label_from, label_to))
    info = SECONDDataset(data_root=str(tmp_path)).get_data_info(0)
    results = LoadPseudoLabels(tmp_path / 'pseudo', weight=0.5)(LoadPairAnnotations()(info))
    for key in ('gt_seg_map', 'gt_seg_map_from', 'gt_seg_map_to'):
        assert (results[key][:4] == 255).all()
    assert (results['gt_weight_from'][:4] == 0).all()


AFTER = {
    'flip or rotate': [dict(type='tfinet_mm.RandomFlipOrRotate')],
    'crop': [dict(type='tfinet_mm.RandomCropWithChange', crop_size=(7, 9), min_change=0.3)],
    'exchange': [dict(type='tfinet_mm.ExchangeDates')],
    'resize': [dict(type='Resize', scale=(30, 20), keep_ratio=False)],
    'random resize': [
        dict(type='RandomResize', scale=(32, 24), ratio_range=(0.5, 2), keep_ratio=True)
    ],
    'of mmseg': [
        dict(type='RandomCrop', crop_size=(8, 8), cat_max_ratio=0.9),
        dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    ],
    'all': [
        dict(type='tfinet_mm.ExchangeDates'),
        dict(type='RandomResize', scale=(32, 24), ratio_range=(1, 2), keep_ratio=True),
        dict(type='tfinet_mm.RandomCropWithChange', crop_size=9, min_change=0.1),
        dict(type='tfinet_mm.RandomFlipOrRotate'),
        dict(type='tfinet_mm.PairPhotoMetricDistortion'),
    ],
}


@pytest.mark.parametrize('name', AFTER)
def test_weights_follow_the_labels_through_later_transforms(pair, tmp_path, name):
    """The weight of each pixel follows from its class, on both dates."""
    init_default_scope('mmseg')
    set_random_seed(0)
    dataset = SECONDDataset(
        data_root=str(tmp_path),
        pipeline=[
            dict(type='tfinet_mm.LoadImagePair'),
            dict(type='tfinet_mm.LoadPairAnnotations'),
            dict(
                type='tfinet_mm.LoadPseudoLabels',
                data_root=str(tmp_path / 'pseudo'),
                weight='confidence',
            ),
            *AFTER[name],
            dict(type='tfinet_mm.PackPairInputs'),
        ],
    )
    exchanged = set()
    for _ in range(8):
        packed = dataset[0]
        sample = packed['data_samples']
        exchanged.add(sample.exchanged)
        change = sample.gt_sem_seg.data.numpy()
        for date in DATES:
            # After an exchange the first date's weights are those of the file of the second.
            file = DATES[1 - DATES.index(date)] if sample.exchanged else date
            label = sample.get(f'gt_sem_seg_{date}').data.numpy()
            weight = sample.get(f'gt_weight_{date}').data.numpy()
            assert weight.dtype == np.float32
            assert weight.shape == label.shape == (1, *packed['inputs'].shape[1:])
            known = label != 255
            expected = confidence_of(label + 1, file).astype(np.float32) / 255
            expected[change == 1] = 1
            np.testing.assert_allclose(weight[known], expected[known], atol=1e-6)
            assert ((change == 0) & known).any()
            assert (weight[~known] == 0).all()
    assert exchanged == ({False, True} if name in ('exchange', 'all') else {False})


def test_windows_of_tiles(make_scd, tmp_path):
    made = make_scd(names=['t'], sizes=(12, 16))['t']
    expected = {}
    for top in (0, 6):
        for left in (0, 8):
            cut = (slice(top, top + 6), slice(left, left + 8))
            labels = (made['label_from'][cut], made['label_to'][cut])
            name = f't_x{left}_y{top}'
            expected[name] = write_pseudo(tmp_path / 'pseudo', name, labels, seed=top + left)
    dataset = SECONDDataset(data_root=str(tmp_path), window=(6, 8))
    assert len(dataset) == 4
    load = LoadPseudoLabels(tmp_path / 'pseudo')
    for index in range(4):
        results = load(LoadPairAnnotations()(dataset.get_data_info(index)))
        pseudo = expected[results['sample_id']]['from']
        assert np.array_equal(results['gt_seg_map_from'] + np.uint8(1), pseudo)


def test_transitions_of_landsat(tmp_path):
    """The classes of each date follow from one label file of transitions."""
    rng = np.random.default_rng(3)
    transitions = rng.integers(0, 10, (8, 9)).astype(np.uint8)
    before = np.array([0, 1, 1, 2, 2, 2, 3, 3, 4, 4], np.uint8)[transitions]
    after = np.array([0, 2, 3, 1, 3, 4, 1, 2, 1, 2], np.uint8)[transitions]
    for folder in 'AB':
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(tmp_path / folder / 'x.png')
    write_label(tmp_path / 'label' / 'x.png', transitions, 'index')
    pseudo = write_pseudo(tmp_path / 'pseudo', 'x', (before, after), table=LANDSAT_SCD)
    info = LandsatSCDDataset(data_root=str(tmp_path)).get_data_info(0)
    results = LoadPseudoLabels(tmp_path / 'pseudo')(LoadPairAnnotations()(info))
    for date in DATES:
        found = results[f'gt_seg_map_{date}'].astype(int)
        assert np.array_equal(np.where(found == 255, 0, found + 1), pseudo[date])


def test_land_cover_with_gaps(tmp_path):
    """In labels of nearly every pixel, like those of HRSCD, only gaps are filled."""
    rng = np.random.default_rng(4)
    cover = [rng.integers(0, 7, (8, 9)).astype(np.uint8) for _ in DATES]
    mask = (rng.random((8, 9)) < 0.3).astype(np.uint8)
    for number, label in enumerate(cover, 1):
        image = np.zeros((8, 9, 3), np.uint8)
        (tmp_path / f'im{number}').mkdir()
        Image.fromarray(image).save(tmp_path / f'im{number}' / 'x.png')
        write_label(tmp_path / f'label{number}' / 'x.png', label, 'palette')
    write_label(tmp_path / 'change' / 'x.png', mask, '0/255')
    pseudo = write_pseudo(tmp_path / 'pseudo', 'x', cover)
    dataset = SCDDataset(
        data_root=str(tmp_path),
        data_prefix=dict(seg_map_path='change'),
        label_semantics='land_cover',
        metainfo=SECOND.metainfo(),
    )
    load = LoadPseudoLabels(tmp_path / 'pseudo')
    results = load(LoadPairAnnotations()(dataset.get_data_info(0)))
    for date, label in zip(DATES, cover, strict=True):
        expected = np.where((label == 0) & (mask == 1), 0, pseudo[date])
        assert np.array_equal(results[f'gt_seg_map_{date}'] + np.uint8(1), expected)


def test_classes_in_another_order_are_told_by_their_colours(pair, tmp_path):
    _, pseudo, load = pair
    expected = load()
    order = [0, 6, 5, 4, 3, 2, 1]
    shuffled = ClassTable(
        tuple(SECOND.names[i] for i in order), tuple(SECOND.palette[i] for i in order)
    )
    for date in DATES:
        label = np.array(order, np.uint8)[pseudo[date]]
        path = pseudo_label_path(tmp_path / 'pseudo', 'sub dir/a.b c', date)
        write_label(path, label, 'palette', shuffled)
    found = load()
    for date in DATES:
        assert np.array_equal(found[f'gt_seg_map_{date}'], expected[f'gt_seg_map_{date}'])


class TestBadFolders:
    def path(self, tmp_path, date='to'):
        return pseudo_label_path(tmp_path / 'pseudo', 'sub dir/a.b c', date)

    def test_of_another_pair(self, pair, tmp_path):
        made = pair[0]
        wrong = np.where(made['label_to'] > 0, made['label_to'] % 6 + 1, 1).astype(np.uint8)
        write_label(self.path(tmp_path), wrong, 'palette')
        changed = int(made['change'].sum())
        with pytest.raises(
            LabelValueError, match=rf'a\.b c\.png contradicts .* {changed} of {changed} annotated'
        ):
            pair[2]()

    def test_with_one_annotated_pixel_left_out(self, pair, tmp_path):
        _, pseudo, load = pair
        y, x = np.argwhere(pair[0]['change'] == 1)[0]
        label = pseudo['to'].copy()
        label[y, x] = 0
        write_label(self.path(tmp_path), label, 'palette')
        with pytest.raises(LabelValueError, match='at 1 of'):
            load()

    def test_stored_as_rgb_or_grey(self, pair, tmp_path):
        _, pseudo, load = pair
        write_label(self.path(tmp_path), pseudo['to'], 'rgb')
        with pytest.raises(LabelFormatError, match='the storage is stated as palette'):
            load()
        write_label(self.path(tmp_path), pseudo['to'], 'index')
        with pytest.raises(LabelFormatError, match='no palette'):
            load()

    def test_of_other_classes(self, pair, tmp_path):
        table = ClassTable((*SECOND.names, 'ice'), (*SECOND.palette, (1, 2, 3)))
        write_label(self.path(tmp_path), np.full((12, 16), 7, np.uint8), 'palette', table)
        with pytest.raises(LabelValueError, match=r'\(1, 2, 3\)'):
            pair[2]()

    def test_of_another_size(self, pair, tmp_path):
        write_label(self.path(tmp_path), np.ones((6, 16), np.uint8), 'palette')
        with pytest.raises(LabelFormatError, match=r'16 x 6 pixels .* 16 x 12'):
            pair[2]()

    def test_that_can_not_be_read(self, pair, tmp_path):
        self.path(tmp_path).write_bytes(b'\x89PNG\r\n\x1a\n and no more')
        with pytest.raises(LabelFormatError, match=r'a\.b c\.png can not be read'):
            pair[2]()

    @pytest.mark.parametrize(
        ('image', 'message'),
        [
            (np.zeros((12, 16, 3), np.uint8), 'no confidence map'),
            (np.zeros((12, 16), np.uint16), 'no confidence map'),
            (np.zeros((12, 12), np.uint8), '12 x 12 pixels'),
        ],
    )
    def test_confidence(self, pair, tmp_path, image, message):
        path = confidence_path(tmp_path / 'pseudo', 'sub dir/a.b c', 'from')
        Image.fromarray(image).save(path)
        pair[2]()  # without an option that needs it, it isn't read
        with pytest.raises(LabelFormatError, match=message):
            pair[2](weight='confidence')
        path.unlink()
        with pytest.raises(FileNotFoundError, match=r'no confidence .*--confidence'):
            pair[2](min_confidence=0.1)

    def test_no_folder(self, pair, tmp_path):
        load = LoadPseudoLabels(tmp_path / 'nowhere', missing='keep')
        with pytest.raises(FileNotFoundError, match='nowhere/label1'):
            load(pair[2]())


def test_missing_files(pair, tmp_path):
    made, _, load = pair
    for date in DATES:
        path = pseudo_label_path(tmp_path / 'pseudo', 'sub dir/a.b c', date)
        # A single missing date is an error, even with 'keep'.
        with pytest.raises(FileNotFoundError, match=r'a\.b c\.png'):
            path.unlink() or load(missing='keep' if date == 'from' else 'error')
    results = load(missing='keep', weight=0.5)
    for date in DATES:
        label = made[f'label_{date}']
        assert np.array_equal(results[f'gt_seg_map_{date}'] + np.uint8(1), label)
        assert np.array_equal(results[f'gt_weight_{date}'], (label > 0).astype(np.float32))


@pytest.mark.parametrize('workers', [0, 2])
def test_pairs_without_pseudo_labels_are_counted_over_all_workers(
    make_scd, tmp_path, caplog, workers
):
    names = [f'{number:02}' for number in range(14)]
    made = make_scd(names=names)
    for name in names[:3]:
        write_pseudo(tmp_path / 'pseudo', name, (made[name]['label_from'], made[name]['label_to']))
    load = LoadPseudoLabels(tmp_path / 'pseudo', missing='keep')
    dataset = SECONDDataset(
        data_root=str(tmp_path), pipeline=[LoadImagePair(), LoadPairAnnotations(), load]
    )
    logger = MMLogger.get_current_instance()
    with caplog.at_level(logging.WARNING, logger=logger.name):
        logger.addHandler(caplog.handler)
        for _ in DataLoader(dataset, num_workers=workers, collate_fn=pseudo_collate):
            pass
        logger.removeHandler(caplog.handler)
    assert load.counts == (3, 11)
    if workers == 0:  # log records of other processes aren't captured
        warnings = [record.getMessage() for record in caplog.records]
        assert [text.split(' had')[0] for text in warnings] == [
            '1 of 4 pairs loaded so far',
            '10 of 13 pairs loaded so far',
        ]
        assert '/03.png' in warnings[0]


@pytest.mark.parametrize(
    'done',
    [
        dict(flip=True),
        dict(rotation=90),
        dict(exchanged=True),
        dict(crop_bbox=(0, 1, 0, 1)),
        dict(scale_factor=(2, 2)),
    ],
)
def test_it_comes_before_what_changes_the_pair(pair, tmp_path, done):
    results = {**pair[2](), **done}
    with pytest.raises(ValueError, match=f'{next(iter(done))}.*directly after'):
        LoadPseudoLabels(tmp_path / 'pseudo')(results)


def test_it_needs_annotations(pair, tmp_path):
    results = pair[2]()
    del results['gt_seg_map_to']
    with pytest.raises(ValueError, match=r'gt_seg_map_to.*after LoadPairAnnotations'):
        LoadPseudoLabels(tmp_path / 'pseudo')(results)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(min_confidence=1.2), 'min_confidence'),
        (dict(weight=0), 'weight'),
        (dict(weight=-1.0), 'weight'),
        (dict(weight=True), 'weight'),
        (dict(weight=float('nan')), 'weight'),
        (dict(weight='some'), 'weight'),
        (dict(missing='ignore'), 'missing'),
    ],
)
def test_options_out_of_range(tmp_path, options, message):
    with pytest.raises(ValueError, match=f'{message} has to be'):
        LoadPseudoLabels(tmp_path, **options)


def test_it_says_its_options(tmp_path):
    text = repr(Compose([LoadPseudoLabels('somewhere', 0.5, 'confidence', 'keep')]))
    assert "data_root='somewhere', min_confidence=0.5, weight='confidence'" in text
