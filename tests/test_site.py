"""The documentation's site is built without a warning, and its links lead somewhere."""

import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / 'docs'

# 40 seconds of one core, which a busy machine takes minutes for.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Page(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places, self.text = [], set(), []
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.places |= {found[name] for name in ('id', 'name') if name in found}
        self.links += [found[name] for name in ('href', 'src') if found.get(name)]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """The pages of the site by their paths below its folder, and the folder."""
    out = tmp_path_factory.mktemp('site') / 'html'
    words = ['--fresh-env', '--fail-on-warning', '--keep-going', '--quiet', str(DOCS), str(out)]
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'sphinx', *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=850,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    return {str(path.relative_to(out)): Page(path) for path in out.rglob('*.html')}, out


def test_links_lead_from_the_docs():
    """To the page that shows a file, or to the file; a folder has no page."""
    with_links = runpy.run_path(str(DOCS / '_ext' / 'markdown_pages.py'))['with_links']
    written = (
        '[a](../docs/tools.md#train) [b](README.md#x) [c](../LICENSE) [d](../docs) ![e](x.png)'
    )
    assert with_links(written, 'configs/README.md') == (
        '[a](tools.md#train) [b](configs.md#x) [c](../LICENSE) d ![e](../configs/x.png)'
    )
    badge = '[![a](https://x.y/b-c)](docs/tools.md#train) [![d](docs/e.png)](README.md)'
    assert with_links(badge, 'README.md') == (
        '[![a](https://x.y/b-c)](tools.md#train) [![d](e.png)](start.md)'
    )
    kept = '[a](#here) [b](https://x.y/z.md) <c.md>'
    assert with_links(kept, 'README.md') == kept


def test_every_page_is_built(site):
    pages, _ = site
    named = {path.stem for path in DOCS.iterdir() if path.suffix in ('.md', '.ipynb')}
    assert {f'{name}.html' for name in named} <= set(pages)
    assert {'api/tfinet_mm.models.necks.html', 'genindex.html'} <= set(pages)


def test_links_lead_somewhere(site):
    pages, out = site
    wrong = []
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            file = (out / name).parent / unquote(parts.path) if parts.path else out / name
            place = unquote(parts.fragment)
            if not file.is_file():
                wrong.append(f'{name}: {link}')
            elif place and file.suffix == '.html':
                target = pages[str(file.resolve().relative_to(out.resolve()))]
                if place not in target.places:
                    wrong.append(f'{name}: {link}')
    assert wrong == []


def test_nothing_is_loaded_from_elsewhere(site):
    """Links to other sites are only to be clicked on: the site works without a network."""
    pages, out = site
    for name in pages:
        text = (out / name).read_text(encoding='utf-8')
        for tag in ('<script src="http', '<img src="http', '@import'):
            assert tag not in text, name


def test_files_beside_the_docs_are_pages(site):
    """With links between them, where code hosts have links between files."""
    pages, _ = site
    assert 'install.html' in pages['start.html'].links
    assert any(link.startswith('configs.html') for link in pages['start.html'].links)
    assert 'datasets.html' in pages['configs.html'].links
    shown = ('start', 'configs', 'changelog', 'contributing', 'security', 'projects', 'equal_time')
    for name in shown:
        assert 'This page of the site is' not in ''.join(pages[f'{name}.html'].text)


def test_classes_are_documented_where_they_are_defined(site):
    pages, _ = site
    places = pages['api/tfinet_mm.models.necks.html'].places
    assert 'tfinet_mm.models.necks.absolute_difference.AbsoluteDifference.forward' in places
    link = 'api/tfinet_mm.scenes.html#tfinet_mm.scenes.prediction.predict_scene'
    assert link in pages['api.html'].links


def test_the_tutorial_shows_what_it_made(site):
    pages, out = site
    images = [link for link in pages['tutorial.html'].links if link.endswith(('.jpg', '.jpeg'))]
    assert images
    assert (out / images[0]).stat().st_size > 10_000
    assert 'unchanged' in ''.join(pages['tutorial.html'].text)
