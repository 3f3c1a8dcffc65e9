"""Layout of a folder of pseudo labels: one file a sample and date, named as its images."""

from __future__ import annotations

from pathlib import Path

from tfinet_mm.utils.files import sample_file

DATES = ('from', 'to')
LABEL_FOLDERS = {'from': 'label1', 'to': 'label2'}
CONFIDENCE_FOLDERS = {'from': 'confidence1', 'to': 'confidence2'}
PREDICTION_FOLDER = 'predictions'
REPORT_FILE = 'report.json'
MANIFEST_FILE = 'members.json'


def pseudo_label_path(root: str | Path, sample_id: str, date: str) -> Path:
    """Return the path of the pseudo labels of a sample: a palette PNG of 0..K, 0 for no class.

    Args:
        root: Folder of pseudo labels.
        sample_id: Name of the sample, with its sub-folders, without suffix.
        date: 'from' or 'to'.

    Raises:
        ValueError: The date is neither, or the name leads out of the folder.

    Example:
        >>> pseudo_label_path('pseudo', 'sub dir/a.b c', 'to').as_posix()
        'pseudo/label2/sub dir/a.b c.png'
    """
    return sample_file(Path(root) / _folder(LABEL_FOLDERS, date), sample_id, '.png')


def confidence_path(root: str | Path, sample_id: str, date: str) -> Path:
    """Return the path of the confidence of a sample's pseudo labels: a grey PNG of round(255 * p).

    Args:
        root: Folder of pseudo labels.
        sample_id: Name of the sample, with its sub-folders, without suffix.
        date: 'from' or 'to'.

    Raises:
        ValueError: The date is neither, or the name leads out of the folder.

    Example:
        >>> confidence_path('pseudo', 'tile_x0_y512', 'from').as_posix()
        'pseudo/confidence1/tile_x0_y512.png'
    """
    return sample_file(Path(root) / _folder(CONFIDENCE_FOLDERS, date), sample_id, '.png')


def prediction_path(root: str | Path, sample_id: str) -> Path:
    """Return the path of a sample's predictions, from which its pseudo labels are made."""
    return sample_file(Path(root) / PREDICTION_FOLDER, sample_id, '.npz')


def _folder(folders: dict[str, str], date: str) -> str:
    if date not in folders:
        raise ValueError(f'the date must be one of {tuple(folders)}, got {date!r}')
    return folders[date]
