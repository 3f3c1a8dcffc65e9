"""Test labels of corrected polygons, against the maps of the scene that was corrected."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import SCDDataset
from tfinet_mm.datasets.check import check_dataset
from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.corrections.dataset import write_labels
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.results import SceneResults

rasterio = pytest.importorskip('rasterio')
features = pytest.importorskip('rasterio.features')
pyogrio = pytest.importorskip('pyogrio')
shapely = pytest.importorskip('shapely')
pytest.importorskip('pyproj')

TOOL = Path(__file__).resolve().parents[3] / 'tools' / 'dataset' / 'make_labels.py'
HEIGHT, WIDTH, SIZE = 70, 90, 32
PLACES = dict(layer='places', driver='GPKG', geometry_type='Polygon', fields=[], field_data=[])


def predicted_scene(network, scene, smooth, folder, bands=3):
    """Predict a scene with a corner without data."""
    dates = [smooth(HEIGHT, WIDTH, seed, bands) for seed in (1, 2)]
    dates[0][:, -6:, :9] = 0
    files = [scene(f'{bands}{i}', values, nodata=0) for i, values in enumerate(dates)]
    net = network(bands=bands, threshold=0.2)
    options = dict(bands=list(range(1, bands + 1)), registration=False)
    return SceneResults(predict_scene(net, *files, folder, **options))


def read(results):
    info, _, stored, columns = pyogrio.raw.read(results.folder / 'changes.gpkg')
    fields = dict(zip(info['fields'], (column.tolist() for column in columns), strict=True))
    return list(shapely.from_wkb(stored)), fields['from'], fields['to'], info['crs']


def save(path, shapes, old, new, crs):
    """Write polygons as QGIS does, with other fields left out."""
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array(shapes, object)),
        field_data=[np.array(names, object) for names in (old, new)],
        fields=['from', 'to'],
        layer='changes',
        driver='GPKG',
        geometry_type='Polygon',
        crs=crs,
    )
    return path


def labels(out, folder):
    """Put the windows of a data set together; 254 where there is none."""
    made = np.full((HEIGHT, WIDTH), 254)
    for path in (out / folder).glob('*.png'):
        left, top = map(int, re.findall(r'\d+', path.stem))
        part = np.array(Image.open(path))
        here = made[top : top + len(part), left : left + part.shape[1]]
        # Each pixel is labelled in one window.
        assert ((here >= 254) | (part == 255)).all()
        here[:] = np.where(here >= 254, part, here)
    return made


@pytest.fixture
def corrected(network, scene, smooth, tmp_path):
    """Return a scene, its corrected polygons and the pixels of each correction."""
    results = predicted_scene(network, scene, smooth, tmp_path / 'scene')
    shapes, old, new, crs = read(results)
    assert len(shapes) > 5
    burnt = [
        features.rasterize([shape], (HEIGHT, WIDTH), transform=results.grid.transform).astype(bool)
        for shape in shapes
    ]
    # An added polygon of 4 x 5 pixels where nothing changed.
    codes = results.read('transition')
    still = np.lib.stride_tricks.sliding_window_view(codes == 0, (4, 5)).all((2, 3))
    row, column = np.argwhere(still)[0]
    added = np.zeros((HEIGHT, WIDTH), bool)
    added[row : row + 4, column : column + 5] = True
    west, north = results.grid.transform.c + 10 * column, results.grid.transform.f - 10 * row
    shapes.append(shapely.box(west, north - 40, west + 50, north))
    others = [name for name in ('water', 'wood', 'town') if name not in (old[1], new[1])]
    old, new = [*old, 'water'], [*new, 'town']
    old[1] = others[0]
    kept = slice(1, None)
    path = save(tmp_path / 'corrected.gpkg', shapes[kept], old[kept], new[kept], crs)
    return results, path, dict(deleted=burnt[0], changed=burnt[1], added=added), (old[1], new[1])


def test_labels_are_where_polygons_were_corrected(corrected, tmp_path):
    results, path, kinds, sides = corrected
    out = tmp_path / 'data'
    made = write_labels(results.folder, path, out, rest='ignore', size=SIZE)
    change = labels(out, 'change')
    np.testing.assert_array_equal(change == 0, kinds['deleted'])
    np.testing.assert_array_equal(change == 1, kinds['changed'] | kinds['added'])
    names = results.classes.names
    for folder, side, own in zip(('label1', 'label2'), sides, ('water', 'town'), strict=True):
        found = labels(out, folder)
        assert (found[kinds['changed']] == names.index(side)).all()
        assert (found[kinds['added']] == names.index(own)).all()
        assert (found[kinds['deleted']] == 0).all()
    # A pixel of 10 m is a hundredth of a hectare.
    pixels = {kind: round(100 * area) for kind, area in made.areas.items()}
    expected = {'deleted': 'deleted', 'class changed': 'changed', 'added': 'added'}
    assert pixels == {kind: kinds[key].sum() for kind, key in expected.items()} | {'confirmed': 0}
    for name in ('im1', 'im2'):
        assert len(list((out / name).iterdir())) == made.windows
    settings = results.scene['settings']
    with ScenePair(settings['before']['file'], settings['after']['file']) as pair:
        values, _ = pair.read()
    for path in (out / 'im2').iterdir():
        left, top = map(int, re.findall(r'\d+', path.stem))
        window = values[3:, top : top + SIZE, left : left + SIZE]
        np.testing.assert_array_equal(np.array(Image.open(path)), window.transpose(1, 2, 0))


def test_the_check_of_data_sets_accepts_them(corrected, tmp_path):
    results, path, _, _ = corrected
    out = tmp_path / 'data'
    write_labels(results.folder, path, out, rest='ignore', size=SIZE)
    names = 'LoadImagePair', 'LoadPairAnnotations', 'PackPairInputs'
    dataset = SCDDataset(
        data_root=str(out),
        data_prefix=dict(seg_map_path='change'),
        label_storage='palette',
        change_storage='0/1',
        semantic_classes=list(results.classes.names),
        semantic_palette=[list(colour) for colour in results.classes.palette],
        pipeline=[dict(type=f'tfinet_mm.{name}') for name in names],
    )
    report = check_dataset(dataset, 0, 1, progress=iter)
    assert report.ok
    assert report.change_counts[2] > 0


def test_everything_in_reviewed_places_is_labelled(corrected, tmp_path):
    results, path, kinds, _ = corrected
    place = results.grid.transform
    # The left 40 columns, with the corner without data, in longitudes and latitudes.
    edges = shapely.box(place.c, place.f - 10 * HEIGHT, place.c + 400, place.f).segmentize(20)
    pyproj = pytest.importorskip('pyproj')
    move = pyproj.Transformer.from_crs('EPSG:32633', 'EPSG:4326', always_xy=True).transform
    there = shapely.transform(edges, lambda points: np.stack(move(*points.T), 1))
    geometry = shapely.to_wkb(np.array([there], object))
    pyogrio.raw.write(tmp_path / 'seen.gpkg', geometry=geometry, crs='EPSG:4326', **PLACES)
    out = tmp_path / 'data'
    write_labels(
        results.folder, path, out, reviewed=tmp_path / 'seen.gpkg', rest='ignore', size=SIZE
    )
    change, predicted = labels(out, 'change'), results.read('change')
    edited = np.any(list(kinds.values()), axis=0)
    plain = ~edited
    plain[:, 40:] = False
    np.testing.assert_array_equal(change[plain], predicted[plain])
    assert (change[-6:, :9] == 255).all()
    outside = ~edited
    outside[:, :40] = False
    assert set(np.unique(change[outside])) <= {254, 255}


def test_the_rest_may_keep_its_prediction(corrected, tmp_path):
    results, path, kinds, _ = corrected
    write_labels(results.folder, path, tmp_path / 'data', rest='prediction', others=0, size=SIZE)
    change = labels(tmp_path / 'data', 'change')
    rest = ~np.any(list(kinds.values()), axis=0) & (change != 254)
    prob = results.read('change_prob')
    # Pixels that the network is sure of.
    expected = np.where(prob >= 0.75, results.read('change'), 255)
    expected = np.where(prob <= 0.25, results.read('change'), expected)
    expected[results.read('change') == 255] = 255
    assert (expected[rest] == 255).any()
    np.testing.assert_array_equal(change[rest], expected[rest])
    assert (change[kinds['deleted']] == 0).all()


def test_other_windows_keep_their_prediction(corrected, tmp_path):
    results, path, kinds, _ = corrected
    touched = np.any(list(kinds.values()), axis=0)
    without, one, all_others = (
        write_labels(
            results.folder, path, tmp_path / name, rest='prediction', others=number, size=8
        )
        for name, number in (('a', 0), ('b', 1), ('c', 10_000))
    )
    assert (without.others, one.others) == (0, 1)
    assert one.windows == without.windows + 1
    assert without.areas == one.areas == all_others.areas
    # All 9 rows of 12 windows have pixels with data.
    assert all_others.windows == 108
    change = labels(tmp_path / 'c', 'change')
    prob = results.read('change_prob')
    sure = (np.abs(prob - 0.5) >= 0.25) & (results.read('change') != 255) & ~touched
    np.testing.assert_array_equal(change[sure], results.read('change')[sure])
    added = {path.name for path in (tmp_path / 'b' / 'change').iterdir()}
    added -= {path.name for path in (tmp_path / 'a' / 'change').iterdir()}
    (name,) = added
    left, top = map(int, re.findall(r'\d+', name)[:2])
    assert not touched[top : top + 8, left : left + 8].any()


def test_more_bands_become_tiff(network, scene, smooth, tmp_path):
    results = predicted_scene(network, scene, smooth, tmp_path / 'scene', bands=4)
    shapes, old, new, crs = read(results)
    path = save(tmp_path / 'c.gpkg', shapes[1:], old[1:], new[1:], crs)
    made = write_labels(results.folder, path, tmp_path / 'data', rest='ignore', size=SIZE)
    files = list((tmp_path / 'data' / 'im1').iterdir())
    assert len(files) == made.windows
    with rasterio.open(files[0]) as file:
        assert (file.count, file.dtypes[0]) == (4, 'uint8')


def test_the_tool_tells_what_it_labelled(corrected, tmp_path, capsys):
    results, path, kinds, _ = corrected
    main = runpy.run_path(str(TOOL))['main']
    main([str(results.folder), str(path), '--out', str(tmp_path / 'data'), '--size', str(SIZE)])
    shown = capsys.readouterr().out
    assert f'deleted        {kinds["deleted"].sum() / 100:.2f} ha' in shown
    windows = len(list((tmp_path / 'data' / 'change').iterdir()))
    others = re.search(r'(\d+) windows, (\d+) of them without a correction\n$', shown)
    assert int(others[1]) == windows
    assert int(others[2]) == windows // 2 > 0


def test_mistakes(corrected, tmp_path):
    results, path, _, _ = corrected
    out = tmp_path / 'data'
    shapes, old, new, crs = read(results)
    same = results.folder / 'changes.gpkg'
    with pytest.raises(SceneError, match='has the same polygons as'):
        write_labels(results.folder, same, out)
    wrong = save(tmp_path / 'a.gpkg', shapes[:2], [old[0], 'lake'], new[:2], crs)
    with pytest.raises(SceneError, match=r"row 2: 'lake' is no class .* expected one of unchanged"):
        write_labels(results.folder, wrong, out)
    half = save(tmp_path / 'b.gpkg', shapes[:1], ['unchanged'], new[:1], crs)
    with pytest.raises(SceneError, match='expected a land cover on both dates'):
        write_labels(results.folder, half, out)
    with pytest.raises(FileNotFoundError, match=r'no file .*nowhere\.gpkg'):
        write_labels(results.folder, tmp_path / 'nowhere.gpkg', out)
    with pytest.raises(SceneError, match=r'--others.* 0 or more, got -1'):
        write_labels(results.folder, path, out, others=-1)
    assert not out.exists()
    write_labels(results.folder, path, out, rest='ignore', size=SIZE)
    with pytest.raises(SceneError, match='holds a data set'):
        write_labels(results.folder, path, out, rest='ignore', size=SIZE)


def test_corrections_of_another_place(corrected, tmp_path):
    """Degrees that are stated as metres would delete every change."""
    results, _, _, _ = corrected
    shapes, old, new, crs = read(results)
    degrees = [shapely.transform(shape, lambda points: points / 1e5) for shape in shapes]
    wrong = save(tmp_path / 'wrong.gpkg', degrees, old, new, crs)
    with pytest.raises(SceneError, match=r'none of the \d+ polygons of .*wrong.gpkg lies in'):
        write_labels(results.folder, wrong, tmp_path / 'a', size=SIZE)
    some = save(tmp_path / 'some.gpkg', [*degrees[:1], *shapes[1:]], old, new, crs)
    with pytest.warns(UserWarning, match=rf'1 of {len(shapes)} polygons of .* lie outside'):
        write_labels(results.folder, some, tmp_path / 'b', size=SIZE)
    none = save(tmp_path / 'none.gpkg', [], [], [], crs)
    with pytest.warns(UserWarning, match=rf'no polygon: all {len(shapes)} of the scene count'):
        write_labels(results.folder, none, tmp_path / 'c', size=SIZE)
