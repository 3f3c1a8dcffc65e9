"""Draw samples of a data set as training sees them, augmented, as PNG files.

    python tools/browse_dataset.py CONFIG --out DIR [--number N] [--split train|val|test]

Each file shows the images of both dates, the land cover of both dates where it
is labelled, and the change.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import DATASETS
from tqdm import tqdm

from tfinet_mm.datasets.check import leaf_datasets
from tfinet_mm.engine.options import DATA_KEYS
from tfinet_mm.io.png import IGNORED_COLOUR
from tfinet_mm.structures import GT_CHANGE, GT_FROM, GT_TO, ClassTable
from tfinet_mm.utils.command import (
    add_config_options,
    add_traceback_option,
    count,
    run_command,
    seed,
)
from tfinet_mm.utils.config.building import building
from tfinet_mm.utils.config.loading import load_config
from tfinet_mm.visualization import colourise, display_image, field_array, write_png
from tfinet_mm.visualization.canvas import Panel, compose, panel_size, resized
from tfinet_mm.visualization.overlay import CHANGE_COLOURS, FOUND, LEFT_OUT, change_errors


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the visualisations')
    parser.add_argument('--number', type=count, default=20, help='number of samples (default: 20)')
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train')
    parser.add_argument(
        '--seed', type=seed, default=0, help='seed of the augmentation (default: 0)'
    )
    add_config_options(parser)
    add_traceback_option(parser)
    return parser.parse_args(arguments)


def draw_training_sample(item: dict[str, Any], table: ClassTable) -> np.ndarray:
    """Draw a sample that a pipeline packed.

    Args:
        item: ``inputs`` (2B, H, W) and ``data_samples``, with or without labels.
        table: Names and colours of the classes.

    Returns:
        RGB image, (height, width, 3) uint8.
    """
    image, sample = item['inputs'].numpy().transpose(1, 2, 0), item['data_samples']
    size = panel_size(image.shape[0], image.shape[1], 192, 512)
    bands = image.shape[2] // 2
    dates = (image[..., :bands], image[..., bands:])
    columns: list[list[Panel | None]] = [
        [
            (name, resized(display_image(date), size, smooth=True))
            for name, date in zip(('before', 'after'), dates, strict=True)
        ]
    ]
    legend = []
    covers = [field_array(sample, name) for name in (GT_FROM, GT_TO)]
    if all(cover is not None for cover in covers):
        columns.append(
            [
                (f'land cover {name}', resized(colourise(cover, table.palette[1:]), size))
                for name, cover in zip(('before', 'after'), covers, strict=True)
                if cover is not None
            ]
        )
        classes = list(zip(table.land_cover, table.palette[1:], strict=True))
        legend.append([*classes, ('no class known', IGNORED_COLOUR)])
    change = field_array(sample, GT_CHANGE)
    if change is not None:
        shown = change_errors((change == 1).astype(np.uint8), change)
        columns.append([('change', resized(colourise(shown, CHANGE_COLOURS), size)), None])
        legend.append([('changed', CHANGE_COLOURS[FOUND]), ('left out', CHANGE_COLOURS[LEFT_OUT])])
    return compose(columns, size, _title(sample), legend)


def _title(sample: Any) -> str:
    done = [f'flip {sample.flip_direction}'] if sample.get('flip') else []
    done += [f'rotated {sample.rotation}'] if sample.get('rotation') else []
    done += [f'crop {sample.crop_bbox}'] if sample.get('crop_bbox') else []
    done += ['dates exchanged'] if sample.get('exchanged') else []
    return ', '.join([str(sample.get('sample_id', '')), *done])


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw samples spread evenly over the data set."""
    args = parse_args(arguments)
    cfg = load_config(args.config, args.cfg_options, only=DATA_KEYS)
    # The transforms of mmseg and mmcv draw from NumPy's generator, those of this package from
    # Python's.
    random.seed(args.seed)
    np.random.seed(args.seed)  # noqa: NPY002
    config = cfg[f'{args.split}_dataloader'].dataset
    with building(f'{args.split}_dataloader.dataset', config):
        dataset = DATASETS.build(config)
    table = leaf_datasets(dataset)[0].class_table
    number = min(args.number, len(dataset))
    out = Path(args.out)
    for position, index in enumerate(tqdm(np.linspace(0, len(dataset) - 1, number, dtype=int))):
        item = dataset[int(index)]
        # Numbered, since two samples may have one name, and one sample may be drawn twice.
        name = str(item['data_samples'].get('sample_id', '')).replace('/', '_')
        write_png(out / f'{position:04d}_{name}.png', draw_training_sample(item, table))
    print(f'{number} visualisations of {len(dataset)} samples in {out}', file=sys.stderr)


if __name__ == '__main__':
    run_command(main)
