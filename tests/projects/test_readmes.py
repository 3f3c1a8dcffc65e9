"""Each study has a README that the index leads to, and examples that hold."""

import doctest
import re

import pytest
from study import PROJECTS, load_study

STUDIES = sorted(path.name for path in PROJECTS.iterdir() if path.is_dir())
STUDIES = [name for name in STUDIES if not name.startswith(('_', '.'))]
EXAMPLES = sorted(
    path.relative_to(PROJECTS).as_posix()
    for path in PROJECTS.glob('*/*.py')
    if '>>>' in path.read_text(encoding='utf-8')
)


def test_the_index_has_every_study():
    index = (PROJECTS / 'README.md').read_text(encoding='utf-8')
    assert sorted(re.findall(r'^\| \[(\w+)\]\(\1/README\.md\)', index, re.MULTILINE)) == STUDIES


@pytest.mark.parametrize('name', STUDIES)
def test_a_study_says_how_to_run_it_and_what_came_of_it(name):
    text = (PROJECTS / name / 'README.md').read_text(encoding='utf-8')
    command, _, findings = text.partition('\n## Findings\n')
    assert '```bash\n' in command
    assert len(findings) > 100


@pytest.mark.parametrize('name', EXAMPLES)
def test_examples_in_docstrings(name):
    found = doctest.testmod(load_study(name))
    assert found.attempted > 0
    assert found.failed == 0


def test_there_are_examples():
    assert {'equal_time/run.py', 'naive_baselines/run.py'} <= set(EXAMPLES)
