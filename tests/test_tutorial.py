"""Test that the tutorial runs, and that it prints the stored output."""

import json
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / 'docs' / 'tutorial.ipynb'
CELLS = [
    cell
    for cell in json.loads(TUTORIAL.read_text(encoding='utf-8'))['cells']
    if cell['cell_type'] == 'code'
]
NUMBER = re.compile(r'\d+(?:\.\d+)?')


def printed(cells):
    """Return the text that each cell printed."""
    return [
        ''.join(''.join(one['text']) for one in cell['outputs'] if one['output_type'] == 'stream')
        for cell in cells
    ]


def test_it_is_stored_as_it_was_run():
    """The stored output has no error, no warning and no folder of a machine."""
    assert [cell['execution_count'] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    assert all(cell['outputs'] for cell in CELLS)
    kinds = {one['output_type'] for cell in CELLS for one in cell['outputs']}
    assert kinds == {'stream', 'execute_result'}
    assert not re.search(r'Warning|/tmp|/home', ''.join(printed(CELLS)))
    assert TUTORIAL.stat().st_size < 300_000


@pytest.mark.slow
def test_it_prints_what_is_stored(monkeypatch):
    """Words are the same, and numbers within 5 %, since processors round differently."""
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '-1')
    run = runpy.run_path(str(ROOT / 'docs' / '_ext' / 'run_tutorial.py'))['run']
    made = printed(cell for cell in run(TUTORIAL)['cells'] if cell['cell_type'] == 'code')
    for new, stored in zip(made, printed(CELLS), strict=True):
        assert NUMBER.sub('N', new) == NUMBER.sub('N', stored)
        numbers = [[float(one) for one in NUMBER.findall(text)] for text in (new, stored)]
        assert numbers[0] == pytest.approx(numbers[1], rel=0.05, abs=0.02)
