"""Find pairs that are in a data set twice, or in two splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tfinet_mm.datasets.check.fingerprint import (
    HASH_BITS,
    MAX_BITS,
    THUMBNAIL,
    near_copies,
)
from tfinet_mm.datasets.check.problems import ERROR, WARNING, Copy, DatasetReport, Problem

RULE = f'at most {MAX_BITS} of {HASH_BITS} bits of the perceptual hash differ'
"""Rule by which images look the same, in words."""


def look_alikes(report: DatasetReport) -> list[Copy]:
    """Find pairs of a data set that look the same as an earlier one without being identical."""
    known = {(one.of_index, one.index) for one in report.copies}
    places, bits, thumbnails = _stacked([report])
    found = []
    for first, second in near_copies(bits, thumbnails).tolist():
        one, other = (report.rows[places[number][1]] for number in (second, first))
        if (other.index, one.index) not in known:
            found.append(Copy('', one.index, one.name, '', other.index, other.name, False))
    # The copies of an identical pair look like all that it looks like.
    identical = {one.index for one in report.copies}
    return [one for one in found if not {one.index, one.of_index} & identical]


def copy_problems(report: DatasetReport) -> Iterator[Problem]:
    """Warn of pairs that look the same, in one problem for all of them."""
    similar = [one for one in report.copies if not one.identical]
    if similar:
        number = len({one.index for one in similar})
        message = (
            f'{number} of {report.pairs} pairs look the same as an earlier one ({RULE}); look at '
            f'them with --html, and remove copies: {_listed(similar)}'
        )
        yield Problem(WARNING, '', message)


def _listed(copies: Sequence[Copy], limit: int = 5) -> str:
    listed = ', '.join(f'{one.name!r} as {one.of_name!r}' for one in copies[:limit])
    return f'{listed}{", ..." if len(copies) > limit else ""}'


def _stacked(
    reports: Sequence[DatasetReport],
) -> tuple[list[tuple[int, int]], np.ndarray, np.ndarray]:
    """Return (report, place) of each pair with a fingerprint, the bits and the thumbnails."""
    places = [
        (number, place) for number, report in enumerate(reports) for place in report.fingerprints
    ]
    stored = [reports[number].fingerprints[place] for number, place in places]
    bits = np.frombuffer(b''.join(one for one, _ in stored), np.uint8)
    thumbnails = np.frombuffer(b''.join(one for _, one in stored), np.uint8)
    shape = (len(places), 2, THUMBNAIL, THUMBNAIL)
    return places, bits.reshape(len(places), HASH_BITS // 8), thumbnails.reshape(shape)


def is_training(name: str) -> bool:
    """Return whether a report is of training data: "train", "train (1 of 2)", and so on."""
    return name.split()[0] == 'train'


def leaked_pairs(reports: Mapping[str, DatasetReport]) -> list[Copy]:
    """Find pairs of other splits whose images are, or look like, those of a training pair.

    Args:
        reports: Reports by the name of the split. The splits "train", or "train (1 of 2)"
            and so on, are together compared with each other split.

    Returns:
        For each such pair one training pair, in the order of the splits.
    """
    names = list(reports)
    training = [name for name in names if is_training(name)]
    digests = {
        digest: (name, place)
        for name in training
        for digest, place in reports[name].digests.items()
    }
    places, bits, thumbnails = _stacked([reports[name] for name in names])
    groups = np.array([not is_training(names[number]) for number, _ in places], np.int64)
    similar: dict[tuple[str, int], tuple[str, int]] = {}
    if training and len(training) < len(names):
        for pair in near_copies(bits, thumbnails, groups).tolist():
            ends = sorted((groups[one], names[places[one][0]], places[one][1]) for one in pair)
            similar.setdefault(ends[1][1:], ends[0][1:])
    found = []
    for name in names:
        if is_training(name):
            continue
        report = reports[name]
        same = {
            place: digests[digest] for digest, place in report.digests.items() if digest in digests
        }
        for place, row in enumerate(report.rows):
            source = same.get(place) or similar.get((name, place))
            if source is None:
                continue
            twin = reports[source[0]].rows[source[1]]
            numbers = (row.index, row.name, source[0], twin.index, twin.name)
            found.append(Copy(name, *numbers, identical=place in same))
    return found


def find_leaks(
    reports: Mapping[str, DatasetReport], leaked: Sequence[Copy] | None = None
) -> list[Problem]:
    """Find pairs of images that are in the training split and in another split as well.

    Args:
        reports: Reports by the name of the split, as for :func:`leaked_pairs`.
        leaked: Result of :func:`leaked_pairs`, if it is there already.

    Returns:
        For each other split one error if it shares images with training, and one if images look
        the same.
    """
    problems = []
    copies = leaked_pairs(reports) if leaked is None else leaked
    for name, report in reports.items():
        own = [one for one in copies if one.split == name]
        if same := sorted(one.name for one in own if one.identical):
            listed = ', '.join(repr(sample) for sample in same[:10])
            message = (
                f'{len(same)} of {report.pairs} pairs of {name} are trained on as well, so '
                'that their scores mean nothing; remove them from one of the splits: '
                f'{listed}{", ..." if len(same) > 10 else ""}'
            )
            problems.append(Problem(ERROR, '', message))
        if similar := [one for one in own if not one.identical]:
            message = (
                f'{len(similar)} of {report.pairs} pairs of {name} look the same as a training '
                f'pair ({RULE}), so that their scores mean nothing; look at them with --html, and '
                f'remove copies from one of the splits: {_listed(similar)}'
            )
            problems.append(Problem(ERROR, '', message))
    return problems
