"""Test the text of the page: its content and its size."""

import base64
import builtins
import io
import itertools
import json
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.errors import MissingExtraError, ReportError
from tfinet_mm.report import check_report, write_report
from tfinet_mm.report.command import main

VOID = {'meta', 'link', 'input', 'img', 'br', 'path'}


class Page(HTMLParser):
    """Parser of elements with their attributes and text, and of errors in their nesting."""

    def __init__(self, path):
        super().__init__()
        self.open, self.wrong, self.elements, self.texts = [], [], [], {}
        self.places = []
        self.feed(path.read_text(encoding='utf-8'))
        self.close()
        self.wrong += self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
            self.places.append(len(self.elements) - 1)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        self.places.pop()
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f'/{tag} at {self.getpos()}')

    def handle_data(self, data):
        if self.places:
            self.texts[self.places[-1]] = self.texts.get(self.places[-1], '') + data

    def all(self, tag, **attributes):
        """Attributes and text of the elements of a kind."""
        return [
            (found, self.texts.get(i, ''))
            for i, (name, found) in enumerate(self.elements)
            if name == tag and all(found.get(k) == v for k, v in attributes.items())
        ]

    def json(self, name):
        ((_, text),) = self.all('script', id=name)
        return json.loads(text)


def values_of(uri):
    kind, text = uri.split(';base64,')
    return kind, Image.open(io.BytesIO(base64.b64decode(text)))


@pytest.fixture
def page(predicted):
    out, maps = predicted(unfinished=('later & <b>',))
    file = write_report(out)
    assert file == out / 'report.html'
    return Page(file), maps


def test_structure(page):
    parsed, _ = page
    assert parsed.wrong == []
    assert parsed.all('html')[0][0]['lang'] == 'en'
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch('h[1-6]', tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [found['id'] for _, found in parsed.elements if 'id' in found]
    assert len(set(ids)) == len(ids)
    assert all('alt' in found for found, _ in parsed.all('img'))
    # Every link within the page and every description leads somewhere.
    for _, found in parsed.elements:
        for name in ('aria-labelledby', 'aria-describedby'):
            assert found.get(name) is None or found[name] in ids
        if found.get('href', '').startswith('#'):
            assert found['href'][1:] in ids


def test_nothing_is_loaded_from_elsewhere(page):
    parsed, _ = page
    for tag, found in parsed.elements:
        for name in ('src', 'href', 'srcset', 'data', 'action', 'poster'):
            if name in found:
                assert found[name].startswith(('data:', '#')), (tag, found)
    styles = parsed.all('style')
    assert styles
    assert all('url(' not in text and '@import' not in text for _, text in styles)
    (policy,) = [found for found, _ in parsed.all('meta') if 'http-equiv' in found]
    assert "default-src 'none'" in policy['content']
    assert 'http' not in policy['content']


def test_maps_are_embedded_as_indices(page):
    parsed, maps = page
    shown = [parsed.json(f'pair-{i}') for i in range(2)]
    assert {one['name'] for one in shown} == set(maps)
    for one in shown:
        before, after, prob = maps[one['name']]
        for name, expected in (('from', before), ('to', after)):
            kind, image = values_of(one[name])
            assert (kind, image.mode) == ('data:image/png', 'P')
            np.testing.assert_array_equal(np.asarray(image), expected)
            assert image.getpalette()[3:6] == [0, 160, 0]
        steps = np.asarray(values_of(one['probability'])[1])
        assert np.abs(steps / 20 - prob / 255).max() <= 0.5 / 20 + 1e-6
        kind, image = values_of(one['after'])
        assert kind == 'data:image/jpeg'
        assert np.abs(np.asarray(image).astype(int) - (250, 240, 30)).max() <= 4


def test_numbers_are_those_of_the_maps(page):
    parsed, maps = page
    matrices = []
    for i in range(2):
        one = parsed.json(f'pair-{i}')
        before, after, prob = maps[one['name']]
        areas = one['areas']
        expected = [[((before == a) & (after == b)).sum() for b in (1, 2, 3)] for a in (1, 2, 3)]
        np.testing.assert_array_equal(areas['matrix'], expected)
        matrices.append(expected)
        assert areas['unchanged'] == (before == 0).sum()
        assert areas['changed'] + areas['unchanged'] + areas['nodata'] == areas['total'] == 1200
        assert (
            areas['histogram']
            == np.bincount(np.minimum(prob.ravel() * 20 // 255, 19), minlength=20).tolist()
        )
    group = parsed.json('report-data')['groups'][0]
    np.testing.assert_array_equal(group['matrix'], np.sum(matrices, 0))
    assert group['changed'] + group['unchanged'] == group['total'] == 2400
    # The table of all pairs, written for readers without scripts.
    cells = [found['data-value'] for found, _ in parsed.all('td') if 'data-value' in found]
    assert [float(v) for v in cells[:9]] == np.sum(matrices, 0).ravel().tolist()


def test_texts_are_escaped(page):
    parsed, _ = page
    assert not parsed.all('b')
    assert not parsed.all('i')
    assert any(text == 'sub/b.c <i>' for _, text in parsed.all('h3') + parsed.all('button'))
    assert any(text == 'a<b> & "c"' for _, text in parsed.all('span'))
    assert any(text == 'a & b.py' for _, text in parsed.all('dd'))
    assert any(text == 'later & <b>' for _, text in parsed.all('li'))
    assert parsed.json('report-data')['classes'][2] == 'a<b> & "c"'


def test_a_name_cannot_end_a_script(predicted):
    name = "x<!-- </script><script>alert('1')"
    out, _ = predicted(names=("x<!-- <\u2044script><script>alert('1')",))
    manifest = json.loads((out / 'manifest.json').read_text())
    manifest['class_names'][1] = name
    (out / 'manifest.json').write_text(json.dumps(manifest))
    parsed = Page(write_report(out))
    assert parsed.wrong == []
    assert parsed.json('report-data')['classes'][1] == name
    assert not [text for _, text in parsed.all('script') if text.startswith('alert')]


def test_a_name_that_is_no_text_in_utf_8(predicted):
    name = os.fsdecode(b'caf\xe9')
    try:
        out, _ = predicted(names=(name,))
    except OSError:
        pytest.skip('the file system takes UTF-8 alone')
    parsed = Page(write_report(out))
    assert parsed.wrong == []
    assert parsed.json('pair-0')['name'] == name
    assert any(text == 'caf\\udce9' for _, text in parsed.all('h3'))


def test_many_pairs_are_listed_and_few_embedded(predicted, tmp_path):
    names = [f'p{i}' for i in range(12)]
    out, _ = predicted(names=names, p7=0.9, p3=0.8)
    file = write_report(out, tmp_path / 'sub' / 'few.html', max_pairs=2, title='My <title>')
    parsed = Page(file)
    assert [parsed.json(f'pair-{i}')['name'] for i in range(2)] == ['p7', 'p3']
    assert not parsed.all('script', id='pair-2')
    cells = [found.get('data-value') for found, _ in parsed.all('td')]
    assert [cell for cell in cells if cell in names] == names
    assert parsed.all('h1')[0][1] == 'My <title>'
    text = file.read_text(encoding='utf-8')
    assert '2 of 12 pairs are embedded' in text
    # A pair that is only listed costs a line.
    more, _ = predicted(names=[f'p{i}' for i in range(52)], out='more', p7=0.9, p3=0.8)
    larger = write_report(more, max_pairs=2).stat().st_size
    assert larger - file.stat().st_size < 40 * 1000


def test_large_pairs_are_reduced(predicted):
    out, maps = predicted(names=('a',))
    one = Page(write_report(out, max_side=20)).json('pair-0')
    assert (one['size'], one['shown']) == ([40, 30], [20, 15])
    reduced = np.asarray(values_of(one['from'])[1])
    assert reduced.shape == (15, 20)
    # Each pixel is one of the four it stands for, and areas stay those of the whole.
    blocks = maps['a'][0].reshape(15, 2, 20, 2)
    assert (blocks == reduced[:, None, :, None]).any(axis=(1, 3)).all()
    assert one['areas']['total'] == 1200


def test_images_that_are_gone(predicted):
    out, _ = predicted(names=('a',), images=False)
    one = Page(write_report(out)).json('pair-0')
    assert one['before'] is None
    assert one['areas']['total'] == 1200


def test_what_is_not_there_or_damaged(predicted, manifest, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no manifest\.json; expected a folder'):
        write_report(tmp_path)
    manifest(tmp_path / 'none', [dict(name='a', kind='picture', before='x', after='y')])
    with pytest.raises(ReportError, match='none of the 1 pairs'):
        write_report(tmp_path / 'none')
    manifest(tmp_path / 'new', [], version=2)
    with pytest.raises(ReportError, match=r'version 2.*expected version 1'):
        write_report(tmp_path / 'new')
    manifest(tmp_path / 'kind', [dict(name='a', kind='film')])
    with pytest.raises(ReportError, match='film'):
        write_report(tmp_path / 'kind')
    out, _ = predicted(names=('a',))
    path = out / 'change_prob' / 'a.png'
    Image.new('L', (5, 5)).save(path)
    with pytest.raises(ReportError, match='differ in size'):
        write_report(out)
    path = out / 'label1' / 'a.png'
    Image.new('RGB', (5, 5)).save(path)
    with pytest.raises(ReportError, match='mode RGB, expected P'):
        write_report(out)
    (out / 'manifest.json').write_text('{"version": 1')
    with pytest.raises(ReportError, match='damaged'):
        write_report(out)


def test_a_class_the_manifest_does_not_have(predicted):
    out, _ = predicted(names=('a',))
    manifest = json.loads((out / 'manifest.json').read_text())
    manifest |= dict(class_names=manifest['class_names'][:3], palette=manifest['palette'][:3])
    (out / 'manifest.json').write_text(json.dumps(manifest))
    with pytest.raises(ReportError, match='holds class 3, the manifest has 0 to 2'):
        write_report(out)


def test_whole_or_not_at_all(predicted, monkeypatch):
    out, _ = predicted(names=('a',))
    (out / 'report.html').write_text('old')
    monkeypatch.setattr('tfinet_mm.report.page.jpeg_uri', lambda image: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(out)
    assert (out / 'report.html').read_text() == 'old'


@pytest.mark.parametrize('name', ['jinja2', 'plotly'])
def test_a_missing_package_names_its_extra(predicted, monkeypatch, name):
    out, _ = predicted(names=('a',))
    found = builtins.__import__

    def without(module, *args, **kwargs):
        if module.split('.')[0] == name:
            raise ImportError(f'no {name}', name=name)
        return found(module, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(
        MissingExtraError, match=rf'needs {name}: pip install "tfinet-mm\[report\]"'
    ):
        write_report(out)


def test_limits_are_checked():
    for options in (dict(max_pairs=0), dict(max_side=1), dict(max_polygons=-1)):
        with pytest.raises(ReportError, match='max_pairs of 1 or more'):
            check_report(**options)


def test_the_policy_names_the_server_of_a_basemap(predicted, capsys):
    folder, _ = predicted()
    address = 'https://tiles.example.org:444/a/{z}/{x}/{y}.png'
    file = folder / 'tiles.html'
    main([str(folder), '--file', str(file), '--basemap', address, '--basemap-credit', '(c) <me>'])
    text = file.read_text(encoding='utf-8')
    assert re.search(r'img-src ([^;]*);', text)[1] == 'data: blob: https://tiles.example.org:444'
    assert '(c) &lt;me&gt;' in text
    with pytest.raises(SystemExit):
        main([str(folder), '--basemap-credit', 'me'])
    assert '--basemap-credit needs --basemap' in capsys.readouterr().err
