"""Train torchgeo's change-detection task with its own network, and with one of TFINet-MM.

    python projects/torchgeo/run.py DATA

DATA is a folder that tools/dataset/make_synthetic.py made. Both networks see the same batches of
change masks for the same number of steps; the table has their scores on the validation pairs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchgeo.trainers import ChangeDetectionTask

from tfinet_mm.apis import build_module


class Pairs(Dataset[dict[str, Tensor]]):
    """Pairs of images and change masks in torchgeo's form.

    Args:
        folder: A split such as ``train``, with ``im1``, ``im2`` and ``label1``.

    A sample has ``image`` (2, 3, H, W) float32 in 0..1, and ``mask`` (1, H, W), 1 where changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = sorted(path.name for path in (folder / 'im1').glob('*.png'))
        if not self.names:
            raise FileNotFoundError(f'{folder}/im1 has no PNG files; make the data first')

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return one sample."""
        dates = [np.array(Image.open(self.folder / d / self.names[index])) for d in ('im1', 'im2')]
        image = torch.from_numpy(np.stack(dates)).permute(0, 3, 1, 2) / 255
        # Class 0 is unchanged ground in these labels.
        label = np.array(Image.open(self.folder / 'label1' / self.names[index]))
        return dict(image=image, mask=torch.from_numpy(label > 0)[None].long())


class TFINetTask(ChangeDetectionTask):
    """torchgeo's task with a network of TFINet-MM in place of its own.

    Args:
        config: A config or a checkpoint, as :func:`tfinet_mm.apis.build_module` takes it; None
            for the weights of the package.
        **options: Options of torchgeo's task.
    """

    def __init__(self, config: str | None = None, **options: Any) -> None:
        self.config = config
        # Of torchgeo's own names, this one leaves a batch (N, 2, B, H, W).
        super().__init__(model='fcsiamdiff', **options)

    def configure_models(self) -> None:
        """Build the network, which torchgeo calls as ``self.model(image)``."""
        self.model: nn.Module = build_module(self.config, value_range=(0, 1), returns='change')
        self.model.train()


def score(task: ChangeDetectionTask, pairs: Pairs) -> dict[str, float]:
    """Return IoU and F1 of change over all pixels of some pairs."""
    task.eval()
    hits = misses = false = 0
    with torch.inference_mode():
        for sample in (pairs[index] for index in range(len(pairs))):
            found = task(sample['image'][None])[0] > 0
            truth = sample['mask'] == 1
            hits += int((found & truth).sum())
            misses += int((~found & truth).sum())
            false += int((found & ~truth).sum())
    return dict(
        iou=hits / max(1, hits + misses + false), f1=2 * hits / max(1, 2 * hits + misses + false)
    )


def parse_args(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('data', type=Path, metavar='DATA', help='folder with train and val')
    parser.add_argument('--steps', type=int, default=100, help='training steps (default: 100)')
    parser.add_argument('--batch-size', type=int, default=8, help='pairs of a step (default: 8)')
    parser.add_argument('--seed', type=int, default=0, help='seed (default: 0)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the scores')
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Train each network, and print the table."""
    args = parse_args(words)
    train, val = Pairs(args.data / 'train'), Pairs(args.data / 'val')
    lite = str(Path(__file__).parents[2] / 'configs' / 'tfinet_lite0_fpn_synthetic.py')
    options: dict[str, Any] = dict(in_channels=3, task='binary', loss='bce', lr=1e-3)
    networks: dict[str, Callable[[], Any]] = {
        "torchgeo's FC-Siam-diff on ResNet-18": lambda: ChangeDetectionTask(
            'fcsiamdiff', 'resnet18', weights=None, **options
        ),
        'pyramid on Lite0, ImageNet': lambda: TFINetTask(lite, **options),
        'pyramid on Lite0, weights of the package': lambda: TFINetTask(**options),
    }
    found: dict[str, dict[str, float]] = {}
    for name, build in networks.items():
        lightning.seed_everything(args.seed, verbose=False)
        task = build()
        loader = DataLoader(train, args.batch_size, shuffle=True, drop_last=True)
        trainer = lightning.Trainer(
            max_steps=args.steps,
            max_epochs=-1,
            num_sanity_val_steps=0,
            limit_val_batches=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        started = time.monotonic()
        # torchgeo lowers the learning rate by the validation's loss, so there must be one.
        trainer.fit(task, loader, DataLoader(val, args.batch_size))
        found[name] = score(task, val) | dict(seconds=time.monotonic() - started)
    print('| network | IoU | F1 | seconds |\n| --- | ---: | ---: | ---: |')
    for name, row in found.items():
        print(f'| {name} | {row["iou"]:.1%} | {row["f1"]:.1%} | {row["seconds"]:.0f} |')
    if args.json is not None:
        args.json.write_text(json.dumps(found, indent=1), encoding='utf-8')


if __name__ == '__main__':
    main()
