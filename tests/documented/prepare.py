"""Make what the reader of a page has already: pictures, scenes, a data set, trained networks."""

import shutil
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import DefaultScope
from PIL import Image
from published_reference import load_reference
from safetensors.torch import load_file

from tfinet_mm.checkpoints.shipped import DEFAULT
from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import SECOND
from tfinet_mm.utils.config.loading import load_config
from tfinet_mm.version import __file__ as VERSION

SHORT = dict(batch_size=2, num_workers=0, persistent_workers=False)
TINY = f"""_base_ = 'configs/demo/tfinet_r18_synthetic.py'
train_dataloader = dict(dataset=dict(data_root='data/tiny/train'), **{SHORT!r})
val_dataloader = dict(dataset=dict(data_root='data/tiny/val'), **{SHORT!r})
test_dataloader = val_dataloader
"""
ENSEMBLE = """_base_ = 'tiny.py'
model = dict(
    _delete_=True,
    type='tfinet_mm.SCDEnsemble',
    members=[
        dict(config='tiny.py', checkpoint='tiny.pth'),
        dict(config='other.py', checkpoint='other.pth'),
    ],
)
"""


def save(config: str, *paths: str, weights: dict[str, torch.Tensor] | None = None) -> None:
    """Store a network with the weights that it is made with, but for those given."""
    cfg = load_config(config)
    stored, model_cfg = cfg.pretty_text, cfg.model
    model_cfg.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(model_cfg)
    meta = dict(dataset_meta=SECOND.metainfo(), cfg=stored)
    state = dict(meta=meta, state_dict=model.state_dict() | (weights or {}))
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, path)


def write_masks(pairs: Path, out: Path) -> None:
    """Write pairs with change masks alone, in the layout of WHU-CD."""
    for source, target in (('im1', 'A'), ('im2', 'B')):
        shutil.copytree(pairs / source, out / target)
    names = sorted(path.name for path in (out / 'A').iterdir())
    (out / 'label').mkdir()
    for name in names:
        # White where nothing changed.
        label = np.asarray(Image.open(pairs / 'label1' / name).convert('L'))
        Image.fromarray(np.where(label == 255, np.uint8(0), 255)).save(out / 'label' / name)
    (out / 'list').mkdir()
    for split, part in (('train', names[:-4]), ('val', names[-4:-2]), ('test', names[-2:])):
        (out / f'list/{split}.txt').write_text('\n'.join(part))


def main() -> None:
    """Write everything below the current folder."""
    small = SyntheticConfig(size=64)
    write_dataset('data/tiny', 8, 2, small)
    # Folders and colours as downloaded.
    write_dataset('data/made', 12, 2, small)
    for source, target in (('train', 'train'), ('val', 'test')):
        for kind in ('im1', 'im2', 'label1', 'label2'):
            folder = Path('data/second', target, kind)
            folder.mkdir(parents=True)
            for path in Path('data/made', source, kind).glob('*.png'):
                Image.open(path).convert('RGB').save(folder / path.name)
    shutil.rmtree('data/made')
    write_masks(Path('data/tiny/train'), Path('data/change_masks'))
    for name in ('tiny', 'other'):
        Path(f'{name}.py').write_text(TINY)
    Path('ensemble.py').write_text(ENSEMBLE)
    torch.manual_seed(0)
    save('tiny.py', 'tiny.pth', 'best.pth', 'work_dirs/mine/best.pth')
    save('other.py', 'other.pth')
    save('configs/tfinet_hrnet18.py', 'checkpoint.pth')
    torch.save(load_reference('tfinet_resnet18').state_dict, 'published.pth')
    weights = load_file(Path(VERSION).parent / 'weights' / f'{DEFAULT}.safetensors')
    trained = 'work_dirs/tfinet_lite0_fpn/best_Score_epoch_50.pth'
    # Its correction of the change map begins at 0.
    save('configs/tfinet_lite0_fpn.py', trained, weights=weights)
    rng = np.random.default_rng(0)
    for date in ('before', 'after'):
        pixels = rng.integers(0, 256, (72, 96, 3), np.uint8)
        Image.fromarray(pixels).save(f'{date}.png')


if __name__ == '__main__':
    main()
