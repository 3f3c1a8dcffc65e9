"""Draw a few pairs on one rank of a gloo group; run by test_visualization.py.

python two_ranks_pictures.py FOLDER RANK RANKS

The images are FOLDER/im1 and im2; pictures of validation go to the visualizer's backends in
FOLDER/work, those of testing to FOLDER/out, and the names of the files that this rank wrote
there to FOLDER/rankRANK.txt.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from mmengine.dataset import DefaultSampler
from mmengine.structures import PixelData
from mmengine.visualization import Visualizer
from mmseg.structures import SegDataSample

from tfinet_mm.engine.hooks import PairVisualizationHook, visualization
from tfinet_mm.structures import SECOND
from tfinet_mm.utils.ending import end_process

SHAPE = (24, 32)
NAMES = ('a', 'sub/a', 'sub/b', 'c', 'd')


class Samples(list):
    """Data samples with predictions as a data set."""

    metainfo = SECOND.metainfo()

    def get_data_info(self, index):
        return self[index].metainfo


def new_sample(root, name, suffix='.png', shape=SHAPE, labels=True):
    """A pair: change is annotated in the upper half, predicted in the left one."""
    paths = [str(root / date / f'{name}{suffix}') for date in ('im1', 'im2')]
    sample = SegDataSample(metainfo=dict(sample_id=name, img_path=paths))
    upper, left = (torch.zeros(1, *shape, dtype=torch.int64) for _ in range(2))
    upper[:, : shape[0] // 2] = 1
    left[..., : shape[1] // 2] = 1
    maps = {'pred_sem_seg': left, 'pred_sem_seg_from': left * 2, 'pred_sem_seg_to': left * 5}
    if labels:
        maps |= {'gt_sem_seg': upper, 'gt_sem_seg_from': upper, 'gt_sem_seg_to': upper * 3}
    for field, value in maps.items():
        sample.set_data({field: PixelData(data=value)})
    return sample


def new_runner(dataset, work, backends=('LocalVisBackend',), step=7):
    """Stand in for a runner that trains, with the attributes that the hook needs."""
    backends = [dict(type=name) for name in backends]
    return SimpleNamespace(
        iter=step,
        visualizer=Visualizer(vis_backends=backends, save_dir=str(work)),
        val_dataloader=SimpleNamespace(dataset=dataset),
        test_dataloader=SimpleNamespace(dataset=dataset),
    )


def validate(runner, batch_size=2, **options):
    """Run one validation while training, on each rank with the samples of its sampler."""
    dataset = runner.val_dataloader.dataset
    order = list(DefaultSampler(dataset, shuffle=False))
    hook = PairVisualizationHook(**options)
    hook.before_train(runner)
    hook.before_val_epoch(runner)
    for start in range(0, len(order), batch_size):
        batch = [dataset[index] for index in order[start : start + batch_size]]
        hook.after_val_iter(runner, start, outputs=batch)
    hook.after_val_epoch(runner)


def test(runner, out):
    """Run one test."""
    dataset = runner.test_dataloader.dataset
    hook = PairVisualizationHook(out_dir=str(out))
    hook.before_test_epoch(runner)
    for index in DefaultSampler(dataset, shuffle=False):
        hook.after_test_iter(runner, index, outputs=[dataset[index]])


def main(folder, rank, ranks):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=ranks
    )
    written = []

    def write(path, picture):
        written.append(path.relative_to(folder).as_posix())
        visualization_write(path, picture)

    visualization_write, visualization.write_png = visualization.write_png, write
    dataset = Samples(new_sample(folder, name) for name in NAMES)
    backends = ('LocalVisBackend', 'TensorboardVisBackend')
    runner = new_runner(dataset, folder / 'work', backends if rank == 0 else ())
    # Five samples on two ranks: the first one comes again to fill up the second rank.
    validate(runner, number=5)
    test(runner, folder / 'out')
    (folder / f'rank{rank}.txt').write_text('\n'.join(written))
    runner.visualizer.close()
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    end_process()
