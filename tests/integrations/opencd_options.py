"""Options that tell each package the other's conventions, for tests and for checks of both."""

OPTIONS = {
    'detector for opencd.SCDMetric': dict(postprocess_pred_and_label='cover_semantic'),
    'metric for cover_semantic': dict(type='tfinet_mm.SCDMetric', convention='cover_semantic'),
    'metric for None': dict(type='tfinet_mm.SCDMetric', convention='land_cover'),
    'writer for Open-CD': dict(type='tfinet_mm.PredictionWriterHook', storage='index'),
}

RESNET18 = dict(
    depth=18,
    num_stages=4,
    out_indices=(0, 1, 2, 3),
    dilations=(1, 1, 1, 1),
    strides=(1, 2, 2, 2),
    norm_cfg=dict(type='BN'),
    style='pytorch',
    contract_dilation=True,
)
MIT_B0 = dict(
    in_channels=3,
    embed_dims=32,
    num_stages=4,
    num_layers=[2, 2, 2, 2],
    num_heads=[1, 2, 5, 8],
    patch_sizes=[7, 3, 3, 3],
    sr_ratios=[8, 4, 2, 1],
    out_indices=(0, 1, 2, 3),
)
RESNEST = dict(
    RESNET18,
    type='opencd.IA_ResNeSt',
    depth=50,
    stem_channels=64,
    radix=2,
    reduction_factor=4,
    avg_down_stride=True,
    # Its attention normalises one value a pair, which overflows in batches of two.
    norm_eval=True,
)
TINYNET = dict(type='opencd.TinyNet', output_early_x=True)
SMALL = dict(in_channels=3, base_channel=16)

# Backbones by their class: config, neck, and channels of the last level of either role.
DIFFERENCE = dict(type='tfinet_mm.AbsoluteDifference')
BACKBONES = {
    'IA_ResNet': (dict(RESNET18, type='opencd.IA_ResNet'), DIFFERENCE, 512),
    'IA_ResNetV1c': (dict(RESNET18, type='opencd.IA_ResNetV1c'), DIFFERENCE, 512),
    'IA_ResNetV1d': (dict(RESNET18, type='opencd.IA_ResNetV1d'), DIFFERENCE, 512),
    'IA_ResNeSt': (RESNEST, DIFFERENCE, 2048),
    'IA_MixVisionTransformer': (
        dict(MIT_B0, type='opencd.IA_MixVisionTransformer'),
        DIFFERENCE,
        256,
    ),
    'ViTSAM_Custom': (
        dict(
            type='opencd.ViTSAM_Custom',
            img_size=64,
            patch_size=8,
            out_channels=32,
            use_abs_pos=True,
            use_rel_pos=True,
            window_size=4,
            arch=dict(
                embed_dims=32,
                num_layers=2,
                num_heads=2,
                feedforward_channels=64,
                global_attn_indexes=[1],
            ),
        ),
        DIFFERENCE,
        32,
    ),
    'TinyNet': (TINYNET, None, 48),
    'SNUNet_ECAM': (dict(SMALL, type='opencd.SNUNet_ECAM'), None, 64),
    'FC_EF': (dict(SMALL, type='opencd.FC_EF', in_channels=6), None, 16),
    'FC_Siam_diff': (dict(SMALL, type='opencd.FC_Siam_diff'), None, 16),
    'FC_Siam_conc': (dict(SMALL, type='opencd.FC_Siam_conc'), None, 16),
    'HAN': (dict(type='opencd.HAN', in_channels=3, base_channel=20), None, 40),
    'LightCDNet': (
        dict(type='opencd.LightCDNet', stage_repeat_num=[4, 8, 4], net_type='small'),
        None,
        192,
    ),
}

# The same for a check of parts by title.
PARTS = {
    f'backbone opencd.{name}': dict(
        backbone=backbone, neck=neck, channels=(channels, channels), fused=neck is None
    )
    for name, (backbone, neck, channels) in BACKBONES.items()
}
