"""Write the two files of a form to a folder while they arrive.

The size of each is limited as its bytes come, and its kind is decided by its first bytes. Names
that come with the files are kept as text and never become part of a path.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import unquote

from tfinet_mm.integrations.serve.limits import megabytes
from tfinet_mm.integrations.serve.refusal import Refusal

DATES = ('before', 'after')
"""Fields of the form that hold files."""
SIGNATURES = {
    b'II*\0': '.tif',
    b'MM\0*': '.tif',
    b'II+\0': '.tif',
    b'MM\0+': '.tif',
    b'\x89PNG\r\n\x1a\n': '.png',
    b'\xff\xd8\xff': '.jpg',
}
"""First bytes of the formats that are taken, with the suffix of the stored file.

GDAL takes a file with ``<VRTDataset`` before the first zero byte for a VRT, which can make it open
other files. All signatures but that of JPEG have a zero byte, or the format has one soon after. So
GDAL must never open a ``.jpg``, and doesn't where both files are pictures; see ``checks.py``.
"""
LONGEST_SIGNATURE = max(map(len, SIGNATURES))
MOST_PARTS = 16
LONGEST_FIELD = 1000
LONGEST_NAME = 120
LONGEST_HEADERS = 8192
LONG_HEADER = 'the name of a file, or another header of the form, is too long; rename the file'
EXTENDED_NAME = re.compile(rb"filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE)
"""Name of a file in the form of RFC 5987, which some programs send where it isn't ASCII."""


class Received(NamedTuple):
    """File of an upload.

    Attributes:
        path: Where it is stored.
        name: Name that came with it, for display.
        size: Bytes.
    """

    path: Path
    name: str
    size: int


class Form(NamedTuple):
    """Content of a form.

    Attributes:
        files: The files by date.
        fields: Texts of the other fields.
    """

    files: Mapping[str, Received]
    fields: Mapping[str, str]


def display_name(name: str) -> str:
    r"""Return the name of a file without its folders and without characters that don't print.

    Example:
        >>> display_name('../../etc/passwd'), display_name('C:\\a\\b\x00.tif'), display_name('')
        ('passwd', 'b.tif', 'unnamed')
    """
    last = name.replace('\\', '/').rpartition('/')[2]
    shown = ''.join(one for one in last if unicodedata.category(one)[0] not in 'CZ' or one == ' ')
    return shown.strip()[:LONGEST_NAME] or 'unnamed'


class Upload:
    """Read a multipart form piece by piece.

    Args:
        content_type: The header of the request.
        folder: Folder for ``before.*`` and ``after.*``; it has to be there.
        limit: Most bytes of a file.

    Raises:
        Refusal: The header is of no multipart form.
    """

    def __init__(self, content_type: str, folder: Path, limit: int) -> None:
        from python_multipart.multipart import MultipartParser, parse_options_header

        kind, options = parse_options_header(content_type)
        if kind != b'multipart/form-data' or not options.get(b'boundary'):
            raise Refusal(
                415,
                'expected a form of the type multipart/form-data with the files before and after, '
                'as curl -F before=@FILE -F after=@FILE sends it',
            )
        self._options_header = parse_options_header
        self._folder, self._limit = folder, limit
        self._files: dict[str, Received] = {}
        self._fields: dict[str, str] = {}
        self._parts = 0
        self._ended = False
        self._file: IO[bytes] | None = None
        self._begin()
        self._parser = MultipartParser(
            options[b'boundary'],
            dict(
                on_part_begin=self._begin,
                on_header_field=self._header_name,
                on_header_value=self._header_value,
                on_header_end=self._header_end,
                on_headers_finished=self._headers_finished,
                on_part_data=self._data,
                on_part_end=self._part_end,
                on_end=self._end,
            ),
        )

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            Refusal: A file is too large or of a kind that isn't taken, or the form is damaged.
        """
        from python_multipart.exceptions import MultipartParseError

        try:
            self._parser.write(data)
        except MultipartParseError as error:
            if 'header' in str(error).lower():
                raise Refusal(400, LONG_HEADER) from None
            raise Refusal(400, f'the form is damaged: {error}; send it again') from None

    def finish(self) -> Form:
        """Return the form after its last byte.

        Raises:
            Refusal: It is cut off, or a file is missing.
        """
        if not self._ended:
            raise Refusal(400, 'the upload was cut off; send it again')
        missing = [date for date in DATES if date not in self._files]
        if missing:
            raise Refusal(
                422,
                f'the file {" and the file ".join(missing)} {"is" if len(missing) == 1 else "are"} '
                'missing; choose two images, before and after',
            )
        return Form(dict(self._files), dict(self._fields))

    def close(self) -> None:
        """Close the file that is being written, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._parts += 1 if hasattr(self, '_parser') else 0
        if self._parts > MOST_PARTS:
            raise Refusal(400, f'the form has more than {MOST_PARTS} fields')
        self._headers: dict[str, bytes] = {}
        self._name, self._value, self._header_size = b'', b'', 0
        self._field, self._shown = '', ''
        self._held, self._size = b'', 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._count_header(end - start)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._count_header(end - start)

    def _count_header(self, size: int) -> None:
        self._header_size += size
        if self._header_size > LONGEST_HEADERS:
            raise Refusal(400, LONG_HEADER)

    def _header_end(self) -> None:
        self._headers[self._name.decode('latin-1').lower()] = self._value
        self._name, self._value = b'', b''

    def _headers_finished(self) -> None:
        header = self._headers.get('content-disposition', b'')
        _, options = self._options_header(header)
        if extended := EXTENDED_NAME.search(header):
            name = unquote(extended[2].decode('latin-1'), extended[1].decode(), 'replace')
            options = options | {b'filename': name.encode()}
        self._field = options.get(b'name', b'').decode('utf-8', 'replace')
        self._shown = display_name(options.get(b'filename', b'').decode('utf-8', 'replace'))
        if (self._field in DATES) != (b'filename' in options):
            kind = 'a file' if self._field in DATES else 'a text'
            raise Refusal(422, f'the field {display_name(self._field)} has to be {kind}')
        if self._field in self._files or self._field in self._fields:
            raise Refusal(422, f'the field {display_name(self._field)} is there twice')

    def _data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        self._size += len(piece)
        if self._field not in DATES:
            self._held += piece
            if len(self._held) > LONGEST_FIELD:
                raise Refusal(
                    413, f'the field {display_name(self._field)} has over {LONGEST_FIELD} bytes'
                )
            return
        if self._size > self._limit:
            raise Refusal(413, too_large(self._shown, self._limit))
        if self._file is None:
            self._held += piece
            if len(self._held) < LONGEST_SIGNATURE:
                return
            piece = self._open()
        assert self._file is not None
        self._file.write(piece)

    def _open(self) -> bytes:
        """Open the file of this part by its first bytes, which are returned."""
        found = [suffix for start, suffix in SIGNATURES.items() if self._held.startswith(start)]
        if not found:
            raise Refusal(
                415,
                f'{self._shown} ({self._field}) is no GeoTIFF, PNG or JPEG; other formats are not '
                'taken, since some make the server read other files',
            )
        self._path = self._folder / f'{self._field}{found[0]}'
        self._file = self._path.open('xb')
        held, self._held = self._held, b''
        return held

    def _part_end(self) -> None:
        if self._field not in DATES:
            self._fields[self._field] = self._held.decode('utf-8', 'replace')
            return
        if self._file is None:
            # Shorter than any signature, so it is refused.
            self._open()
        self.close()
        self._files[self._field] = Received(self._path, self._shown, self._size)

    def _end(self) -> None:
        self._ended = True


def too_large(name: str, limit: int) -> str:
    """Return the sentence about a file over the limit."""
    return f'{name} is larger than {megabytes(limit)}, the limit of this server (--max-megabytes)'
