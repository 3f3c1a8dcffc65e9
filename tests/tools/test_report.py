"""Test tools/report.py, and --report of tools/test.py in one process and in two."""

import json
import re

import pytest


def blocks(file):
    """Return the data that the page's scripts read, and the numbers of its tables."""
    text = file.read_text(encoding='utf-8')
    data = re.findall(
        r'<script type="application/json" id="[\w-]+">(.*?)</script>', text, re.DOTALL
    )
    return [json.loads(one) for one in data], re.findall(r'data-value="([^"]*)"', text)


@pytest.mark.slow
def test_a_test_in_two_processes_reports_what_one_does(tiny, tools, run, trained, tmp_path):
    work_dir, _ = trained
    test = (tiny, work_dir / 'epoch_2.pth')
    output = run(
        *(tools / 'test.py', *test, '--report', tmp_path / 'one.html', '--max-pairs', 2),
        *('--json', tmp_path / 'scores.json'),
    )
    assert f'Report: {tmp_path / "one.html"}' in output
    # Three pairs on two processes: one of them is tested twice.
    run(tools / 'dist_test.sh', *test, 2, '--report', tmp_path / 'two', '--max-pairs', 2)
    one, two = blocks(tmp_path / 'one.html'), blocks(tmp_path / 'two' / 'report.html')
    assert one == two
    shared, *pairs = one[0]
    assert len(pairs) == 2
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert shared['perClass'] == scores['per_class']
    text = (tmp_path / 'one.html').read_text(encoding='utf-8')
    assert f'<dd>{scores["scores"]["Score"]:.2f}</dd>' in text


def test_the_number_of_pairs_needs_a_report(tiny, load_tool):
    with pytest.raises(SystemExit):
        load_tool('test.py').parse_args([str(tiny), 'x.pth', '--max-pairs', '9'])


def test_a_folder_that_nothing_was_predicted_to(tools, run, tmp_path):
    output = run(tools / 'report.py', tmp_path, code=2)
    assert 'expected a folder that tools/predict.py wrote to' in output
