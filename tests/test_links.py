"""Test that every link within the repository leads to a file, and to a heading if it names one."""

import json
import re
import unicodedata
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in (
        '*.md',
        'docs/*.md',
        'docs/*.ipynb',
        'configs/**/*.md',
        'projects/**/*.md',
        'tfinet_mm/**/*.md',
    )
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r'\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)')


@cache
def text_of(path):
    """Return the Markdown of a page without its blocks of code."""
    text = path.read_text(encoding='utf-8')
    if path.suffix == '.ipynb':
        cells = [cell for cell in json.loads(text)['cells'] if cell['cell_type'] == 'markdown']
        text = '\n\n'.join(''.join(cell['source']) for cell in cells)
    return re.sub(r'^ *```.*?^ *```', '', text, flags=re.DOTALL | re.MULTILINE)


@cache
def anchors(path):
    """Return the anchors of a page's headings, as code hosts make them."""
    found = set()
    for title in re.findall(r'^#{1,6} +(.*?) *$', text_of(path), re.MULTILINE):
        plain = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', title)
        kept = ''.join(
            one for one in plain.lower() if one in ' -_' or unicodedata.category(one)[0] in 'LN'
        )
        found.add(kept.replace(' ', '-'))
    return found


def wrong_links(path):
    """Return an explanation of each broken link of a page."""
    wrong = []
    for target, anchor in LINK.findall(text_of(path)):
        file = (path.parent / target).resolve() if target else path
        if not file.exists():
            wrong.append(f'{target}: no such file')
        elif anchor and anchor not in anchors(file):
            wrong.append(f'{target}#{anchor}: no such heading')
    return wrong


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert wrong_links(page) == []


def test_the_pages_a_reader_expects_are_looked_at():
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert names >= {'README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'}
    assert names >= {'docs/install.md', 'docs/tutorial.ipynb', 'configs/README.md'}
    assert sum(len(LINK.findall(text_of(page))) for page in PAGES) > 150


def test_wrong_links_are_found(tmp_path):
    page = tmp_path / 'page.md'
    (tmp_path / 'other.md').write_text(
        '# One `thing`, or two: 16 bits\n\n```bash\n# no heading\n```'
    )
    page.write_text(
        '# Here\n[a](other.md) [b](other.md#one-thing-or-two-16-bits) [c](#here) [d](x:y#z)\n'
        '[e](missing.md) [f](other.md#no-heading) [g](#there)\n'
    )
    assert wrong_links(page) == [
        'missing.md: no such file',
        'other.md#no-heading: no such heading',
        '#there: no such heading',
    ]
