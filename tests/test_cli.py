"""Test the command tfinet."""

import subprocess
import sys
from pathlib import Path

import pytest

from tfinet_mm.cli import TOOLS, main

ROOT = Path(__file__).parents[1]


def test_every_word_is_a_tool():
    assert [script for script, _ in TOOLS.values() if not (ROOT / 'tools' / script).is_file()] == []


def test_every_tool_of_the_top_level_has_a_word():
    scripts = {path.name for path in (ROOT / 'tools').glob('*.py')}
    assert scripts - {script for script, _ in TOOLS.values()} == {'draw_scene.py'}


def test_the_overview_names_all(capsys):
    main([])
    shown = capsys.readouterr().out
    assert all(f'  {word} ' in shown for word in TOOLS)
    main(['--version'])
    assert capsys.readouterr().out.startswith('tfinet 0.')


def test_a_word_that_is_none(capsys):
    with pytest.raises(SystemExit) as ended:
        main(['tran'])
    assert ended.value.code == 2
    assert "no command 'tran'; did you mean train?" in capsys.readouterr().err


def test_options_and_exit_code_are_those_of_the_tool(tmp_path):
    def run(*words):
        command = [sys.executable, '-c', 'from tfinet_mm.cli import main; main()', *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    shown = run('flops', '--help')
    assert shown.returncode == 0
    assert shown.stdout.startswith('usage: tfinet flops')
    counted = run('flops', 'tfinet_mm::tfinet_lite0_fpn.py')
    assert counted.returncode == 0, counted.stderr
    assert '3.65' in counted.stdout
    failed = run('flops', 'tfinet_mm::nowhere.py')
    assert failed.returncode != 0
    assert 'nowhere.py' in failed.stderr
