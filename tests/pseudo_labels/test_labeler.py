import json
import math
import os
import shutil

import numpy as np
import pytest
import torch
from conftest import write_label
from hashing import hashed_files
from PIL import Image
from read_only import read_only

from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.errors import (
    ClassMismatchError,
    LabelFormatError,
    LabelValueError,
    ManifestError,
)
from tfinet_mm.pseudo_labels import Selection, confidence_path, pseudo_label_path, soft, vote
from tfinet_mm.pseudo_labels import labeler as module
from tfinet_mm.pseudo_labels.labeler import PseudoLabeler
from tfinet_mm.pseudo_labels.layout import DATES, prediction_path
from tfinet_mm.pseudo_labels.pairs import PairsToLabel
from tfinet_mm.structures import LANDSAT_SCD, SECOND

from .conftest import pixel_change, pixel_probabilities


def files(root):
    """Return the content of every file of a folder, by its name."""
    paths = sorted(path for path in root.rglob('*') if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def written_labels(root, name):
    found = []
    for date in DATES:
        with Image.open(pseudo_label_path(root, name, date)) as image:
            assert image.mode == 'P'
            colours = np.array(image.getpalette()[:21]).reshape(7, 3)
            np.testing.assert_array_equal(colours, SECOND.palette)
            found.append(np.asarray(image))
    return found


def written_confidence(root, name):
    found = []
    for date in DATES:
        with Image.open(confidence_path(root, name, date)) as image:
            assert image.mode == 'L'
            found.append(np.asarray(image))
    return found


def all_probabilities(states, arrays):
    """Return probabilities of both dates, (M, K, H, W), and P(changed), (M, H, W)."""
    before, after = (
        np.stack([pixel_probabilities(state, arrays[date]) for state in states])
        for date in ('before', 'after')
    )
    dates = (arrays['before'], arrays['after'])
    return before, after, np.stack([pixel_change(state, *dates) for state in states])


def test_votes_in_files(tmp_path, second, members):
    pairs, written = second
    model, states = members(5)
    report = PseudoLabeler(model, pairs, tmp_path / 'out', 'vote', confidence=True).run()
    filled = 0
    for name, arrays in written.items():
        before, after, _ = all_probabilities(states, arrays)
        classes = before.argmax(1) + 1, after.argmax(1) + 1
        expected = vote(*classes, arrays['label_from'], arrays['label_to'])
        labels = written_labels(tmp_path / 'out', name)
        np.testing.assert_array_equal(labels, expected)
        for label, annotation, sure in zip(
            labels,
            (arrays['label_from'], arrays['label_to']),
            written_confidence(tmp_path / 'out', name),
            strict=True,
        ):
            assert set(sure[annotation > 0].tolist()) <= {255}
            assert not sure[label == 0].any()
            new = (annotation == 0) & (label > 0)
            filled += int(new.sum())
            votes = ((classes[0] == label) & (classes[1] == label)).sum(0)
            np.testing.assert_array_equal(sure[new], (51 * votes)[new])
    assert report['pixels']['filled'] == filled > 30
    assert report['method'] == 'vote'
    assert report['members'] == ['pixels6'] * 5
    assert report['classes']['tree']['threshold'] is None
    assert report['accuracy'] is None
    assert json.loads((tmp_path / 'out/report.json').read_text()) == report


def test_soft_labels_in_files(tmp_path, second, members):
    pairs, written = second
    model, states = members(2)
    selection = Selection(0.45, {'water': 0.35, 'tree': 0.6}, max_change_prob=0.6)
    report = PseudoLabeler(model, pairs, tmp_path / 'out', 'soft', selection, confidence=True).run()
    thresholds = [0.35, 0.45, 0.45, 0.6, 0.45, 0.45]
    assert [one['threshold'] for one in report['classes'].values()] == thresholds
    for name, arrays in written.items():
        before, after, change = all_probabilities(states, arrays)
        annotations = arrays['label_from'], arrays['label_to']
        expected = soft(before, after, *annotations, thresholds, change, 0.6)
        labels = written_labels(tmp_path / 'out', name)
        np.testing.assert_array_equal(labels[0], expected.label_from)
        np.testing.assert_array_equal(labels[1], expected.label_to)
        confidence = written_confidence(tmp_path / 'out', name)
        for label, annotation, sure in zip(labels, annotations, confidence, strict=True):
            new = (annotation == 0) & (label > 0)
            exact = 255 * expected.confidence[new]
            np.testing.assert_allclose(sure[new], exact, atol=0.51)
            assert set(sure[annotation > 0].tolist()) <= {255}
            assert not sure[label == 0].any()
    assert 5 < report['filled'] < 95


def test_quotas_are_of_the_whole_data_set(tmp_path, second, members):
    pairs, written = second
    model, states = members(2)
    quota = [0.5, 0.3, 0.0, 1.0, 0.1, 0.25]
    selection = Selection(0.6, quota=quota, max_change_prob=0.8)
    PseudoLabeler(model, pairs, tmp_path / 'out', 'soft', selection).run()
    found = []  # confidence, class, whether kept, of every pixel that may be filled
    for name, arrays in written.items():
        before, after, change = all_probabilities(states, arrays)
        mean = (before.mean(0) + after.mean(0)) / 2
        may = (arrays['label_from'] == 0) & (change.mean(0) <= 0.8)
        kept = written_labels(tmp_path / 'out', name)[0]
        found += zip(mean.max(0)[may], mean.argmax(0)[may], kept[may] > 0, strict=True)
        assert not kept[(arrays['label_from'] == 0) & (change.mean(0) > 0.8)].any()
    assert len(found) > 150
    for label, share in enumerate(quota):
        of_class = sorted(
            ((sure, kept) for sure, c, kept in found if c == label), key=lambda one: -one[0]
        )
        assert of_class
        number = max(
            math.ceil(round(share * len(of_class), 9)), sum(sure >= 0.6 for sure, _ in of_class)
        )
        assert [kept for _, kept in of_class] == [i < number for i in range(len(of_class))]


def test_annotated_pixels_stay_and_silent_ones_get_nothing(
    tmp_path, make_scd, make_config, members
):
    make_scd(['a'], (2, 3), root='data')
    write_label(tmp_path / 'data/label1/a.png', np.array([[0, 1, 0], [2, 0, 0]], np.uint8), 'rgb')
    write_label(tmp_path / 'data/label2/a.png', np.array([[0, 0, 3], [6, 0, 0]], np.uint8), 'rgb')
    dataset = dict(type='tfinet_mm.SECONDDataset', data_root=str(tmp_path / 'data'), pipeline=[])
    pairs = PairsToLabel(make_config(dataset))
    selection = Selection(threshold=0)
    report = PseudoLabeler(members()[0], pairs, tmp_path / 'out', 'soft', selection).run()
    before, after = written_labels(tmp_path / 'out', 'a')
    assert before[0, 1] == before[0, 2] == after[0, 1] == after[0, 2] == 0
    assert (before[1, 0], after[1, 0]) == (2, 6)
    assert (before > 0).sum() == (after > 0).sum() == 4
    assert report['pixels'] == dict(total=12, annotated=2, ignored=4, unlabelled=6, filled=6)


@pytest.mark.parametrize('method', ['vote', 'soft'])
def test_batches_and_workers_change_nothing(tmp_path, second, members, method):
    pairs, _ = second
    model, _ = members(2)
    options = dict(method=method, confidence=True)
    PseudoLabeler(model, pairs, tmp_path / 'one', **options).run()
    PseudoLabeler(model, pairs, tmp_path / 'three', batch_size=3, workers=2, **options).run()
    assert files(tmp_path / 'one') == files(tmp_path / 'three')


def test_accuracy_where_the_truth_is_known(tmp_path, second, members, make_config):
    _, written = second
    rng = np.random.default_rng(0)
    truth = {name: [] for name in written}
    for folder in ('t1', 't2'):
        for name, arrays in written.items():
            cover = rng.integers(0, 7, arrays['change'].shape).astype(np.uint8)
            write_label(tmp_path / folder / f'{name}.png', cover, 'palette')
            truth[name].append(cover)
    dataset = dict(type='tfinet_mm.SECONDDataset', data_root=str(tmp_path / 'data'), pipeline=[])
    folders = [str(tmp_path / 't1'), str(tmp_path / 't2')]
    pairs = PairsToLabel(make_config(dataset), land_cover=folders)
    report = PseudoLabeler(members()[0], pairs, tmp_path / 'out').run()
    confusion = np.zeros((6, 7), int)
    for name, arrays in written.items():
        annotations = (arrays['label_from'], arrays['label_to'])
        for label, cover, annotation in zip(
            written_labels(tmp_path / 'out', name), truth[name], annotations, strict=True
        ):
            for real, got in zip(cover[annotation == 0], label[annotation == 0], strict=True):
                if real:
                    confusion[real - 1, got] += 1
    assert report['accuracy']['confusion'] == confusion.tolist()
    correct = sum(confusion[i, i + 1] for i in range(6))
    assert report['accuracy']['correct'] == pytest.approx(100 * correct / confusion[:, 1:].sum())
    write_label(tmp_path / 't2/a.png', np.ones((3, 4), np.uint8), 'palette')
    with pytest.raises(LabelFormatError, match=r'true land cover of a is 4 x 3 .* are 16 x 12'):
        PseudoLabeler(members()[0], pairs, tmp_path / 'again').run()


class Killed(BaseException):
    """An error that a test stops a run with."""


@pytest.mark.parametrize(
    ('what', 'number'),
    [
        ('write_prediction', 0),
        ('write_prediction', 3),
        ('write_palette_png', 0),
        ('write_palette_png', 5),
        ('write_png', 3),
        ('make_report', 0),
    ],
)
def test_a_run_that_was_killed_goes_on(tmp_path, second, members, monkeypatch, what, number):
    pairs, _ = second
    model, _ = members(2)
    options = dict(
        method='soft',
        selection=Selection(0.8, quota=0.3),
        confidence=True,
        batch_size=2,
    )
    PseudoLabeler(model, pairs, tmp_path / 'whole', **options).run()

    original, calls = getattr(module, what), []

    def dies(*arguments):
        if len(calls) == number:
            raise Killed
        calls.append(arguments)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, what, dies)
        with pytest.raises(Killed):
            PseudoLabeler(model, pairs, tmp_path / 'killed', **options).run()
    assert not (tmp_path / 'killed/report.json').exists()
    predicted = []
    monkeypatch.setattr(
        module,
        'predict_pairs',
        lambda ensemble, loaded, *rest, real=module.predict_pairs: (
            predicted.append([pair.sample_id for pair in loaded]) or real(ensemble, loaded, *rest)
        ),
    )
    PseudoLabeler(model, pairs, tmp_path / 'killed', **options).run()
    assert files(tmp_path / 'killed') == files(tmp_path / 'whole')
    batches = [pairs.names[start : start + 2] for start in (0, 2, 4)]
    # Three predictions are a batch and a half; the half batch is predicted again as a whole.
    done = {'write_prediction': number // 2}.get(what, 3)
    assert predicted == batches[done:]


def test_what_is_done_needs_no_network(tmp_path, second, members, monkeypatch):
    pairs, _ = second
    model, _ = members(2)
    selection = Selection(0.8)
    first = PseudoLabeler(model, pairs, tmp_path / 'out', 'soft', selection).run()
    before = files(tmp_path / 'out')
    monkeypatch.setattr(PseudoLabeler, '_build', lambda self: pytest.fail('network built'))
    assert PseudoLabeler(model, pairs, tmp_path / 'out', 'soft', selection).run() == first
    assert files(tmp_path / 'out') == before
    # A lost file is written again, and other thresholds need no network either.
    pseudo_label_path(tmp_path / 'out', 'sub dir/e', 'to').unlink()
    PseudoLabeler(model, pairs, tmp_path / 'out', 'soft', selection).run()
    assert files(tmp_path / 'out') == before
    other = PseudoLabeler(model, pairs, tmp_path / 'out', 'soft', Selection(0.5), confidence=True)
    assert other.run(overwrite=True)['filled'] > first['filled']
    back = PseudoLabeler(model, pairs, tmp_path / 'out', 'soft', selection)
    assert back.run(overwrite=True) == first
    assert files(tmp_path / 'out') == before
    # Finished pseudo labels no longer need the predictions.
    shutil.rmtree(tmp_path / 'out/predictions')
    assert back.run() == first


def test_other_members_are_not_mixed_in(tmp_path, second, members):
    pairs, _ = second
    model, _ = members(2)
    PseudoLabeler(model, pairs, tmp_path / 'out').run()
    before = files(tmp_path / 'out')
    other, _ = members(2, first_seed=1)
    for changed, options, message in (
        (other, {}, r'predictions\.members\[0\] \(.*0\.pth, .*1\.pth\)\.weights was'),
        (dict(model, members=model['members'][:1]), {}, r'predictions\.members was 2 \(.*is 1 \('),
        (model, dict(transforms=('identity', 'rotation_90')), r'predictions\.transforms was'),
        (model, dict(method='soft'), r"predictions\.method was 'vote', is 'soft'"),
        (model, dict(confidence=True), r'labels\.confidence was False, is True'),
        (dict(model, autocast='bfloat16'), {}, r"autocast was 'float32', is 'bfloat16'"),
    ):
        again = PseudoLabeler(changed, pairs, tmp_path / 'out', **options)
        with pytest.raises(
            ManifestError, match=rf'(?s){message}.*\(--out\), or replace .*\(--overwrite\)'
        ):
            again.run()
        assert files(tmp_path / 'out') == before
    PseudoLabeler(other, pairs, tmp_path / 'new').run()
    assert files(tmp_path / 'new') != before
    PseudoLabeler(other, pairs, tmp_path / 'out').run(overwrite=True)
    assert files(tmp_path / 'out') == files(tmp_path / 'new')


@pytest.mark.parametrize('name', ['im2/f.png', 'label1/sub dir/e.png'])
def test_a_replaced_file_is_noticed(tmp_path, second, members, name):
    """A file of the same name, size and time stamp is told by its content."""
    pairs, _ = second
    model, _ = members(2)
    PseudoLabeler(model, pairs, tmp_path / 'out').run()
    before = files(tmp_path / 'out')
    path = tmp_path / 'data' / name
    old = path.stat()
    with Image.open(path) as image:
        pixels = np.asarray(image)
    Image.fromarray(pixels[::-1].copy()).save(path)
    data = path.read_bytes()
    # Readers stop at the last chunk of a PNG; the bytes after it make up the old size.
    path.write_bytes(data + b'x' * (old.st_size - len(data)))
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    with pytest.raises(ValueError, match=rf'predictions\.files\[.*{path} \(sha256.*overwrite'):
        PseudoLabeler(model, pairs, tmp_path / 'out').run()
    assert files(tmp_path / 'out') == before
    report = PseudoLabeler(model, pairs, tmp_path / 'out').run(overwrite=True)
    assert files(tmp_path / 'out') != before
    assert PseudoLabeler(model, pairs, tmp_path / 'out').run() == report


def test_the_same_data_elsewhere_are_the_same(tmp_path, second, members, make_config, monkeypatch):
    pairs, _ = second
    model, _ = members(1)
    with hashed_files() as names:
        first = PseudoLabeler(model, pairs, tmp_path / 'out').run()
    # Images and labels of both dates.
    assert len(names) == 5 * 4
    with hashed_files() as names:
        assert PseudoLabeler(model, pairs, tmp_path / 'out').run() == first
    assert names == []
    shutil.copytree(tmp_path / 'data', tmp_path / 'moved')
    dataset = dict(type='tfinet_mm.SECONDDataset', data_root=str(tmp_path / 'moved'), pipeline=[])
    monkeypatch.setattr(PseudoLabeler, '_build', lambda self: pytest.fail('network built'))
    moved = PairsToLabel(make_config(dataset))
    assert PseudoLabeler(model, moved, tmp_path / 'out').run() == first
    made = json.loads((tmp_path / 'out/members.json').read_text())
    assert made['predictions']['files'][0]['file'].startswith(str(tmp_path / 'moved'))


def test_two_runs_do_not_mix(tmp_path, second, members, monkeypatch):
    """Otherwise they could leave the manifest of one threshold and labels of another."""
    pairs, _ = second
    model, _ = members(2)
    first = PseudoLabeler(model, pairs, tmp_path / 'out', 'soft', Selection(1.0))
    other = PseudoLabeler(model, pairs, tmp_path / 'out', 'soft', Selection(0.0))
    make_report, tried = module.make_report, []

    def meanwhile(*arguments):
        if not tried:
            tried.append(True)
            with pytest.raises(BlockingIOError, match='out is being written to by process'):
                other.run(overwrite=True)
        return make_report(*arguments)

    monkeypatch.setattr(module, 'make_report', meanwhile)
    report = first.run()
    assert tried
    assert {one['threshold'] for one in report['classes'].values()} == {1.0}
    manifest = json.loads((tmp_path / 'out/members.json').read_text())
    assert manifest['labels']['selection']['thresholds'] == [1.0] * 6
    assert not (tmp_path / 'out/.lock').exists()
    other.run(overwrite=True)


@pytest.mark.parametrize('content', [b'', b'{"predictions": {"me', b'\0'])
def test_files_that_a_full_disk_cut_off(tmp_path, second, members, content):
    pairs, _ = second
    labeler = PseudoLabeler(members(2)[0], pairs, tmp_path / 'out')
    labeler.run()
    before = files(tmp_path / 'out')
    (tmp_path / 'out/report.json').write_bytes(content)
    labeler.run()
    assert files(tmp_path / 'out') == before
    (tmp_path / 'out/members.json').write_bytes(content)
    for overwrite in (False, True):
        with pytest.raises(ManifestError, match=r'members\.json is not what .* or remove this one'):
            labeler.run(overwrite)


@pytest.mark.parametrize('content', ['[]', '{"a": 1}', '3', 'null', '{"predictions": {}}'])
def test_a_manifest_of_another_program_is_not_touched(tmp_path, second, members, content):
    path = tmp_path / 'out' / 'members.json'
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(ValueError, match=r'members\.json is not what this package writes'):
        PseudoLabeler(members()[0], second[0], tmp_path / 'out').run(overwrite=True)
    assert path.read_text() == content


def test_a_finished_folder_may_be_read_only(tmp_path, second, members):
    pairs, _ = second
    model, _ = members(2)
    first = PseudoLabeler(model, pairs, tmp_path / 'out').run()
    other = PseudoLabeler(dict(model, autocast='bfloat16'), pairs, tmp_path / 'out')
    shutil.move(model['members'][0]['checkpoint'], tmp_path / 'moved.pth')
    model['members'][0]['checkpoint'] = str(tmp_path / 'moved.pth')
    with read_only(tmp_path / 'out'):
        assert PseudoLabeler(model, pairs, tmp_path / 'out').run() == first
        other.model = dict(model, autocast='bfloat16')
        with pytest.raises(PermissionError, match='where pseudo labels are to be written'):
            other.run(overwrite=True)


def test_another_kind_of_machine_is_noticed(tmp_path, second, members, made_up_cpu, no_gpu):
    pairs, _ = second
    model, _ = members(1)
    made_up_cpu(False)
    first = PseudoLabeler(dict(model, autocast='auto'), pairs, tmp_path / 'out').run()
    assert PseudoLabeler(dict(model, autocast='float32'), pairs, tmp_path / 'out').run() == first
    made_up_cpu(True)
    with pytest.raises(ValueError, match=r"autocast was 'float32', is 'bfloat16'"):
        PseudoLabeler(dict(model, autocast='auto'), pairs, tmp_path / 'out').run()


def test_other_pairs_are_not_mixed_in(tmp_path, second, members, make_config):
    pairs, _ = second
    model, _ = members(1)
    PseudoLabeler(model, pairs, tmp_path / 'out').run()
    dataset = dict(
        type='tfinet_mm.SECONDDataset', data_root=str(tmp_path / 'data'), pipeline=[], indices=2
    )
    with pytest.raises(ValueError, match=r'pairs\.number was 5, is 2'):
        PseudoLabeler(model, PairsToLabel(make_config(dataset)), tmp_path / 'out').run()


@pytest.mark.parametrize('overwrite', [False, True])
def test_files_of_others_are_never_replaced(tmp_path, second, members, overwrite):
    """The folder of a data set, which also has label1 and label2, is refused as output."""
    pairs, _ = second
    before = files(tmp_path / 'data')
    labeler = PseudoLabeler(members()[0], pairs, tmp_path / 'data')
    with pytest.raises(ValueError, match=r'label1 exists, but no members\.json says'):
        labeler.run(overwrite)
    assert files(tmp_path / 'data') == before


def test_a_damaged_prediction_is_named_and_made_again(tmp_path, second, members):
    pairs, _ = second
    labeler = PseudoLabeler(members()[0], pairs, tmp_path / 'out')
    labeler.run()
    before = files(tmp_path / 'out')
    path = prediction_path(tmp_path / 'out', 'f')
    path.write_bytes(path.read_bytes()[:100])
    (tmp_path / 'out/report.json').unlink()
    with pytest.raises(LabelFormatError, match=r'predictions/f\.npz can not be read'):
        labeler.run()
    path.unlink()
    labeler.run()
    assert files(tmp_path / 'out') == before


def test_members_of_other_classes_are_refused(tmp_path, second, members):
    pairs, _ = second
    few, _ = members(2, num_classes=4, classes=LANDSAT_SCD)
    with pytest.raises(ClassMismatchError, match=r'members have 4 land-cover .* data set 6: water'):
        PseudoLabeler(few, pairs, tmp_path / 'few').run()
    names = SECOND.metainfo()['semantic_classes']
    renamed = type(SECOND)((names[0], *names[:0:-1]), SECOND.palette)
    other, _ = members(1, classes=renamed)
    with pytest.raises(ClassMismatchError, match=r'pth\) was trained on .*, water; the data set'):
        PseudoLabeler(other, pairs, tmp_path / 'other').run()
    mixed = dict(few, members=[*few['members'][1:], *members(1, first_seed=7)[0]['members']])
    with pytest.raises(ClassMismatchError, match=r'1\.pth\) has 4, .*7\.pth\) has 6'):
        PseudoLabeler(mixed, pairs, tmp_path / 'mixed').run()


def test_members_trained_on_change_alone_are_refused(tmp_path, second, members):
    pairs, _ = second
    model, _ = members(2)
    for number, entry in enumerate(model['members']):
        checkpoint = load_checkpoint_file(entry['checkpoint'])
        checkpoint['meta']['trained_roles'] = ['change']
        torch.save(checkpoint, entry['checkpoint'])
        # One of them, and then both.
        message = ('members were trained on change alone', r'on change, .* on land_cover and')[
            not number
        ]
        with pytest.raises(ClassMismatchError, match=message):
            PseudoLabeler(model, pairs, tmp_path / str(number)).run()


def test_options_that_can_not_be_used(tmp_path, second, members):
    pairs, _ = second
    model, _ = members(1)
    for options, message in (
        (dict(method='mean'), "one of .'vote', 'soft'., got 'mean'"),
        (dict(selection=Selection()), 'vote has no thresholds'),
        (dict(batch_size=0), 'batch_size has to be 1 or more'),
        (dict(transforms=('turn',)), 'transforms must be'),
    ):
        with pytest.raises(ValueError, match=message):
            PseudoLabeler(model, pairs, tmp_path / 'out', **options)
    unknown = Selection(quota={'lake': 0.5})
    with pytest.raises(LabelValueError, match=r"quota names the classes \['lake'\]"):
        PseudoLabeler(model, pairs, tmp_path / 'out', 'soft', unknown)
    assert not (tmp_path / 'out').exists()


def test_an_image_that_can_not_be_read_stops_the_run(tmp_path, second, members):
    pairs, _ = second
    (tmp_path / 'data/im1/g.png').write_bytes(b'\x89PNG\r\n\x1a\n')
    for workers in (0, 1):
        labeler = PseudoLabeler(members()[0], pairs, tmp_path / 'out', workers=workers)
        with pytest.raises(ValueError, match=r'im1/g\.png'):
            labeler.run()
    assert not (tmp_path / 'out/report.json').exists()
