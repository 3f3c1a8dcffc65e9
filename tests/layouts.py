"""Write tiny copies of public data sets in the layout of their downloads, with worked labels.

Folders, names of files, bands and stored values are those that the makers of each data set
document; the names of the classes beside the values are theirs as well. Every label is made of
four rectangles, so that what each pixel means is known without a reader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIDE = 16
"""Height and width of all files in pixels."""

KEPT = (slice(0, 16), slice(0, 8))
MOVED = (slice(0, 8), slice(8, 16))
SAME = (slice(8, 16), slice(8, 12))
HOLE = (slice(8, 16), slice(12, 16))
RECTANGLES = (KEPT, MOVED, SAME, HOLE)
"""Rows and columns: 128 pixels, 64, 32 and 32."""

Meaning = tuple[str | None, str | None, int]
"""Class before and after, None where it is unknown, and the change: 0, 1, or 255 for ignored."""


@dataclass
class Layout:
    """Contents of a written data set.

    Attributes:
        classes: Names of the classes, in the order of the data set's own table.
        splits: Names of the pairs that train, val and test have.
        meanings: Meaning of the four rectangles in every pair.
        colours: RGB values of the image before and after, as a network reads them.
        extra: Meanings of pairs that differ from ``meanings``, by their names.
    """

    classes: Sequence[str]
    splits: dict[str, set[str]]
    meanings: Sequence[Meaning]
    colours: tuple[Sequence[float], Sequence[float]] = ((60, 70, 80), (120, 130, 140))
    extra: dict[str, Sequence[Meaning]] = field(default_factory=dict)


def painted(*values: int | Sequence[int], dtype: type = np.uint8) -> np.ndarray:
    """Return an array (16, 16) or (16, 16, B) with a value in each of the four rectangles."""
    first = np.asarray(values[0], dtype)
    array = np.zeros((SIDE, SIDE, *first.shape), dtype)
    for (rows, columns), value in zip(RECTANGLES, values, strict=True):
        array[rows, columns] = value
    return array


def flat(*bands: int, dtype: type = np.uint8) -> np.ndarray:
    """Return an array (16, 16, B) with one value for each band."""
    return np.broadcast_to(np.asarray(bands, dtype), (SIDE, SIDE, len(bands))).copy()


def write(path: Path, array: np.ndarray) -> None:
    """Write (H, W) or (H, W, B) by the suffix of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.tif':
        rasterio = pytest.importorskip('rasterio')
        bands = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        size = dict(width=SIDE, height=SIDE, count=len(bands), dtype=array.dtype)
        place = dict(crs='EPSG:32650', transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6))
        with rasterio.open(path, 'w', driver='GTiff', **size, **place) as file:
            file.write(bands)
    else:
        Image.fromarray(array).save(path, quality=100)


def picture(path: Path, array: np.ndarray) -> None:
    """Write a flat image with noise of its own; the median of each band stays."""
    seed = hashlib.blake2b(str(path).encode(), digest_size=8).digest()
    rng = np.random.default_rng(int.from_bytes(seed, 'big'))
    noise = rng.choice([-10, 0, 10], (*array.shape[:2], 1), p=[0.3, 0.4, 0.3])
    write(path, (array + noise).astype(array.dtype))


BEFORE, AFTER = flat(60, 70, 80), flat(120, 130, 140)


def numbered(names: Sequence[str], held: Sequence[int]) -> dict[str, set[str]]:
    """Return the splits of sorted names of which validation and test each have some."""
    val, test = ({names[index] for index in held[part::2]} for part in (0, 1))
    return dict(train=set(names) - val - test, val=val, test=test)


def cnam_cd(root: Path) -> Layout:
    """Write A, B and label, all .tif: the class of changed pixels after the change, 0 elsewhere."""
    names = [f'{number}' for number in range(1, 6)]
    for name in names:
        picture(root / 'cnam_cd/A' / f'{name}.tif', BEFORE)
        picture(root / 'cnam_cd/B' / f'{name}.tif', AFTER)
        write(root / 'cnam_cd/label' / f'{name}.tif', painted(0, 1, 4, 0))
    return Layout(
        ['impervious surface', 'bare ground', 'vegetation', 'water bodies', 'other'],
        numbered(names, [0, 1]),
        [
            (None, None, 0),
            (None, 'impervious surface', 1),
            (None, 'water bodies', 1),
            (None, None, 0),
        ],
    )


def xbd(root: Path) -> Layout:
    """Write images and targets of both dates in one folder each: buildings, then their damage."""
    splits = {}
    for split, folder in (('train', 'train'), ('val', 'hold'), ('test', 'test')):
        name = f'guatemala-volcano_0000000{len(splits)}'
        for date, image, label in (
            ('pre', BEFORE, painted(0, 1, 1, 1)),
            ('post', AFTER, painted(0, 4, 1, 2)),
        ):
            stem = f'{name}_{date}_disaster'
            picture(root / 'xbd' / folder / 'images' / f'{stem}.png', image)
            write(root / 'xbd' / folder / 'targets' / f'{stem}_target.png', label)
            (root / 'xbd' / folder / 'labels').mkdir(exist_ok=True)
            (root / 'xbd' / folder / 'labels' / f'{stem}.json').write_text('{}')
        splits[split] = {f'{name}_pre_disaster'}
    return Layout(
        ['background', 'building', 'minor damage', 'major damage', 'destroyed'],
        splits,
        [
            ('background', 'background', 0),
            ('building', 'destroyed', 1),
            ('building', 'building', 0),
            ('building', 'minor damage', 1),
        ],
    )


HI_UCD = [
    'water',
    'grass',
    'building',
    'green house',
    'road',
    'bridge',
    'others',
    'bare land',
    'woodland',
]


def hi_ucd(root: Path) -> Layout:
    """Write image/YEAR and mask/YEAR_YEAR, whose bands are before, after and change."""
    for number, split in enumerate(('train', 'val')):
        folder = root / 'hi_ucd' / split
        picture(folder / 'image/2018' / f'{number}.png', BEFORE)
        picture(folder / 'image/2019' / f'{number}.png', AFTER)
        mask = painted((1, 1, 1), (8, 3, 2), (5, 5, 1), (0, 0, 0))
        write(folder / 'mask/2018_2019' / f'{number}.png', mask)
    return Layout(
        HI_UCD,
        dict(train={'0'}, val={'1'}, test={'1'}),
        [
            ('water', 'water', 0),
            ('bare land', 'building', 1),
            ('road', 'road', 0),
            (None, None, 255),
        ],
    )


def hi_ucd_mini(root: Path) -> Layout:
    """Write image/YEAR/9 and mask_merge/YEAR_YEAR/9; the test split has another pair of years."""
    splits = {}
    for split, years in (
        ('train', (2017, 2018)),
        ('val', (2017, 2018)),
        ('test', (2018, 2019)),
    ):
        folder, name = root / 'hi_ucd_mini' / split, f'9_{split}'
        for year, image in zip(years, (BEFORE, AFTER), strict=True):
            picture(folder / f'image/{year}/9/{name}.png', image)
        mask = painted((2, 2, 1), (9, 5, 2), (3, 3, 2), (0, 4, 0))
        write(folder / f'mask_merge/{years[0]}_{years[1]}/9/{name}.png', mask)
        splits[split] = {f'9/{name}'}
    return Layout(
        HI_UCD,
        splits,
        [
            ('grass', 'grass', 0),
            ('woodland', 'road', 1),
            ('building', 'building', 1),  # Replaced by another building.
            (None, 'green house', 255),
        ],
    )


def wusu(root: Path) -> Layout:
    """Write two districts at three dates, four bands from blue to infrared, and their classes."""
    arable, bare, low, high = 4, 12, 2, 3
    covers = {
        15: painted(arable, bare, high, 0),
        16: painted(arable, low, high, 8),
        18: painted(arable, high, high, 8),
    }
    numbers = {'train': ['0', '1', '2', '3', '4'], 'test': ['5']}
    for split, tiles in numbers.items():
        for district in ('HS', 'JA'):
            for year, cover in covers.items():
                for tile in tiles:
                    folder = root / 'wusu' / split / district
                    picture(folder / f'imgs/{district}{year}_{tile}.tif', flat(year, 20, 30, 40))
                    write(folder / f'class/{district}{year}_{tile}.tif', cover)
    dates = ('15_16', '16_18', '15_18')
    held = {'HS_0', 'JA_0'}
    places = [f'{district}_{tile}' for district in ('HS', 'JA') for tile in numbers['train']]
    stable = [('arable land', 'arable land', 0), ('high building', 'high building', 0)]

    def meanings(before: str, after: str, hole: Meaning) -> list[Meaning]:
        return [stable[0], (before, after, 1), stable[1], hole]

    by_dates = {
        '15_16': meanings('bare surface', 'low building', (None, 'river', 255)),
        '16_18': meanings('low building', 'high building', ('river', 'river', 0)),
        '15_18': meanings('bare surface', 'high building', (None, 'river', 255)),
    }
    everything = [*places, 'HS_5', 'JA_5']
    return Layout(
        [
            'road',
            'low building',
            'high building',
            'arable land',
            'woodland',
            'grassland',
            'river',
            'lake',
            'structure',
            'excavation',
            'bare surface',
        ],
        dict(
            train={f'{place}_{pair}' for place in places if place not in held for pair in dates},
            val={f'{place}_{pair}' for place in held for pair in dates},
            test={f'{place}_{pair}' for place in ('HS_5', 'JA_5') for pair in dates},
        ),
        by_dates['15_18'],
        # The first band, blue, has the year; other pairs of dates have other blues.
        ((30, 20, 15), (30, 20, 18)),
        {f'{place}_{pair}': by_dates[pair] for place in everything for pair in dates},
    )


def dynamic_earthnet(root: Path) -> Layout:
    """Write daily images of 4 bands of 16 bits, and monthly labels with a band for each class."""
    root = root / 'dynamic_earthnet'
    places = [f'{1300 + number}_3077_13' for number in range(3)]
    months = [f'{year}-{month:02}' for year in (2018, 2019) for month in range(1, 13)]

    def one_hot(*bands: int | None) -> np.ndarray:
        sets = [[255 * (band == index) for index in range(7)] for band in bands]
        return painted(*sets)

    for number, place in enumerate(places):
        zone = '10N' if number % 2 else '17N'
        # Labels of some places are named by dashes, of others by underscores.
        mark = '-' if number % 2 else '_'
        for index, month in enumerate(months):
            for day in ('01', '02')[: 1 + (index == 0)]:
                values = (600, 900, 1200 + 300 * (index % 2), 2400)
                image = flat(*values, dtype=np.uint16)
                picture(root / f'planet/{zone}/26E-183N/{place}/PF-SR/{month}-{day}.tif', image)
            # Soil and buildings take turns; the hole has no class in even months.
            label = one_hot(2, 4 if index % 2 == 0 else 0, 5, None if index % 2 == 0 else 1)
            folder = root / f'labels/{place}_{zone}/Labels/Raster/{zone}-122W-40N-L3H-SR'
            stem = f'{folder.name}-{month.replace("-", mark)}{mark}01.tif'
            write(folder / stem, label)
            (folder / f'{stem}.aux.xml').write_text('<PAMDataset/>')
    pairs = list(pairwise(months))
    hole = (None, 'agriculture', 255), ('agriculture', None, 255)
    built = ('soil', 'impervious surface', 1), ('impervious surface', 'soil', 1)
    meanings = [
        [
            ('forest & other vegetation', 'forest & other vegetation', 0),
            built[index],
            ('water', 'water', 0),
            hole[index],
        ]
        for index in (0, 1)
    ]

    def named(place: str) -> list[str]:
        return [f'{place}_{before}_{after}' for before, after in pairs]

    return Layout(
        [
            'impervious surface',
            'agriculture',
            'forest & other vegetation',
            'wetlands',
            'soil',
            'water',
            'snow & ice',
        ],
        dict(
            train={name for place in places[2:] for name in named(place)},
            val=set(named(places[0])),
            test=set(named(places[1])),
        ),
        meanings[0],
        # Red, green, blue of 0..3000.
        ((102, 76.5, 51), (127.5, 76.5, 51)),
        {name: meanings[index % 2] for place in places for index, name in enumerate(named(place))},
    )


def bandon(root: Path) -> Layout:
    """Write two cities at three dates and the list files, whose lines have a path for each role."""
    root = root / 'bandon'
    columns = (
        '/imgs/{city}/t{a}/{tile}.jpg /imgs/{city}/t{b}/{tile}.jpg '
        '/labels_unch0ch1ig255/{city}/t{a}VSt{b}/{tile}.png '
        '/building_labels/{city}/t{a}/{tile}.png /building_labels/{city}/t{b}/{tile}.png'
    )
    more = (
        ' /offset_st_resize256/{city}/t{a}/{tile}.tif /offset_st_resize256/{city}/t{b}/{tile}.tif'
        ' /flow_btv3_resize256/{city}/t{a}VSt{b}/{tile}.tif'
    )
    splits = {}
    for split in ('train', 'val', 'test'):
        lines, names = [], set()
        for city, a, b in (('bj', 1, 2), ('bj', 1, 3), ('sh', 2, 3)):
            place = dict(city=city, a=a, b=b, tile=f'L81_{split}')
            line = (columns + more * (split == 'train')).format(**place)
            lines.append(line)
            first, second, change, cover_from, cover_to = line.split()[:5]
            folder = root / split
            picture(folder / first[1:], BEFORE if a < 3 else AFTER)
            picture(folder / second[1:], AFTER)
            write(folder / change[1:], painted(0, 1, 0, 255))
            # The test split comes without labels of buildings.
            if split != 'test':
                write(folder / cover_from[1:], painted(0, 0, 1, 0))
                write(folder / cover_to[1:], painted(0, 1, 1, 2))
            names.add(f'imgs/{city}/t{a}/L81_{split}-t{b}')
        (root / 'lists').mkdir(exist_ok=True)
        (root / 'lists' / f'list_BANDON_{split}.txt').write_text('\n'.join(lines) + '\n')
        splits[split] = names
    meanings = [
        ('background', 'background', 0),
        ('background', 'roof', 1),
        ('roof', 'roof', 0),
        ('background', 'facade', 255),
    ]
    unlabelled = [(None, None, change) for _, _, change in meanings]
    return Layout(
        ['background', 'roof', 'facade'],
        splits,
        meanings,
        extra=dict.fromkeys(splits['test'], unlabelled),
    )


def jl1(root: Path) -> Layout:
    """Write pre and post as .tif, and label as .png: eight changes from or to cropland."""
    names = [f'{number}' for number in range(1, 6)]
    for name in names:
        picture(root / 'jl1/train/pre' / f'{name}.tif', BEFORE)
        picture(root / 'jl1/train/post' / f'{name}.tif', AFTER)
        write(root / 'jl1/train/label' / f'{name}.png', painted(0, 3, 6, 0))
    return Layout(
        ['cropland', 'road', 'forest and grass', 'building', 'other'],
        numbered(names, [0, 1]),
        [
            (None, None, 0),
            ('cropland', 'building', 1),
            ('forest and grass', 'cropland', 1),
            (None, None, 0),
        ],
    )


def sc_scd7(root: Path) -> Layout:
    """Write land cover from 0 on at both dates, and change masks."""
    splits = {}
    for split, number in (('train', 1), ('train', 2), ('train', 3), ('test', 4)):
        folder, name = root / 'sc_scd7' / split, f'{number:06}'
        for role, array in (
            ('prev_img', BEFORE),
            ('curr_img', AFTER),
            ('bcd', painted(0, 1, 0, 1)),
            ('prev_seg', painted(0, 4, 6, 2)),
            ('curr_seg', painted(0, 2, 6, 2)),
        ):
            (picture if array.ndim == 3 else write)(folder / role / f'{name}.png', array)
        splits.setdefault(split, set()).add(name)
    splits['val'] = {'000001'}
    splits['train'] -= splits['val']
    return Layout(
        ['bareland', 'water', 'building', 'structure', 'farmland', 'vegetation', 'road'],
        splits,
        [
            ('bareland', 'bareland', 0),
            ('farmland', 'building', 1),
            ('road', 'road', 0),
            ('building', 'building', 1),
        ],
    )


def fusu(root: Path) -> Layout:
    """Write land use of both dates, 0 where there is none, and images of Sentinel beside them."""
    names = [f'{number}_255' for number in range(5)]
    for name in names:
        for folder, array in (
            ('im1', BEFORE),
            ('im2', AFTER),
            ('im1_label', painted(4, 6, 14, 0)),
            ('im2_label', painted(4, 17, 14, 3)),
        ):
            (picture if array.ndim == 3 else write)(root / 'fusu' / folder / f'{name}.png', array)
        picture(root / 'fusu/A/8' / f'{name}_A_8.png', BEFORE)
    return Layout(
        [
            'traffic land',
            'inland water',
            'residential land',
            'cropland',
            'agriculture construction',
            'blank',
            'industrial land',
            'orchard',
            'park',
            'public management and service',
            'commercial land',
            'public construction',
            'special',
            'forest',
            'storage',
            'wetland',
            'grass',
        ],
        numbered(names, [0, 1]),
        [
            ('cropland', 'cropland', 0),
            ('blank', 'grass', 1),
            ('forest', 'forest', 0),
            (None, 'residential land', 255),
        ],
    )


def _one_date(
    classes: Sequence[str], names: Sequence[str], values: Sequence[Sequence[int]]
) -> Layout:
    """Return the layout of two images in each split, which make two pairs.

    Args:
        classes: Names of the classes.
        names: Name of the two images of each split: train, then val.
        values: Place in ``classes``, or -1 for no class, of the rectangles of the two images.
    """
    named = [[None if one < 0 else classes[one] for one in image] for image in values]
    forth = [
        (before, after, 255 if None in (before, after) else int(before != after))
        for before, after in zip(*named, strict=True)
    ]
    back = [(after, before, change) for before, after, change in forth]
    pairs = [(f'{one}-{two}', f'{two}-{one}') for one, two in (names[:2], names[2:])]
    splits = dict(zip(('train', 'val'), map(set, pairs), strict=True))
    splits['test'] = splits['val']
    colours = ((120, 130, 140), (60, 70, 80))
    return Layout(classes, splits, forth, colours, {second: back for _, second in pairs})


FIRST, SECOND_IMAGE = (1, 2, 4, -1), (1, 5, 4, 3)
"""Places of the classes of two images of one date."""


def deepglobe_pairs(root: Path) -> Layout:
    """Write JPEGs and masks whose colours are smoothed, in one folder."""
    root = root / 'deepglobe'
    classes = ['urban', 'agriculture', 'rangeland', 'forest', 'water', 'barren']
    colours = [(0, 255, 255), (255, 255, 0), (255, 0, 255), (0, 255, 0), (0, 0, 255)]
    colours += [(255, 255, 255), (0, 0, 0)]
    names = [f'{number}_sat' for number in (119, 266, 606, 855)]
    for number, name in enumerate(names):
        picture(root / f'train/{name}.jpg', AFTER if number % 2 else BEFORE)
        places = SECOND_IMAGE if number % 2 else FIRST
        mask = painted(*(np.clip(colours[one], 3, 250) for one in places))
        write(root / f'train/{name.removesuffix("_sat")}_mask.png', mask)
    for split, two in (('train', names[:2]), ('val', names[2:])):
        (root / f'{split}.txt').write_text(''.join(f'{name}.jpg\n' for name in two))
    named = [name.removesuffix('_sat') for name in names]
    return _one_date(classes, named, (FIRST, SECOND_IMAGE))


def openearthmap_pairs(root: Path) -> Layout:
    """Write a folder of images and one of labels for each region, classes from 1 on."""
    root = root / 'OpenEarthMap_wo_xBD'
    classes = ['bareland', 'rangeland', 'developed space', 'road', 'tree', 'water']
    classes += ['agriculture land', 'building']
    names = ['aachen_1', 'aachen_2', 'tokyo_7', 'tokyo_9']
    paths = [f'{name.split("_")[0]}/images/{name}' for name in names]
    for number, path in enumerate(paths):
        picture(root / f'{path}.tif', AFTER if number % 2 else BEFORE)
        places = SECOND_IMAGE if number % 2 else FIRST
        label = painted(*(one + 1 for one in places))
        write(root / f'{path.replace("images", "labels")}.tif', label)
    for split, two in (('train', paths[:2]), ('val', paths[2:])):
        (root / f'{split}.txt').write_text(''.join(f'{path}.tif\n' for path in two))
    return _one_date(classes, paths, (FIRST, SECOND_IMAGE))


def flair_pairs(root: Path) -> Layout:
    """Write images of five bands and labels, in two trees of domains and zones."""
    root = root / 'FLAIR'
    classes = ['building', 'pervious surface', 'impervious surface', 'bare soil', 'water']
    classes += ['coniferous', 'deciduous', 'brushwood', 'vineyard', 'herbaceous vegetation']
    classes += ['agricultural land', 'plowed land', 'swimming pool', 'snow', 'clear cut', 'mixed']
    classes += ['ligneous', 'greenhouse', 'other']
    zones = ['D004_2021/Z1_NN'] * 2 + ['D067_2019/Z3_UF'] * 2
    paths = [f'{zone}/img/IMG_00000{number}' for number, zone in enumerate(zones)]
    for number, path in enumerate(paths):
        colours = AFTER if number % 2 else BEFORE
        more = flat(7, 9)  # infrared and elevation
        picture(root / f'flair_aerial_train/{path}.tif', np.concatenate([colours, more], axis=-1))
        places = SECOND_IMAGE if number % 2 else FIRST
        label = path.replace('img/IMG', 'msk/MSK')
        write(root / f'flair_labels_train/{label}.tif', painted(*(one + 1 for one in places)))
    for split, two in (('train', paths[:2]), ('val', paths[2:])):
        (root / f'{split}.txt').write_text(''.join(f'{path}.tif\n' for path in two))
    return _one_date(classes, paths, (FIRST, SECOND_IMAGE))


def loveda_pairs(root: Path) -> Layout:
    """Write images and labels of one date; two images make two pairs."""
    root = root / 'loveDA'
    splits = {}
    for split in ('train', 'val'):
        for name, image, label in (
            ('0', BEFORE, painted(2, 3, 5, 0)),
            ('1', AFTER, painted(2, 6, 5, 4)),
        ):
            picture(root / 'img_dir' / split / f'{name}.png', image)
            write(root / 'ann_dir' / split / f'{name}.png', label)
        splits[split] = {'0-1', '1-0'}
    splits['test'] = splits['val']
    meanings = [
        ('building', 'building', 0),
        ('road', 'forest', 1),
        ('barren', 'barren', 0),
        (None, 'water', 255),
    ]
    return Layout(
        ['background', 'building', 'road', 'water', 'barren', 'forest', 'agricultural'],
        splits,
        meanings,
        ((120, 130, 140), (60, 70, 80)),
        {'1-0': [(after, before, change) for before, after, change in meanings]},
    )


LAYOUTS: dict[str, Callable[[Path], Layout]] = {
    function.__name__: function
    for function in (
        bandon,
        cnam_cd,
        deepglobe_pairs,
        dynamic_earthnet,
        flair_pairs,
        fusu,
        hi_ucd,
        hi_ucd_mini,
        jl1,
        loveda_pairs,
        openearthmap_pairs,
        sc_scd7,
        wusu,
        xbd,
    )
}
"""Writers by the name of the config, below a folder ``data``."""
