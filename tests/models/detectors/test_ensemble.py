import copy

import numpy as np
import pytest
import torch
from mmengine import Config

from tfinet_mm.errors import CheckpointMismatchError, ClassMismatchError
from tfinet_mm.models import SCDTTAModel
from tfinet_mm.models.detectors.augmentation import TTA_TRANSFORMS
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import LANDSAT_SCD, SECOND, ClassTable

PROBABILITIES = ('pred_prob_from', 'pred_prob_to', 'pred_change_prob')
REVERSED = ClassTable(SECOND.names[:1] + SECOND.names[:0:-1], SECOND.palette)


def _ensemble(*members, **more):
    config = Config(dict(model=dict(type='tfinet_mm.SCDEnsemble', members=list(members), **more)))
    return MODELS.build(config.model)


def _alone(member):
    """Predict with a member as MMEngine would, with its own config and preprocessing."""
    model = MODELS.build(Config.fromfile(member['config']).model)
    model.load_state_dict(torch.load(member['checkpoint'])['state_dict'])
    return model.eval()


def _predict(model, batch):
    with torch.no_grad():
        return model.test_step(copy.deepcopy(batch))


@pytest.mark.parametrize(
    'options',
    [
        {},
        {'autocast': 'bfloat16', 'channels_last': False},
        {'test_cfg': dict(mode='slide', crop_size=(32, 32), stride=(16, 16), threshold=0.3)},
        {'mean': 20.0},
    ],
    ids=str,
)
@pytest.mark.parametrize('kind', ['tfinet', 'psp'])
def test_one_alone_is_the_member_bit_for_bit(save_member, raw_batch, kind, options):
    member = save_member('one', kind, **options)
    found = _predict(_ensemble({**member, 'weight': 0.3}), raw_batch)
    expected = _predict(_alone(member), raw_batch)
    for a, b in zip(found, expected, strict=True):
        assert a.keys() == b.keys()
        for field, value in b.items():
            assert torch.equal(a.get(field).data, value.data), field


@pytest.mark.parametrize('tta', [False, True])
def test_the_weighted_mean_by_hand(save_member, raw_batch, tta):
    """Three kinds of network, normalised in three ways, weighted 1 : 2 : 0.5."""
    members = [
        save_member('a', 'fcn', seed=1),
        {**save_member('b', 'psp', seed=2, mean=80.0), 'weight': 2},
        {**save_member('c', 'tfinet', seed=3, mean=150.0), 'weight': 0.5},
    ]
    model, alone = _ensemble(*members), [_alone(member) for member in members]
    assert model.member_names == ['a', 'b', 'c']
    if tta:
        model, alone = SCDTTAModel(model), [SCDTTAModel(one) for one in alone]
    found = _predict(model, raw_batch)
    single = [_predict(one, raw_batch) for one in alone]
    for index, sample in enumerate(found):
        for field in PROBABILITIES:
            parts = [one[index].get(field).data.numpy() for one in single]
            expected = np.average(parts, axis=0, weights=[1, 2, 0.5])
            np.testing.assert_allclose(sample.get(field).data.numpy(), expected, atol=2e-6)
        changed = sample.pred_change_prob.data >= 0.5
        assert torch.equal(sample.pred_sem_seg.data, changed.to(torch.uint8))


def test_what_each_member_says(save_member, raw_batch):
    members = [save_member('a', 'fcn', seed=1), save_member('b', 'psp', seed=2, mean=80.0)]
    model = _ensemble(*members)
    inputs = model.data_preprocessor(copy.deepcopy(raw_batch))['inputs']
    assert inputs.max() > 200
    with torch.no_grad():
        parts = model.member_probabilities(inputs)
        turned = model.member_probabilities(inputs, TTA_TRANSFORMS)
    for index, member in enumerate(members):
        alone = _alone(member)
        expected = torch.stack([s.pred_prob_to.data for s in _predict(alone, raw_batch)])
        assert torch.equal(parts[index].land_cover_to, expected)
        expected = _predict(SCDTTAModel(alone), raw_batch)
        expected = torch.stack([s.pred_change_prob.data for s in expected])
        assert torch.equal(turned[index].change, expected)


def test_padding_of_a_member_is_its_own(save_member, raw_batch):
    """The padding of a member that pads in testing is cut off its prediction."""
    member = save_member('one')
    key = 'model.data_preprocessor.test_cfg'
    found = _predict(_ensemble({**member, 'cfg_options': {key: dict(size_divisor=64)}}), raw_batch)
    assert found[0].pred_change_prob.data.shape == (1, 40, 56)


def test_options_of_a_member(save_member):
    member = save_member('one')
    windows = dict(mode='slide', crop_size=(32, 32), stride=(16, 16))
    for options in ({'model.test_cfg': windows}, {'model': {'test_cfg': windows}}):
        model = _ensemble({**member, 'cfg_options': options})
        assert model.members[0].test_cfg['mode'] == 'slide'


def test_sixteen_bits_for_all_and_normal_batch_norm(save_member):
    model = _ensemble(save_member('a'), save_member('b', autocast='float16'), autocast='bfloat16')
    assert [member.autocast for member in model.members] == ['bfloat16', 'bfloat16']
    model = _ensemble(save_member('a'), save_member('b', autocast='float16'))
    assert [member.autocast for member in model.members] == [None, 'float16']
    assert not any(isinstance(m, torch.nn.SyncBatchNorm) for m in model.modules())
    assert not any(m.training for m in model.modules())


def test_members_move_and_are_counted_with_the_model(save_member):
    model = _ensemble(save_member('a'), save_member('b', 'psp')).double()
    assert all(p.dtype == torch.float64 for p in model.parameters())
    inputs = model.data_preprocessor({'inputs': [torch.full((6, 32, 32), 7)]})['inputs']
    with torch.no_grad():
        assert model(inputs, mode='tensor').change.dtype == torch.float64


def test_names_and_classes(save_member):
    member = save_member('a')
    model = _ensemble(member, member, {**member, 'name': 'best'}, member)
    assert model.member_names == ['a', 'a-2', 'best', 'a-3']
    assert (model.num_classes, model.class_table) == (6, SECOND)
    unnamed = _ensemble(save_member('unnamed', table=None))
    assert unnamed.class_table is None
    assert unnamed.trained_on is None
    assert _ensemble(save_member('unnamed', table=None), member).class_table == SECOND


def test_thresholds(save_member):
    low = save_member('low', test_cfg=dict(threshold=0.2))
    assert _ensemble(low, low).test_cfg['threshold'] == 0.2
    with pytest.raises(ValueError, match=r'low\.pth.*0\.2.*mid\.pth.*0\.5.*give one'):
        _ensemble(low, save_member('mid'))
    both = _ensemble(low, save_member('mid'), test_cfg=dict(threshold=0.4))
    assert both.test_cfg['threshold'] == 0.4


def test_members_of_other_classes(save_member):
    second = save_member('second')
    landsat = save_member('landsat', table=LANDSAT_SCD, num_classes=4)
    with pytest.raises(ClassMismatchError, match=r'second\.pth\) has 6, landsat \(.*\) has 4'):
        _ensemble(second, landsat)
    order = save_member('order', table=REVERSED)
    message = r'second \(.*\) on unchanged, water, .*; order \(.*\) on unchanged, sports field'
    with pytest.raises(ClassMismatchError, match=message):
        _ensemble(save_member('unnamed', table=None), second, order)


def test_members_of_other_images(save_member):
    rgb, five = save_member('rgb'), save_member('five', bands=5)
    with pytest.raises(ValueError, match=r'rgb \(.*\) takes 3 bands a date, five \(.*\) takes 5'):
        _ensemble(rgb, five)
    key = 'model.data_preprocessor.bgr_to_rgb'
    with pytest.raises(ValueError, match=r'bgr_to_rgb .* is False for one and True'):
        _ensemble(rgb, {**rgb, 'cfg_options': {key: True}})


def test_checkpoints_of_another_network(save_member):
    fcn, tfinet = save_member('fcn'), save_member('tfinet', 'tfinet')
    with pytest.raises(CheckpointMismatchError, match=r'fcn, .*tfinet\.pth: .* missing: '):
        _ensemble({**fcn, 'checkpoint': tfinet['checkpoint']})


def test_auxiliary_heads_may_be_missing(save_member, raw_batch):
    member = save_member('one', 'tfinet', drop=['auxiliary_head'])
    assert len(_predict(_ensemble(member), raw_batch)) == 2


def test_files_that_are_not_there(save_member):
    member = save_member('one')
    message = r'member 1 .*no checkpoint configs/x\.pth; .* model\.members\.1\.checkpoint=PATH'
    with pytest.raises(FileNotFoundError, match=message):
        _ensemble(member, {**member, 'checkpoint': 'configs/x.pth'})
    with pytest.raises(FileNotFoundError, match=r'no config x\.py; .*members\.0\.config=PATH'):
        _ensemble({**member, 'config': 'x.py'})


def test_paths_are_relative_to_the_current_directory(save_member, tmp_path, monkeypatch):
    save_member('one')
    monkeypatch.chdir(tmp_path)
    assert _ensemble(dict(config='one.py', checkpoint='one.pth')).member_names == ['one']


def test_arguments_that_cannot_be_used(save_member):
    member = save_member('one')
    for members in ([], member):
        with pytest.raises(ValueError, match='a list of one member or more'):
            MODELS.build(dict(type='tfinet_mm.SCDEnsemble', members=members))
    for weight in (0, -1, float('nan')):
        with pytest.raises(ValueError, match='a weight is a number above 0, member 0'):
            _ensemble({**member, 'weight': weight})
    with pytest.raises(ValueError, match=r'member 0 .* needs config and checkpoint'):
        _ensemble(dict(config=member['config']))
    with pytest.raises(ValueError, match='may have weight, name, cfg_options'):
        _ensemble({**member, 'wieght': 2})
    with pytest.raises(ValueError, match=r"and calibration, got \['mode'\]; windows are set"):
        _ensemble(member, test_cfg=dict(mode='slide'))
    with pytest.raises(ValueError, match='set mean=None and std=None'):
        _ensemble(member, data_preprocessor=dict(type='tfinet_mm.PairDataPreprocessor'))
    with pytest.raises(ValueError, match="must be 'tensor' or 'predict'"):
        _ensemble(member)(torch.zeros(1, 6, 32, 32), mode='all')


def test_an_ensemble_is_not_trained(save_member):
    model = _ensemble(save_member('one'))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.init_weights()
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    with pytest.raises(NotImplementedError, match='train its members one by one'):
        model(torch.zeros(1, 6, 32, 32), mode='loss')
    with pytest.raises(NotImplementedError, match='train its members one by one'):
        model.train_step({}, None)
