import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import SECONDDataset
from tfinet_mm.datasets.check import Problem, StrangePair, check_dataset
from tfinet_mm.report.dataset_sheet import write_sheet

pytest.importorskip('jinja2')
PIPELINE = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.RandomFlipOrRotate', probs=(0, 0, 0, 1, 0, 0)),
    dict(type='tfinet_mm.PackPairInputs'),
]
VOID = {'meta', 'link', 'img', 'br', 'input'}


class Page(HTMLParser):
    """Pictures by their description, texts, addresses, and tags that stay open."""

    def __init__(self, text):
        super().__init__()
        self.pictures, self.texts, self.links, self.ids, self.open = {}, [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.ids.add(attrs.get('id'))
        self.links += [attrs[key] for key in ('href', 'src') if key in attrs]
        if tag == 'img':
            data = base64.b64decode(attrs['src'].removeprefix('data:image/jpeg;base64,'))
            self.pictures[attrs['alt']] = np.asarray(Image.open(io.BytesIO(data)), int)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


@pytest.fixture
def page(make_scd, tmp_path):
    made = make_scd(['a <b>', 'c', 'd'], sizes=(64, 96), storage='index')
    for values in made.values():
        # Left half unchanged, right half water to tree, a corner ignored.
        for folder, value in (('label1', 1), ('label2', 4)):
            label = np.zeros((64, 96), np.uint8)
            label[:, 48:] = value
            label[:32, :32] = 255
            values[folder] = label
    for name, values in made.items():
        for folder in ('label1', 'label2'):
            Image.fromarray(values[folder]).save(tmp_path / folder / f'{name}.png')
    dataset = SECONDDataset(data_root=str(tmp_path), pipeline=PIPELINE, label_storage='index')
    report = check_dataset(dataset, progress=iter)
    (tmp_path / 'im1' / 'd.png').write_bytes(b'nonsense')
    pairs = [
        StrangePair('train', 0, 'a <b>', ['reason & more'], ('train', 1, 'c')),
        StrangePair('train', 2, 'd', ['another']),
    ]
    problems = [Problem('error', '', 'a leak')]
    file = write_sheet(
        tmp_path / 'out/sheet.html',
        dict(train=report),
        dict(train=dataset),
        pairs,
        problems=problems,
    )
    return Page(file.read_text(encoding='utf-8')), made


def test_pictures_show_images_labels_and_change(page):
    found, made = page
    name = 'a <b>'
    pictures = found.pictures
    captions = ('before', 'after', 'label before', 'label after', 'change')
    assert list(pictures) == [*(f'{name}: {one}' for one in captions), 'c before', 'c after']
    # Not turned by the pipeline, and enlarged by two.
    assert {one.shape for one in pictures.values()} == {(128, 192, 3)}
    before = np.repeat(np.repeat(made[name]['before'].astype(int), 2, 0), 2, 1)
    assert np.abs(pictures[f'{name}: before'] - before).mean() < 12
    left, right = np.s_[70:120, 4:90], np.s_[4:120, 100:188]
    label = pictures[f'{name}: label before']
    assert np.abs(label[left] - before[left]).mean() < 12
    mixed = before[right] * (1 - 150 / 255) + np.array([0, 0, 255]) * 150 / 255
    assert np.abs(label[right] - mixed).mean() < 12
    change = pictures[f'{name}: change']
    assert change[right].mean() > 250
    assert change[left].mean() < 100
    # Stripes over what is ignored.
    assert change[4:56, 4:56].std() > 40


def test_the_page_is_whole_and_loads_nothing(page):
    found, _ = page
    assert found.open == []
    assert all(one.startswith(('data:', '#')) for one in found.links)
    assert {one[1:] for one in found.links if one.startswith('#')} <= found.ids
    text = ' '.join(found.texts)
    for part in ('reason & more', 'another', 'im1/d.png', 'a leak', 'water → tree', '3 pairs'):
        assert part in text
