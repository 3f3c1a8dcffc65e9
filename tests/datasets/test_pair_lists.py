"""Test pairs of more than two dates and list files of several paths a line."""

import re
from pathlib import Path

import pytest
from PIL import Image

from tfinet_mm.datasets import SCDDataset
from tfinet_mm.datasets.pair_lists import checked_columns, filled, read_columns
from tfinet_mm.errors import UnmatchedPairError
from tfinet_mm.registry import DATASETS

TABLE = dict(
    semantic_classes=['same', 'wet', 'dry'],
    semantic_palette=[[255, 255, 255], [0, 0, 255], [90, 60, 30]],
    label_storage='index',
)
IMAGES = ('img_path_from', 'img_path_to')
COVERS = ('seg_map_path_from', 'seg_map_path_to')
COLUMNS = [*IMAGES, None, *COVERS]


def write(path, value, mode='RGB'):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (4, 4), value if mode == 'L' else (value,) * 3).save(path)


def entries(dataset):
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def ids(dataset):
    return [one['sample_id'] for one in entries(dataset)]


@pytest.fixture
def places(tmp_path):
    """Write images and labels of the places a and b at the dates 15, 16 and 18."""
    for grey, place in enumerate('ab'):
        for number, year in enumerate((15, 16, 18)):
            write(tmp_path / f'HS/imgs/HS{year}_{place}.png', 10 * number + grey)
            write(tmp_path / f'HS/class/HS{year}_{place}.png', number, 'L')
    return tmp_path


def dated(root, **options):
    return SCDDataset(
        data_root=str(root),
        **{
            **TABLE,
            'dates': [('15', '16'), ('16', '18'), ('15', '18')],
            'data_prefix': dict.fromkeys((*IMAGES, *COVERS), ''),
            'key_pattern': {
                'img_path_from': '/imgs/HS{before}(?=_)',
                'img_path_to': '/imgs/HS{after}(?=_)',
                'seg_map_path_from': '/class/HS{before}(?=_)',
                'seg_map_path_to': '/class/HS{after}(?=_)',
            },
            **options,
        },
    )


def test_every_pair_of_dates_of_every_place(places):
    found = entries(dated(places))
    assert [one['sample_id'] for one in found] == [
        f'HS_{place}_{dates}' for dates in ('15_16', '16_18', '15_18') for place in 'ab'
    ]
    last = found[-1]
    assert last['img_path'] == [str(places / f'HS/imgs/HS{year}_b.png') for year in (15, 18)]
    assert last['seg_map_path_from'] == str(places / 'HS/class/HS15_b.png')
    assert last['seg_map_path_to'] == str(places / 'HS/class/HS18_b.png')


def test_dates_in_the_names_of_folders_and_suffixes(tmp_path):
    for year in (2017, 2018, 2019):
        write(tmp_path / f'image/{year}/9/x_{year}.png', 0)
    dataset = dated(
        tmp_path,
        dates=[('2017', '2018'), ('2018', '2019')],
        data_prefix=dict(
            img_path_from='image/{before}',
            img_path_to='image/{after}',
            seg_map_path_from=None,
            seg_map_path_to=None,
        ),
        img_suffix=dict(img_path_from='_{before}.png', img_path_to='_{after}.png'),
        key_pattern=None,
        test_mode=True,
    )
    assert ids(dataset) == ['9/x_2017_2018', '9/x_2018_2019']
    assert dataset.get_data_info(1)['img_path'][1] == str(tmp_path / 'image/2019/9/x_2019.png')


def test_folds_and_lists_are_of_places_never_of_pairs(places):
    fold = dict(every=2, start=0)
    assert ids(dated(places, fold={**fold, 'keep': 'held_out'})) == [
        'HS_a_15_16',
        'HS_a_16_18',
        'HS_a_15_18',
    ]
    assert all('_b_' in name for name in ids(dated(places, fold={**fold, 'keep': 'rest'})))
    (places / 'train.txt').write_text('HS_b\n')
    assert ids(dated(places, ann_file='train.txt', dates=[('15', '18')])) == ['HS_b_15_18']
    (places / 'train.txt').write_text('HS15_b\n')
    with pytest.raises(UnmatchedPairError, match=r"1 of the 1 places .*'HS15_b'.*example 'HS_a'"):
        dated(places, ann_file='train.txt')


def test_a_date_that_a_place_lacks_is_an_error(places):
    (places / 'HS/class/HS18_a.png').unlink()
    with pytest.raises(UnmatchedPairError, match="seg_map_path_to lacks 'HS_a'"):
        dated(places)
    assert len(dated(places, dates=[('15', '16')])) == 2


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(dates=['15', '16']), 'list of pairs of two dates'),
        (dict(dates=[('15', '15')]), 'list of pairs of two dates'),
        (dict(dates=[(15, 16)]), 'list of pairs of two dates'),
        (dict(dates=[]), 'list of pairs of two dates'),
        (dict(dates=[('15', '16'), ['15', '16']]), r"pair \('15', '16'\) twice"),
        (dict(key_pattern=None), r'\{before\} or \{after\} is in no folder'),
        (dict(ann_columns=COLUMNS, ann_file='x'), 'dates and ann_columns'),
        (dict(dates=None, ann_columns=COLUMNS), 'set ann_file as well'),
        (dict(dates=None, ann_columns=IMAGES[:1], ann_file='x'), 'with both images'),
        (dict(dates=None, ann_columns='img', ann_file='x'), 'with both images'),
        (dict(dates=None, ann_columns=[*IMAGES, 'mask'], ann_file='x'), 'with both images'),
        (dict(dates=None, ann_columns=[*IMAGES, IMAGES[0]], ann_file='x'), 'each once'),
    ],
)
def test_options_that_do_not_fit(places, options, message):
    with pytest.raises(ValueError, match=message):
        dated(places, **options)


# ------------------------------------------------------------------------------------- columns


@pytest.fixture
def listed(tmp_path):
    """Write three dates of one place, and a list of two pairs of them."""
    lines = []
    for before, after in ((1, 3), (2, 3)):
        for date in (before, after):
            write(tmp_path / f'train/imgs/bj/t{date}/7.jpg', date)
            write(tmp_path / f'train/cover/bj/t{date}/7.png', 1, 'L')
        lines.append(
            f'/imgs/bj/t{before}/7.jpg /imgs/bj/t{after}/7.jpg /change/bj/t{before}VSt{after}/7.png'
            f' /cover/bj/t{before}/7.png /cover/bj/t{after}/7.png /flow/bj/7.tif'
        )
    (tmp_path / 'list.txt').write_text('\n'.join(lines))
    return tmp_path


def columns(root, **options):
    root = root / 'train'
    return SCDDataset(
        data_root=str(root),
        **{**TABLE, 'ann_file': '../list.txt', 'ann_columns': COLUMNS, **options},
    )


def test_lists_of_paths(listed):
    found = entries(columns(listed))
    assert [one['sample_id'] for one in found] == ['imgs/bj/t1/7-t3', 'imgs/bj/t2/7-t3']
    root = listed / 'train'
    assert found[1]['img_path'] == [str(root / f'imgs/bj/t{date}/7.jpg') for date in (2, 3)]
    assert found[1]['seg_map_path_to'] == str(root / 'cover/bj/t3/7.png')
    assert found[1]['seg_map_path'] is None
    fold = dict(every=2, start=0, keep='held_out')
    assert len(columns(listed, fold=fold)) == 2  # Both pairs show one place.


def test_one_column_serves_both_dates_of_transitions(listed):
    (listed / 'list.txt').write_text('imgs/bj/t1/7.jpg imgs/bj/t3/7.jpg cover/bj/t3/7.png\n')
    dataset = columns(
        listed,
        ann_columns=[*IMAGES, 'seg_map_path'],
        transitions={0: None, 1: ('wet', 'dry')},
        label_storage='auto',
    )
    (one,) = entries(dataset)
    label = str(listed / 'train/cover/bj/t3/7.png')
    assert [one[role] for role in (*COVERS, 'seg_map_path')] == [label, label, None]


def test_listed_files_that_are_missing(listed):
    (listed / 'train/cover/bj/t3/7.png').unlink()
    with pytest.raises(UnmatchedPairError, match=r'2 files named in .*list\.txt do not exist.*t3'):
        columns(listed)
    none = dict.fromkeys(COVERS)
    assert len(columns(listed, data_prefix=none, test_mode=True)) == 2


def test_lines_with_too_few_columns_or_the_same_images(listed):
    path = listed / 'list.txt'
    folders = {role: str(listed / 'train') for role in (*IMAGES, *COVERS)}
    line = path.read_text().splitlines()[0]
    path.write_text(line.rsplit(' ', 3)[0])
    with pytest.raises(ValueError, match='of 3 columns, expected 5'):
        read_columns(path, COLUMNS, folders)
    path.write_text(f'{line}\n{line} /another.tif')
    with pytest.raises(ValueError, match="names the images of 1 pairs more than once: 'imgs/bj"):
        read_columns(path, COLUMNS, folders)


@pytest.mark.parametrize('separator', ['\t', ', '])
def test_paths_with_blanks_need_tabs_or_commas(tmp_path, separator):
    for name in ('im 1/a b.png', 'im 2/a b.png'):
        write(tmp_path / name, 0)
    (tmp_path / 'list.csv').write_text(separator.join(('im 1/a b.png', 'im 2/a b.png')))
    folders = dict.fromkeys(IMAGES, str(tmp_path))
    pairs = read_columns(tmp_path / 'list.csv', IMAGES, folders)
    assert pairs.names == ['im 1/a b-im 2']
    assert pairs[0]['img_path_to'] == str(tmp_path / 'im 2/a b.png')
    assert pairs[:1].choose(['x']).names == []


def test_one_image_at_both_dates_is_refused(listed):
    (listed / 'list.txt').write_text('imgs/bj/t1/7.jpg imgs/bj/../bj/t1/7.jpg\n')
    options = dict(ann_columns=IMAGES, test_mode=True)
    with pytest.raises(ValueError, match='both dates would show the same images'):
        columns(listed, **options)


def test_a_link_to_nothing_is_named(listed):
    (listed / 'train/imgs/bj/t3/7.jpg').unlink()
    (listed / 'train/imgs/bj/t3/7.jpg').symlink_to('gone.jpg')
    with pytest.raises(FileNotFoundError, match=r'2 files .* are links to missing files'):
        columns(listed)


def test_the_examples_of_the_page(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / 'docs/datasets.md').read_text(encoding='utf-8')
    section = page[page.index('## More than two dates') : page.index('## Drawing changed pairs')]
    dates, paths = re.findall(r'```python\n(.*?)```', section, re.DOTALL)
    for year in (2015, 2018, 2021):
        write(tmp_path / f'data/series/images/{year}/tile 7.png', year % 256)
        write(tmp_path / f'data/series/cover/{year}/tile 7.png', 2, 'L')
        for later in (2018, 2021):
            write(tmp_path / f'data/series/change/{year}-{later}/tile 7.png', 0, 'L')
    monkeypatch.chdir(tmp_path)
    assert ids(DATASETS.build(_run(dates))) == [
        f'tile 7_{pair}' for pair in ('2015_2018', '2018_2021', '2015_2021')
    ]
    folder = tmp_path / 'data/listed'
    names = ['im1/12.png', 'im2/12.png', 'change/12.png', 'cover1/12.png', 'cover2/12.png']
    for name in names:
        write(folder / 'train' / name, 2 * ('im1' not in name), 'RGB' if 'im' in name else 'L')
    (folder / 'pairs.txt').write_text(' '.join(names))
    assert ids(DATASETS.build(_run(paths))) == ['im1/12-im2']


def _run(block):
    made = {}
    exec(block, made)
    return made['dataset']


def test_helpers():
    assert checked_columns(None, (), '') is None
    assert filled(('_{before}.png', '.tif'), ('15', '18')) == ('_15.png', '.tif')
    assert filled(None, ('15', '18')) is None
    assert filled([1], ('15', '18')) == [1]
