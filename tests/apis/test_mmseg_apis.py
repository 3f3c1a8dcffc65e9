"""Test mmseg's own init_model and inference_model on configs of this package."""

import numpy as np
import pytest
import torch
from mmengine import Config
from mmseg.apis import inference_model, init_model

import tfinet_mm
from tfinet_mm.apis import SCDInferencer
from tfinet_mm.errors import ImageFormatError
from tfinet_mm.registry import MODELS


@pytest.fixture
def config(member, tmp_path):
    """A function that writes a config with a test pipeline and labels in it, and its checkpoint."""

    def write(kind='detector', **load):
        path, checkpoint = member(load=load)
        cfg = Config.fromfile(path)
        cfg.test_pipeline = cfg.test_dataloader.dataset.pipeline
        assert cfg.test_pipeline[1].type == 'tfinet_mm.LoadPairAnnotations'
        if kind == 'augmented':
            cfg.model = dict(
                type='tfinet_mm.SCDTTAModel', module=cfg.model, transforms=['rotation_90']
            )
        if kind == 'ensemble':
            other, weights = member('b', seed=1)
            members = [
                dict(config=str(one), checkpoint=str(file))
                for one, file in ((path, checkpoint), (other, weights))
            ]
            cfg.model = dict(type='tfinet_mm.SCDEnsemble', members=members)
            checkpoint = None
        path = tmp_path / f'{kind}.py'
        cfg.dump(path)
        return str(path), checkpoint and str(checkpoint)

    return write


def compare(sample, result):
    np.testing.assert_allclose(sample.pred_change_prob.data[0], result.change_prob, atol=1e-5)
    for field, expected in (
        ('pred_sem_seg', result.change),
        ('pred_sem_seg_from', result.semantic_from),
        ('pred_sem_seg_to', result.semantic_to),
        ('pred_land_cover_from', result.land_cover_from),
        ('pred_land_cover_to', result.land_cover_to),
    ):
        assert (sample.get(field).data[0].numpy() == expected).mean() > 0.999, field
    assert 0 < result.change.mean() < 1


@pytest.mark.parametrize('kind', ['detector', 'augmented', 'ensemble'])
def test_agrees_with_the_inferencer(config, kind, image, saved):
    files = config(kind)
    pairs = [(saved(f'{i} a.png', image(i)), saved(f'{i} b.png', image(9 + i))) for i in range(2)]
    options = dict(tta=['rotation_90']) if kind == 'augmented' else {}
    plain = config('detector') if kind == 'augmented' else files
    expected = SCDInferencer(*plain, **options)(*zip(*pairs, strict=True))

    model = init_model(*files, device='cpu')
    by_path = inference_model(model, pairs)
    by_array = inference_model(model, [(image(0), image(9)), (image(1), image(10))])
    # Last, since mmseg's code changes the pipeline of the model to arrays for good.
    stacked = [np.concatenate([image(i), image(9 + i)], axis=2) for i in range(2)]
    by_stack = inference_model(model, stacked)
    for samples in (by_path, by_array, by_stack):
        for sample, result in zip(samples, expected, strict=True):
            compare(sample, result)
    compare(inference_model(model, stacked[0]), expected[0])
    assert by_path[0].img_path == [str(path) for path in pairs[0]]


def test_bands_and_range_apply_to_arrays(config, image):
    files = config(bands=[3, 2, 1], value_range=(0, 4095))
    pair = [image(seed, bands=5, dtype=np.uint16, high=4096) for seed in (1, 2)]
    (sample,) = inference_model(init_model(*files, device='cpu'), [pair])
    compare(sample, SCDInferencer(*files)(*pair))


def test_wrong_calls_name_the_right_one(config, image, saved):
    before, after = saved('a.png', image(1)), saved('b.png', image(2))
    model = init_model(*config(), device='cpu')
    right = r'inference_model\(model, \[\('
    for wrong in (str(before), (str(before), str(after)), [before, after]):
        with pytest.raises(TypeError, match=right):
            inference_model(model, wrong)
    for wrong in (image(1), (image(1), image(2)), image(1)[..., 0]):
        with pytest.raises(ImageFormatError, match=right):
            inference_model(model, wrong)


def test_a_config_of_the_package_as_it_is(image):
    root = tfinet_mm.__path__[0] + '/../configs'
    narrow = {
        'model.backbone.base_channels': 8,
        'model.backbone.stem_channels': 8,
        'model.neck.in_channels': 64,
        'model.semantic_head.in_channels': 64,
        'model.change_head.in_channels': 128,
    }
    model = init_model(f'{root}/tfinet_r18.py', device='cpu', cfg_options=narrow)
    (sample,) = inference_model(model, [(image(1), image(2))])
    assert sample.pred_sem_seg_to.data.shape == (1, 40, 56)


def test_pretrained_is_what_the_backbone_begins_with(member, tmp_path):
    cfg = Config.fromfile(member()[0])
    cfg.model.pretrained = 'nowhere.pth'
    with pytest.raises(ValueError, match=r"pretrained='nowhere.pth' and the backbone's own"):
        MODELS.build(cfg.model)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    state = {key: torch.full_like(value, 2) for key, value in model.backbone.state_dict().items()}
    torch.save(state, tmp_path / 'backbone.pth')
    cfg.model.pretrained = str(tmp_path / 'backbone.pth')
    model = MODELS.build(cfg.model)
    model.init_weights()
    assert (model.backbone.conv1.weight == 2).all()
