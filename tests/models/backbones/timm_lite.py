"""Compare EfficientNet-Lite with timm's, stage by stage, and write timm's numbers.

A script of its own, since it imports torchvision as timm_detectors.py does. The numbers are in
float64: for each network, weights and size a summary of the maps of strides 4 to 32.

Usage: timm_lite.py [FOLDER] [--write], a folder with timm and torchvision in it. With --write the
numbers go to tests/data/efficientnet_lite.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

STAGES = (0, 1, 2, 4, 6)


def timm_levels(network, image):
    """Return what timm's own forward computes at the strides 2, 4, 8, 16 and 32."""
    levels = []
    hooks = [
        network.blocks[stage].register_forward_hook(lambda *given: levels.append(given[2]))
        for stage in STAGES
    ]
    with torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    return levels


def compare(arch, weights):
    """Print the largest difference over sizes and levels, relative to the level's largest value."""
    import timm
    from lite_numbers import SIZES, drawn_image, drawn_weights, summary

    from tfinet_mm.checkpoints.packages import packaged_file
    from tfinet_mm.models import EfficientNetLite

    network = timm.create_model(f'tf_efficientnet_{arch}')
    if weights == 'imagenet':
        try:
            stored = torch.load(packaged_file(f'efficientnet_{arch}'), weights_only=True)
        except ImportError:
            print(f'{arch} {weights}: not installed')
            return {}
        network.load_state_dict(dict(zip(network.state_dict(), stored.values(), strict=True)))
    else:
        network.load_state_dict(drawn_weights(network.state_dict()))
    torch.save(network.state_dict(), 'timm.pth')
    init_cfg = dict(type='Pretrained', checkpoint='timm.pth')
    ours = EfficientNetLite(arch, fine_level=True, init_cfg=init_cfg)
    ours.init_weights()
    network.double().eval()
    ours.double().eval()
    numbers, worst = {}, 0.0
    for size in SIZES:
        image = drawn_image(size)
        expected = timm_levels(network, image)
        numbers['x'.join(map(str, size))] = [summary(level) for level in expected[1:]]
        with torch.no_grad():
            found = ours(image)
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            worst = max(worst, ((one - other).abs().max() / other.abs().max()).item())
    print(f'{arch} {weights}: {worst:.1e}')
    return numbers


def main(arguments):
    import timm
    from lite_numbers import FILE

    write = '--write' in arguments
    found = {
        arch: {weights: compare(arch, weights) for weights in ('drawn', 'imagenet')}
        for arch in ('lite0', 'lite1', 'lite2')
    }
    if write:
        made_by = f'tests/models/backbones/timm_lite.py --write, timm {timm.__version__}'
        FILE.write_text(json.dumps({'made_by': made_by, **found}, indent=1) + '\n')


if __name__ == '__main__':
    folders = [argument for argument in sys.argv[1:] if argument != '--write']
    sys.path[1:1] = [*folders, str(Path(__file__).parents[2])]
    from timm_detectors import import_torchvision

    declared = import_torchvision()
    main(sys.argv[1:])
