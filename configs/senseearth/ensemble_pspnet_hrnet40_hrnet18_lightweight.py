# The SenseEarth 2020 winner's last model: lightweight PSPNets on HRNet-W40 and W18, averaged in
# probability. Test it with --tta and without CHECKPOINT. The paths of the checkpoints are relative
# to the current directory; best ones are set with
# --cfg-options model.members.0.checkpoint=PATH model.members.1.checkpoint=PATH.
_base_ = [
    '../_base_/datasets/second_split_c.py',
    '../_base_/schedules/senseearth_30e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='tfinet_mm.SCDEnsemble',
    members=[
        dict(
            config='{{ fileDirname }}/pspnet_hrnet40_lightweight.py',
            checkpoint='work_dirs/pspnet_hrnet40_lightweight/epoch_30.pth',
            weight=1.0,
        ),
        dict(
            config='{{ fileDirname }}/pspnet_hrnet18_lightweight.py',
            checkpoint='work_dirs/pspnet_hrnet18_lightweight/epoch_30.pth',
            weight=1.0,
        ),
    ],
    test_cfg=dict(threshold=0.5),
)
