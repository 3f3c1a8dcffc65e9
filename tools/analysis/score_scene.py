"""Score a predicted scene against an annotation on the same pixels.

LABELS holds change.tif (1 changed, 0 unchanged, 255 ignored), land_cover_from.tif and
land_cover_to.tif (1..K, 0 unknown), as tools/dataset/make_scene.py writes them.

Example: python tools/analysis/score_scene.py maps/2018 data/scene/labels
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.evaluation.score_table import format_table, scores_report
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.scoring import score_scene
from tfinet_mm.utils.command import add_traceback_option, run_command
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.json_text import json_text


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('scene', type=Path, help='folder of a predicted scene')
    parser.add_argument('labels', type=Path, metavar='LABELS', help='folder of the annotation')
    parser.add_argument('--json', type=Path, help='write all scores to this file too')
    add_traceback_option(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    scene = SceneResults(args.scene)
    counts = score_scene(scene, args.labels)
    print(format_table(counts, scene.classes, 1))
    if args.json:
        with whole_file(args.json) as partial:
            report = scores_report(counts, scene.classes, 1)
            partial.write_text(json_text(report, indent=None), encoding='utf-8')


if __name__ == '__main__':
    run_command(main)
