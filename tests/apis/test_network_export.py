"""Test exported files against the network that they were made of."""

import dataclasses
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine import Config

from tfinet_mm.apis import SCDInferencer, network_export
from tfinet_mm.apis.calibration import calibration_images
from tfinet_mm.apis.network_export import export_card, export_network
from tfinet_mm.apis.torch_network import TorchNetwork
from tfinet_mm.deploy.backends import openvino_core
from tfinet_mm.deploy.card import CARD_KEY, OUTPUTS, ExportCard
from tfinet_mm.deploy.card_files import read_card
from tfinet_mm.deploy.graph import ExportGraph
from tfinet_mm.errors import ExportedFileError, ExportError, MissingExtraError

onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')


def run(path, before, after, **options):
    """Predict images (H, W, B) with ONNX Runtime alone."""
    session = onnxruntime.InferenceSession(path, **options)
    names = [output.name for output in session.get_outputs()]
    assert names == list(OUTPUTS)
    made = session.run(None, dict(before=planes(before), after=planes(after)))
    return dict(zip(names, (part[0] for part in made), strict=True))


def planes(image):
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def card_of(path):
    text = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map[CARD_KEY]
    return ExportCard.from_json(text, path.name)


def check(made, result):
    assert np.abs(made['change_prob'] - result.change_prob).max() < 1e-4
    assert (made['change'] == result.change).mean() > 0.999
    assert (made['land_cover_from'] == result.land_cover_from).mean() > 0.999
    assert (made['land_cover_to'] == result.land_cover_to).mean() > 0.999


@pytest.fixture(scope='module')
def exported(shared_member, tmp_path_factory):
    """The network with open sizes, as ONNX."""
    return export_network(
        *shared_member, tmp_path_factory.mktemp('exported') / 'a.onnx', threshold=0.4
    )


@pytest.fixture
def converted(exported, monkeypatch):
    """Take that graph instead of tracing the network again, which takes seconds."""
    onnx = pytest.importorskip('onnx')
    monkeypatch.setattr(network_export, 'trace', lambda *_: None)
    monkeypatch.setattr(network_export, 'onnx_model', lambda _: onnx.load(exported.path))


def test_onnx_of_open_size(exported, shared_member, image):
    inferencer = SCDInferencer(*shared_member, 'cpu', threshold=0.4)
    for height, width in ((64, 96), (32, 32), (160, 64)):
        before, after = image(1, height, width), image(2, height, width)
        result = inferencer(before, after)
        made = run(exported.path, before, after)
        check(made, result)
        assert set(np.unique(made['land_cover_to'])) <= set(range(1, 7))
        assert made['prob_to'].shape == (6, height, width)
        assert np.allclose(made['prob_to'].sum(0), 1, atol=1e-5)
    assert 0 < result.change.mean() < 1
    card = card_of(exported.path)
    assert card == exported.card
    assert [path.name for path in exported.described] == ['a.onnx.mlm.json', 'a.onnx.md']
    assert json.loads(exported.described[0].read_text())['properties']['mlm:name'] == 'a'
    assert (card.name, card.threshold, card.sizes) == ('a', 0.4, 'any size')
    assert card.class_names == inferencer.class_table.names
    assert card.model[0]['weights'] == inferencer.settings['model'][0]['weights']


def test_the_threshold_is_data_of_the_graph(exported, image):
    onnx = pytest.importorskip('onnx')
    model = onnx.load(exported.path)
    (threshold,) = [one for one in model.graph.initializer if one.name == 'threshold']
    threshold.CopyFrom(onnx.numpy_helper.from_array(np.float32(0.9), 'threshold'))
    before, after = image(1, 32, 64), image(2, 32, 64)
    made = run(model.SerializeToString(), before, after)
    assert np.array_equal(made['change'], made['change_prob'] >= 0.9)
    assert not np.array_equal(made['change'], made['change_prob'] >= 0.4)


def test_value_range_fixed_size_and_views(member, image, tmp_path):
    load = dict(bands=[2, 1], value_range=[100.0, 3100.0])
    config, checkpoint = member(bands=2, load=load)
    views = dict(transforms=['rotation_90'], scales=[0.5, 1.0])
    written = export_network(config, checkpoint, tmp_path / 'a.onnx', size=(50, 70), tta=views)
    card = written.card
    assert (card.input_type, card.bands, card.value_range) == ('uint16', (2, 1), (100, 3100))
    assert (card.size, card.size_divisor, card.network_bands) == ((50, 70), 1, 2)
    assert card.tta == ('rotation_90 x 0.5', 'rotation_90')
    before, after = (image(seed, 50, 70, 2, np.uint16, 4000) for seed in (1, 2))
    inferencer = SCDInferencer(config, checkpoint, 'cpu', tta=views)
    made = run(written.path, before[..., ::-1], after[..., ::-1])
    check(made, inferencer(before, after))


@pytest.mark.parametrize(
    ('value_range', 'expected'),
    [
        (None, 'uint8'),
        ((0, 255), 'uint8'),
        ((20, 120), 'uint8'),
        ((0, 10000), 'uint16'),
        ((0, 65535), 'uint16'),
        # None of these is kept by whole numbers from 0 to 65535.
        ((0, 1), 'float32'),
        ((0, 0.3), 'float32'),
        ((0.5, 300), 'float32'),
        ((-25, 0), 'float32'),
        ((-100, 3000), 'float32'),
        ((0, 100000), 'float32'),
    ],
)
def test_inputs_have_a_type_that_holds_the_values(shared_member, value_range, expected):
    inferencer = TorchNetwork(*shared_member, 'cpu', value_range=value_range)
    graph = ExportGraph(inferencer.model, 0.5)
    assert export_card(inferencer, graph, 'a').input_type == expected


@pytest.mark.parametrize(
    ('value_range', 'kind', 'fit'),
    [
        ((0, 3000), 'uint8', 'uint16'),
        ((-25, 0), 'uint8', 'float32'),
        ((0, 1e5), 'uint16', 'float32'),
    ],
)
def test_a_type_that_lacks_values_of_the_range(member, tmp_path, value_range, kind, fit):
    with pytest.raises(ExportError, match=f'inputs of {kind} do not hold.*--input-type {fit}'):
        export_network(*member(), tmp_path / 'a.onnx', value_range=value_range, input_type=kind)


def test_fractions_are_predicted_as_by_torch(member, image, tmp_path):
    config, checkpoint = member(load=dict(value_range=[0.0, 1.0]))
    written = export_network(config, checkpoint, tmp_path / 'a.onnx', size=(32, 32))
    before, after = (image(seed, 32, 32).astype(np.float32) / 255 for seed in (1, 2))
    found, wanted = (
        SCDInferencer(*network, value_range=value_range)(before, after)
        for network, value_range in (((written.path,), None), ((config, checkpoint), (0, 1)))
    )
    assert 0 < wanted.change.mean() < 1
    assert np.abs(found.change_prob - wanted.change_prob).max() < 1e-4


def test_pictures_are_predicted_in_the_windows_of_the_config(member, image, tmp_path):
    config, checkpoint = member()
    options = {'model.test_cfg': dict(mode='slide', crop_size=(64, 32), stride=(40, 32))}
    written = export_network(config, checkpoint, tmp_path / 'a.onnx', cfg_options=options)
    assert written.card.sliding == ((64, 32), (40, 32))
    before, after = image(1, 90, 70), image(2, 90, 70)
    wanted = SCDInferencer(config, checkpoint, 'cpu', cfg_options=options)(before, after)
    found = SCDInferencer(written.path)(before, after)
    assert np.abs(found.change_prob - wanted.change_prob).max() < 1e-4
    assert (found.land_cover_to == wanted.land_cover_to).mean() > 0.999


def test_members_that_predict_in_other_windows(member, tmp_path):
    one, other = (TorchNetwork(*member(), 'cpu', window=side).model for side in (64, 32))
    members = SimpleNamespace(members=[one, other])
    with pytest.raises(ExportError, match='different windows'):
        network_export.sliding_windows(members)
    members.members[1] = one
    assert network_export.sliding_windows(members) == ((64, 64), (48, 48))


def test_a_picture_of_the_fixed_size_is_predicted_as_a_whole(member, image, tmp_path):
    config, checkpoint = member()
    written = export_network(config, checkpoint, tmp_path / 'a.onnx', size=(45, 71))
    network = SCDInferencer(written.path)
    for height, width, options in ((45, 71, {}), (60, 100, dict(window=(45, 71)))):
        before, after = image(1, height, width), image(2, height, width)
        wanted = SCDInferencer(config, checkpoint, 'cpu', **options)(before, after)
        found = network(before, after)
        assert np.abs(found.change_prob - wanted.change_prob).max() < 1e-4


@pytest.mark.usefixtures('converted')
def test_half_precision_stores_half_the_bytes(exported, shared_member, image, tmp_path):
    half = export_network(*shared_member, tmp_path / 'h.onnx', precision='fp16')
    onnx = pytest.importorskip('onnx')
    stored, found = (
        sum(len(one.raw_data) for one in onnx.load(path).graph.initializer)
        for path in (exported.path, half.path)
    )
    assert found < 0.55 * stored
    before, after = image(1, 64, 64), image(2, 64, 64)
    one, other = run(exported.path, before, after), run(half.path, before, after)
    assert 0 < np.abs(one['change_prob'] - other['change_prob']).max() < 0.02
    assert card_of(half.path).precision == 'fp16'


@pytest.mark.usefixtures('converted')
@pytest.mark.parametrize('precision', ['fp32', 'fp16', 'bf16'])
def test_openvino(shared_member, image, tmp_path, precision):
    pytest.importorskip('openvino')
    written = export_network(*shared_member, tmp_path / 'new/a.xml', precision=precision)
    assert written.size == sum((tmp_path / f'new/a.{end}').stat().st_size for end in ('xml', 'bin'))
    assert not [path for path in (tmp_path / 'new').iterdir() if path.name.startswith('.')]
    weights = tmp_path / 'new/a.bin'
    kept = weights.read_bytes()
    weights.write_bytes(kept[:-9] + kept[-8:] + kept[:1])
    with pytest.raises(ExportedFileError, match=r'a.bin is not the file .* with a.xml; copy both'):
        read_card(written.path)
    weights.write_bytes(kept)
    assert read_card(written.path) == written.card
    model = openvino_core().read_model(written.path)
    stored = model.get_rt_info([CARD_KEY])
    assert ExportCard.from_json(getattr(stored, 'value', stored), 'a.xml') == written.card
    hint = {'INFERENCE_PRECISION_HINT': 'f32'}
    compiled = openvino_core().compile_model(model, 'CPU', hint)
    before, after = image(1, 64, 96), image(2, 64, 96)
    made = compiled(dict(before=planes(before), after=planes(after)))
    made = {name: made[name][0] for name in OUTPUTS}
    result = SCDInferencer(*shared_member, 'cpu', threshold=0.4)(before, after)
    if precision == 'fp16':
        assert np.abs(made['change_prob'] - result.change_prob).max() < 0.02
    else:
        check(made, result)


def test_archive_of_torch(member, image, tmp_path):
    config, checkpoint = member()
    written = export_network(config, checkpoint, tmp_path / 'a.pt2', input_type='float32')
    assert written.card.input_type == 'float32'
    extra = {'tfinet_mm.json': ''}
    program = torch.export.load(written.path, extra_files=extra)
    assert ExportCard.from_json(extra['tfinet_mm.json'], 'a.pt2') == written.card
    before, after = image(1, 64, 96), image(2, 64, 96)
    with torch.no_grad():
        made = program.module()(*(torch.from_numpy(planes(one)).float() for one in (before, after)))
    made = dict(zip(OUTPUTS, (part[0].numpy() for part in made), strict=True))
    check(made, SCDInferencer(config, checkpoint, 'cpu')(before, after))


@pytest.mark.parametrize(
    ('out', 'options', 'message'),
    [
        ('a.bin', {}, "format is one of onnx, openvino, pt2, got 'a.bin'"),
        ('a.onnx', dict(to='pt2'), 'format pt2 is called NAME.pt2, got a.onnx'),
        ('a.onnx', dict(precision='bf16'), 'onnx can not compute in bf16, only in fp32, fp16'),
        ('a.pt2', dict(precision='fp16'), 'pt2 can not compute in fp16'),
        ('a.onnx', dict(size=(0, 5)), 'size is height and width'),
        ('a.onnx', dict(input_type='int8'), 'input_type is one of'),
        ('a.onnx', dict(precision='int4'), 'precision is one of'),
        ('a.xml', dict(precision='int8'), 'int8 needs images to measure.*--calibrate'),
        ('a.xml', dict(calibrate='x'), 'only for --precision int8'),
        ('a.xml', dict(agreement=101), 'percentage from 0 to 100, got 101'),
        ('a.onnx', dict(threshold=1.5), 'threshold is a probability from 0 to 1, got 1.5'),
        ('a.onnx', dict(threshold=float('nan')), 'threshold is a probability'),
        ('a.onnx', dict(resolution=0), 'metres a pixel and above 0, got 0'),
        ('a.onnx', dict(resolution=float('inf')), 'metres a pixel and above 0, got inf'),
        ('a.onnx', dict(bands=[1, 2]), r'takes 3 bands of each image, got bands=\[1, 2\]'),
    ],
)
def test_options_that_can_not_be(member, tmp_path, out, options, message):
    with pytest.raises(ExportError, match=message):
        export_network(*member(), tmp_path / out, **options)
    assert not (tmp_path / out).exists()


def test_a_pipeline_that_changes_images_is_refused(member, tmp_path):
    config, checkpoint = member()
    pipeline = [
        dict(type='tfinet_mm.LoadImagePair'),
        dict(type='mmseg.PhotoMetricDistortion'),
        dict(type='tfinet_mm.PackPairInputs'),
    ]
    options = {'test_dataloader.dataset.pipeline': pipeline}
    with pytest.raises(ExportError, match='PhotoMetricDistortion'):
        export_network(config, checkpoint, tmp_path / 'a.onnx', cfg_options=options)


def test_a_file_that_is_there_stays(member, tmp_path):
    (tmp_path / 'a.onnx').write_text('mine')
    with pytest.raises(FileExistsError, match='--overwrite'):
        export_network(*member(), tmp_path / 'a.onnx')
    assert (tmp_path / 'a.onnx').read_text() == 'mine'


@pytest.mark.usefixtures('converted')
def test_int8_is_measured_on_pairs(shared_member, image, saved, tmp_path):
    pytest.importorskip('openvino')
    pytest.importorskip('nncf')
    config, checkpoint = shared_member
    for seed in range(3):
        for date in ('a', 'b'):
            saved(f'{date}/{seed}.png', image(seed + 10 * (date == 'b'), 70, 100))
    written = export_network(
        config,
        checkpoint,
        tmp_path / 'a.xml',
        precision='int8',
        calibrate=[tmp_path / 'a', tmp_path / 'b'],
        calibration_pairs=2,
        agreement=90,
    )
    stated = written.card.calibration
    assert (stated['data'], stated['pairs']) == ('a, b', 2)
    assert list(stated['agreement']) == ['change', 'land_cover_from', 'land_cover_to']
    assert 90 <= min(stated['agreement'].values()) <= max(stated['agreement'].values()) <= 100
    assert 0 <= stated['float_layers'] < stated['layers']
    assert f'with {stated["float_layers"]} of' in written.described[1].read_text()
    model = openvino_core().read_model(tmp_path / 'a.xml')
    assert any(node.get_type_name() == 'FakeQuantize' for node in model.get_ops())
    hint = {'INFERENCE_PRECISION_HINT': 'f32'}
    compiled = openvino_core().compile_model(model, 'CPU', hint)
    before, after = image(0, 64, 96), image(10, 64, 96)
    made = compiled(dict(before=planes(before), after=planes(after)))
    result = SCDInferencer(config, checkpoint, 'cpu', threshold=0.4)(before, after)
    assert (made['change'][0] == result.change).mean() > 0.85
    assert (made['land_cover_to'][0] == result.land_cover_to).mean() > 0.85


def test_calibration_pairs(member, image, saved, tmp_path):
    config, checkpoint = member()
    inferencer = TorchNetwork(config, checkpoint, 'cpu', value_range=(0, 2550))
    graph = ExportGraph(inferencer.model, 0.5)
    card = export_card(inferencer, graph, 'a', 'uint16')
    for date in ('a', 'b'):
        saved(f'{date}/0.png', image(3, 20, 75))
    (pair,) = calibration_images(inferencer, card, [tmp_path / 'a', tmp_path / 'b'], 9)
    assert [(one.shape, one.dtype) for one in pair] == [((1, 3, 20, 75), np.uint16)] * 2
    assert np.array_equal(pair[0][0], image(3, 20, 75).transpose(2, 0, 1))
    several = dataclasses.replace(card, least_side=32, window=64, overlap=16)
    (pair,) = calibration_images(inferencer, several, [tmp_path / 'a', tmp_path / 'b'], 9)
    assert pair[0].shape == (1, 3, 32, 64)
    assert np.array_equal(pair[0][0, :, :20], image(3, 20, 75)[:, 5:69].transpose(2, 0, 1))
    assert np.array_equal(pair[0][0, :, 31], pair[0][0, :, 19])
    with pytest.raises(ExportError, match='two folders of images, got 3 names'):
        list(calibration_images(inferencer, card, ['a', 'b', 'c'], 1))
    with pytest.raises(ExportError, match=r'a is neither a config nor a table of pairs'):
        list(calibration_images(inferencer, card, tmp_path / 'a', 1))
    with pytest.raises(ExportError, match='got 0 as their number'):
        list(calibration_images(inferencer, card, [tmp_path / 'a', tmp_path / 'b'], 0))


def test_calibration_pairs_of_a_config(member, tmp_path):
    world = dict(type='tfinet_mm.GeneratedSCDDataset', num_pairs=3, world=dict(size=64))
    steps = [dict(type='tfinet_mm.LoadGeneratedPair'), dict(type='tfinet_mm.PackPairInputs')]
    Config(dict(test_dataloader=dict(dataset=dict(world, pipeline=steps)))).dump(
        tmp_path / 'data.py'
    )
    inferencer = TorchNetwork(*member(), device='cpu', value_range=(0, 2550))
    card = export_card(inferencer, ExportGraph(inferencer.model, 0.5), 'a', 'uint16')
    pairs = list(calibration_images(inferencer, card, tmp_path / 'data.py', 2))
    assert [one.shape for pair in pairs for one in pair] == [(1, 3, 64, 64)] * 4
    # Values 0..255 of the data set are 0..2550 as they would be stored.
    assert 255 < pairs[0][0].max() <= 2550
    assert not (pairs[0][0] % 10).any()


@pytest.mark.parametrize(
    ('package', 'out', 'options', 'extra'),
    [
        ('onnxscript', 'a.onnx', {}, 'export'),
        ('openvino', 'a.xml', {}, 'export'),
        ('nncf', 'a.xml', dict(precision='int8', calibrate='a.csv'), 'int8'),
    ],
)
def test_a_missing_package_is_named_first(monkeypatch, tmp_path, package, out, options, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf'needs {package} .*tfinet-mm\[{extra}\]'):
        export_network('nowhere.py', 'nowhere.pth', tmp_path / out, **options)
