"""Read a config file, with one error that names the file and the line."""

from __future__ import annotations

import ast
import codecs
import inspect
import logging
import os
import re
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from tfinet_mm.errors import ConfigError
from tfinet_mm.utils.project_files import PREFIX, named_config

SUFFIXES = ('.py', '.json', '.yaml', '.yml')
BASE = '_base_'
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_ENVIRONMENT = re.compile(r"""\{\{['"]?\s*\$(\w+)\s*:\s*(\S*?)\s*['"]?\}\}""")
"""Pattern of an environment variable and its default in a config: ``{{$NAME:default}}``."""
_notified: set[str] = set()


def read_config_file(path: str | os.PathLike[str]) -> Config:
    """Read a config file and the files that it inherits.

    A notice, once in each process, says that a config runs as Python with its user's rights.

    Args:
        path: A file ending in one of :data:`SUFFIXES`, or the name of a config of the package
            such as ``tfinet_mm::tfinet_lite0_fpn.py``. A byte order mark is fine. Bases may
            have such names too.

    Returns:
        The config; its ``filename`` is ``path``.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: It, or a file that it inherits, can't be read.
    """
    if str(path).startswith(PREFIX):
        path = named_config(str(path))
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        what = 'is a folder, not a config file' if path.is_dir() else None
        raise FileNotFoundError(f'{path} {what}' if what else f'there is no config {path}')
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f'{path} is no config: its name must end in {", ".join(SUFFIXES)}; are config and '
            'checkpoint given in the right order?'
        )
    _say_configs_run()
    chain = _chain(path)
    try:
        if any(_text(one)[1] or _names_ours(one) for one in chain):
            return _without_functions(_read_copy(path))
        return _without_functions(Config.fromfile(str(path)))
    except (Exception, SystemExit) as error:
        raise ConfigError(_what_failed(error, chain)) from error


def _without_functions(cfg: Config) -> Config:
    """Leave out functions in C that a config imports, which can't be written as text.

    MMEngine itself leaves out those in Python.
    """
    for key in [key for key, value in cfg.items() if inspect.isbuiltin(value)]:
        cfg._cfg_dict.pop(key)
    return cfg


def merge_options(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Set values of a config by dotted key, as ``--cfg-options`` gives them.

    Args:
        cfg: The config to change.
        options: The values.

    Raises:
        ConfigError: A key leads through something that has no keys.
    """
    for key, value in (options or {}).items():
        if BASE in key.split('.'):
            raise ConfigError(
                f"{cfg.filename or 'the config'}: {key}={value!r} can't be set, as the config is "
                f'read already; write {BASE} in a config file'
            )
        try:
            cfg.merge_from_dict({key: value})
        except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            message = str(error.args[0] if error.args else error)
            raise ConfigError(
                f"{cfg.filename or 'the config'}: {key}={value!r} can't be set: {message}"
            ) from error


def _say_configs_run() -> None:
    if 'run' not in _notified and os.environ.get('RANK', '0') == '0':
        _notified.add('run')
        print_log(
            'Configs are Python code, which runs with your rights: use only configs you trust',
            logger='current',
            level=logging.INFO,
        )


def _chain(path: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """Return a config file and all files it inherits by ``_base_``, as far as they are found."""
    path = path.absolute()
    if os.path.realpath(path) in [os.path.realpath(one) for one in above]:
        circle = ' -> '.join(str(one) for one in (*above, path))
        raise ConfigError(
            f'{above[0]}: a cycle of configs that inherit each other: {circle}; take '
            f'one out of its {BASE}'
        )
    found = [path]
    for base in _bases(path):
        if '{{' in base:
            # The name has a variable of the environment that isn't set, which MMEngine reports.
            continue
        if '::' in base and not base.startswith(PREFIX):
            package = base.partition('::')[0]
            if find_spec(package) is None:
                raise ConfigError(f'{path}: {BASE} names {base}, but no {package} is installed')
            continue
        try:
            below = _base_file(path, base)
        except FileNotFoundError as error:
            raise ConfigError(f'{path}: {BASE} names {base}, but {error}') from None
        if not below.is_file():
            raise ConfigError(f'{path}: there is no config {below}, which {BASE} names')
        found += _chain(below, (*above, path))
    return found


def _base_file(path: Path, base: str) -> Path:
    """Return the file of a base, which may be a config of the package."""
    return named_config(base) if base.startswith(PREFIX) else path.parent / os.path.expanduser(base)


def _names_ours(path: Path) -> bool:
    """Return whether a config inherits one of the package by name, which MMEngine doesn't know."""
    return any(base.startswith(PREFIX) for base in _bases(path))


def _text(path: Path) -> tuple[str, bool]:
    """Return the text of a config file, and whether it starts with a byte order mark."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    marked = content.startswith(codecs.BOM_UTF8)
    try:
        if content.startswith(_WIDE):
            raise ValueError
        return content.decode('utf-8-sig'), marked
    except ValueError:
        raise ConfigError(
            f'{path} is no text in UTF-8, which configs must be; save it as UTF-8'
        ) from None


def _bases(path: Path) -> Iterator[str]:
    """Yield the names in ``_base_`` of a config file."""
    text = _filled(_text(path)[0], path)
    if path.suffix != '.py':
        # Of other formats only MMEngine reads the bases.
        return
    for statement in _parsed(path, text).body:
        if _is_base(statement):
            try:
                value = ast.literal_eval(statement.value)  # type: ignore[attr-defined]
            except ValueError:
                return
            bases = value if isinstance(value, list | tuple) else [value]
            for base in bases:
                if not isinstance(base, str):
                    raise ConfigError(
                        f'{path}: {BASE} must be the name of a config, or a list of names, got '
                        f'{value!r}'
                    )
                yield base


def _is_base(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and statement.targets[0].id == BASE
    )


def _parsed(path: Path, text: str) -> ast.Module:
    # MMEngine's {{ placeholders }} are no Python in some places.
    plain = re.sub(r'\{\{.*?\}\}', lambda found: '0' if "'" not in found[0] else found[0], text)
    for one in (text, plain):
        try:
            return ast.parse(one)
        except SyntaxError as error:
            failed = f'{path}, line {error.lineno}: {type(error).__name__}: {error.msg}'
        except (ValueError, RecursionError, MemoryError) as error:
            failed = f'{path}: {type(error).__name__}: {error}'
    raise ConfigError(failed)


def _read_copy(path: Path) -> Config:
    """Read a config by a copy without the byte order marks and names MMEngine can't read."""
    with tempfile.TemporaryDirectory() as folder:
        copies: dict[Path, Path] = {}
        first = _copied(path.absolute(), Path(folder), copies)
        cfg = Config.fromfile(str(first))
        text = cfg.text
        for original, copy in copies.items():
            text = text.replace(str(copy), str(original))
        return Config(cfg._cfg_dict, cfg_text=text, filename=str(path))


def _copied(path: Path, folder: Path, copies: dict[Path, Path]) -> Path:
    """Copy a config and those it inherits, without marks and with paths; return the copy."""
    if path in copies:
        return copies[path]
    text = _filled(_text(path)[0], path)
    copy = copies[path] = folder / f'{len(copies)}{path.suffix}'
    if path.suffix == '.py':
        bases = [
            base
            if '::' in base and not base.startswith(PREFIX)
            else str(_copied(_base_file(path, base).absolute(), folder, copies))
            for base in _bases(path)
        ]
        for statement in _parsed(path, text).body:
            if _is_base(statement):
                lines = text.splitlines(keepends=True)
                end = statement.end_lineno or statement.lineno
                # As many lines as before, so that errors name the right one.
                lines[statement.lineno - 1 : end] = [
                    f'{BASE} = {bases!r}\n',
                    *['\n'] * (end - statement.lineno),
                ]
                text = ''.join(lines)
    copy.write_text(text, encoding='utf-8')
    return copy


def _filled(text: str, path: Path) -> str:
    """Replace MMEngine's variables for the place of a config file, and those of the environment."""
    values = dict(
        fileDirname=str(path.parent),
        fileBasename=path.name,
        fileBasenameNoExtension=path.stem,
        fileExtname=path.suffix,
    )
    for name, value in values.items():
        text = re.sub(r'\{\{\s*' + name + r'\s*\}\}', lambda _, value=value: value, text)  # type: ignore[misc]
    return _ENVIRONMENT.sub(_from_environment, text)


def _from_environment(found: re.Match[str]) -> str:
    """Return the value of an environment variable, its default, or the text that was found."""
    return os.environ.get(found[1], found[2]) or found[0]


def _what_failed(error: BaseException, chain: list[Path]) -> str:
    """Return the file and line at which reading failed, and the error."""
    place = str(chain[0])
    files = {str(path) for path in chain} | {os.path.realpath(path) for path in chain}
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename in files:
            place = f'{frame.filename}, line {frame.lineno}'
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    return f'{place}: {type(error).__name__}: {message}'
