"""Test the changes of a config by ``--amp`` and ``autocast``, and that the result runs."""

import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tfinet_mm.engine.arguments import AMP_TYPES
from tfinet_mm.engine.precision import (
    check_training,
    set_autocast,
    takes_autocast,
    use_amp,
    used_precision,
)
from tfinet_mm.models import SemanticChangeDetector


def config(model='tfinet_mm.SemanticChangeDetector', autocast=None, **wrapper):
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)) | wrapper
    model = dict(type=model) if autocast is None else dict(type=model, autocast=autocast)
    return Config(
        dict(
            default_scope='mmseg',
            model=model,
            optim_wrapper=wrapper,
            test_cfg=dict(type='TestLoop'),
        )
    )


def test_bfloat16_and_auto_are_the_models_own_matter(no_gpu):
    for dtype in ('bfloat16', 'auto'):
        cfg = config()
        use_amp(cfg, dtype, train=True)
        assert cfg.model.autocast == dtype
        assert cfg.optim_wrapper == config().optim_wrapper


def test_float16_scales_the_loss_in_training(made_up_gpu):
    made_up_gpu(7, 5)
    # Not asked for, but what auto means on such a GPU.
    for dtype in ('float16', 'auto'):
        cfg = config()
        use_amp(cfg, dtype, train=True)
        assert cfg.model.autocast == dtype
        wrapper = cfg.optim_wrapper
        assert (wrapper.type, wrapper.loss_scale, wrapper.dtype) == (
            'AmpOptimWrapper',
            'dynamic',
            'float16',
        )


def test_auto_scales_nothing_on_newer_gpus(made_up_gpu):
    made_up_gpu(8, 0)
    cfg = config()
    use_amp(cfg, 'auto', train=True)
    assert cfg.optim_wrapper.type == 'OptimWrapper'


def test_float16_in_testing_scales_nothing(no_gpu):
    cfg = config()
    use_amp(cfg, 'float16', train=False)
    assert cfg.model.autocast == 'float16'
    assert cfg.optim_wrapper.type == 'OptimWrapper'


def test_float16_training_without_gpu(no_gpu):
    for model in ('tfinet_mm.SemanticChangeDetector', 'EncoderDecoder'):
        with pytest.raises(ValueError, match=f'{model}.*--amp bfloat16'):
            use_amp(config(model), 'float16', train=True)


def test_float32_takes_casting_away(no_gpu):
    for train in (True, False):
        cfg = config(autocast='auto', type='AmpOptimWrapper', loss_scale=512.0, dtype='float16')
        use_amp(cfg, 'float32', train=train)
        assert cfg.model.autocast == 'float32'
        assert (cfg.optim_wrapper == config().optim_wrapper) is train
    cfg = config('EncoderDecoder')
    cfg.test_cfg.fp16 = True
    use_amp(cfg, 'float32', train=False)
    assert cfg.test_cfg.fp16 is False


def test_the_model_inside_a_tta_model(no_gpu):
    cfg = Config(dict(model=dict(type='SegTTAModel', module=config().model)))
    use_amp(cfg, 'bfloat16', train=False)
    assert cfg.model.module.autocast == 'bfloat16'


def test_models_that_do_not_cast_themselves(made_up_gpu):
    made_up_gpu(8, 0)
    # A lazy config holds classes in place of names.
    for model, wrapper in (
        ('mmseg.EncoderDecoder', 'OptimWrapper'),
        ('EncoderDecoder', 'OptimWrapper'),
        (EncoderDecoder, OptimWrapper),
        (EncoderDecoder, AmpOptimWrapper),
    ):
        for dtype in ('bfloat16', 'auto'):
            cfg = config(model, type=wrapper)
            use_amp(cfg, dtype, train=True)
            assert 'autocast' not in cfg.model
            changed = cfg.optim_wrapper
            assert (changed.type, changed.dtype) == ('AmpOptimWrapper', 'bfloat16')
            cfg.optim_wrapper.type = 'OptimWrapperDict'
            with pytest.raises(ValueError, match='OptimWrapperDict'):
                use_amp(cfg, dtype, train=True)


def test_classes_in_place_of_names(no_gpu):
    cfg = config(SemanticChangeDetector, type=OptimWrapper)
    use_amp(cfg, 'auto', train=True)
    assert cfg.model.autocast == 'auto'
    cfg = config(SemanticChangeDetector, autocast='float16', type=AmpOptimWrapper)
    check_training(cfg)
    cfg.optim_wrapper.type = OptimWrapper
    with pytest.raises(ValueError, match='OptimWrapper does not scale'):
        check_training(cfg)


def test_a_subclass_hands_the_argument_on():
    class Mine(SemanticChangeDetector):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    class Fixed(SemanticChangeDetector):
        def __init__(self, backbone):
            super().__init__(backbone, {}, {}, {})

    assert takes_autocast(config(Mine))
    assert not takes_autocast(config(Fixed))
    assert not takes_autocast(config(EncoderDecoder))
    with pytest.raises(ValueError, match="no model of the type 'EncoderDecodr'"):
        takes_autocast(config('EncoderDecodr'))


def test_testing_with_mmengines_loop(made_up_cpu, made_up_gpu, no_gpu, said):
    """Its fp16 means bfloat16 on CPUs and float16 on GPUs, and nothing else."""
    made_up_cpu(True)
    for dtype in ('auto', 'bfloat16'):
        cfg = config('EncoderDecoder')
        use_amp(cfg, dtype, train=False)
        assert cfg.test_cfg.fp16 is True
        assert used_precision(cfg) == 'bfloat16'
    with pytest.raises(ValueError, match=r'bfloat16 on .*not in float16'):
        use_amp(config('EncoderDecoder'), 'float16', train=False)
    made_up_cpu(False)
    cfg = config('EncoderDecoder')
    use_amp(cfg, 'auto', train=False)
    assert cfg.test_cfg.fp16 is False
    made_up_gpu(8, 0)
    for dtype in ('auto', 'float16'):
        cfg = config('EncoderDecoder')
        use_amp(cfg, dtype, train=False)
        assert cfg.test_cfg.fp16 is True
        assert used_precision(cfg) == 'float16'
    assert any('float16' in message and 'test loop' in message for _, message in said)
    with pytest.raises(ValueError, match=r'float16 on .*not in bfloat16'):
        use_amp(config('EncoderDecoder'), 'bfloat16', train=False)
    cfg.test_cfg.type = 'ValLop'
    with pytest.raises(ValueError, match='ValLop'):
        use_amp(cfg, 'auto', train=False)


def test_auto_without_units_changes_nothing_and_says_why(made_up_cpu, no_gpu, said):
    made_up_cpu(False)
    cfg = config('EncoderDecoder')
    use_amp(cfg, 'auto', train=True)
    assert cfg.to_dict() == config('EncoderDecoder').to_dict()
    ((level, message),) = said
    assert level == logging.INFO
    assert 'float32' in message
    assert 'no bfloat16 units (AVX2)' in message


def test_where_only_the_model_may_cast():
    cfg = config()
    set_autocast(cfg, 'auto')
    assert cfg.model.autocast == 'auto'
    with pytest.raises(ValueError, match=r'EncoderDecoder has no argument "autocast"'):
        set_autocast(config('EncoderDecoder'), 'auto')
    with pytest.raises(ValueError, match=r'auto, bfloat16, float16, float32, got .int8'):
        set_autocast(cfg, 'int8')
    for train in (True, False):
        with pytest.raises(ValueError, match='int8'):
            use_amp(cfg, 'int8', train=train)
    assert AMP_TYPES == ('auto', 'bfloat16', 'float16', 'float32')


def test_float16_in_a_config_needs_a_scaled_loss(made_up_gpu):
    for wrapper in ('OptimWrapper', 'tfinet_mm.AutocastOptimWrapper'):
        with pytest.raises(ValueError, match=r"AmpOptimWrapper.*loss_scale='dynamic'"):
            check_training(config(autocast='float16', type=wrapper))
    scaled = config(autocast='float16', type='AmpOptimWrapper', loss_scale=512.0)
    check_training(scaled)
    assert scaled.optim_wrapper.loss_scale == 512.0
    made_up_gpu(7, 0)
    # A wrapper of another kind stays, and auto takes float32 in the model.
    own = config(autocast='auto', type='OptimWrapperDict')
    check_training(own)
    assert own.optim_wrapper.type == 'OptimWrapperDict'
    check_training(Config(dict(train_cfg=None)))
    own.pop('optim_wrapper')
    with pytest.raises(ValueError, match='sets options of optim_wrapper'):
        use_amp(own, 'float16', train=True)


def test_what_a_test_computes_in(made_up_cpu, no_gpu, said):
    made_up_cpu(True)
    assert used_precision(config()) == 'float32'
    assert used_precision(config(autocast='auto')) == 'bfloat16'
    assert used_precision(config(autocast='float16')) == 'float16'
    assert used_precision(config(autocast='auto'), 'meta') == 'float32'
    members = [dict(config=config(autocast=one), checkpoint='x.pth') for one in ('auto', None)]
    ensemble = Config(dict(model=dict(type='tfinet_mm.SCDEnsemble', members=members)))
    assert used_precision(ensemble) == ['bfloat16', 'float32']
    ensemble.model.members[1].cfg_options = {'model.autocast': 'bfloat16'}
    assert used_precision(ensemble) == 'bfloat16'
    ensemble.model.autocast = 'float32'
    assert used_precision(ensemble) == 'float32'
    # It is the network that logs, into the log of its run.
    assert said == []


def test_for_all_members(no_gpu):
    cfg = Config(dict(model=dict(type='tfinet_mm.SCDEnsemble', members=[])))
    use_amp(cfg, 'float16', train=False)
    assert cfg.model.autocast == 'float16'


class Pictures(Dataset):
    """Two images of 32 x 32 and their labels."""

    metainfo = dict(classes=('a', 'b'), palette=[[0, 0, 0], [9, 9, 9]])

    def __len__(self):
        return 2

    def __getitem__(self, index):
        size = dict(img_shape=(32, 32), ori_shape=(32, 32), pad_shape=(32, 32), img_path='x.png')
        sample = SegDataSample(metainfo=size)
        sample.gt_sem_seg = PixelData(data=torch.arange(1024).reshape(1, 32, 32) % 2)
        generator = torch.Generator().manual_seed(index)
        return dict(
            inputs=torch.randint(0, 256, (3, 32, 32), generator=generator, dtype=torch.uint8),
            data_samples=sample,
        )


@pytest.mark.skipif(torch.cuda.is_available(), reason='MMEngine puts the model onto the GPU')
def test_an_mmseg_model_runs_in_bfloat16_on_a_cpu(tmp_path):
    """A type without a prefix works in MMEngine's Runner, in training and testing."""
    loader = DataLoader(Pictures(), batch_size=2, collate_fn=pseudo_collate)
    norm = dict(type='BN')
    cfg = config('EncoderDecoder')
    cfg.merge_from_dict(
        dict(
            work_dir=str(tmp_path),
            model=dict(
                data_preprocessor=dict(
                    type='SegDataPreProcessor', size=(32, 32), mean=[128.0] * 3, std=[60.0] * 3
                ),
                backbone=dict(type='ResNet', depth=18, base_channels=8, norm_cfg=norm),
                decode_head=dict(
                    type='FCNHead',
                    in_channels=64,
                    in_index=3,
                    channels=8,
                    num_convs=1,
                    num_classes=2,
                    norm_cfg=norm,
                    loss_decode=dict(type='CrossEntropyLoss'),
                ),
                test_cfg=dict(mode='whole'),
            ),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=1),
            test_evaluator=dict(type='IoUMetric'),
            experiment_name=tmp_path.name,
        )
    )
    use_amp(cfg, 'bfloat16', train=True)
    use_amp(cfg, 'bfloat16', train=False)
    assert cfg.optim_wrapper.type == 'tfinet_mm.AutocastOptimWrapper'
    runner = Runner(
        **{key: cfg[key] for key in cfg}, train_dataloader=loader, test_dataloader=loader
    )
    seen = {}
    head = runner.model.decode_head

    def note(module, inputs, output):
        assert isinstance(module, nn.Conv2d)
        seen['training' if head.training else 'testing'] = output.dtype

    head.conv_seg.register_forward_hook(note)
    before = head.conv_seg.weight.clone()
    runner.train()
    assert head.conv_seg.weight.dtype == torch.float32
    assert not torch.equal(before, head.conv_seg.weight)
    assert torch.isfinite(head.conv_seg.weight).all()
    scores = runner.test()
    assert 0 <= scores['aAcc'] <= 100
    assert seen == dict(training=torch.bfloat16, testing=torch.bfloat16)
