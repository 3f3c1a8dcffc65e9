"""Write JSON that can hold any file name."""

from __future__ import annotations

import json
import re
from typing import Any


def json_text(value: Any, indent: int | None = 2) -> str:
    r"""Write a value as JSON with letters of any alphabet as they are.

    Bytes of a file's name that are no UTF-8, which Python keeps as lone surrogates, are escaped,
    so that the text can be stored as UTF-8 and reads back as the same name.

    Example:
        >>> json_text(['ü', 'a\udce9'], indent=None)
        '["ü", "a\\udce9"]'
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return re.sub('[\ud800-\udfff]', lambda found: f'\\u{ord(found[0]):04x}', text)
