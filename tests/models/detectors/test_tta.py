import copy

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from tfinet_mm.models import SCDTTAModel
from tfinet_mm.models.detectors.augmentation import TTA_TRANSFORMS
from tfinet_mm.registry import MODELS

FLIPS = {
    'identity': (0, False),
    'vertical_flip': (2, True),
    'horizontal_flip': (0, True),
    'rotation_90': (1, False),
    'rotation_180': (2, False),
    'rotation_270': (3, False),
}
PROBABILITIES = ('pred_prob_from', 'pred_prob_to', 'pred_change_prob')


def _turn(x, name):
    """Turn (..., H, W) by quarters, after a mirroring from left to right."""
    quarters, mirrored = FLIPS[name]
    return np.rot90(x[..., ::-1] if mirrored else x, quarters, (-2, -1)).copy()


def _turn_back(x, name):
    quarters, mirrored = FLIPS[name]
    x = np.rot90(x, -quarters, (-2, -1))
    return x[..., ::-1] if mirrored else x


@pytest.fixture
def tta(detector_config):
    """A function that wraps a detector of fixed weights."""

    def make(kind='fcn', transforms=TTA_TRANSFORMS, **options):
        torch.manual_seed(0)
        config = dict(
            type='tfinet_mm.SCDTTAModel',
            module=detector_config(kind, **options),
            transforms=list(transforms),
        )
        model = MODELS.build(config).eval()
        for head in (model.module.semantic_head, model.module.change_head):
            nn.init.normal_(head.conv_seg.weight, std=2.0)
        return model

    return make


@pytest.mark.parametrize('kind', ['fcn', 'tfinet'])
@pytest.mark.parametrize('transforms', [TTA_TRANSFORMS, ('horizontal_flip', 'rotation_90')])
def test_each_transform_by_hand(tta, raw_batch, kind, transforms):
    """A batch of two unlabelled pairs, 40 x 56, has the mean over pairs turned one at a time."""
    model = tta(kind, transforms)
    with torch.no_grad():
        found = model.test_step(copy.deepcopy(raw_batch))
        assert len(found) == 2
        for pair, sample in zip(raw_batch['inputs'], found, strict=True):
            parts = []
            for name in transforms:
                turned = torch.from_numpy(_turn(pair.numpy(), name))
                one = model.module.test_step({'inputs': [turned]})[0]
                parts.append(
                    [_turn_back(one.get(field).data.numpy(), name) for field in PROBABILITIES]
                )
            means = [np.mean([part[i] for part in parts], axis=0) for i in range(3)]
            for field, mean in zip(PROBABILITIES, means, strict=True):
                np.testing.assert_allclose(sample.get(field).data.numpy(), mean, atol=2e-6)
            changed = sample.pred_change_prob.data[0].numpy() >= 0.5
            classes = sample.pred_prob_from.data.numpy().argmax(0) + 1
            np.testing.assert_array_equal(sample.pred_sem_seg.data[0].numpy(), changed)
            np.testing.assert_array_equal(
                sample.pred_sem_seg_from.data[0].numpy(), classes * changed
            )


def test_identity_alone_is_the_model_itself(tta, raw_batch):
    model = tta('psp', ['identity'], autocast='bfloat16', test_cfg=dict(threshold=0.3))
    with torch.no_grad():
        found = model.test_step(copy.deepcopy(raw_batch))
        expected = model.module.test_step(copy.deepcopy(raw_batch))
    assert found[0].keys() == expected[0].keys()
    for a, b in zip(found, expected, strict=True):
        for field, value in b.items():
            assert torch.equal(a.get(field).data, value.data), field


def test_switched_off(tta, raw_batch):
    model = tta()
    with torch.no_grad():
        augmented = model.test_step(copy.deepcopy(raw_batch))
        model.active = False
        plain = model.test_step(copy.deepcopy(raw_batch))
        expected = model.module.test_step(copy.deepcopy(raw_batch))
    assert torch.equal(plain[0].pred_change_prob.data, expected[0].pred_change_prob.data)
    assert not torch.equal(plain[0].pred_change_prob.data, augmented[0].pred_change_prob.data)


def test_ground_truth_stays_and_padding_changes_nothing(tta, raw_batch):
    model, padded = tta(), tta()
    # The same weights; padded at the bottom and on the right to 64 x 64 before the network.
    padded.module.data_preprocessor.test_size = (64, 64)
    samples = [SegDataSample(metainfo=dict(ori_shape=(40, 56))) for _ in range(2)]
    label = torch.randint(0, 2, (1, 40, 56))
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=label.clone())
    with torch.no_grad():
        expected = model.test_step(copy.deepcopy(raw_batch))
        found = padded.test_step({**copy.deepcopy(raw_batch), 'data_samples': samples})
    assert torch.equal(found[1].gt_sem_seg.data, label)
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.pred_change_prob.data, b.pred_change_prob.data)
        assert torch.equal(a.pred_prob_to.data, b.pred_prob_to.data)


def test_resized_pairs_come_back_at_their_original_size(tta, raw_batch):
    samples = [SegDataSample(metainfo=dict(ori_shape=(20, 28))) for _ in range(2)]
    with torch.no_grad():
        found = tta().test_step({**raw_batch, 'data_samples': samples})
    assert found[0].pred_sem_seg_from.data.shape == (1, 20, 28)


def test_windows(tta, raw_batch):
    """Each transform slides over the turned pair."""
    windows = dict(mode='slide', crop_size=(32, 32), stride=(24, 24))
    model = tta(transforms=['rotation_90'], test_cfg=windows)
    with torch.no_grad():
        found = model.test_step(copy.deepcopy(raw_batch))[0]
        turned = [torch.rot90(pair, 1, (1, 2)) for pair in raw_batch['inputs']]
        expected = model.module.test_step({'inputs': turned})[0].pred_change_prob.data
    assert torch.equal(found.pred_change_prob.data, torch.rot90(expected, -1, (1, 2)))


def test_a_pipeline_of_copies_is_refused(tta, raw_batch):
    batch = {'inputs': [raw_batch['inputs'], raw_batch['inputs']]}
    with pytest.raises(NotImplementedError, match='without TestTimeAug'):
        tta().test_step(batch)


def test_bad_arguments(detector_config):
    with pytest.raises(ValueError, match='rotation_45'):
        SCDTTAModel(detector_config('fcn'), ['rotation_45'])

    class Other(nn.Module):
        def test_step(self, data):
            return data

    with pytest.raises(TypeError, match='Other has no method predict_probabilities'):
        SCDTTAModel(Other())
