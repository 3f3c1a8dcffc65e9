"""Record the settings and inputs that made a folder, and lock it, so that runs can resume.

A run that writes a folder for minutes keeps a JSON file in it with its settings, and each input
file by its content (see :mod:`tfinet_mm.utils.fingerprints`). A later run resumes where both are
equal. Where they aren't, it is refused, with the differences.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from tfinet_mm.errors import ManifestError
from tfinet_mm.utils.files import sweep_again, whole_file
from tfinet_mm.utils.fingerprints import INFORMATIVE, remember
from tfinet_mm.utils.folder_lock import FolderLock, naming_folder
from tfinet_mm.utils.json_text import json_text

Result = TypeVar('Result')

FIX = 'choose another folder (--out), or replace them (--overwrite)'
SHOWN = 6
"""Greatest number of differences that an error lists."""


class Difference(NamedTuple):
    """A value that differs between two manifests.

    Attributes:
        field: Its place, with dots and list indices.
        found: The value in the folder; None where it has none.
        wanted: The value of this run.
    """

    field: str
    found: Any
    wanted: Any


class RunManifest:
    """File that records the settings and inputs of a folder, and the lock of that folder.

    The end of a ``with`` statement releases the lock. Reading and comparing need no lock and write
    nothing, so a finished folder may be read-only.

    Args:
        folder: The folder; it needn't be there.
        name: Name of the file in it.
        what: Name of the folder's content, in the plural, for messages.
        fix: Advice about a difference, for messages.
        informative: Keys, at any depth, whose values make no difference. The first of them that an
            entry of a list has names it in messages.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, RunManifest(folder, 'run.json') as run:
        ...     run.lock()
        ...     run.write({'threshold': 0.5})
        ...     run.check(run.read(), {'threshold': 0.5})
        ...     [tuple(one) for one in run.differences(run.read(), {'threshold': 0.4})]
        [('threshold', 0.5, 0.4)]
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        name: str,
        what: str = 'results',
        fix: str = FIX,
        informative: Collection[str] = INFORMATIVE,
    ) -> None:
        self.folder = Path(folder)
        self.path = self.folder / name
        self.what, self.fix, self.informative = what, fix, tuple(informative)
        self._lock = FolderLock(self.folder, what)

    def __enter__(self) -> RunManifest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def lock(self) -> None:
        """Keep other runs out of the folder until the end of the ``with`` statement.

        The first file written there removes the unfinished files of killed runs.

        Raises:
            FolderInUseError: Another run holds the folder; the message names that run.
            OSError: The folder can't be written to.
        """
        self._lock.acquire()
        sweep_again(self.folder)

    @property
    def held(self) -> list[int]:
        """Return the descriptors of the lock: see :attr:`FolderLock.descriptors`."""
        return self._lock.descriptors

    def lock_unless(self, finished: Callable[[], Result]) -> Result:
        """Lock the folder, unless its files are complete.

        Args:
            finished: Function that looks, without writing, and returns a true value if they are. It
                is called again in a locked folder, since another run may have finished meanwhile.

        Returns:
            The last result of the function.

        Raises:
            FolderInUseError, OSError: As :meth:`lock`.
        """
        found = finished()
        if not found:
            self.lock()
            found = finished()
        return found

    def read(self, keys: Collection[str] = (), fix: str | None = None) -> dict[str, Any] | None:
        """Return the content of the file, or None where there is none.

        Args:
            keys: Keys that it must have.
            fix: Advice about a damaged file, for the message; the manifest's by default.

        Raises:
            ManifestError: It is empty, cut off, or another program's.
        """
        found = read_json(self.path, keys, fix or self.fix)
        remember(found)
        return found

    def recall(self) -> None:
        """Note the hashes of files that the manifest names, before the files are looked at."""
        with contextlib.suppress(ManifestError):
            self.read()

    def write(self, content: Mapping[str, Any]) -> None:
        """Write the file, unless it is there with the same content."""
        data = (json_text(content) + '\n').encode()
        with contextlib.suppress(OSError):
            if self.path.read_bytes() == data:
                return
        with naming_folder(self.folder, self.what), whole_file(self.path) as partial:
            partial.write_bytes(data)

    def differences(self, found: Any, wanted: Any) -> list[Difference]:
        """Return the differences, informative keys aside, in the order of the fields' names."""
        return list(_differences(found, plain(wanted), '', self.informative))

    def check(self, found: Any, wanted: Any) -> None:
        """Refuse to mix results of different settings or inputs.

        Raises:
            ManifestError: They differ; the message lists the fields and the fix.
        """
        changed = self.differences(found, wanted)
        if changed:
            fix = self.fix[:1].upper() + self.fix[1:]
            raise ManifestError(
                f'{self.folder} holds {self.what} that were made in another way:'
                f'{self._table(changed)}{fix}'
            )

    def _table(self, changed: list[Difference]) -> str:
        """Return a line for each difference, or a sentence where there is one."""
        lines = [
            f'{field} was {self._shown(found)}, is {self._shown(wanted)}'
            for field, found, wanted in changed[:SHOWN]
        ]
        if len(changed) == 1:
            return f' {lines[0]}. '
        if len(changed) > SHOWN:
            lines.append(f'and {len(changed) - SHOWN} more')
        return ''.join(f'\n  {line}' for line in lines) + '\n'

    def _shown(self, value: Any) -> str:
        if _is_input(value):
            return f'{value["file"]} (sha256 {value["sha256"][:12]}...)'
        if isinstance(value, list) and value and isinstance(value[0], dict):
            names = _names(value[:SHOWN], self.informative)
            return f'{len(value)} ({", ".join(names)}{", ..." * (len(value) > SHOWN)})'
        text = repr(value)
        return text if len(text) <= 48 else f'{text[:24]}...'


def plain(value: Any) -> Any:
    """Return a value as JSON gives it back: tuples as lists, keys as text."""
    return json.loads(json.dumps(value))


def read_json(
    path: str | os.PathLike[str], keys: Collection[str] = (), fix: str = 'remove it'
) -> dict[str, Any] | None:
    """Return the object in a JSON file, or None where there is no file.

    Args:
        path: The file.
        keys: Keys that it must have.
        fix: Advice about a file that can't be read, for the message.

    Raises:
        ManifestError: It is empty, cut off, or another program's.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        reason = f'is cut off or no JSON ({error})' if data.strip() else 'is empty'
    else:
        if not isinstance(found, dict):
            reason = 'holds no JSON object'
        elif missing := sorted(set(keys) - found.keys()):
            reason = f'lacks {", ".join(missing)}'
        else:
            return found
    raise ManifestError(f'{path} is not what this package writes: it {reason}; {fix}')


def _differences(
    found: Any, wanted: Any, where: str, informative: Collection[str]
) -> Iterator[Difference]:
    if _is_input(found) and _is_input(wanted):
        if found['sha256'] != wanted['sha256']:
            yield Difference(where, found, wanted)
    elif isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted({*found, *wanted} - {*informative}):
            below = f'{where}.{key}' if where else key
            yield from _differences(found.get(key), wanted.get(key), below, informative)
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for index, pair in enumerate(zip(found, wanted, strict=True)):
            names = ', '.join(dict.fromkeys(_names(pair, informative)))
            below = f'{where}[{index}]' + (f' ({names})' if names else '')
            yield from _differences(*pair, below, informative)
    elif found != wanted and not (_is_nan(found) and _is_nan(wanted)):
        yield Difference(where, found, wanted)


def _is_input(value: Any) -> bool:
    return isinstance(value, dict) and {'file', 'sha256'} <= value.keys()


def _names(entries: Iterable[Any], informative: Collection[str]) -> list[str]:
    """Return the names of the entries of a list, for messages."""
    known = (
        [one[key] for key in informative if key in one] for one in entries if type(one) is dict
    )
    return [str(values[0]) for values in known if values]


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
