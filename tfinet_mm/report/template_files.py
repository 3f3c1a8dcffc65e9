"""Read the templates, scripts and styles of the HTML pages."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from tfinet_mm.errors import MissingExtraError
from tfinet_mm.report.numbers import area, percent, plain, whole


def templates() -> Any:
    """Return the ``jinja2.Environment`` of the templates, which escapes every value.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError(
            f'a report needs {error.name}: pip install "tfinet-mm[report]"'
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('tfinet_mm.report'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= dict(area=area, percent=percent, plain=plain, whole=whole)
    environment.policies['json.dumps_kwargs'] = dict(ensure_ascii=False, separators=(',', ':'))
    return environment


def static(name: str) -> str:
    """Return a script or a style sheet as text."""
    return (files('tfinet_mm.report') / 'static' / name).read_text(encoding='utf-8')
