"""What made a folder of pseudo labels, written into it, so that no other labels get mixed in."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfinet_mm.checkpoints.addresses import existing_checkpoint
from tfinet_mm.checkpoints.shipped import checkpoint_path
from tfinet_mm.files import whole_file
from tfinet_mm.models.members import member_config
from tfinet_mm.pseudo_labels.layout import MANIFEST_FILE
from tfinet_mm.utils.class_names import written_name
from tfinet_mm.utils.dist import read_once
from tfinet_mm.utils.json_text import json_text

INFORMATIVE = ('name', 'config', 'checkpoint')
"""Keys that tell a reader where a member came from; what counts are its contents."""


def member_entries(members: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What identifies the members of an ensemble.

    Args:
        members: As the ensemble takes them: ``config``, ``checkpoint``, and
            optionally ``weight``, ``name`` and ``cfg_options``.

    Returns:
        For each one ``name``, ``config`` and ``checkpoint`` as given,
        ``weight``, and hashes: ``model`` of the network and its test settings,
        ``weights`` of the checkpoint file (for an address, the address).

    Raises:
        FileNotFoundError: A config or a checkpoint isn't there.
    """
    entries = []
    for member in members:
        cfg = member_config(member['config'], member.get('cfg_options'))
        checkpoint = existing_checkpoint(str(member['checkpoint']))
        entries.append(
            dict(
                name=member.get('name') or Path(cfg.filename or written_name(cfg.model.type)).stem,
                config=str(cfg.filename),
                checkpoint=checkpoint,
                weight=float(member.get('weight', 1.0)),
                model=content_hash(cfg.model.to_dict()),
                weights=checkpoint
                if '://' in checkpoint
                else read_once(functools.partial(_checkpoint_hash, checkpoint)),
            )
        )
    return entries


def _checkpoint_hash(checkpoint: str) -> str:
    return file_hash(checkpoint_path(checkpoint))


def content_hash(value: Any) -> str:
    """SHA-256 of plain values (numbers, text, lists, dictionaries), whatever the keys' order."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, as sha256sum prints it."""
    digest = hashlib.sha256()
    with Path(path).expanduser().open('rb') as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def read_manifest(root: str | Path) -> dict[str, Any] | None:
    """The manifest of a folder, or None where it has none.

    Raises:
        ValueError: It isn't a manifest.
    """
    path = Path(root) / MANIFEST_FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
        if set(found) == {'predictions', 'labels'}:
            return found
    except (ValueError, TypeError):
        pass
    raise ValueError(
        f'{path} is not what this package writes; choose another folder for the pseudo labels'
    )


def write_manifest(root: str | Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of a folder, whole or not at all."""
    with whole_file(Path(root) / MANIFEST_FILE) as partial:
        text = json_text(manifest)
        partial.write_text(text + '\n', encoding='utf-8')


def differences(found: Any, wanted: Any, where: str = '') -> Iterator[str]:
    """Say what differs between two manifests, one line for each value.

    Example:
        >>> list(differences({'method': 'vote', 'n': [1]}, {'method': 'soft', 'n': [1]}))
        ["method was 'vote', is 'soft'"]
    """
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted({*found, *wanted} - {*INFORMATIVE}):
            below = f'{where}.{key}' if where else key
            yield from differences(found.get(key), wanted.get(key), below)
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for index, (first, second) in enumerate(zip(found, wanted, strict=True)):
            label = _label(first, second)
            yield from differences(first, second, f'{where}[{index}]{label}')
    elif found != wanted:
        yield f'{where} was {_shown(found)}, is {_shown(wanted)}'


def _label(*entries: Any) -> str:
    """Where two members came from, for messages."""
    names = [str(one['checkpoint']) for one in entries if isinstance(one, dict)]
    return f' ({", ".join(dict.fromkeys(names))})' if names else ''


def _shown(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        names = ', '.join(str(one.get('checkpoint')) for one in value)
        return f'{len(value)} ({names})'
    text = repr(value)
    return text if len(text) <= 48 else f'{text[:24]}...'
