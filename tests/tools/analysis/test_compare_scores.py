"""Test tools/analysis/compare_scores.py on files of known scores."""

import json

import pytest

from tfinet_mm.errors import ReportError
from tfinet_mm.evaluation.comparison import COLUMNS


@pytest.fixture
def files(tmp_path):
    for name, value in (('a', 20), ('b', 31.5)):
        content = dict(num_samples=4, scores=dict.fromkeys(COLUMNS, value))
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    return tmp_path


def test_a_line_for_each_under_its_name(load_tool, files, capsys):
    main = load_tool('analysis/compare_scores.py').main
    main([f'as they come={files / "a.json"}', str(files / 'b.json')])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith('as they come ')
    assert lines[2].startswith(str(files / 'b.json'))
    assert lines[3].split() == ['difference', *['+11.50'] * len(COLUMNS)]


def test_what_cannot_be_compared(load_tool, files):
    main = load_tool('analysis/compare_scores.py').main
    with pytest.raises(ValueError, match='a different name for each test'):
        main([f'x={files / "a.json"}', f'x={files / "b.json"}'])
    with pytest.raises(FileNotFoundError):
        main([str(files / 'c.json')])
    (files / 'c.json').write_text('{}')
    with pytest.raises(ReportError, match='holds no scores'):
        main([str(files / 'c.json')])
