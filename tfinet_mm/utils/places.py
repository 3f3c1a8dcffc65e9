"""Name rasters that are no plain files: in a zip file, at an address, in GDAL's ``/vsi`` paths."""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

PathLike = str | os.PathLike[str]

ZIPPED = re.compile(r'\.zip(?=/|$)', re.IGNORECASE)
VIRTUAL = '/vsi'
CURL = '/vsicurl/'
# pathlib turns "//" into "/".
HTTP = re.compile(r'(https?|ftp):/+', re.IGNORECASE)
BUCKET = re.compile(r'(s3|gs|az):/+', re.IGNORECASE)
BUCKETS = {'s3': '/vsis3/', 'gs': '/vsigs/', 'az': '/vsiaz/'}
STORED = re.compile(r'/vsi(s3|gs|az|adls|oss|swift)/')
REMOTE = re.compile(r'/vsi(curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)(_streaming)?[/?]')
# Each is left out where its variable says otherwise.
CURL_OPTIONS = {
    'GDAL_HTTP_MAX_RETRY': 'max_retry=3',
    'GDAL_HTTP_RETRY_DELAY': 'retry_delay=1',
    'GDAL_HTTP_CONNECTTIMEOUT': 'connecttimeout=10',
    'GDAL_HTTP_LOW_SPEED_TIME': 'low_speed_time=30&low_speed_limit=1',
    # A server would be asked for a dozen files beside each raster.
    'GDAL_DISABLE_READDIR_ON_OPEN': 'empty_dir=yes',
}
STORED_OPTIONS = {
    'GDAL_HTTP_MAX_RETRY': 3,
    'GDAL_HTTP_RETRY_DELAY': 1,
    'GDAL_HTTP_CONNECTTIMEOUT': 10,
    'GDAL_HTTP_LOW_SPEED_TIME': 30,
    'GDAL_HTTP_LOW_SPEED_LIMIT': 1,
    # The bucket would be listed, and a dozen files looked for beside each raster.
    'GDAL_DISABLE_READDIR_ON_OPEN': 'EMPTY_DIR',
}
"""The same for buckets, whose paths have no options."""
SHOWN = 5
"""Files of a zip file that an error lists."""


class Archived(NamedTuple):
    """File in a zip file.

    Attributes:
        archive: The zip file, or its address.
        member: Name in it; empty if none is given.
    """

    archive: str
    member: str


def absolute(path: PathLike) -> str:
    """Return a path that doesn't depend on the working folder; an address stays as it is.

    Example:
        >>> absolute('https://host/a.tif'), absolute('/vsicurl/https://host/a.tif')
        ('https://host/a.tif', 'https://host/a.tif')
        >>> absolute('/vsis3/bucket/a.tif'), absolute('/data/../a.zip/b.tif')
        ('/vsis3/bucket/a.tif', '/a.zip/b.tif')
        >>> absolute('S3:/bucket/a.tif')
        's3://bucket/a.tif'
    """
    text = os.fspath(path)
    if text.startswith('/vsicurl?'):
        return parse_qs(text.partition('?')[2]).get('url', [text])[0]
    if text.startswith(CURL):
        text = text.removeprefix(CURL)
    if found := HTTP.match(text):
        return f'{found[1].lower()}://{text[found.end() :]}'
    if found := BUCKET.match(text):
        return f'{found[1].lower()}://{text[found.end() :]}'
    return text if text.startswith(VIRTUAL) else os.path.abspath(text)


def is_virtual(path: PathLike) -> bool:
    """Return whether GDAL alone can read a path: an address, a ``/vsi`` path, or in a zip file."""
    text = absolute(path)
    return is_remote(text) or text.startswith(VIRTUAL) or archived(text) is not None


def is_remote(path: PathLike) -> bool:
    """Return whether a path leads to another machine.

    Example:
        >>> is_remote('s3://bucket/a.tif'), is_remote('/vsizip//vsicurl/http://host/a.zip/b.tif')
        (True, True)
    """
    text = absolute(path)
    return bool(HTTP.match(text) or BUCKET.match(text) or REMOTE.search(text))


def bucket_key(path: PathLike) -> tuple[str, str] | None:
    """Return the bucket and the key of a file in a bucket; None for other paths.

    Example:
        >>> bucket_key('s3://scenes/2018/a.tif'), bucket_key('/vsigs/scenes/a.tif')
        (('scenes', '2018/a.tif'), ('scenes', 'a.tif'))
    """
    found = STORED.search(gdal_path(path))
    if found is None:
        return None
    bucket, _, key = gdal_path(path)[found.end() :].partition('/')
    return bucket, key


@contextlib.contextmanager
def opening(path: PathLike) -> Iterator[None]:
    """Set GDAL's timeouts and retries while a file in a bucket is opened with rasterio.

    They hold for the open file. Addresses have them in their :func:`gdal_path`.
    """
    if bucket_key(path) is None:
        yield
        return
    import rasterio

    options = {name: value for name, value in STORED_OPTIONS.items() if name not in os.environ}
    with rasterio.Env(**options):
        yield


def archived(path: PathLike) -> Archived | None:
    """Return the zip file and the name in it that a path leads to; None for other paths.

    Example:
        >>> archived('https://host/a.zip/sub/b.tif')
        Archived(archive='https://host/a.zip', member='sub/b.tif')
    """
    text = absolute(path)
    if HTTP.match(text):
        if urlsplit(text).query:
            return None
        zipped = ZIPPED.search(text)
        return zipped and Archived(text[: zipped.end()], text[zipped.end() :].strip('/'))
    if text.startswith('/vsizip/'):
        text = text.removeprefix('/vsizip/').lstrip('{').replace('}', '', 1)
        if is_remote(text):
            return None
        text = os.path.abspath(text)
    elif text.startswith(VIRTUAL) or BUCKET.match(text):
        return None
    for found in ZIPPED.finditer(text):
        # A folder may have such a name.
        if os.path.isfile(text[: found.end()]):
            return Archived(text[: found.end()], text[found.end() :].strip('/'))
    return None


def one_file(path: PathLike, suffixes: Sequence[str]) -> str:
    """Return an absolute path, and for a zip file without a name in it, its only raster.

    Args:
        path: A file, an address, or a zip file.
        suffixes: Endings of rasters, in lower case.

    Raises:
        ValueError: The zip file is damaged, or holds no raster or several.
    """
    text = absolute(path)
    found = archived(text)
    if found is None or found.member:
        return text
    if is_remote(found.archive):
        raise ValueError(f'{text} is a zip file; name the raster in it, as in {text}/NAME.tif')
    names = [name for name in members(found.archive) if name.lower().endswith(tuple(suffixes))]
    if len(names) != 1:
        listed = some(names) if names else 'none'
        raise ValueError(
            f'{text} holds {len(names)} rasters ({listed}), expected one; name the one to read, as '
            f'in {text}/{names[0] if names else "NAME.tif"}'
        )
    return f'{found.archive}/{names[0]}'


def members(archive: str) -> list[str]:
    """Return the names of the files in a zip file on this machine.

    Raises:
        ValueError: It is damaged, or no zip file.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            names = opened.namelist()
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(
            f'{archive} can not be read as a zip file ({error}); copy or download it again'
        ) from error
    # macOS adds a file about each file.
    return [name for name in names if not name.endswith('/') and not name.startswith('__MACOSX/')]


def some(names: Sequence[str]) -> str:
    """Return the first names of a list, as a text.

    Example:
        >>> some(['a', 'b', 'c', 'd', 'e', 'f', 'g'])
        'a, b, c, d, e and 2 more'
    """
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return ', '.join(names[:SHOWN]) + more


def gdal_path(path: PathLike) -> str:
    """Return the name under which GDAL opens a path.

    An address is opened with timeouts and retries, and without a look at the files beside it.
    GDAL's own variables (``GDAL_HTTP_MAX_RETRY``, ``GDAL_HTTP_LOW_SPEED_TIME`` and others) replace
    these.

    Example:
        >>> gdal_path('s3://bucket/a.tif')
        '/vsis3/bucket/a.tif'
        >>> gdal_path('https://host/a.tif').partition('url=')[2]
        'https%3A%2F%2Fhost%2Fa.tif'
    """
    text = absolute(path)
    if found := BUCKET.match(text):
        return BUCKETS[found[1]] + text[found.end() :]
    if text.startswith(VIRTUAL):
        return text
    held = archived(text)
    if held is not None and held.member:
        archive = gdal_path(held.archive) if is_remote(text) else held.archive
        return f'/vsizip/{{{archive}}}/{held.member}'
    if not HTTP.match(text):
        return os.fspath(path)
    options = [option for name, option in CURL_OPTIONS.items() if name not in os.environ]
    return f'/vsicurl?{"&".join([*options, "url="])}{quote(text, safe="")}'


def name(path: PathLike) -> str:
    """Return the name of a file without its folders, of an address without its query.

    Example:
        >>> name('https://host/x/a.b.tif?key=1')
        'a.b.tif'
    """
    text = absolute(path)
    return os.path.basename(urlsplit(text).path if HTTP.match(text) else text)


def suffix(path: PathLike) -> str:
    """Return the suffix of a file's name in lower case."""
    return os.path.splitext(name(path))[1].lower()


def stem(path: PathLike) -> str:
    """Return the name of a file without folders and suffix."""
    return os.path.splitext(name(path))[0]
