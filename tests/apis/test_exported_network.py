"""Test SCDInferencer and tfinet predict with exported networks, against NumPy."""

import json

import numpy as np
import pytest
import tiny_export
from PIL import Image

from tfinet_mm.apis import SCDInferencer, predict_scene
from tfinet_mm.apis.command import main
from tfinet_mm.errors import ClassMismatchError, ImageFormatError
from tfinet_mm.structures import SECOND, ClassTable

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
rasterio = pytest.importorskip('rasterio')
OTHER = ClassTable(('same', 'sea', 'park', 'roof'), ((9, 9, 9), (1, 2, 3), (4, 5, 6), (7, 8, 9)))


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    return tiny_export.write(tmp_path_factory.mktemp('exported') / 'tiny.onnx')


@pytest.fixture(scope='module')
def inferencer(file):
    return SCDInferencer(file, backend='onnxruntime')


@pytest.fixture(scope='module')
def pair():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (21, 35, 3), dtype=np.uint8) for _ in range(2)]


def expected(before, after):
    """Return P(changed) (H, W) and both class probabilities (K, H, W)."""
    joined = np.concatenate([before, after], axis=2).transpose(2, 0, 1)[np.newaxis]
    prob_from, prob_to, change = tiny_export.expected(joined)
    return change[0, 0], prob_from[0], prob_to[0]


def test_results_are_those_of_the_network(inferencer, pair, tmp_path):
    result = inferencer(*pair)
    change, prob_from, prob_to = expected(*pair)
    np.testing.assert_allclose(result.change_prob, change, atol=2e-6)
    assert result.change.dtype == bool
    clear = abs(change - 0.5) > 1e-5
    assert (result.change == (change >= 0.5))[clear].all()
    for cover, prob in ((result.land_cover_from, prob_from), (result.land_cover_to, prob_to)):
        assert cover.dtype == np.uint8
        assert (cover == prob.argmax(0) + 1).mean() > 0.99
    assert result.classes == tiny_export.NAMES
    assert (result.before == pair[0]).all()
    assert (result.after == pair[1]).all()
    for name, image in zip('ba', pair, strict=True):
        Image.fromarray(image).save(tmp_path / f'{name}.png')
    found = dict(inferencer.predict([(tmp_path / 'b.png', tmp_path / 'a.png')], workers=1))
    assert (found[0].change_prob == result.change_prob).all()
    assert found[0].name == 'b'


def test_a_batch_gives_the_same(file, inferencer, pair):
    both = SCDInferencer(file, backend='onnxruntime', batch_size=2)
    first, second = both([pair[0], pair[1]], [pair[1], pair[0]])
    np.testing.assert_allclose(first.change_prob, inferencer(*pair).change_prob, atol=1e-6)
    assert (first.land_cover_from == second.land_cover_to).all()


def test_threshold_classes_and_bands_are_options(file, pair):
    one = SCDInferencer(
        file, backend='onnxruntime', threshold=0.2, class_table=OTHER, bands=[4, 2, 1]
    )
    four = [np.concatenate([image, 255 - image[..., :1]], axis=2) for image in pair]
    result = one(*four)
    change, *_ = expected(*(image[..., [3, 1, 0]] for image in four))
    assert (result.change == (change >= 0.2))[abs(change - 0.2) > 1e-5].all()
    assert result.class_table == OTHER
    assert one.settings['threshold'] == 0.2
    assert one.bands == [4, 2, 1]
    with pytest.raises(ClassMismatchError, match='has 3 land-cover classes, the table 6'):
        SCDInferencer(file, class_table=SECOND)


def test_a_value_range_is_scaled_as_by_other_networks(file, tmp_path, pair):
    deep = [image.astype(np.uint16) * 40 + 7 for image in pair]
    with pytest.raises(ImageFormatError, match='uint16'):
        SCDInferencer(file)(*deep)
    change, *_ = expected(*pair)
    ranged = SCDInferencer(file, value_range=(7, 255 * 40 + 7))
    np.testing.assert_allclose(ranged(*deep).change_prob, change, atol=1e-5)
    card = tiny_export.card(input_type='uint16', value_range=(7.0, 255 * 40 + 7.0))
    stated = SCDInferencer(tiny_export.write(tmp_path / 'a.onnx', card))
    assert stated.value_range == (7.0, 10207.0)
    np.testing.assert_allclose(stated(*deep).change_prob, change, atol=1e-5)


def test_masked_pixels_are_not_seen(inferencer, pair):
    before, after = (np.ma.masked_array(image, np.zeros(image.shape, bool)) for image in pair)
    after[:, 20:] = np.ma.masked
    result = inferencer(before, after)
    assert (result.valid == (np.arange(35) < 20)).all()
    assert result.change_prob.mask[:, 20:].all()
    assert (result.land_cover_to[:, 20:] == 0).all()
    filled = pair[1].copy()
    filled[:, 20:] = filled[:, 19:20]
    wide = pair[0].copy()
    wide[:, 20:] = wide[:, 19:20]
    change, *_ = expected(wide, filled)
    np.testing.assert_allclose(result.change_prob[:, :20], change[:, :20], atol=2e-6)


def test_windows_and_fixed_sizes(file, tmp_path, pair):
    windows = SCDInferencer(file, window=16, overlap=0)
    result = windows(*pair)
    change, *_ = expected(*(image[:16, :16] for image in pair))
    np.testing.assert_allclose(result.change_prob[:5, :16], change[:5], atol=1e-5)
    card = tiny_export.card(size=(16, 16))
    fixed_file = tiny_export.write(tmp_path / 'fixed.onnx', card, (16, 16))
    fixed = SCDInferencer(fixed_file)
    assert (fixed.window, fixed.overlap) == (16, 4)
    found = fixed(*pair)
    assert found.change_prob.shape == (21, 35)
    np.testing.assert_allclose(
        found.change_prob, SCDInferencer(file, window=16)(*pair).change_prob, atol=1e-5
    )
    with pytest.raises(ValueError, match=r'exported for images of \(16, 16\).*--dynamic'):
        SCDInferencer(fixed_file, window=32)


def test_a_picture_of_the_fixed_size_is_one_window(tmp_path, pair):
    """Whatever its shape; a larger one is predicted in windows of all of this size."""
    card = tiny_export.card(size=(24, 40))
    fixed = SCDInferencer(tiny_export.write(tmp_path / 'fixed.onnx', card, (24, 40)))
    np.testing.assert_allclose(fixed(*pair).change_prob, expected(*pair)[0], atol=2e-6)
    assert (fixed.window, fixed.overlap) == (24, 6)


def test_windows_that_the_config_asked_for(file, tmp_path, pair):
    card = tiny_export.card(sliding=((16, 24), (8, 16)))
    found = SCDInferencer(tiny_export.write(tmp_path / 'slide.onnx', card))
    wanted = SCDInferencer(file, window=(16, 24), overlap=(8, 8))
    whole = SCDInferencer(file)
    one, other, third = (each(*pair).change_prob for each in (found, wanted, whole))
    assert (one == other).all()
    assert abs(one - third).max() > 1e-3
    with found.whole_images():
        assert (found(*pair).change_prob == third).all()


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        (dict(tta=True), 'takes no tta: the views that are averaged are part of the file'),
        (dict(cfg_options={'model.x': 1}), 'takes no cfg_options: the file holds no config'),
        (dict(checkpoint='a.pth'), 'takes no checkpoint: the file holds the weights'),
        (dict(device='cuda:0'), 'run on the CPU'),
        (dict(amp='bfloat16', backend='onnxruntime'), 'ONNX Runtime computes'),
        (dict(backend='torch'), 'torch does not read'),
        (dict(window=16, overlap=16), 'overlap 0 up to window - 1'),
    ],
)
def test_options_that_were_decided_at_export_are_refused(file, options, reason):
    with pytest.raises(ValueError, match=reason):
        SCDInferencer(file, **options)


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scene')
    random = np.random.default_rng(3)
    images = [random.integers(0, 256, (3, 70, 90), dtype=np.uint8) for _ in range(2)]
    for name, values in zip(('before', 'after'), images, strict=True):
        options = dict(driver='GTiff', count=3, height=70, width=90, dtype='uint8')
        place = dict(crs='EPSG:32633', transform=rasterio.Affine(2, 0, 5e5, 0, -2, 6e6))
        with rasterio.open(folder / f'{name}.tif', 'w', **options, **place) as raster:
            raster.write(values)
    return folder, np.concatenate(images)[np.newaxis]


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_a_scene_is_the_blend_of_its_windows(file, scene, tmp_path, backend):
    pytest.importorskip(backend)
    folder, joined = scene
    network = SCDInferencer(file, backend=backend, batch_size=3)
    assert (network.window, network.overlap) == (64, 16)
    images = folder / 'before.tif', folder / 'after.tif'
    predict_scene(network, *images, tmp_path / 'out', registration=False)
    with rasterio.open(tmp_path / 'out' / 'change_prob.tif') as raster:
        found, scale = raster.read(1), raster.scales[0]
    wanted = tiny_export.expected(joined[..., :64, :64])[2][0, 0]
    alone = slice(0, 60), slice(0, 60)
    seen = tiny_export.expected(joined)[2][0, 0]
    inner = slice(1, 40), slice(1, 40)
    assert abs(found[inner] * scale - seen[inner]).max() < 0.01
    assert abs(wanted[alone] - seen[alone]).max() < 1e-5
    made = json.loads((tmp_path / 'out' / 'scene.json').read_text())
    exported = made['settings']['exported']
    assert (exported['file'], exported['backend']) == ('tiny.onnx', backend)
    assert made['provenance']['software'][backend] == network.software[backend]
    assert made['settings']['model'] == [dict(tiny_export.card().model[0])]


def test_the_command_takes_the_file_as_its_network(file, scene, tmp_path, capsys):
    folder, _ = scene
    words = [str(folder / 'before.tif'), str(folder / 'after.tif'), '--out', str(tmp_path)]
    options = ['--input-type', 'picture', '--backend', 'onnxruntime']
    assert main([str(file), *words, *options]) is None
    assert (tmp_path / 'change_prob' / 'before.png').is_file()
    settings = json.loads((tmp_path / 'manifest.json').read_text())['settings']
    assert settings['exported']['backend'] == 'onnxruntime'
    with pytest.raises(ValueError, match='takes no tta'):
        main([str(file), *words, *options, '--no-tta'])
    assert 'Predicting with onnxruntime' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['a.xml', 'a.pt2'])
def test_files_of_the_tool_predict_as_torch(member, tmp_path, pair, name):
    """The exporter and the runtime agree on where a file keeps its card."""
    for package in ('onnxscript', 'openvino'):
        pytest.importorskip(package)
    from tfinet_mm.apis.network_export import export_network

    given = member()
    export_network(*given, tmp_path / name)
    network = SCDInferencer(tmp_path / name)
    larger = [np.tile(image, (2, 1, 1)) for image in pair]
    found, wanted = network(*larger), SCDInferencer(*given)(*larger)
    np.testing.assert_allclose(found.change_prob, wanted.change_prob, atol=1e-4)
    assert (found.land_cover_to == wanted.land_cover_to).mean() > 0.999
    if name == 'a.pt2':
        with pytest.raises(ImageFormatError, match=r'does not take images of \(21, 35\)'):
            network(*pair)
