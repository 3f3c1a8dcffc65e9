"""Test samples of a scene with known truth, their labels, and the estimates from them."""

import csv
import json
import shutil
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

rasterio = pytest.importorskip('rasterio')
pyogrio = pytest.importorskip('pyogrio')
shapely = pytest.importorskip('shapely')
pytest.importorskip('pyproj')
from finished_scene import PLACE, UTM, finished_scene

from tfinet_mm.datasets.synthetic.world import WorldConfig, generate_scene
from tfinet_mm.errors import AssessmentError, ManifestError, SceneError
from tfinet_mm.evaluation.assessment import StratifiedSample
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.assessment.drawing import draw_pixels
from tfinet_mm.scenes.assessment.estimate import estimate_scene, read_estimate
from tfinet_mm.scenes.assessment.sample import Design, sample_scene
from tfinet_mm.scenes.assessment.strata import choose_strata, count_cells
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.structures import SECOND

SIZE = 96
CLASSES = SECOND.land_cover
DESIGN = Design(points=300, minimum=20, min_share=0.03, chip=9)
PIXEL_HECTARES = 0.01


@pytest.fixture(scope='module')
def truth():
    """A generated pair: images, whether each pixel changed, and its classes."""
    config = WorldConfig(
        size=SIZE, seed=3, resolutions=(0.5, 0.5), unchanged_pairs=0.0, infrared=0.0
    )
    pair = generate_scene(0, config)
    changed = pair.label_from > 0
    old = pair.cover_from
    return pair, changed, old, np.where(changed, pair.cover_to, old)


@pytest.fixture(scope='module')
def predicted(truth, tmp_path_factory):
    """The folder of a prediction with errors and with pixels that aren't seen, and its images."""
    pair, changed, old, new = truth
    rng = np.random.default_rng(0)
    wrong = rng.random((SIZE, SIZE)) < 0.1
    prob = np.where(np.roll(changed, 2, axis=1) ^ wrong, 0.9, 0.1)
    prob[:, :4] = np.nan
    covers = [np.roll(one, 2, axis=1).astype(np.uint8) for one in (old, new)]
    for one in covers:
        one[np.isnan(prob)] = 0
    folder = tmp_path_factory.mktemp('assessed')
    scene = finished_scene(folder, prob, *covers, classes=SECOND).folder
    settings = dict(reading={})
    for date in ('before', 'after'):
        path = folder / f'{date}.tif'
        values = np.moveaxis(getattr(pair, date)[..., :3], 2, 0)
        place = dict(crs=UTM, transform=PLACE, width=SIZE, height=SIZE)
        with rasterio.open(path, 'w', driver='GTiff', count=3, dtype='uint8', **place) as file:
            file.write(values)
        settings[date] = dict(
            file=str(path), bands=[1, 2, 3], stretch=dict(kind='none'), resampling=None
        )
    found = json.loads((scene / 'scene.json').read_text())
    (scene / 'scene.json').write_text(json.dumps(found | dict(settings=settings)))
    sample_scene(scene, design=DESIGN)
    return scene


@pytest.fixture
def scene(predicted, tmp_path):
    """A copy of it, to change."""
    return shutil.copytree(predicted, tmp_path / 'scene')


def read_key(scene):
    with (scene / 'assessment' / 'key.csv').open(newline='') as file:
        return list(csv.DictReader(file))


def labels_of(truth, scene):
    """Return what a person who is never wrong says of each point: number, classes, changed."""
    _, changed, old, new = truth
    found = []
    for row in read_key(scene):
        place = int(row['row']), int(row['column'])
        same = CLASSES[old[place] - 1], CLASSES[new[place] - 1]
        found.append((int(row['id']), *same, int(changed[place])))
    return found


def write_layer(path, source, change):
    """Write a GeoPackage with fields that ``change`` makes of those of another."""
    info, _, shapes, columns = pyogrio.raw.read(source)
    fields = dict(zip(info['fields'], columns, strict=True))
    fields, shapes = change(fields, shapes)
    pyogrio.raw.write(
        path,
        geometry=shapes,
        field_data=list(fields.values()),
        fields=list(fields),
        layer='points',
        driver='GPKG',
        geometry_type='Point',
        crs=info['crs'],
    )


def fill_in(truth, scene, path, change=lambda fields, shapes: (fields, shapes)):
    """Fill in the points as in QGIS."""
    labels = labels_of(truth, scene)

    def filled(fields, shapes):
        assert fields['id'].tolist() == [one[0] for one in labels]
        for place, name in enumerate(('ref_from', 'ref_to'), start=1):
            fields[name] = np.array([one[place] for one in labels], object)
        fields['ref_changed'] = np.array([one[3] for one in labels], np.int32)
        return change(fields, shapes)

    write_layer(path, scene / 'assessment' / 'points.gpkg', filled)


def write_csv(path, truth, scene, sample=None, change=lambda rows: rows):
    """Write the labels as the labelling page does."""
    found = json.loads((scene / 'assessment' / 'sample.json').read_text())
    sample = sample or found['files']['key.csv']['sha256'][:12]
    rows = [
        [sample, number, old, new, str(changed) if old == new else '', 'me', 'a, "b"']
        for number, old, new, changed in labels_of(truth, scene)
    ]
    with path.open('w', newline='') as file:
        names = ['sample', 'id', 'ref_from', 'ref_to', 'ref_changed', 'labelled_by', 'note']
        csv.writer(file).writerows([names, *change(rows)])
    return path


def test_points_are_pixels_of_their_strata(predicted):
    folder = predicted / 'assessment'
    meta = json.loads((folder / 'sample.json').read_text())
    key = read_key(predicted)
    info, _, shapes, columns = pyogrio.raw.read(folder / 'points.gpkg')
    places = shapely.get_coordinates(shapely.from_wkb(shapes))
    with rasterio.open(folder / 'strata.tif') as raster:
        codes = raster.read(1)
        values = [int(one[0]) for one in raster.sample(places)]
        rows, columns_ = rasterio.transform.rowcol(raster.transform, *places.T)
        assert raster.crs == UTM
        assert places == pytest.approx(np.array(raster.xy(rows, columns_)).T)
    assert [int(one['stratum']) for one in key] == values
    assert len({tuple(one) for one in places.tolist()}) == len(key) == 300
    counts = np.bincount(codes.ravel(), minlength=len(meta['strata']) + 1)
    assert [one['pixels'] for one in meta['strata']] == counts[1:].tolist()
    assert counts[0] == 4 * SIZE
    assert not (codes[:, :4]).any()
    drawn = np.bincount(values, minlength=len(counts))[1:]
    assert [one['points'] for one in meta['strata']] == drawn.tolist()
    # Of a stratum with fewer pixels, all are drawn.
    assert (drawn >= np.minimum(20, counts[1:])).all()
    # The strata tell what the maps say, and the points tell nothing of it.
    results = SceneResults(predicted)
    changed = results.read('change') == 1
    old, new = results.read('land_cover_from'), results.read('land_cover_to')
    for one in key:
        place = int(one['row']), int(one['column'])
        stratum = meta['strata'][int(one['stratum']) - 1]
        classes = [CLASSES.index(one[f'map_{when}']) + 1 for when in ('from', 'to')]
        assert classes == [old[place], new[place] if changed[place] else old[place]]
        assert classes in stratum['members']
        assert stratum['changed'] == changed[place]
    texts = [column for column in columns if column.dtype == object]
    assert {value for column in texts[:2] for value in column} == {None}
    assert list(info['fields'])[:6] == [
        *('id', 'ref_from', 'ref_to', 'ref_changed', 'labelled_by', 'note')
    ]


def test_rare_strata_are_merged(predicted):
    results = SceneResults(predicted)
    cells = count_cells(results, PixelAreas(results.grid))
    assert cells.areas.sum() == pytest.approx(SIZE**2 * PIXEL_HECTARES)
    merged = choose_strata(SECOND, cells.areas, 0.03)
    seen = cells.areas[:-1]
    single = [one for one in merged.items if len(one.members) == 1]
    assert len(single) >= (seen >= 0.03 * seen.sum()).sum()
    every = [(one.changed, member) for one in merged.items for member in one.members]
    assert len(every) == len(set(every)) == len(CLASSES) + len(CLASSES) ** 2
    # Strata that the map has nowhere come last, since labels may need them.
    table = merged.table()
    sizes = np.bincount(table, cells.areas, minlength=len(merged.items) + 1)[1:]
    assert (sizes[: merged.mapped] > 0).all()
    assert not sizes[merged.mapped :].any()
    with pytest.raises(AssessmentError, match=r'least share of a stratum in 0\.\.1'):
        choose_strata(SECOND, cells.areas, 1)
    with pytest.raises(AssessmentError, match='nothing to assess'):
        choose_strata(SECOND, np.zeros_like(cells.areas), 0)


def test_files_are_what_acatama_reads(predicted):
    """A categorical byte raster with a style of unique values, and points with a number."""
    folder = predicted / 'assessment'
    meta = json.loads((folder / 'sample.json').read_text())
    root = ElementTree.fromstring((folder / 'strata.qml').read_text())
    entries = root.findall('pipe/rasterrenderer[@band="1"]/colorPalette/paletteEntry')
    assert [int(one.get('value')) for one in entries] == [one['code'] for one in meta['strata']]
    assert [one.get('label') for one in entries] == [one['name'] for one in meta['strata']]
    colours = [tuple(bytes.fromhex(one.get('color')[1:])) for one in entries]
    assert {one.get('alpha') for one in entries} == {'255'}
    with rasterio.open(folder / 'strata.tif') as raster:
        assert (raster.dtypes[0], raster.nodata, raster.count) == ('uint8', 0, 1)
        assert [raster.colormap(1)[one['code']][:3] for one in meta['strata']] == colours
        names = json.loads(raster.tags()['CLASS_NAMES'])
    assert names == ['no data', *(one['name'] for one in meta['strata'])]
    info, _, _, columns = pyogrio.raw.read(folder / 'points.gpkg')
    assert sorted(columns[list(info['fields']).index('id')]) == list(range(1, 301))
    assert info['geometry_type'] == 'Point'
    assert len(pyogrio.list_layers(folder / 'points.gpkg')) == 1
    root = ElementTree.fromstring((folder / 'points.qml').read_text())
    form = {
        one.get('name'): [
            option.get('value') for option in one.iter('Option') if option.get('value')
        ]
        for one in root.findall('fieldConfiguration/field')
    }
    assert form == dict(ref_from=[*CLASSES], ref_to=[*CLASSES], ref_changed=['0', '1'])


def test_chips_show_both_dates_around_the_point(predicted, truth):
    folder = predicted / 'assessment'
    inner = next(
        one for one in read_key(predicted) if 8 < int(one['row']) < 88 > int(one['column']) > 8
    )
    row, column = int(inner['row']), int(inner['column'])
    for date in ('before', 'after'):
        with Image.open(folder / 'chips' / f'{int(inner["id"]):05}_{date}.jpg') as image:
            chip = np.asarray(image, np.float64)
        wanted = getattr(truth[0], date)[row - 4 : row + 5, column - 4 : column + 5, :3]
        assert chip.shape == (9, 9, 3)
        assert np.abs(chip - wanted).mean() < 8


def test_draws_do_not_depend_on_blocks(predicted):
    meta = json.loads((predicted / 'assessment' / 'sample.json').read_text())
    strata = meta['strata'][: meta['mapped']]
    grid = SceneResults(predicted).grid
    args = [np.array([one[name] for one in strata]) for name in ('points', 'pixels')]
    areas = PixelAreas(grid)
    path = predicted / 'assessment' / 'strata.tif'

    def draw(seed, **options):
        found = draw_pixels(path, *args, areas, 100.0, np.ones(len(strata)), seed, **options)
        return np.stack(found).tolist()

    assert draw(0) == draw(0, block_pixels=3 * SIZE)
    assert draw(0) != draw(1)
    rows = [[one[name] for one in read_key(predicted)] for name in ('stratum', 'row', 'column')]
    assert draw(0) == [[int(value) for value in row] for row in rows]


def test_the_chance_of_a_pixel_is_its_area(tmp_path):
    """In degrees the rows near the pole are narrow, and get fewer points."""
    place = rasterio.Affine(1.0, 0, 0, 0, -1.0, 80)
    codes = np.ones((80, 40), np.uint8)
    path = tmp_path / 'codes.tif'
    with rasterio.open(
        path, 'w', driver='GTiff', count=1, dtype='uint8', width=40, height=80, transform=place
    ) as file:
        file.write(codes, 1)
    areas = PixelAreas(SceneGrid(rasterio.CRS.from_epsg(4326), place, 40, 80))
    each = areas.rows(0, 80)[:, 0]
    share = np.array([each.mean() / each.max()])
    rows = [
        draw_pixels(path, np.array([60]), np.array([3200]), areas, each.max(), share, seed).rows
        for seed in range(60)
    ]
    assert {len(one) for one in rows} == {60}
    found = np.histogram(np.concatenate(rows), 4, (0, 80))[0] / 3600
    assert found == pytest.approx(each.reshape(4, 20).sum(1) / each.sum(), abs=0.025)


def test_intervals_hold_the_true_area_of_change(predicted, truth):
    """The sample is drawn again and again from the scene, and labelled by the truth."""
    meta = json.loads((predicted / 'assessment' / 'sample.json').read_text())
    strata = meta['strata'][: meta['mapped']]
    wanted, pixels = (np.array([one[name] for one in strata]) for name in ('points', 'pixels'))
    areas = PixelAreas(SceneResults(predicted).grid)
    changed = truth[1]
    true = changed[:, 4:].mean()
    path = predicted / 'assessment' / 'strata.tif'
    hits, values = 0, []
    for seed in range(120):
        drawn = draw_pixels(path, wanted, pixels, areas, 100.0, np.ones(len(strata)), seed)
        counts = np.zeros((len(strata), 2), np.int64)
        np.add.at(counts, (drawn.codes - 1, changed[drawn.rows, drawn.columns].astype(int)), 1)
        found = StratifiedSample(counts, pixels).class_share(1)
        values.append(found.value)
        hits += found.interval[0] <= true <= found.interval[1]
    assert hits >= 108
    assert np.mean(values) == pytest.approx(true, abs=0.006)


def test_labels_of_qgis_the_page_and_acatama_give_the_same(scene, truth, tmp_path):
    fill_in(truth, scene, tmp_path / 'filled.gpkg')
    made = estimate_scene(scene, tmp_path / 'filled.gpkg')
    true = truth[1][:, 4:].sum() * PIXEL_HECTARES
    change = made['change']
    assert change['area']['low'] < true < change['area']['high']
    assert abs(change['mapped_area'] - true) > abs(change['area']['value'] - true)
    assert made['points'] == 300
    assert sum(one['area']['value'] for one in made['classes']) == pytest.approx(
        (SIZE - 4) * SIZE * PIXEL_HECTARES
    )
    covers = made['land_cover']
    for date, index in (('before', 2), ('after', 3)):
        for number, one in enumerate(covers[date], start=1):
            whole = (truth[index][:, 4:] == number).sum() * PIXEL_HECTARES
            # A rare class may not be in the sample.
            assert abs(one['area']['value'] - whole) < 3.5 * one['area']['error'] + 1
    by_page = estimate_scene(scene, write_csv(tmp_path / 'labels.csv', truth, scene))
    assert by_page['classes'] == made['classes']
    text = (tmp_path / 'labels.csv').read_text().replace('"a, ""b"""', '').replace(',', ';')
    (tmp_path / 'semicolons.csv').write_text(text)
    assert estimate_scene(scene, tmp_path / 'semicolons.csv')['classes'] == made['classes']
    assert by_page['land_cover'] == covers

    meta = json.loads((scene / 'assessment' / 'sample.json').read_text())
    code = {
        (one['changed'], *member): one['code']
        for one in meta['strata']
        for member in one['members']
    }
    labels = labels_of(truth, scene)
    codes = [
        code[bool(changed), CLASSES.index(old) + 1, CLASSES.index(new) + 1]
        for _, old, new, changed in labels
    ]

    def saved(fields, shapes):
        return {
            'ID': fields['id'],
            'Label': np.array(['x'] * len(shapes), object),
            'Is labeled as': np.array(codes, np.int32),
            'In thematic map as': np.array(
                [int(one['stratum']) for one in read_key(scene)], np.int32
            ),
            'Match': np.array(['Yes'] * len(shapes), object),
        }, shapes

    write_layer(tmp_path / 'acatama.gpkg', tmp_path / 'filled.gpkg', saved)
    by_acatama = estimate_scene(scene, tmp_path / 'acatama.gpkg')
    assert by_acatama['counts'] == made['counts']
    assert by_acatama['classes'] == made['classes']
    assert by_acatama['change'] == change
    matrix = np.zeros_like(np.array(made['counts']))
    for row, one in zip(read_key(scene), codes, strict=True):
        matrix[int(row['stratum']) - 1, one - 1] += 1
    assert matrix.tolist() == made['counts']
    page = (scene / 'assessment' / 'estimate.md').read_text()
    with (scene / 'assessment' / 'error_matrix.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    shares = [float(one[name]) for one in rows for name in one if name.endswith('of area)')]
    assert sum(shares) == pytest.approx(1)
    assert [[int(one[name]) for name in one if '(points)' in name] for one in rows] == (
        made['counts']
    )
    assert page.startswith('Areas with 95 % intervals from 300 points\n')
    with (scene / 'assessment' / 'estimate.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [one['class'] for one in rows] == [one['name'] for one in made['classes']] + [
        'all change'
    ]
    assert float(rows[-1]['area_ha']) == change['area']['value']


def test_points_without_label(scene, truth, tmp_path):
    with pytest.raises(AssessmentError, match=r'300 of 300 points (.|\n)*--allow-missing'):
        estimate_scene(scene)
    few = write_csv(tmp_path / 'few.csv', truth, scene, change=lambda rows: rows[:-7])
    with pytest.raises(AssessmentError, match=r'7 of 300 points .* \(id 294, 295, 296'):
        estimate_scene(scene, few)
    made = estimate_scene(scene, few, allow_missing=True)
    assert (made['points'], made['missing']) == (293, 7)
    assert '(7 points without label are left out)' in (scene / 'assessment/estimate.md').read_text()
    keep = {one['id'] for one in read_key(scene) if one['stratum'] != '1'}
    rare = write_csv(
        tmp_path / 'rare.csv',
        truth,
        scene,
        change=lambda rows: [row for row in rows if str(row[1]) in keep],
    )
    with pytest.raises(AssessmentError, match=r'fewer in: unchanged .* \(0\); label more'):
        estimate_scene(scene, rare, allow_missing=True)


def changed_row(**values):
    names = ['sample', 'id', 'ref_from', 'ref_to', 'ref_changed']

    def change(rows):
        for name, value in values.items():
            rows[4][names.index(name)] = value
        return rows

    return change


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (changed_row(ref_to='wather'), r"point 5: unknown class 'wather'.*classes water, ground"),
        (changed_row(ref_to=''), 'point 5: a class of one date only'),
        (changed_row(id=999), 'point 999: no point of the sample'),
        (changed_row(id=3), 'point 3: labelled twice'),
        (changed_row(id='x'), "'x' as number of a point"),
        (changed_row(ref_changed='yes'), "ref_changed is 'yes', expected 0 or 1"),
        (changed_row(ref_from='water', ref_to='tree', ref_changed='0'), '0 with two classes'),
        (changed_row(sample='abc'), r'labels of another sample \(abc\), expected'),
        (lambda rows: [row[:3] for row in rows], None),
    ],
)
def test_wrong_labels(scene, truth, tmp_path, change, message):
    path = write_csv(tmp_path / 'labels.csv', truth, scene, change=change)
    if message is None:
        path.write_text(path.read_text().replace('ref_to', 'class'))
        message = 'lacks the fields ref_from and ref_to'
    with pytest.raises(AssessmentError, match=message):
        estimate_scene(scene, path)


def test_points_that_were_moved(scene, truth, tmp_path):
    def move(fields, shapes):
        points = shapely.from_wkb(shapes)
        points[2] = shapely.Point(points[2].x + 6, points[2].y)
        return fields, shapely.to_wkb(points)

    fill_in(truth, scene, tmp_path / 'moved.gpkg', move)
    with pytest.raises(AssessmentError, match='point 3: at another place'):
        estimate_scene(scene, tmp_path / 'moved.gpkg')
    (tmp_path / 'no.gpkg').write_text('no points')
    with pytest.raises(AssessmentError, match='can not be read as points'):
        estimate_scene(scene, tmp_path / 'no.gpkg')
    (tmp_path / 'latin.csv').write_bytes('id,ref_from,ref_to\n1,Wälder,water'.encode('latin-1'))
    with pytest.raises(AssessmentError, match='expected CSV in UTF-8'):
        estimate_scene(scene, tmp_path / 'latin.csv')
    with pytest.raises(FileNotFoundError, match='with labels'):
        estimate_scene(scene, tmp_path / 'nowhere.csv')


@pytest.mark.parametrize('name', ['assessment/strata.tif', 'assessment/key.csv', 'transition.tif'])
def test_changed_strata_are_refused(scene, truth, tmp_path, name):
    path = write_csv(tmp_path / 'labels.csv', truth, scene)
    with (scene / name).open('ab') as file:
        file.write(b'\n')
    with pytest.raises(AssessmentError, match=f'{name.split("/")[-1]} is not the file any more'):
        estimate_scene(scene, path)


def test_a_sample_is_drawn_once(scene, truth):
    points = scene / 'assessment' / 'points.gpkg'
    written = points.stat().st_mtime_ns
    assert sample_scene(scene, design=DESIGN) == scene / 'assessment'
    assert points.stat().st_mtime_ns == written
    before = read_key(scene)
    points.unlink()
    sample_scene(scene, design=DESIGN)
    assert points.is_file()
    assert read_key(scene) == before
    other = Design(points=300, minimum=20, min_share=0.03, chip=0, seed=1)
    with pytest.raises(ManifestError, match=r'design\.seed was 0, is 1'):
        sample_scene(scene, design=other)
    key = read_key(scene)
    estimate_scene(scene, write_csv(scene / 'labels.csv', truth, scene))
    assert read_estimate(scene)['points'] == 300
    sample_scene(scene, design=other, overwrite=True)
    assert read_key(scene) != key
    # Nothing of the earlier sample stays.
    assert read_estimate(scene) is None
    assert not (scene / 'assessment' / 'chips').exists()
    assert pyogrio.read_info(points)['fields'].tolist()[-1] == 'note'
    filled = scene / 'filled.gpkg'
    fill_in(truth, scene, filled)
    shutil.copy(filled, points)
    with pytest.raises(AssessmentError, match='has labels, which a new sample would replace'):
        sample_scene(scene, design=DESIGN, overwrite=True)
    assert estimate_scene(scene)['points'] == 300


def test_chips_of_images_in_a_zip_file(predicted, scene, tmp_path):
    packed = tmp_path / 'images.zip'
    with zipfile.ZipFile(packed, 'w') as archive:
        for date in ('before', 'after'):
            archive.write(predicted.parent / f'{date}.tif', f'{date}.tif')
    images = {date: f'{packed}/{date}.tif' for date in ('before', 'after')}
    made = sample_scene(scene, tmp_path / 'made', DESIGN, **images)
    for chip in sorted((made / 'chips').iterdir())[:4]:
        plain = predicted / 'assessment' / 'chips' / chip.name
        assert chip.read_bytes() == plain.read_bytes()
    with pytest.raises(FileNotFoundError, match=r'gone\.zip/a\.tif any more; say where'):
        sample_scene(
            scene, tmp_path / 'other', DESIGN, **images | dict(after=f'{tmp_path}/gone.zip/a.tif')
        )


def test_options_and_images_that_do_not_fit(scene, tmp_path):
    tiny = np.full((8, 8), 0.1)
    tiny[0, 0] = 0.9
    one = finished_scene(tmp_path / 'tiny', tiny, *np.ones((2, 8, 8), np.uint8))
    with pytest.raises(AssessmentError, match=r'fewer in: .* of 1 pixels\)'):
        sample_scene(one.folder, design=Design(points=10, minimum=2))
    for wrong, message in (
        (dict(minimum=1), 'needs 2 points or more'),
        (dict(chip=8), 'odd side of 9 pixels or more'),
        (dict(allocation='all'), "got 'all'"),
    ):
        with pytest.raises(AssessmentError, match=message):
            Design(**wrong)
    other = dict(out=tmp_path / 'other', design=DESIGN)
    with pytest.raises(FileNotFoundError, match='with --before FILE, or leave chips out'):
        sample_scene(scene, before=tmp_path / 'moved.tif', **other)
    with pytest.raises(AssessmentError, match='holds no sample'):
        estimate_scene(tmp_path / 'other')
    shifted = tmp_path / 'shifted.tif'
    with rasterio.open(
        shifted,
        'w',
        driver='GTiff',
        count=3,
        dtype='uint8',
        width=9,
        height=9,
        crs=UTM,
        transform=PLACE,
    ) as file:
        file.write(np.ones((3, 9, 9), np.uint8))
    with pytest.raises(SceneError, match=r'shifted\.tif covers 1 % of .*FILE\), or leave chips'):
        sample_scene(scene, before=shifted, after=shifted, **other)
