"""Check the format and the bytes of a checkpoint file before it is unpickled."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from errno import EINVAL
from typing import BinaryIO

import torch

from tfinet_mm.errors import DamagedCheckpointError

ZIP_MAGIC = b'PK\x03\x04'
BLOCK = 1 << 22
FOLDER = 0x10
"""The attribute of a folder in a zip."""


def check_archive(file: BinaryIO, name: str) -> None:
    """Refuse a file that torch can't read, or would read as something other than a checkpoint.

    Args:
        file: An open binary file, which is left at its beginning.
        name: Its name in messages.

    Raises:
        DamagedCheckpointError: It is cut off, bytes in it changed, or it is a
            TorchScript, tar, zip or safetensors file of something else.
    """
    file.seek(0)
    head = file.read(9)
    file.seek(0)
    if head.startswith(ZIP_MAGIC):
        _check_zip(file, name)
        file.seek(0)
        _check_sums(file, name)
    elif _is_tar(file):
        raise _other(name, 'a tar archive')
    elif head[8:] == b'{' and int.from_bytes(head[:8], 'little') < 1 << 32:
        raise _other(name, 'a safetensors file that tools/export_weights.py did not write')
    file.seek(0)


def damaged(name: str, reason: str) -> DamagedCheckpointError:
    """Return the error for a file that ends too early, has changed bytes, or is something else."""
    return DamagedCheckpointError(
        f'{name} is cut off or damaged, or is no checkpoint ({reason}); '
        'use another one, or copy or download it again'
    )


def _other(name: str, kind: str) -> DamagedCheckpointError:
    return DamagedCheckpointError(
        f'{name} is {kind}, not a checkpoint as torch.save writes it; give the file that the '
        "training saved, or save the network's state_dict with torch.save"
    )


def _check_zip(file: BinaryIO, name: str) -> None:
    """Check the names in a zip with torch's own reader, as torch reads it by these names."""
    try:
        records = torch._C.PyTorchFileReader(file).get_all_records()
    except (RuntimeError, OSError, ValueError) as error:
        # On an archive that is cut off, torch's reader seeks to an invalid position.
        if isinstance(error, OSError) and error.errno != EINVAL:
            raise
        if _is_other_zip(file):
            raise _other(name, 'a zip archive of something else') from None
        raise damaged(name, str(error).splitlines()[0]) from None
    if 'constants.pkl' in records:
        raise _other(name, 'a TorchScript archive, which holds code')
    if 'data.pkl' not in records:
        raise _other(name, 'a zip archive of something else')


def _is_other_zip(file: BinaryIO) -> bool:
    """Return whether a zip that torch can't read is whole, and holds no pickle."""
    try:
        with zipfile.ZipFile(file) as archive:
            return not any(name.endswith('/data.pkl') for name in archive.namelist())
    except (zipfile.BadZipFile, RuntimeError, ValueError):
        return False


def _check_sums(file: BinaryIO, name: str) -> None:
    """Compare the contents of a zip with its checksums, which torch doesn't do."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            # torch.serialization.set_crc32_options(False) leaves them out.
            if not any(entry.CRC for entry in entries):
                return
            for entry in entries:
                if entry.file_size and (entry.is_dir() or entry.external_attr & FOLDER):
                    # torch would take whatever is in memory for its contents.
                    raise zipfile.BadZipFile(f'{entry.filename} is marked as a folder')
                with archive.open(entry) as content:
                    while content.read(BLOCK):
                        pass
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise damaged(name, str(error)) from None


def _is_tar(file: BinaryIO) -> bool:
    """Return whether torch would take a file for the tar archives that it wrote before 2017."""
    try:
        with tarfile.open(fileobj=file, mode='r:', format=tarfile.PAX_FORMAT):
            return True
    except tarfile.TarError:
        return False
    finally:
        file.seek(0)
