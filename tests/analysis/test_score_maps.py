"""Test scores of maps of any program: both SeKs, by hand and by loops, and every storage."""

import json
import math
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.analysis.score_maps import MapFolders, count_maps
from tfinet_mm.errors import LabelFormatError, LabelValueError, UnmatchedPairError
from tfinet_mm.evaluation import overall_scores
from tfinet_mm.structures import ClassTable

TOOL = Path(__file__).parents[2] / 'tools' / 'score_maps.py'
TABLE = ClassTable(
    ('unchanged', 'water', 'ground', 'tree'),
    ((255, 255, 255), (0, 0, 255), (128, 128, 128), (0, 255, 0)),
)
CLASSES = ['unchanged=255,255,255', 'water=0,0,255', 'ground=128,128,128', 'tree=0,255,0']


def save(folder, maps, storage='index', suffix='.png'):
    """Write maps by name, as index, palette or RGB images."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in maps.items():
        image = Image.fromarray(np.asarray(values, np.uint8))
        if storage == 'rgb':
            image = Image.fromarray(np.array(TABLE.palette, np.uint8)[np.asarray(values)])
        elif storage == 'palette':
            image.putpalette([v for colour in TABLE.palette for v in colour])
        image.save(folder / f'{name}{suffix}')


def drawn(seed, number=5, side=24):
    """Return land cover of both dates, 1..3, and change, by name."""
    rng = np.random.default_rng(seed)
    return {
        f'p{i}': (*rng.integers(1, 4, (2, side, side)), rng.random((side, side)) < 0.4)
        for i in range(number)
    }


def changes(maps):
    """Return the semantic change of each date by name."""
    return [{name: one[date] * one[2] for name, one in maps.items()} for date in (0, 1)]


def write(root, maps, **options):
    for folder, one in zip(('label1', 'label2'), changes(maps), strict=True):
        save(root / folder, one, **options)


def sek(annotated, predicted):
    """Return SeK in percent over hashable classes, 0 = unchanged, by the published formula."""
    counts = Counter(zip(annotated, predicted, strict=True))
    unchanged = counts.pop((0, 0), 0)
    total = sum(counts.values())
    classes = {one for pair in counts for one in pair}
    by_chance = sum(
        sum(n for (a, _), n in counts.items() if a == c)
        * sum(n for (_, p), n in counts.items() if p == c)
        for c in classes
    )
    po = sum(n for (a, p), n in counts.items() if a == p) / total
    pe = by_chance / total**2
    assert unchanged
    both = sum(n for (a, p), n in counts.items() if a != 0 and p != 0)
    return 100 * (po - pe) / (1 - pe) * math.exp(both / total - 1)


def flat(maps):
    before, after = (np.concatenate([one.ravel() for one in d.values()]) for d in changes(maps))
    return before.tolist(), after.tolist()


def test_both_seks_as_counted_one_by_one(tmp_path):
    true, guess = drawn(1), drawn(2)
    guess = {
        name: tuple(
            np.where(guess[name][0] == 1, g, t) for g, t in zip(guess[name], one, strict=True)
        )
        for name, one in true.items()
    }
    write(tmp_path / 'labels', true)
    write(tmp_path / 'maps', guess)
    counts = count_maps(MapFolders(tmp_path / 'maps'), MapFolders(tmp_path / 'labels'), TABLE)
    scores = overall_scores(counts.counts)
    (a1, a2), (p1, p2) = flat(true), flat(guess)
    assert scores['SeK'] == pytest.approx(sek(a1 + a2, p1 + p2))
    pairs = [
        [0 if one[0] == 0 else one for one in zip(*both, strict=True)]
        for both in ((a1, a2), (p1, p2))
    ]
    assert scores['SeK_from_to'] == pytest.approx(sek(*pairs))
    assert abs(scores['SeK'] - scores['SeK_from_to']) > 1
    assert counts.names == ['p0', 'p1', 'p2', 'p3', 'p4']


def test_both_seks_by_hand(tmp_path):
    # Ten pixels: 4 unchanged, predicted as such; 4 of 1 -> 2 found; one 1 -> 2 found as 1 -> 3; one
    # 2 -> 3 missed. By date: the changed pixels are [1 1] * 5, [2 2] * 4, [2 3], [2 0], [3 0].
    # po = 9 / 12; rows 1, 2, 3: 5, 6, 1; columns 0, 1, 2, 3: 2, 5, 4, 1;
    # pe = (25 + 24 + 1) / 144; IoU = 10 / 12.
    # Transitions: [12 12] * 4, [12 13], [23 0]; po = 4 / 6, pe = 5 * 4 / 36, IoU = 5 / 6.
    before = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2]
    after = [0, 0, 0, 0, 2, 2, 2, 2, 2, 3]
    found = [0, 0, 0, 0, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 2, 2, 2, 2, 3, 0]
    for root, maps in (('labels', (before, after)), ('maps', found)):
        for folder, one in zip(('label1', 'label2'), maps, strict=True):
            save(tmp_path / root / folder, {'a': [one]})
    counts = count_maps(MapFolders(tmp_path / 'maps'), MapFolders(tmp_path / 'labels'), TABLE)
    scores = overall_scores(counts.counts)
    kappa = (9 / 12 - 50 / 144) / (1 - 50 / 144)
    assert scores['SeK'] == pytest.approx(100 * kappa * math.exp(10 / 12 - 1))
    assert scores['SeK'] == pytest.approx(52.2297, abs=1e-4)
    kappa = (4 / 6 - 20 / 36) / (1 - 20 / 36)
    assert scores['SeK_from_to'] == pytest.approx(100 * kappa * math.exp(5 / 6 - 1))
    assert scores['SeK_from_to'] == pytest.approx(21.1620, abs=1e-4)


@pytest.fixture
def reference(tmp_path):
    """Return the scores of maps stored as index, 0 = unchanged, and the maps."""
    true, guess = drawn(3), drawn(4)
    write(tmp_path / 'labels', true)
    write(tmp_path / 'maps', guess)
    labels, maps = MapFolders(tmp_path / 'labels'), MapFolders(tmp_path / 'maps')
    return true, guess, count_maps(maps, labels, TABLE).counts.flatten()


@pytest.mark.parametrize('storage', ['palette', 'rgb'])
@pytest.mark.parametrize('side', ['maps', 'labels'])
def test_other_storages_and_suffixes(reference, tmp_path, storage, side):
    true, guess, expected = reference
    suffix = '.png' if storage == 'palette' else '.bmp'
    write(tmp_path / 'other', guess if side == 'maps' else true, storage=storage, suffix=suffix)
    folders = {one: MapFolders(tmp_path / one) for one in ('maps', 'labels')}
    folders[side] = MapFolders(tmp_path / 'other')
    scores = count_maps(folders['maps'], folders['labels'], TABLE)
    np.testing.assert_array_equal(scores.counts.flatten(), expected)
    side = 'predictions' if side == 'maps' else side
    assert scores.storages[side] == {storage}


@pytest.mark.parametrize('zero', ['class', 'unknown'])
@pytest.mark.parametrize('storage', ['index', 'rgb'])
@pytest.mark.parametrize('side', ['maps', 'labels'])
def test_land_cover_of_every_pixel_with_change_masks(reference, tmp_path, zero, storage, side):
    true, guess, expected = reference
    maps = guess if side == 'maps' else true
    root = tmp_path / 'cover'
    for date, folder in enumerate(('t1', 't2')):
        shift = int(zero == 'class' and storage == 'index')
        save(root / folder, {name: one[date] - shift for name, one in maps.items()}, storage)
    save(root / 'cd', {name: one[2] * np.uint8(255) for name, one in maps.items()})
    folders = {one: MapFolders(tmp_path / one) for one in ('maps', 'labels')}
    folders[side] = MapFolders(root, ('t1', 't2', 'cd'), zero)
    found = count_maps(folders['maps'], folders['labels'], TABLE).counts.flatten()
    np.testing.assert_array_equal(found, expected)


def test_the_masks_of_a_folder_are_stored_in_one_way(tmp_path):
    """In a mask of 0 and 255, 255 is ignored if another mask of the folder holds 1."""
    maps, masks = {'a': [[1, 2, 1]], 'b': [[2, 1, 2]]}, {'a': [[0, 1, 255]], 'b': [[0, 0, 255]]}
    for folder in ('maps/label1', 'maps/label2', 'labels/label1', 'labels/label2'):
        save(tmp_path / folder, maps)
    save(tmp_path / 'labels/change', masks)
    save(tmp_path / 'maps/change', {'a': [[0, 1, 0]], 'b': [[0, 0, 0]]})
    folders = ('label1', 'label2', 'change')
    labels = MapFolders(tmp_path / 'labels', folders, 'unknown')
    guess = MapFolders(tmp_path / 'maps', folders, 'unknown')
    assert count_maps(guess, labels, TABLE).counts.change.tolist() == [[3, 0], [0, 1]]
    stated = MapFolders(tmp_path / 'labels', folders, 'unknown', change_storage='0/255')
    with pytest.raises(LabelValueError, match=r'a\.png holds .* as 1'):
        count_maps(guess, stated, TABLE)


def test_indices_and_colours_in_one_folder_are_refused(reference, tmp_path):
    _, guess, _ = reference
    before = changes(guess)[0]
    save(tmp_path / 'maps' / 'label1', {'p3': before['p3']}, storage='rgb')
    words = r'holds class indices, .*p3\.png colours.*--pred-storage'
    with pytest.raises(LabelFormatError, match=words):
        count_maps(MapFolders(tmp_path / 'maps'), MapFolders(tmp_path / 'labels'), TABLE)


def test_predictions_of_a_single_class_are_scored(tmp_path):
    true = {'a': ([[1, 2, 3, 1]], [[2, 3, 1, 2]], np.array([[1, 1, 1, 0]]))}
    true = {name: tuple(map(np.asarray, one)) for name, one in true.items()}
    guess = {'a': (np.ones((1, 4), int), np.ones((1, 4), int), np.array([[1, 1, 0, 0]]))}
    write(tmp_path / 'labels', true)
    write(tmp_path / 'maps', guess)
    counts = count_maps(MapFolders(tmp_path / 'maps'), MapFolders(tmp_path / 'labels'), TABLE)
    assert counts.counts.change.tolist() == [[1, 0], [1, 2]]


def test_a_change_mask_decides_what_a_prediction_changes(tmp_path):
    save(tmp_path / 'labels/label1', {'a': [[1, 0]]})
    save(tmp_path / 'labels/label2', {'a': [[2, 0]]})
    save(tmp_path / 'maps/label1', {'a': [[1, 3]]})
    save(tmp_path / 'maps/label2', {'a': [[2, 3]]})
    save(tmp_path / 'maps/change', {'a': [[255, 0]]})
    maps = MapFolders(tmp_path / 'maps', ('label1', 'label2', 'change'))
    counts = count_maps(maps, MapFolders(tmp_path / 'labels'), TABLE).counts
    assert counts.change.tolist() == [[1, 0], [0, 1]]
    assert counts.scd[0, 0] == 2


def test_classes_on_one_date_only_are_counted_as_published_and_told(tmp_path):
    save(tmp_path / 'labels/label1', {'a': [[1, 0, 2]]})
    save(tmp_path / 'labels/label2', {'a': [[2, 0, 0]]})
    save(tmp_path / 'maps/label1', {'a': [[1, 3, 0]]})
    save(tmp_path / 'maps/label2', {'a': [[0, 0, 0]]})
    scores = count_maps(MapFolders(tmp_path / 'maps'), MapFolders(tmp_path / 'labels'), TABLE)
    assert scores.one_sided == dict(predictions=2, labels=1)
    assert scores.counts.date_from[1, 1] == 1
    assert scores.counts.date_from.sum() == 2


@pytest.mark.parametrize(
    ('maps', 'words'),
    [
        ({'p0': 0, 'p1': 0}, r"predictions from lacks 'p2'.*--key-pattern.*--list"),
        (dict.fromkeys(['p0', 'p1', 'p2', 'p3'], 0), r"labels from lacks 'p3'"),
    ],
)
def test_missing_and_extra_maps(tmp_path, maps, words):
    empty = np.zeros((4, 4), int)
    for folder in ('label1', 'label2'):
        save(tmp_path / 'labels' / folder, dict.fromkeys(['p0', 'p1', 'p2'], empty))
        save(tmp_path / 'maps' / folder, dict.fromkeys(maps, empty))
    folders = MapFolders(tmp_path / 'maps'), MapFolders(tmp_path / 'labels')
    with pytest.raises(UnmatchedPairError, match=words):
        count_maps(*folders, TABLE)
    (tmp_path / 'list.txt').write_text('p1\n')
    assert count_maps(*folders, TABLE, list_file=tmp_path / 'list.txt').names == ['p1']


def test_names_that_differ_by_a_pattern(reference, tmp_path):
    _, guess, expected = reference
    write(tmp_path / 'other', {f'{name}_pred': one for name, one in guess.items()})
    folders = MapFolders(tmp_path / 'other'), MapFolders(tmp_path / 'labels')
    found = count_maps(*folders, TABLE, key_pattern='_pred$')
    np.testing.assert_array_equal(found.counts.flatten(), expected)


def test_maps_are_not_scored_against_themselves(reference, tmp_path):
    maps = MapFolders(tmp_path / 'maps')
    with pytest.raises(ValueError, match='labels from and predictions from are the same files'):
        count_maps(maps, maps, TABLE)
    labels = MapFolders(tmp_path / 'labels', ('label1', 'label1'))
    with pytest.raises(ValueError, match='labels from and labels to are the same files'):
        count_maps(maps, labels, TABLE)


def test_maps_of_another_size(tmp_path):
    for root, side in (('labels', 4), ('maps', 6)):
        for folder in ('label1', 'label2'):
            save(tmp_path / root / folder, {'a': np.zeros((4, side), int)})
    folders = MapFolders(tmp_path / 'maps'), MapFolders(tmp_path / 'labels')
    with pytest.raises(
        LabelFormatError, match=r'maps/label1/a\.png has 6 x 4 pixels, .* has 4 x 4'
    ):
        count_maps(*folders, TABLE)
    save(tmp_path / 'maps/label1', {'a': np.zeros((4, 4), int)})
    with pytest.raises(LabelFormatError, match=r'label2/a\.png has 6 x 4 pixels, .*label1/a\.png'):
        count_maps(*folders, TABLE)


def test_a_prediction_leaves_nothing_out(tmp_path):
    for folder in ('label1', 'label2'):
        save(tmp_path / 'labels' / folder, {'a': [[0, int(folder[-1])]]})
        save(tmp_path / 'maps' / folder, {'a': [[1, 255]]})
    folders = MapFolders(tmp_path / 'maps'), MapFolders(tmp_path / 'labels')
    with pytest.raises(LabelValueError, match=r'label1/a\.png holds 255 .* at 50\.00 %'):
        count_maps(*folders, TABLE)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(zero='class'), 'name the folder of its change masks'),
        (dict(zero='none'), "zero has to be one of .* got 'none'"),
        (dict(storage='grey'), "storage has to be one of .* got 'grey'"),
        (dict(folders=()), r'got \(\)'),
        (dict(change_storage='2'), "change_storage has to be one of .* got '2'"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(ValueError, match=words):
        MapFolders(Path(), **options)


@pytest.fixture
def main():
    return runpy.run_path(str(TOOL))['main']


def test_the_tool_prints_and_writes_both_seks(reference, tmp_path, capsys, main):
    out = tmp_path / 'scores.json'
    words = [str(tmp_path / 'maps'), str(tmp_path / 'labels'), '--classes', *CLASSES]
    main([*words, '--resamples', '50', '--json', str(out)])
    report = json.loads(out.read_text())
    printed = capsys.readouterr().out
    for name, what in (
        ('SeK', 'the classes of each date (4 with unchanged)'),
        ('SeK_from_to', 'transitions (10 with unchanged), SeK_from_to'),
    ):
        assert f'SeK of {what}: {report["scores"][name]:.2f}\n' in printed
        low, high = report['intervals']['scores'][name]
        assert low < high
    assert 'with 95 % confidence intervals (50 draws of pairs)' in printed
    assert report['num_samples'] == 5


def test_the_tool_compares_two_methods(reference, tmp_path, capsys, main):
    write(tmp_path / 'right', reference[0])
    out = tmp_path / 'scores.json'
    words = [str(tmp_path / 'maps'), str(tmp_path / 'labels'), '--classes', *CLASSES]
    main([*words, '--against', str(tmp_path / 'right'), '--resamples', '50', '--json', str(out)])
    report = json.loads(out.read_text())
    assert report['against']['scores']['SeK'] == 100
    found = report['paired']['SeK']
    assert found['difference'] == pytest.approx(100 - report['scores']['SeK'])
    # Five pairs, each much better: only all or none exchanged differ as much, 2 of 32.
    assert found['p_value'] == pytest.approx(2 / 32)
    lines = capsys.readouterr().out.split('Paired comparison on 5 pairs, ')[1].splitlines()
    assert 'p by all exchanges of predictions' in lines[0]
    assert next(line for line in lines if line.startswith('SeK ')).split()[-1] == '0.0625'


def test_the_tool_asks_about_land_cover_of_every_pixel(tmp_path, capsys, main):
    for folder in ('label1', 'label2'):
        save(tmp_path / 'labels' / folder, {'a': [[0, 0, 0, int(folder[-1])]]})
        save(tmp_path / 'maps' / folder, {'a': [[2, 1, 2, 1]]})
    main([str(tmp_path / 'maps'), str(tmp_path / 'labels')])
    assert 'has a class at 100.0 % of the pixels, the labels at 25.0 %' in capsys.readouterr().out


@pytest.mark.parametrize('words', [['WHU'], ['a=1,2,3', 'b'], ['a=1,x,3'], ['=1,2,3']])
def test_classes_that_are_none(tmp_path, main, words):
    with pytest.raises(ValueError, match=r'--classes takes one of SECOND, .* got '):
        main([str(tmp_path), str(tmp_path), '--classes', *words])


def test_change_masks_alone_score_change(tmp_path, capsys):
    """Against masks, classes of the predictions don't matter; masks score as the maps do."""
    true, found = drawn(1), drawn(2)
    write(tmp_path / 'maps', found)
    for root, maps in (('true', true), ('masks', found)):
        save(tmp_path / root / 'label', {name: 255 * one[2] for name, one in maps.items()})
    tool = runpy.run_path(str(TOOL))
    reports = []
    for words in (['maps'], ['masks', '--pred-folders', 'label']):
        file = tmp_path / 'scores.json'
        folders = ['--labels-folders', 'label', '--json', str(file), '--classes', *CLASSES]
        tool['main']([str(tmp_path / words[0]), str(tmp_path / 'true'), *words[1:], *folders])
        reports.append(json.loads(file.read_text()))
        assert 'Only change is scored' in capsys.readouterr().out
    pixels = [np.concatenate([one[2].ravel() for one in maps.values()]) for maps in (true, found)]
    both, either = (pixels[0] & pixels[1]).sum(), (pixels[0] | pixels[1]).sum()
    assert reports[0]['scores'] == reports[1]['scores']
    assert reports[0]['scores']['change/IoU'] == pytest.approx(100 * both / either)
    write(tmp_path / 'covered', true)
    with pytest.raises(ValueError, match=r'change masks alone, .*--labels-folders DIR'):
        tool['main']([str(tmp_path / 'masks'), str(tmp_path / 'covered'), *words[1:]])
