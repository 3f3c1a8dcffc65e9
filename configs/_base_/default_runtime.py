# Settings of a run besides model, data and schedule.
default_scope = 'mmseg'
runner_type = 'tfinet_mm.SCDRunner'
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # Seconds that a rank waits for another: a validation of uneven pairs, or the first rank's
    # report, may take longer than NCCL's 10 minutes. A rank that fails ends all ranks at once.
    dist_cfg=dict(backend='nccl', timeout=7200),
)
# Several ranks wait for gradients of every parameter. Another backbone or head may
# have parameters that no loss reaches; without this, training would stop at them.
find_unused_parameters = True

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # The two newest, so that one is complete while the next is written.
    checkpoint=dict(
        type='CheckpointHook',
        by_epoch=True,
        interval=1,
        max_keep_ckpts=2,
        save_last=True,
        save_best='Score',
        rule='greater',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    class_check=dict(type='tfinet_mm.ClassCheckHook'),
    label_check=dict(type='tfinet_mm.LabelCheckHook'),
    checkpoint_check=dict(type='tfinet_mm.CheckpointCheckHook'),
    # Batch norm statistics become the mean over the ranks after each epoch, so that all
    # validate with the network that the checkpoint holds.
    sync_buffers=dict(type='SyncBuffersHook'),
    # Pictures of eight pairs, the same at every validation; tools/test.py --show-dir draws all.
    visualization=dict(type='tfinet_mm.PairVisualizationHook', number=8),
)
# Flips and rotations of tools/test.py --tta.
tta_model = dict(type='tfinet_mm.SCDTTAModel')

log_processor = dict(by_epoch=True)
log_level = 'INFO'

# Scalars go to WORK_DIR/TIME/vis_data/scalars.json. TensorBoard and Weights & Biases
# are further entries, in a config that inherits this one:
#   visualizer = dict(vis_backends=[
#       dict(type='LocalVisBackend'),
#       dict(type='TensorboardVisBackend'),
#       dict(type='WandbVisBackend', init_kwargs=dict(project='tfinet')),
#   ])
visualizer = dict(type='Visualizer', name='visualizer', vis_backends=[dict(type='LocalVisBackend')])

load_from = None
resume = False
