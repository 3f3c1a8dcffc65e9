"""Take the quality bands of ``tfinet-predict`` from its options, or from the table of pairs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from tfinet_mm.apis.command_options import reading_options
from tfinet_mm.apis.command_output import Pair
from tfinet_mm.apis.command_table import QUALITY_COLUMNS
from tfinet_mm.scenes.bad_values import EXPECTED
from tfinet_mm.scenes.quality import quality_sources
from tfinet_mm.scenes.reader import input_files
from tfinet_mm.utils.fingerprints import fingerprints, joined


def check_quality(args: argparse.Namespace, pairs: Sequence[Pair]) -> None:
    """Refuse quality bands that the table and ``--quality`` both name, or without bad values.

    Raises:
        ValueError: They are such.
    """
    columns = [
        name for name in QUALITY_COLUMNS if any(getattr(pair, name) is not None for pair in pairs)
    ]
    if columns and args.quality is not None:
        raise ValueError(
            f'{args.before} names the quality bands of each pair ({", ".join(columns)}), and '
            '--quality names one for all pairs; leave out --quality, or remove the columns'
        )
    if args.bad_values is None and any(pair.quality for pair in pairs):
        raise ValueError(
            f'{args.before} names quality bands ({", ".join(columns)}), and nothing says which of '
            f'their values count as bad; give them with --bad-values: {EXPECTED}'
        )


def pictures_with_quality(pairs: Sequence[Pair]) -> dict[Pair, Exception]:
    """Return an error for each pair of pictures to which a table gives a quality band."""
    return {
        pair: ValueError(
            f'{" and ".join(f"quality_{date}" for date in pair.quality)} of {pair.name} is for '
            'scenes, and its images are not georeferenced; empty the cell, or predict them as a '
            'scene with --input-type scene'
        )
        for pair in pairs
        if pair.kind == 'picture' and pair.quality
    }


def quality_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the bands of ``--quality`` by content, and the bad values as text.

    The bands of a table are inputs of its pairs, see :meth:`Pair.files`.

    Raises:
        FileNotFoundError: There is no such file.
    """
    settings: dict[str, Any] = {}
    if args.quality is not None:
        settings['quality'] = {}
        for name, source in quality_sources(args.quality).items():
            files = input_files(source.path)
            if not files:
                raise FileNotFoundError(f'--quality: there is no file {source.path}')
            entry = joined(fingerprints(files))
            settings['quality'][name] = entry | dict(band=source.band)
    bad = args.bad_values
    if args.quality is not None or bad is not None:
        settings['bad_values'] = (
            {date: one.describe() for date, one in bad.items()}
            if isinstance(bad, dict)
            else bad and bad.describe()
        )
    return settings


def pair_reading(args: argparse.Namespace, pair: Pair) -> dict[str, Any]:
    """Return the options for reading a scene, with the quality bands that a table gives it."""
    options = reading_options(args)
    if all(getattr(pair, name) is None for name in QUALITY_COLUMNS):
        return options
    if pair.quality:
        return options | dict(quality=pair.quality)
    # The bad values are those of other pairs.
    options.pop('bad_values', None)
    return options
