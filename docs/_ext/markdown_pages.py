"""Show files outside docs as pages of the site, and adapt the links between all of them."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
PAGES = {
    'start': 'README.md',
    'configs': 'configs/README.md',
    'weights_card': 'tfinet_mm/weights/tfinet_lite0_fpn_generated.md',
    'projects': 'projects/README.md',
    'equal_time': 'projects/equal_time/README.md',
    'speed': 'projects/speed/README.md',
    'ablations': 'projects/ablations/README.md',
    'recipe_study': 'projects/recipe_study/README.md',
    'naive_baselines': 'projects/naive_baselines/README.md',
    'pretrain': 'projects/pretrain/README.md',
    'labels_saved': 'projects/labels_saved/README.md',
    'supervision_study': 'projects/supervision/README.md',
    'torchgeo_study': 'projects/torchgeo/README.md',
    'corrections_study': 'projects/corrections/README.md',
    'contributing': 'CONTRIBUTING.md',
    'security': 'SECURITY.md',
    'changelog': 'CHANGELOG.md',
}
"""Files by the names of the pages that show them.

In docs, each of these pages is a line with a link to the file, for readers without the site.
"""


def page_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the text of a page by that of its file, with links that work on the site."""
    file = PAGES.get(docname)
    if file is not None:
        app.env.note_dependency(str(ROOT / file))
        source[0] = (ROOT / file).read_text(encoding='utf-8')
    if file is not None or app.env.doc2path(docname).suffix == '.md':
        source[0] = with_links(source[0], file or f'docs/{docname}.md')


def with_links(text: str, file: str) -> str:
    """Return the text of a file with its links to other files rewritten to start from docs.

    A link to a folder, which no page shows, becomes text.

    Args:
        text: Markdown.
        file: Its path in the repository.
    """
    pages = {path: f'{docname}.md' for docname, path in PAGES.items()}

    def linked(match: re.Match[str]) -> str:
        target = os.path.normpath(PurePosixPath(file).parent / match['path'])
        if (ROOT / target).is_dir():
            return match['text']
        new = pages.get(target) or os.path.relpath(ROOT / target, DOCS)
        return f'[{with_links(match["text"], file)}]({new}{match["anchor"] or ""})'

    # The text may be an image, as in a badge.
    inner = r'(?P<text>(?:!\[[^\[\]]*\]\([^()]*\)|[^\[\]])*)'
    link = rf'\[{inner}\]\((?!\w+:)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)'
    return re.sub(link, linked, text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect this extension with the build."""
    app.connect('source-read', page_source)
    return {'parallel_read_safe': True}
