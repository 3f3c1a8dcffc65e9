"""Test exported networks against NumPy on a tiny file, in each program that runs them."""

import shutil

import numpy as np
import pytest
import tiny_export

from tfinet_mm.deploy.backends import _has_bfloat16, openvino_core
from tfinet_mm.deploy.card import CARD_FILE, CARD_KEY, FORMAT_VERSION
from tfinet_mm.deploy.card_files import read_card
from tfinet_mm.deploy.runtime import ExportedNetwork
from tfinet_mm.errors import ExportedFileError, ImageFormatError, MissingExtraError

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
openvino = pytest.importorskip('openvino')
BACKENDS = ('onnxruntime', 'openvino')
NEAR = dict(rtol=0, atol=2e-6)


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    return tiny_export.write(tmp_path_factory.mktemp('exported') / 'tiny.onnx')


@pytest.fixture(scope='module')
def networks(file):
    return {name: ExportedNetwork(file, name) for name in BACKENDS}


def pairs(*shape, seed=0, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8).astype(dtype)


def same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, **NEAR)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('size', [(24, 16), (21, 35), (1, 3)])
def test_any_size_is_padded_with_its_edge(networks, backend, size):
    given = pairs(2, 6, *size)
    network = networks[backend]
    wanted = tiny_export.expected(given)
    same(network.probabilities(given), wanted)
    change, *covers = network.maps(given)
    np.testing.assert_allclose(change, wanted[2][:, 0], **NEAR)
    for cover, prob in zip(covers, wanted, strict=False):
        assert cover.dtype == np.uint8
        second, first = np.sort(prob, axis=1)[:, -2:].swapaxes(0, 1)
        clear = first - second > 1e-5
        assert clear.mean() > 0.99
        assert (cover == prob.argmax(1) + 1)[clear].all()


@pytest.mark.parametrize(
    ('sizes', 'fits', 'padded', 'advice'),
    [
        (dict(size_divisor=8), (16, 8), (24, 40), 'export the network again'),
        (dict(least_side=32), (33, 35), (32, 35), '--size 21 35 or --no-tta'),
    ],
)
def test_views_of_a_padded_image_are_pointed_out_once(
    tmp_path, recwarn, sizes, fits, padded, advice
):
    card = tiny_export.card(tta=('identity', 'horizontal_flip'), **(dict(size_divisor=1) | sizes))
    network = ExportedNetwork(tiny_export.write(tmp_path / 'a.onnx', card), 'onnxruntime')
    network.maps(pairs(1, 6, *fits))
    assert not recwarn.list
    message = f'21 x 35 pixels are padded to {padded[0]} x {padded[1]}.*{advice}'
    with pytest.warns(UserWarning, match=message):
        network.maps(pairs(1, 6, 21, 35))
    recwarn.clear()
    network.maps(pairs(1, 6, 21, 35))
    assert not recwarn.list


def test_images_below_the_least_side_are_padded_or_refused(tmp_path):
    card = tiny_export.card(size_divisor=1, least_side=32)
    network = ExportedNetwork(tiny_export.write(tmp_path / 'a.onnx', card), 'onnxruntime')
    given = pairs(1, 6, 21, 35)
    wider = np.pad(given, ((0, 0), (0, 0), (0, 11), (0, 0)), mode='edge')
    change = network.probabilities(given).change
    assert np.array_equal(change, network.probabilities(wider).change[..., :21, :])
    with pytest.raises(ImageFormatError, match=r'\(21, 35\).*any size from 32 pixels on; pad'):
        network.run(given[:, :3], given[:, 3:])


@pytest.mark.parametrize('backend', BACKENDS)
def test_windows_average_logits(networks, backend):
    """As a detector's slide_inference does, here over two windows side by side."""
    given = pairs(1, 6, 16, 24)
    found = networks[backend].windowed(given, (16, 16), (16, 8))
    parts = [tiny_export.expected(given[..., left : left + 16]) for left in (0, 8)]
    for one, left, right in zip(found, *parts, strict=True):
        np.testing.assert_allclose(one[..., :8], left[..., :8], atol=1e-5)
        np.testing.assert_allclose(one[..., 16:], right[..., 8:], atol=1e-5)
        shared = np.stack([left[..., 8:], right[..., :8]]).clip(1e-7, 1).astype(np.float64)
        if one.shape[1] == 1:
            odds = np.log(shared / (1 - shared).clip(1e-7)).mean(0)
            np.testing.assert_allclose(one[..., 8:16], 1 / (1 + np.exp(-odds)), atol=1e-4)
        else:
            powers = np.exp(np.log(shared).mean(0))
            np.testing.assert_allclose(
                one[..., 8:16], powers / powers.sum(1, keepdims=True), atol=1e-4
            )
    small = given[..., :12]
    same(networks[backend].windowed(small, (16, 16), (8, 8)), tiny_export.expected(small))


@pytest.mark.parametrize('kind', ['uint16', 'float32'])
def test_values_are_given_as_files_store_them(tmp_path, kind):
    card = tiny_export.card(input_type=kind, value_range=(100.0, 10100.0))
    network = ExportedNetwork(tiny_export.write(tmp_path / 'a.onnx', card), 'onnxruntime')
    stored = np.random.default_rng(1).integers(0, 12000, (1, 6, 8, 8)).astype(np.float32)
    scaled = ((stored - 100) * (255 / 10000)).clip(0, 255).astype(np.float32)
    wanted = tiny_export.expected(scaled)
    same(network.probabilities(scaled), wanted)
    raw = stored.astype(kind)
    found = network.run(raw[:, :3], raw[:, 3:], ('prob_from', 'change'))
    np.testing.assert_allclose(found['prob_from'], wanted[0], **NEAR)
    assert (found['change'] == (wanted[2][:, 0] >= 0.5)).all()


@pytest.mark.parametrize('backend', BACKENDS)
def test_a_fixed_size_is_padded_up_to_and_never_cut(tmp_path, backend):
    file = tiny_export.write(tmp_path / 'a.onnx', tiny_export.card(size=(16, 24)), (16, 24))
    network = ExportedNetwork(file, backend)
    given = pairs(1, 6, 16, 20)
    wanted = tiny_export.expected(given)
    same(network.probabilities(given), wanted)
    with pytest.raises(ImageFormatError, match=r'32 x 8 .* exported for 16 x 24; .*--window'):
        network.probabilities(pairs(1, 6, 32, 8))
    with pytest.raises(ImageFormatError, match=r'takes \(16, 24\) alone'):
        network.run(given[:, :3], given[:, 3:])


@pytest.mark.parametrize('backend', BACKENDS)
def test_a_fixed_batch_is_filled_up(tmp_path, backend):
    card = tiny_export.card(size=(16, 16))
    network = ExportedNetwork(
        tiny_export.write(tmp_path / 'a.onnx', card, (16, 16), batch=2), backend
    )
    given = pairs(3, 6, 16, 16)
    same(network.probabilities(given), tiny_export.expected(given))


def test_images_that_do_not_fit_are_named(networks):
    network = networks['onnxruntime']
    given = pairs(1, 3, 8, 9)
    with pytest.raises(ImageFormatError, match=r'multiples of 8'):
        network.run(given, given)
    with pytest.raises(ImageFormatError, match=r'before has the shape .* \(pairs, 3, height'):
        network.run(given[:, :2], given[:, :2])
    with pytest.raises(ImageFormatError, match=r'before holds int64, .* takes uint8'):
        network.run(given.astype(int), given)
    with pytest.raises(ImageFormatError, match='give one size'):
        network.run(given[..., :8], given[:, :, :, :8].repeat(2, axis=3))
    with pytest.raises(ImageFormatError, match=r'before is a list.*takes NumPy arrays'):
        network.run(given[..., :8].tolist(), given[..., :8])
    with pytest.raises(ValueError, match="has no output 'maps'; choose from prob_from"):
        network.run(given[..., :8], given[..., :8], ['maps'])


@pytest.mark.parametrize('shape', [(0, 6, 8, 8), (1, 6, 8, 0), (1, 5, 8, 8), (6, 8, 8)])
def test_shapes_of_no_pairs(networks, shape):
    network = networks['openvino']
    given = np.zeros(shape, np.uint8)
    for function in (network.probabilities, network.maps):
        with pytest.raises(
            ImageFormatError, match=r'the pairs have the shape .*\(pairs, 6, height'
        ):
            function(given)
    with pytest.raises(ImageFormatError, match=r'the pairs have the shape'):
        network.windowed(given, (4, 4), (4, 4))
    if len(shape) == 4:
        with pytest.raises(ImageFormatError, match=r'takes \(pairs, 3, height, width\)'):
            network.run(given[:, :3], given[:, 3:])


def test_values_that_are_not_finite(networks):
    given = pairs(1, 6, 8, 8, dtype=np.float32)
    given[0, 2, 3, 4] = np.nan
    with pytest.raises(ImageFormatError, match='not finite'):
        networks['openvino'].probabilities(given)


@pytest.mark.parametrize('backend', BACKENDS)
def test_a_card_on_another_graph(tmp_path, backend):
    onnx = pytest.importorskip('onnx')
    value = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in 'xy']
    node = onnx.helper.make_node('Identity', ['x'], ['y'])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], 'g', value[:1], value[1:]),
        opset_imports=[onnx.helper.make_opsetid('', 18)],
        ir_version=10,
    )
    onnx.helper.set_model_props(model, {CARD_KEY: tiny_export.card().to_json()})
    onnx.save(model, tmp_path / 'a.onnx')
    with pytest.raises(ExportedFileError, match="without the input 'before', only x; export it"):
        ExportedNetwork(tmp_path / 'a.onnx', backend)


def test_openvino_compiles_for_the_first_shape_and_once_for_all_others(file, monkeypatch):
    network = ExportedNetwork(file, 'openvino')
    core, compiled = network._program._core, []

    class Core:
        def compile_model(self, model, *options):
            compiled.append(model.is_dynamic())
            return core.compile_model(model, *options)

    network._program._core = Core()
    for side in (8, 16, 24, 8, 16):
        given = pairs(1, 6, side, 8)
        same(network.probabilities(given), tiny_export.expected(given))
    assert compiled == [False, True]


def test_bfloat16_is_openvinos(file, monkeypatch):
    with pytest.raises(ValueError, match=r"ONNX Runtime computes .* amp='bfloat16'"):
        ExportedNetwork(file, 'onnxruntime', precision='bfloat16')
    assert ExportedNetwork(file, 'onnxruntime', precision='auto').precision == 'float32'
    able = _has_bfloat16(openvino_core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))
    auto = ExportedNetwork(file, 'openvino', precision='auto')
    assert auto.precision == ('bfloat16' if able else 'float32')
    if able:
        network = ExportedNetwork(file, 'openvino', precision='bfloat16')
        assert network.precision == 'bfloat16'
        given = pairs(1, 6, 16, 16)
        found, wanted = network.probabilities(given), tiny_export.expected(given)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, atol=0.05)
    monkeypatch.setattr('tfinet_mm.deploy.backends.features', lambda: {'avx2'})
    assert ExportedNetwork(file, 'openvino', precision='auto').precision == 'float32'
    monkeypatch.setattr('tfinet_mm.deploy.backends.features', lambda: {'amx_bf16'})
    monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', 'AVX2')
    assert ExportedNetwork(file, 'openvino', precision='auto').precision == 'float32'
    with pytest.raises(ValueError, match='no units for bfloat16'):
        ExportedNetwork(file, 'openvino', precision='bfloat16')
    with pytest.raises(ValueError, match='float32 or bfloat16'):
        ExportedNetwork(file, 'openvino', precision='float16')


def test_one_core_serves_all_networks(file):
    """Of several, one that is freed out of turn leaves signals without a stack."""
    networks = [ExportedNetwork(file, 'openvino') for _ in range(2)]
    assert {id(one._program._core) for one in networks} == {id(openvino_core())}


def test_the_ir_of_openvino(tmp_path, file):
    model = openvino_core().read_model(file)
    model.set_rt_info(tiny_export.card(name='as IR').to_json(), CARD_KEY)
    path = tmp_path / 'a.xml'
    openvino.save_model(model, path, compress_to_fp16=False)
    network = ExportedNetwork(path)
    assert (network.card.name, network.backend) == ('as IR', 'openvino')
    given = pairs(1, 6, 9, 8)
    same(network.probabilities(given), tiny_export.expected(given))
    with pytest.raises(ValueError, match='ONNX Runtime does not read'):
        ExportedNetwork(path, 'onnxruntime')
    path.with_suffix('.bin').unlink()
    with pytest.raises(FileNotFoundError, match='lacks its weights'):
        ExportedNetwork(path)


def test_an_archive_of_torch(tmp_path):
    torch = pytest.importorskip('torch')

    class Brightness(torch.nn.Module):
        def forward(self, before, after):
            prob = [torch.softmax(date.float() / 255, 1) for date in (before, after)]
            change = (after.float() - before.float()).abs().mean(1) / 255
            covers = [(one.argmax(1) + 1).to(torch.uint8) for one in prob]
            return (*prob, change, (change >= 0.5).to(torch.uint8), *covers)

    example = torch.zeros(2, 3, 16, 24, dtype=torch.uint8)
    sides = {0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    program = torch.export.export(
        Brightness(), (example, example.clone()), dynamic_shapes=dict(before=sides, after=sides)
    )
    path = tmp_path / 'a.pt2'
    torch.export.save(program, path, extra_files={CARD_FILE: tiny_export.card().to_json()})
    network = ExportedNetwork(path)
    assert network.backend == 'torch'
    given = pairs(2, 6, 8, 32)
    found = network.probabilities(given)
    powers = np.exp(given[:, :3] / 255)
    np.testing.assert_allclose(found.land_cover_from, powers / powers.sum(1, keepdims=True), 1e-5)
    assert found.change.shape == (2, 1, 8, 32)


def test_files_that_are_not_ours_are_refused_by_name(tmp_path, file):
    bare = tiny_export.write(tmp_path / 'bare.onnx', False)
    with pytest.raises(ExportedFileError, match=r'bare\.onnx holds a network, but .*tools/export'):
        ExportedNetwork(bare)
    newer = tiny_export.card()
    object.__setattr__(newer, 'format_version', FORMAT_VERSION + 1)
    with pytest.raises(ExportedFileError, match='upgrade tfinet-mm'):
        ExportedNetwork(tiny_export.write(tmp_path / 'newer.onnx', newer))
    content = file.read_bytes()
    cut = tmp_path / 'cut.onnx'
    for length in (0, 1, len(content) // 2, len(content) - 1):
        cut.write_bytes(content[:length])
        with pytest.raises(ExportedFileError, match=r'cut\.onnx'):
            ExportedNetwork(cut)
    text = tmp_path / 'text.onnx'
    text.write_text('not a network at all, but long enough for a few fields')
    for name in ('text.onnx', 'text.xml', 'text.pt2'):
        if name != text.name:
            shutil.copy(text, tmp_path / name)
        (tmp_path / 'text.bin').touch()
        with pytest.raises(ExportedFileError, match='can not be read as'):
            ExportedNetwork(tmp_path / name)
    with pytest.raises(ExportedFileError, match=r'expected a file \.onnx'):
        read_card(tmp_path / 'a.pth')
    with pytest.raises(FileNotFoundError, match='no exported network'):
        ExportedNetwork(tmp_path / 'none.onnx')


def test_damage_in_the_graph_is_reported_by_the_program(tmp_path, file):
    content = bytearray(file.read_bytes())
    place = content.index(b'AveragePool')
    content[place : place + 11] = b'AveragePoor'
    path = tmp_path / 'bad.onnx'
    path.write_bytes(content)
    for backend, name in (('onnxruntime', 'ONNX Runtime'), ('openvino', 'OpenVINO')):
        with pytest.raises(ExportedFileError, match=f'{name} can not read .*bad'):
            ExportedNetwork(path, backend)


def test_a_missing_program_is_named_with_its_extra(file, monkeypatch):
    monkeypatch.setattr('tfinet_mm.deploy.backends.find_spec', lambda name: None)
    with pytest.raises(MissingExtraError, match=r'tfinet-mm\[openvino\].*tfinet-mm\[runtime\]'):
        ExportedNetwork(file)
    monkeypatch.setattr(
        'tfinet_mm.deploy.backends.find_spec', lambda name: name == 'onnxruntime' or None
    )
    assert ExportedNetwork(file).backend == 'onnxruntime'
    with pytest.raises(ValueError, match='backend must be auto or one of'):
        ExportedNetwork(file, 'tensorrt')
