"""Export a network as a file for ONNX Runtime, OpenVINO or torch.export.

    python tools/export.py [CONFIG] [CHECKPOINT] --out network.onnx [--size H W] [--tta]

Without CONFIG and CHECKPOINT, the weights that come with the package are exported. The file
holds everything from stored values to maps, so that predicting needs neither torch nor a config.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tfinet_mm.apis.network_export import SUFFIXES, export_for_deepness, export_network
from tfinet_mm.checkpoints.trust import trust_checkpoints
from tfinet_mm.deploy.card import INPUT_TYPES, PRECISIONS
from tfinet_mm.deploy.deepness import SHOWN
from tfinet_mm.deploy.model_card import agreement_text
from tfinet_mm.deploy.quantization import AGREEMENT
from tfinet_mm.utils.command import add_config_options, add_traceback_option, run_command

# Deepness computes in float32 and gives 8 bits.
UNUSED = ('precision', 'input_type', 'calibrate', 'calibration_pairs', 'agreement', 'stretch')


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Export a network as a file for ONNX Runtime, OpenVINO or torch.export'
    )
    parser.add_argument(
        'config',
        nargs='?',
        help='config file, or a checkpoint that carries its config, or the name of shipped '
        'weights (default: the weights of the package)',
    )
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file or URL')
    parser.add_argument(
        '--out', required=True, type=Path, metavar='FILE', help='file: .onnx, .xml or .pt2'
    )
    parser.add_argument(
        '--to', choices=tuple(SUFFIXES), help='format (default: that of the suffix of FILE)'
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        '--size',
        nargs=2,
        type=int,
        metavar=('HEIGHT', 'WIDTH'),
        help='fixed size in pixels',
    )
    sizes.add_argument(
        '--dynamic',
        action='store_true',
        help='any height and width (the default)',
    )
    parser.add_argument(
        '--for',
        dest='target',
        choices=('deepness',),
        help='write a file for this plugin of QGIS, which runs it on one raster with the bands of '
        'before and then of after',
    )
    parser.add_argument(
        '--map',
        choices=SHOWN,
        help='with --for deepness: the map it gives, change (default) or the land cover of a date',
    )
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        default='fp32',
        help='type to compute in (default: fp32)',
    )
    parser.add_argument(
        '--tta',
        action=argparse.BooleanOptionalAction,
        help='average over flips, rotations and scales within the network, or not (default: as '
        'the weights ask for)',
    )
    parser.add_argument(
        '--threshold', type=float, help="P(changed) of a change (default: the network's own)"
    )
    parser.add_argument(
        '--no-calibration',
        dest='calibration',
        action='store_const',
        const=False,
        help='P(changed) as the network predicts it, where the weights have a calibration',
    )
    parser.add_argument(
        '--input-type',
        choices=INPUT_TYPES,
        help='type of the inputs (default: uint8, uint16 for a value range above 255, float32 for '
        'one of fractions, of numbers below 0 or above 65535, or of fewer than 64 steps)',
    )
    parser.add_argument(
        '--calibrate',
        nargs='+',
        metavar='SOURCE',
        help='for --precision int8: a config with a data set, a table of pairs, or two folders of '
        'images, on which ranges of values are measured',
    )
    parser.add_argument(
        '--calibration-pairs',
        type=int,
        default=64,
        metavar='N',
        help='number of these pairs (default: 64)',
    )
    parser.add_argument(
        '--agreement',
        type=float,
        default=AGREEMENT,
        metavar='PERCENT',
        help='for --precision int8: percent of the pixels of each map that keep the label of '
        'float32 on these pairs; layers return to float32 until they do (default: %(default)g; 0 '
        'quantises all)',
    )
    parser.add_argument(
        '--bands', nargs='+', type=int, metavar='N', help='bands to take, counted from 1'
    )
    parser.add_argument(
        '--stretch',
        nargs=2,
        type=float,
        metavar=('LOW', 'HIGH'),
        help='stored values that become 0 and 255, scaled within the network',
    )
    parser.add_argument(
        '--resolution', type=float, metavar='METRES', help='of a pixel, to be stated in the file'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace FILE if it is there')
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read checkpoints that could run code; only for files whose origin you trust',
    )
    add_config_options(parser)
    add_traceback_option(parser)
    args = parser.parse_intermixed_args(arguments)
    if args.target is None and args.map is not None:
        parser.error('--map goes with --for deepness; other files give all maps')
    if args.target is not None and args.dynamic:
        parser.error('--dynamic does not go with --for deepness, whose tiles have one size')
    if args.target is not None:
        given = [name for name in UNUSED if getattr(args, name) != parser.get_default(name)]
        if given:
            option = given[0].replace('_', '-')
            parser.error(f'--{option} does not go with --for {args.target}; leave it out')
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Export."""
    args = parse_args(arguments)
    if args.trust_checkpoint:
        trust_checkpoints()
    if args.target is not None:
        _export_for_deepness(args)
        return
    written = export_network(
        args.config,
        args.checkpoint,
        args.out,
        to=args.to,
        size=args.size,
        precision=args.precision,
        tta=args.tta,
        threshold=args.threshold,
        calibration=args.calibration,
        input_type=args.input_type,
        resolution=args.resolution,
        calibrate=args.calibrate,
        calibration_pairs=args.calibration_pairs,
        agreement=args.agreement,
        bands=args.bands,
        value_range=args.stretch,
        cfg_options=args.cfg_options,
        overwrite=args.overwrite,
    )
    card = written.card
    print(f'Inputs: before and after, {card.network_bands} bands, {card.input_type}, {card.sizes}')
    if card.tta:
        print(f'Averaged over {len(card.tta)} views: {", ".join(card.tta)}')
    if card.calibration is not None:
        print(agreement_text(card.calibration))
    print(f'{card.name}, {written.size / 1e6:.1f} MB, written to {written.path}')
    print(f'Described in {" and ".join(str(path) for path in written.described)}')


def _export_for_deepness(args: argparse.Namespace) -> None:
    shown = args.map or 'change'
    written = export_for_deepness(
        args.config,
        args.checkpoint,
        args.out,
        shown=shown,
        size=args.size or (512, 512),
        resolution=args.resolution,
        tta=args.tta,
        threshold=args.threshold,
        calibration=args.calibration,
        bands=args.bands,
        cfg_options=args.cfg_options,
        overwrite=args.overwrite,
    )
    bands = written.card.network_bands
    what = 'where it changed' if shown == 'change' else f'land cover {shown}'
    print(f'Input: one raster of {2 * bands} bands, {bands} of before and then {bands} of after')
    if (order := written.card.bands) is not None and order != tuple(range(1, bands + 1)):
        words = ' '.join(f'-b {number}' for number in order)
        print(f'Of each image, take these bands in this order: gdal_translate -of VRT {words}')
    print(f'{written.card.name}, {what}, {written.size / 1e6:.1f} MB, written to {written.path}')


if __name__ == '__main__':
    run_command(main)
