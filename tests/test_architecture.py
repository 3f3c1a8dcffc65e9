"""The page that says where things are, against the tree."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'docs' / 'architecture.md').read_text(encoding='utf-8')


def test_every_path_is_there():
    paths = re.findall(r'`((?:tfinet_mm|projects|configs|tests|tools)/[\w./]*)`', PAGE)
    assert len(paths) > 12
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_layers_are_those_that_lint_holds():
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    layers = settings['tool']['importlinter']['contracts'][0]['layers']
    lines = re.findall(
        r'^\| (`.*?) \|', PAGE.split('## Layers')[1].split('## Where to look')[0], re.MULTILINE
    )
    table = [re.findall(r'`(\w+)(?:\.py)?`', line) for line in lines]
    assert [set(row) for row in table] == [set(re.split(r' [|:] ', layer)) for layer in layers]
    parts = {path.stem for path in (ROOT / 'tfinet_mm').iterdir() if path.suffix in ('', '.py')}
    assert {name for row in table for name in row} == parts - {
        '__init__',
        '__pycache__',
        'weights',
        'py',
    }
