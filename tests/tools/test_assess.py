"""Test tools/assess.py, its page for labelling, and its figures in the report."""

import csv
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
pytest.importorskip('shapely')
pytest.importorskip('pyproj')
pytest.importorskip('plotly')
from finished_scene import CLASSES, PLACE, UTM, finished_scene

import tfinet_mm.report
from tfinet_mm.errors import ReportError
from tfinet_mm.report.labelling import write_labelling_page

SIZE = 40
STATIC = tfinet_mm.report.__path__[0] + '/static/labelling.js'


@pytest.fixture
def scene(tmp_path):
    """A prediction of 40 x 40 pixels of 10 m, a quarter of them changed, with its images."""
    prob = np.full((SIZE, SIZE), 0.1)
    prob[:20, :20] = 0.9
    old, new = np.ones((2, SIZE, SIZE), np.uint8)
    old[30:] = 2
    new[:, :30] = 2
    found = finished_scene(tmp_path / 'out', prob, old, new).folder
    place = dict(crs=UTM, transform=PLACE, width=SIZE, height=SIZE)
    for date, grey in (('before', 60), ('after', 200)):
        path = tmp_path / f'{date}.tif'
        with rasterio.open(path, 'w', driver='GTiff', count=1, dtype='uint8', **place) as file:
            file.write(np.full((1, SIZE, SIZE), grey, np.uint8))
    manifest = dict(
        version=1,
        class_names=list(CLASSES.names),
        palette=[list(colour) for colour in CLASSES.palette],
        threshold=0.5,
        settings={},
        pairs=[dict(name='scene', kind='scene', before='x', after='y')],
    )
    (tmp_path / 'out' / 'manifest.json').write_text(json.dumps(manifest))
    return found


@pytest.fixture
def assess(load_tool, scene, tmp_path, capsys):
    """A function that runs the tool, and returns what it prints."""

    def run(word, *options):
        images = ['--chip', '9'] if word == 'sample' else []
        for date in ('before', 'after') if word == 'sample' else ():
            images += [f'--{date}', str(tmp_path / f'{date}.tif')]
        load_tool('assess.py').main([word, str(scene), *images, *options])
        return capsys.readouterr().out

    return run


def label_as_mapped(scene, path, wrong=0):
    """Label every point as the map has it, but for some: those did not change."""
    with (scene / 'assessment' / 'key.csv').open(newline='') as file:
        key = list(csv.DictReader(file))
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['id', 'ref_from', 'ref_to'])
        for one in key:
            unsure = wrong > 0 and one['map_from'] != one['map_to']
            wrong -= unsure
            after = one['map_from'] if unsure else one['map_to']
            writer.writerow([one['id'], one['map_from'], after])


def test_more_points_than_asked_for_are_explained(assess):
    printed = assess('sample', '--points', '40').splitlines()
    assert printed[3].split()[:2] == ['150', 'points:']
    assert printed[4].startswith(
        '--points 40 asked for 40, 150 were drawn: 3 of the 3 strata get the least number, '
        '--minimum 50 each. A smaller --minimum draws fewer'
    )


def test_from_the_sample_to_the_report(assess, scene, tmp_path):
    drawn = assess('sample', '--points', '90', '--minimum', '10').splitlines()
    assert drawn[-2].split()[:2] == ['90', 'points:']
    assert drawn[-1].endswith('label.html')
    sizes = [line.split(maxsplit=1) for line in drawn[:-2]]
    assert [text for _, text in sizes] == [
        'unchanged water, 50.0 % of the area',
        'unchanged tree, 25.0 % of the area',
        'water to tree, 25.0 % of the area',
    ]
    # Of the points of change, 22 or 23 of 90, 5 are found to be wrong.
    changed = int(sizes[2][0])
    label_as_mapped(scene, tmp_path / 'labels.csv', wrong=5)
    printed = assess('estimate', '--labels', str(tmp_path / 'labels.csv'))
    area = 16 * 0.25 * (1 - 5 / changed)
    error = 16 * 0.25 * np.sqrt(5 / changed * (1 - 5 / changed) / (changed - 1))
    users = 100 * (1 - 5 / changed)
    half = 25 * error * 1.96
    row = next(line for line in printed.splitlines() if line.startswith('| water to tree'))
    assert row == (
        f'| water to tree | 4.00 | {area:.2f} | {1.96 * error:.2f} | {users:.1f} ± {half:.1f} % '
        '| 100.0 ± 0 % |'
    )
    # The map has unchanged land and a change; what neither it nor a label has isn't shown.
    assert 'other change' not in printed
    assert 'Error matrix' in (scene / 'assessment' / 'estimate.md').read_text(encoding='utf-8')

    page = tfinet_mm.report.write_report(tmp_path / 'out').read_text(encoding='utf-8')
    section = re.search(r'<section id="assessed".*?</section>', page, re.DOTALL)[0]
    assert 'areas with 95 % intervals from 90 points' in section
    row = re.search(r'<span>water to tree</span>.*?</tr>', section, re.DOTALL)[0]
    cells = re.findall(r'<td class="num">(.*?)</td>', row)
    low, high = area - 1.96 * error, area + 1.96 * error
    assert 'other change' not in section
    assert cells[:3] == ['4.00', f'{area:.2f}', f'{low:.2f} to {high:.2f}']
    assert '<a href="#assessed">' in page

    # A scene that was predicted again has no assessment.
    with (scene / 'transition.tif').open('ab') as file:
        file.write(b'\n')
    with pytest.warns(UserWarning, match='left out of the report: .* predicted again'):
        page = tfinet_mm.report.write_report(tmp_path / 'out').read_text(encoding='utf-8')
    assert 'id="assessed"' not in page


def test_the_page_knows_nothing_of_the_map(assess, scene):
    assess('sample', '--points', '60', '--minimum', '10')
    page = (scene / 'assessment' / 'label.html').read_text(encoding='utf-8')
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert sorted(data) == ['chip', 'classes', 'palette', 'points', 'sample']
    assert data['classes'] == ['water', 'tree']
    assert [one['id'] for one in data['points']] == list(range(1, 61))
    assert {frozenset(one) for one in data['points']} == {frozenset({'id', 'before', 'after'})}
    # Chips of one colour are equal, so that nothing but the place could tell the strata.
    assert {one['after'][:23] for one in data['points']} == {'data:image/jpeg;base64,'}
    body = page.split('id="data"')[0]
    assert 'unchanged water' not in page
    assert body.count('type="radio"') == 4
    assert 'src="http' not in page
    # The order of the points doesn't tell their strata either.
    with (scene / 'assessment' / 'key.csv').open(newline='') as file:
        strata = [int(one['stratum']) for one in csv.DictReader(file)]
    assert strata != sorted(strata)
    next((scene / 'assessment' / 'chips').iterdir()).unlink()
    with pytest.raises(ReportError, match='is missing, expected one of each point'):
        write_labelling_page(scene)


def test_no_chips(assess, scene):
    printed = assess('sample', '--points', '60', '--minimum', '10', '--no-chips')
    assert 'label.html' not in printed
    assert not (scene / 'assessment' / 'chips').exists()


def test_options_are_checked_first(assess, capsys):
    with pytest.raises(SystemExit):
        assess('sample', '--points', '0')
    assert 'expected a whole number from 1 on' in capsys.readouterr().err


@pytest.mark.skipif(shutil.which('node') is None, reason='no node on this machine')
def test_saved_labels_are_read_again():
    """The page's own CSV, against Python's."""
    program = f"""
        require({json.dumps(STATIC)});
        const {{ toCsv, fromCsv }} = globalThis.labelling;
        const rows = [
          {{ sample: 's', id: 1, ref_from: 'a, "b"', ref_to: 'ü', note: 'two\\nlines' }},
          {{ sample: 's', id: 2, ref_from: 'c', ref_to: 'c', ref_changed: '1', labelled_by: 'me' }},
        ];
        const text = toCsv(rows);
        process.stdout.write(JSON.stringify([text, fromCsv('\\ufeff' + text)]));
    """
    done = subprocess.run(['node', '-e', program], capture_output=True, check=True, timeout=60)
    text, rows = json.loads(done.stdout.decode())
    assert rows == list(csv.DictReader(text.splitlines(keepends=True)))
    assert rows[0]['ref_from'] == 'a, "b"'
    assert rows[0]['note'] == 'two\nlines'
    assert rows[1]['ref_changed'] == '1'
