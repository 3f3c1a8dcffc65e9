"""Read the options of ``tfinet-predict``."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from tfinet_mm.apis.command_output import SUFFIXES
from tfinet_mm.apis.command_table import is_table
from tfinet_mm.apis.network_files import CONFIG_SUFFIXES
from tfinet_mm.checkpoints.shipped import DEFAULT, is_shipped
from tfinet_mm.checkpoints.shipped import SUFFIX as WEIGHTS_SUFFIX
from tfinet_mm.deploy.card_files import EXPORTED_BACKENDS, EXPORTED_SUFFIXES
from tfinet_mm.engine.arguments import (
    add_amp_option,
    add_compile_option,
    add_launch_options,
)
from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.bad_values import BadValues, read_bad_values
from tfinet_mm.utils.command import add_config_options, add_traceback_option
from tfinet_mm.utils.places import suffix
from tfinet_mm.utils.snakemake import add_executor_options

Value = TypeVar('Value')

KINDS = ('scene', 'picture')
DATES = ('before', 'after')
USAGE = (
    '%(prog)s [[CONFIG] CHECKPOINT] BEFORE AFTER --out DIR [options]\n'
    '       %(prog)s [[CONFIG] CHECKPOINT] PAIRS.csv --out DIR [options]'
)
EPILOG = (
    'BEFORE and AFTER are two images, or two folders of images of the same names. An image may be '
    'in a zip file (a.zip/b.tif) or at an address (https://...). PAIRS.csv has '
    'the columns before and after, and optionally name, quality_before and quality_after. The '
    'network is CONFIG and CHECKPOINT; a CHECKPOINT that carries its config; the CONFIG of an '
    'ensemble; an exported network (.onnx, .xml, .pt2); or a name of weights that come with the '
    'package. Without any, it is '
    f'{DEFAULT}. With --executor or --jobs, options after "--" are those of Snakemake.'
)
FORMS = (
    'BEFORE AFTER, CHECKPOINT BEFORE AFTER or CONFIG CHECKPOINT BEFORE AFTER, with PAIRS.csv in '
    'place of BEFORE AFTER'
)
NETWORK_SUFFIXES = (*CONFIG_SUFFIXES, *EXPORTED_SUFFIXES, '.pth', '.pt', '.ckpt', WEIGHTS_SUFFIX)
"""Suffixes of files that are no images."""


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f'{text!r} is no regular expression: {error}') from None
    return text


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; the result keeps its words as ``arguments``."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        description='Predict what changed between two dates', usage=USAGE, epilog=EPILOG
    )
    parser.add_argument('words', nargs='+', metavar='BEFORE AFTER', help=argparse.SUPPRESS)
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write to')
    parser.add_argument(
        '--input-type',
        choices=KINDS,
        help='scenes on the ground or plain pictures (default: georeferenced rasters are scenes)',
    )
    # The names of before, for scripts that still have them.
    parser.add_argument('--as', dest='input_type', choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument(
        '--key-pattern',
        type=_pattern,
        metavar='REGEX',
        help='part to remove from the names of files in folders before they are matched, such as '
        "'_(pre|post)'",
    )
    parser.add_argument(
        '--report', action='store_true', help='also write a page to look through, DIR/report.html'
    )
    parser.add_argument('--overwrite', action='store_true', help='predict finished pairs again')
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='list the pairs that are not finished, predict nothing',
    )
    add_network(parser.add_argument_group('the network'))
    add_images(parser.add_argument_group('the images'))
    add_scenes(parser.add_argument_group('scenes'))
    add_executor_options(parser.add_argument_group('a job for each pair'), 'jobs')
    add_launch_options(parser)
    add_traceback_option(parser)
    # Elsewhere, "--" comes before words that begin with a dash.
    jobs = any(word.partition('=')[0] in ('--executor', '--jobs') for word in words)
    end = words.index('--') if jobs and '--' in words else len(words)
    # Options may stand between the words.
    args, unknown = parser.parse_known_intermixed_args(words[:end])
    if unknown:
        files = [word for word in unknown if os.path.exists(word)]
        fix = f'; a file whose name begins with a dash is ./{files[0]}' if files else ''
        parser.error(f'unrecognized arguments: {" ".join(unknown)}{fix}')
    args.arguments, args.snakemake = words, words[end + 1 :]
    if jobs and args.launcher != 'none':
        parser.error('--executor and --jobs start processes of their own; leave out --launcher')
    try:
        vars(args).update(_read_words(args.words))
    except ValueError as error:
        parser.error(str(error))
    for name, read in READERS.items():
        try:
            value = getattr(args, name)
            setattr(args, name, None if value is None else read(value))
        except ValueError as error:
            parser.error(str(error))
    return args


def _read_words(words: Sequence[str]) -> dict[str, str | None]:
    """Sort the words of the command line into the network and the images.

    Args:
        words: BEFORE and AFTER, after the network: nothing, one word or two.

    Returns:
        ``config``, ``checkpoint``, ``before`` and ``after``; the first two None for
        the weights that come with the package.

    Raises:
        ValueError: A word is missing or extra, or an image is where the network should be.
    """
    if is_table(words[-1]):
        *network, before, after = [*words, '']
    else:
        *network, before, after = words if len(words) > 1 else [*words, '']
    misplaced = [word for word in network if _is_image(word)]
    if len(network) > 2 or misplaced:
        what = f'got {len(words)} words' if len(network) > 2 else f'{misplaced[0]} is no network'
        raise ValueError(f'{what}; expected {FORMS}')
    if (not after and not is_table(before)) or any(is_network(word) for word in (before, after)):
        raise ValueError(f'an image is missing after {" ".join(words)}; expected {FORMS}')
    return dict(zip(('config', 'checkpoint'), [*network, None, None], strict=False)) | dict(
        before=before, after=after
    )


def is_network(word: str) -> bool:
    """Return whether a word names a config, a checkpoint or shipped weights."""
    return is_shipped(word) or (
        Path(word).suffix.lower() in NETWORK_SUFFIXES and not os.path.isdir(word)
    )


def _is_image(word: str) -> bool:
    """Return whether a word names a folder or an image, which can't be a network."""
    return suffix(word) in SUFFIXES or (os.path.isdir(word) and not is_shipped(word))


def add_network(group: Any) -> None:
    """Add the options of the network."""
    group.add_argument('--device', help="such as 'cpu' or 'cuda:1' (default: a GPU if any)")
    group.add_argument(
        '--backend',
        choices=('auto', 'torch', *EXPORTED_BACKENDS),
        default='auto',
        help='program that runs the network (default: torch, and for an exported network '
        'OpenVINO or else ONNX Runtime)',
    )
    add_amp_option(group)
    add_compile_option(group)
    group.add_argument(
        '--tta',
        action=argparse.BooleanOptionalAction,
        help='average over flips and rotations (default: as the weights say; those of the '
        'package average over three sizes)',
    )
    group.add_argument('--window', type=int, help='side of sliding windows in pixels')
    group.add_argument('--overlap', type=int, help='pixels that windows share')
    group.add_argument('--threshold', type=float, help='P(changed) from which a pixel is changed')
    group.add_argument(
        '--no-calibration',
        dest='calibration',
        action='store_const',
        const=False,
        help='P(changed) as the network predicts it, where the weights have a calibration',
    )
    group.add_argument(
        '--batch-size', type=int, default=1, help='pairs, or windows of a scene, at a time'
    )
    group.add_argument(
        '--workers', type=int, default=2, help='threads that read ahead (default: 2)'
    )
    add_config_options(group)


def add_images(group: Any) -> None:
    """Add the options for reading images."""
    group.add_argument(
        '--bands',
        nargs='+',
        metavar='N',
        help='bands to read, counted from 1, in the order of the network; of scenes also '
        'before=4,3,2 after=3,2,1',
    )
    group.add_argument(
        '--stretch',
        nargs='+',
        metavar='WORD',
        help='values that become 0 and 255: LOW HIGH; for a scene also LOW,HIGH for each band, '
        'percentiles (of both dates together, the default of a scene that is not 8 bit), '
        'each-date (of each date alone), or before=... after=...',
    )
    group.add_argument('--value-range', dest='stretch', nargs=2, help=argparse.SUPPRESS)
    group.add_argument(
        '--align',
        action='store_true',
        help='move after onto before by the shift that is measured between them',
    )


def add_scenes(group: Any, pair: bool = True) -> None:
    """Add the options of scenes; those that name one of two dates only for a pair."""
    if pair:
        _add_pair(group)
    group.add_argument(
        '--percentiles',
        nargs=2,
        type=float,
        metavar=('LOW', 'HIGH'),
        help='percentiles that become 0 and 255 with --stretch percentiles or each-date '
        '(default: 2 98)',
    )
    group.add_argument(
        '--nodata',
        nargs='+',
        metavar='VALUE',
        help="value of pixels without data, in place of the files' own"
        + ('; or before=... after=...' if pair else ''),
    )
    group.add_argument(
        '--quality',
        nargs='+',
        metavar='FILE',
        help='quality band such as a map of clouds, FILE or FILE:BAND'
        + ('; or before=... after=...' if pair else ", one for each scene, '-' for none"),
    )
    group.add_argument(
        '--bad-values',
        nargs='+',
        metavar='WORD',
        help='values of the quality band that count as bad: numbers, ranges (8-10), bits (bit3), '
        'scl (Sentinel-2) or landsat-qa' + ('; or before=... after=...' if pair else ''),
    )
    group.add_argument(
        '--resampling', metavar='NAME', help='resampling of a warped scene (default: bilinear)'
    )
    group.add_argument(
        '--ignore-scale',
        action='store_true',
        help='take stored numbers as they are, whatever scale and offset the files state',
    )
    group.add_argument(
        '--min-area',
        type=float,
        metavar='M2',
        help='smallest polygon in square metres (default: 0, all)',
    )
    group.add_argument('--no-polygons', action='store_true', help='write rasters and areas only')
    group.add_argument(
        '--no-probabilities',
        action='store_true',
        help='do not keep the probabilities of the likeliest classes, which tfinet finish merges',
    )
    group.add_argument(
        '--no-registration',
        action='store_true',
        help='do not measure how far after lies from before',
    )


def _add_pair(group: Any) -> None:
    group.add_argument(
        '--grid',
        type=read_grid,
        metavar='before|after|SIZE',
        help="pixels of the result: before, after, or their size in the units of before's CRS "
        '(default: before)',
    )
    for date in DATES:
        group.add_argument(
            f'--{date}-crs', metavar='CRS', help=f"CRS of {date}, in place of the file's own"
        )
    group.add_argument(
        '--same-grid',
        action='store_true',
        help='both files show the same pixels, whatever georeference they have',
    )


READING_SCENES = (
    'grid',
    'percentiles',
    'nodata',
    'resampling',
    'before_crs',
    'after_crs',
    'same_grid',
    'ignore_scale',
    'quality',
    'bad_values',
)
SCENE_OPTIONS = (
    *READING_SCENES,
    'min_area',
    'no_polygons',
    'no_probabilities',
    'no_registration',
)
"""Options that pictures don't have."""
READING_OPTIONS = ('bands', 'stretch', *READING_SCENES)
"""Options of :class:`~tfinet_mm.scenes.reader.ScenePair`."""


def reading_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the given options for reading scenes."""
    said = {name: getattr(args, name) for name in READING_OPTIONS}
    return {name: value for name, value in said.items() if value is not None and value is not False}


def read_grid(word: str) -> str | float:
    """Read ``before``, ``after`` or the size of a pixel."""
    if word in DATES:
        return word
    try:
        return float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'expected before, after or the size of a pixel, got {word!r}'
        ) from None


def read_bands(words: Sequence[str]) -> list[int] | dict[str, list[int]]:
    """Read numbers of bands, for both dates or for each.

    Raises:
        ValueError: The words are neither.

    Example:
        >>> read_bands(['3', '2', '1']), read_bands(['before=4,3', 'after=2,1'])
        ([3, 2, 1], {'before': [4, 3], 'after': [2, 1]})
    """

    def numbers(words: Sequence[str]) -> list[int]:
        return [int(word) for word in words]

    try:
        dates = _by_date(words, lambda text: numbers(text.split(',')))
        return numbers(words) if dates is None else dates
    except ValueError:
        raise ValueError(
            '--bands takes numbers counted from 1, such as 3 2 1, or before=4,3,2 after=3,2,1; '
            f'got {" ".join(words)}'
        ) from None


def read_stretch(words: Sequence[str]) -> Any:
    """Return a stretch as :class:`~tfinet_mm.scenes.reader.ScenePair` takes it.

    Raises:
        ValueError: The words are no stretch.

    Example:
        >>> read_stretch(['0', '3000']), read_stretch(['0,3000', '0,4000'])
        ((0.0, 3000.0), [(0.0, 3000.0), (0.0, 4000.0)])
        >>> read_stretch(['before=percentiles', 'after=0,3000/0,4000'])
        {'before': 'percentiles', 'after': [(0.0, 3000.0), (0.0, 4000.0)]}
    """
    try:
        dates = _by_date(words, lambda text: _stretch(text.split('/')))
        return _stretch(words) if dates is None else dates
    except ValueError:
        raise ValueError(
            '--stretch takes LOW HIGH (0 3000), LOW,HIGH for each band (0,3000 0,4000), '
            'percentiles, each-date, or for each date before=percentiles after=0,3000 (bands with '
            f"'/': after=0,3000/0,4000); got {' '.join(words)}"
        ) from None


def read_nodata(words: Sequence[str]) -> float | dict[str, float]:
    """Read a value, or one for each date.

    Raises:
        ValueError: The words are neither.

    Example:
        >>> read_nodata(['-9999']), read_nodata(['before=0', 'after=nan'])
        (-9999.0, {'before': 0.0, 'after': nan})
    """
    try:
        dates = _by_date(words, float)
        if dates is not None:
            return dates
        (word,) = words
        return float(word)
    except ValueError:
        raise ValueError(
            f'--nodata takes a number, or before=NUMBER after=NUMBER; got {" ".join(words)}'
        ) from None


def read_quality(words: Sequence[str]) -> str | dict[str, str]:
    """Read a file, or one for each date.

    Raises:
        ValueError: The words are neither.

    Example:
        >>> read_quality(['SCL.tif']), read_quality(['before=a=b.tif', 'after=qa.tif:2'])
        ('SCL.tif', {'before': 'a=b.tif', 'after': 'qa.tif:2'})
    """
    with suppress(ValueError):
        if dates := _by_date(words, str):
            return dates
    if len(words) == 1:
        return words[0]
    raise ValueError(f'--quality takes a file, or before=FILE after=FILE; got {" ".join(words)}')


def read_bad(words: Sequence[str]) -> BadValues | dict[str, BadValues]:
    """Read bad values, for both dates or for each.

    Raises:
        ValueError: The words are neither.

    Example:
        >>> read_bad(['before=3,8', 'after=bit2'])['after'].bits
        4
    """
    try:
        dates = _by_date(words, lambda text: read_bad_values(text.split(',')))
        return read_bad_values(words) if dates is None else dates
    except SceneError as error:
        raise ValueError(str(error)) from None
    except ValueError:
        raise ValueError(
            '--bad-values takes numbers, ranges, bits and short names, or for each date before=scl '
            f"after=landsat-qa (several with ',': before=3,8); got {' '.join(words)}"
        ) from None


READERS: dict[str, Callable[[Sequence[str]], Any]] = dict(
    bands=read_bands,
    stretch=read_stretch,
    nodata=read_nodata,
    quality=read_quality,
    bad_values=read_bad,
)
"""Functions that read options of several words."""


def _stretch(words: Sequence[str]) -> Any:
    if list(words) in (['percentiles'], ['each-date']):
        return words[0]
    if list(words) == ['none']:
        return None
    if len(words) == 2 and not any(',' in word for word in words):
        return float(words[0]), float(words[1])
    limits = [tuple(float(number) for number in word.split(',')) for word in words]
    if any(len(limit) != 2 for limit in limits):
        raise ValueError
    return limits[0] if len(limits) == 1 else limits


def _by_date(words: Sequence[str], read: Callable[[str], Value]) -> dict[str, Value] | None:
    """Return the values of ``before=...`` and ``after=...``; None without such a word."""
    named = dict(word.split('=', 1) for word in words if '=' in word)
    if not named:
        return None
    if len(named) != len(words) or not set(named) <= set(DATES):
        raise ValueError
    return {date: read(named[date]) for date in DATES if date in named}
