"""Limit the size, the number and the time of the jobs of a server."""

from __future__ import annotations

from dataclasses import asdict, dataclass

MEGABYTE = 1 << 20
MEGAPIXEL = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Limits of a server; a job that exceeds one is refused or stopped.

    Attributes:
        upload_bytes: Largest size of each of the two files.
        upload_seconds: Longest time without a byte of an upload.
        picture_pixels: Most pixels of a picture, which is predicted as a whole in memory.
        scene_pixels: Most pixels of a GeoTIFF, which is predicted in windows.
        waiting: Most jobs that wait or are being uploaded.
        kept: Most jobs that have ended; the oldest are removed first.
        job_seconds: Longest time of a prediction.
        keep_seconds: Time after its end for which a job is kept.
    """

    upload_bytes: int = 2048 * MEGABYTE
    upload_seconds: float = 60.0
    picture_pixels: int = 25 * MEGAPIXEL
    scene_pixels: int = 1000 * MEGAPIXEL
    waiting: int = 8
    kept: int = 50
    job_seconds: float = 2 * 3600.0
    keep_seconds: float = 24 * 3600.0

    def public(self) -> dict[str, float]:
        """Return the limits as values of JSON."""
        return asdict(self)


def megabytes(size: float) -> str:
    """Return a number of bytes as text.

    Example:
        >>> megabytes(3 << 20), megabytes(1000)
        ('3 MB', '0.001 MB')
    """
    return f'{size / MEGABYTE:.4g} MB' if size >= MEGABYTE else f'{size / MEGABYTE:.1g} MB'
