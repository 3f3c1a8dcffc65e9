"""Tell whether a file on another machine has changed, without reading it."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
import warnings
from email.message import Message
from typing import Any

from tfinet_mm.errors import RemoteFileError
from tfinet_mm.utils.places import HTTP, PathLike, absolute, archived, bucket_key

TIMEOUT_S = 30
TRIES = 3
PAUSE_S = 1
UNVERIFIED = 'not verified'
# Words in errors of storages, in lower case.
NO_BUCKET = 'nosuchbucket', 'containernotfound'
NO_KEY = 'nosuchkey', 'blobnotfound', '404'
REFUSED = 'accessdenied', 'auth', 'publicaccess', 'no_sign', 'credential', '401', '403'


def remote_entry(path: PathLike) -> dict[str, Any]:
    """Return the entry of a file that isn't on this machine, for a manifest.

    Args:
        path: Its address, of any form that :mod:`tfinet_mm.utils.places` knows.

    Returns:
        ``file``, its address, and ``version``: size, ETag and time of modification that the
        server of an ``http`` address states. Where it states neither, or for a bucket, the version
        is the address itself, and a change of the file isn't noticed; a warning says so.

    Raises:
        RemoteFileError: The server doesn't answer, or has no such file.
    """
    file = absolute(path)
    held = archived(file)
    address, member = (file, '') if held is None else held
    if not HTTP.match(address):
        return _unverified(file, 'its storage is read by GDAL alone')
    stated = _headers(address)
    marks = [stated.get('ETag'), stated.get('Last-Modified')]
    if not any(marks):
        return _unverified(file, 'its server states neither ETag nor Last-Modified')
    size = stated.get('Content-Range', '').rpartition('/')[2] or stated.get('Content-Length')
    said = [size and f'{size} bytes', *marks, member]
    return dict(file=file, version=', '.join(one for one in said if one))


def _unverified(file: str, reason: str) -> dict[str, Any]:
    warnings.warn(
        f'{file} is compared by its address alone ({reason}): after a change of the file, predict '
        'again with --overwrite',
        stacklevel=2,
    )
    return dict(file=file, version=f'{UNVERIFIED}: {file}')


def _headers(address: str) -> Message:
    """Return what a server states about a file."""
    cause: object = None
    for number in range(TRIES):
        if number:
            time.sleep(PAUSE_S)
        # Signed addresses may allow GET alone.
        for method, headers in (('HEAD', {}), ('GET', {'Range': 'bytes=0-0'})):
            request = urllib.request.Request(address, method=method, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                    found: Message = answer.headers
                    return found
            except urllib.error.HTTPError as error:
                error.close()
                cause = f'HTTP response code: {error.code}'
                if error.code not in (400, 403, 405, 501):
                    break
            except OSError as error:
                cause = getattr(error, 'reason', error)
                break
        if not _may_pass(cause):
            break
    raise RemoteFileError(f'{address} can not be read from its server ({cause}). {advice(cause)}')


def _may_pass(cause: object) -> bool:
    """Return whether a second try may succeed."""
    text = str(cause)
    return 'timed out' in text or text.rpartition(' ')[2] in ('429', '500', '502', '503', '504')


def advice(cause: object, path: PathLike = '') -> str:
    """Return what to do about an error of a server, by its text.

    Args:
        cause: The error.
        path: The file; in a bucket, the advice names bucket and key.

    Example:
        >>> advice('HTTP response code: 404')
        'Correct the address; the server has no such file'
    """
    text = str(cause)
    if place := bucket_key(path):
        return _bucket_advice(text, *place)
    if '404' in text or '410' in text:
        return 'Correct the address; the server has no such file'
    if '401' in text or '403' in text:
        return "The server refuses access: give a signed address, or set GDAL's variables for it"
    if 'Range' in text:
        return (
            'The server sends whole files only, expected one that sends ranges of bytes; download '
            'the file'
        )
    if 'time' in text or 'slow' in text:
        return 'The server is too slow or out of reach; try again, or download the file'
    return 'Check the address and the network; try again, or download the file'


def _bucket_advice(cause: str, bucket: str, key: str) -> str:
    text = cause.lower()
    if not key:
        return f'Give the key of a file in the bucket {bucket}, as in s3://{bucket}/KEY'
    if any(word in text for word in NO_BUCKET):
        return f'Correct the name of the bucket; there is no bucket {bucket}'
    if any(word in text for word in NO_KEY):
        return f'Correct the key; the bucket {bucket} has no file {key}'
    if any(word in text for word in REFUSED):
        return (
            f"The bucket {bucket} refuses access to {key}: set GDAL's variables of its storage "
            '(of S3: AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; '
            'AWS_NO_SIGN_REQUEST=YES for a public bucket, AWS_REQUEST_PAYER=requester for one '
            'whose readers pay)'
        )
    return (
        f'Check the bucket {bucket}, the key {key} and the network; try again, or download the file'
    )
