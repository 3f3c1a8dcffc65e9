"""Name the server of a basemap that a page may load, once its reader asks for it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tfinet_mm.errors import ReportError

PLACES = ('{z}', '{x}', '{y}')


class Basemap:
    """Tiles of 256 x 256 pixels in Web Mercator.

    Args:
        address: Their address, with ``{z}``, ``{x}`` and ``{y}`` for zoom, column and row.
        credit: Line to show with them; names the server by default.

    Raises:
        ReportError: The address isn't one of tiles.

    Example:
        >>> Basemap('https://tile.example.org/{z}/{x}/{y}.png').origin
        'https://tile.example.org'
    """

    def __init__(self, address: str, credit: str | None = None) -> None:
        parts = urlsplit(address)
        # The server gets into the page's security policy, which other characters would break.
        is_server = re.fullmatch(r'[\w.-]+(:\d+)?', parts.netloc, re.ASCII)
        lacking = [one for one in PLACES if one not in parts.path + parts.query]
        if parts.scheme not in ('http', 'https') or not is_server or lacking:
            raise ReportError(
                f'{address!r} is not an address of tiles; expected one like '
                'https://tile.example.org/{z}/{x}/{y}.png for the basemap (--basemap)'
            )
        self.address = address
        self.host = parts.netloc
        self.origin = f'{parts.scheme}://{parts.netloc}'
        self.credit = credit or f'Basemap: {self.host}'
