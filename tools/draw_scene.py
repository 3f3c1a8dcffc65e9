"""Draw a predicted scene as one image: before, after, and the change.

Example: python tools/draw_scene.py maps/2018 --out 2018.jpg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tfinet_mm.report.scene_picture import draw_scene, scene_title
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.utils.command import add_traceback_option, run_command
from tfinet_mm.utils.files import whole_file


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('scene', type=Path, help='folder of a predicted scene')
    parser.add_argument('--out', type=Path, required=True, help='.jpg or .png to write')
    parser.add_argument(
        '--side', type=int, default=400, help='longer side of a panel in pixels (default 400)'
    )
    parser.add_argument(
        '--quality', type=int, default=85, help='quality of a JPEG, 1 to 95 (default 85)'
    )
    add_traceback_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        ValueError: The suffix is neither .jpg nor .png.
    """
    args = parse_args(argv)
    if args.out.suffix.lower() not in ('.jpg', '.jpeg', '.png'):
        raise ValueError(f'expected --out with the suffix .jpg or .png, got {args.out}')
    scene = SceneResults(args.scene)
    picture = Image.fromarray(draw_scene(scene, args.side))
    with whole_file(args.out) as partial:
        picture.save(partial, quality=args.quality)
    print(scene_title(scene.areas()))
    print(f'{args.out}, {picture.width} x {picture.height}, {args.out.stat().st_size / 1e3:.0f} kB')


if __name__ == '__main__':
    run_command(main)
