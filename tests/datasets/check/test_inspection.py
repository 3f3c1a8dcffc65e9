import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import GeneratedSCDDataset, SECONDDataset
from tfinet_mm.datasets.check import check_dataset, format_report
from tfinet_mm.datasets.check.inspection import inspect_pairs
from tfinet_mm.io import images

LOAD = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]
PACK = dict(type='tfinet_mm.PackPairInputs')


def dataset(root, steps=(), **options):
    return SECONDDataset(data_root=str(root), pipeline=[*LOAD, *steps, PACK], **options)


def test_labels_are_counted_as_stored_and_the_whole_pipeline_runs(make_scd, tmp_path):
    made = make_scd(['a', 'b'], sizes={'a': (20, 30), 'b': (9, 40)})
    crop = dict(type='tfinet_mm.RandomCropWithChange', crop_size=(10, 10))
    facts = list(inspect_pairs(dataset(tmp_path, [crop])))
    for one in facts:
        change = made[one.sample_id]['change']
        assert one.change_counts.tolist() == [(change == 0).sum(), (change == 1).sum(), 0]
    assert facts[0].packed == ((6, 10, 10), 'torch.uint8')
    assert facts[0].problems == []
    assert facts[1].packed is None
    (problem,) = facts[1].problems
    assert 'larger than the image b, 9 x 40' in problem.message


def test_random_transforms_draw_the_same_with_any_number_of_workers(make_scd, tmp_path):
    make_scd([f'{number}' for number in range(12)], sizes=(20, 40))
    turn = dict(type='tfinet_mm.RandomFlipOrRotate')
    state = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    found = [
        [one.packed for one in inspect_pairs(dataset(tmp_path, [turn]), workers)]
        for workers in (0, 0, 2)
    ]
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) == 2
    assert state == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


def test_pairs_that_a_pipeline_drops(make_scd, tmp_path):
    make_scd(['a', 'b'])

    def empty(results):
        return None if results['sample_id'] == 'a' else results

    for options, level in ((dict(), 'warning'), (dict(test_mode=True), 'error')):
        made = dataset(tmp_path, **options)
        made.pipeline.transforms.insert(2, empty)
        report = check_dataset(made, progress=iter)
        (problem,) = [one for one in report.problems if 'returns None' in one.message]
        assert problem.level == level
        assert '1 of 2 pairs' in problem.message


def test_a_transform_that_fails_is_named(make_scd, tmp_path):
    make_scd(['a'])
    steps = [dict(type='mmseg.ResizeToMultiple', size_divisor=0)]
    report = check_dataset(dataset(tmp_path, steps), progress=iter)
    (problem,) = [one for one in report.problems if one.level == 'error']
    assert problem.where == 'a'
    assert 'the transform ResizeToMultiple of the pipeline fails: ZeroDivision' in problem.message


def test_shares_of_a_pair(make_scd, tmp_path):
    made = make_scd(['a', 'b'], sizes=(64, 64), storage='index')
    label = made['a']['label_to']
    Image.fromarray(np.where(label == 2, np.uint8(255), label)).save(tmp_path / 'label2/a.png')
    for folder in ('label1', 'label2'):
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / folder / 'b.png')
    report = check_dataset(dataset(tmp_path), progress=iter)
    assert report.empty == 1
    assert report.to_dict()['packed'] == {'6x64x64 torch.uint8': 2}
    assert report.rows[1].changed == 0
    assert report.rows[0].ignored == pytest.approx((label == 2).mean())
    before, after = made['a']['label_from'], label
    cells = [((before == 4) & (after == 3)).sum(), ((before == 3) & (after == 4)).sum()]
    assert [report.from_to[3, 2], report.from_to[2, 3]] == cells
    assert report.most[3, 2] == cells[0]
    assert report.example[3, 2] == 0
    assert sum(share for *_, share in report.frequent_transitions()) == pytest.approx(1)
    shares = [share for *_, share in report.frequent_transitions()]
    assert shares == sorted(shares, reverse=True)


def test_headers_alone_tell_the_sizes(make_scd, tmp_path, monkeypatch):
    sizes = {'a': (20, 30), 'b': (20, 30), 'c': (9, 40), 'd': (9, 40)}
    make_scd(list(sizes), sizes=sizes, storage='index')
    Image.new('L', (30, 21)).save(tmp_path / 'label2' / 'b.png')
    (tmp_path / 'im2' / 'd.png').write_bytes(b'nonsense')
    read = []
    monkeypatch.setattr(
        images, 'decode_png', lambda data, know=images.decode_png: read.append(0) or know(data)
    )
    report = check_dataset(dataset(tmp_path), fast=True, progress=iter)
    assert report.sizes == {(20, 30): 2, (9, 40): 1}
    assert report.packed_kinds == {((6, 20, 30), 'torch.uint8'): (0, 0)}
    assert len(read) == 2  # Both images of the first pair.
    found = {one.where: one.message for one in report.problems}
    assert set(found) == {'b', 'd'}
    assert 'label2/b.png 30 x 21' in found['b']
    assert 'im2/d.png' in found['d']
    assert 'pixels     not read' in format_report(report, 'train')


def test_generated_pairs_are_checked_too():
    steps = [dict(type='tfinet_mm.LoadGeneratedPair'), PACK]
    made = GeneratedSCDDataset(num_pairs=3, world=dict(size=64), pipeline=steps)
    report = check_dataset(made, progress=iter)
    assert report.ok, report.problems
    assert report.storages == {'from': {'generated': 3}, 'to': {'generated': 3}}
    assert report.class_counts.sum() == 3 * 2 * 64 * 64
    assert report.packed_kinds == {((6, 64, 64), 'torch.uint8'): (0, 0)}


def test_a_killed_process_is_explained(make_scd, tmp_path):
    make_scd(['a', 'b'])
    made = dataset(tmp_path)
    made.pipeline.transforms.append(lambda results: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(RuntimeError, match=r'was killed, .*--workers 1'):
        list(inspect_pairs(made, 1))


SLOW = """
import sys, time
from tfinet_mm.datasets import SECONDDataset
from tfinet_mm.datasets.check.inspection import inspect_pairs
from tfinet_mm.io import images
from tfinet_mm.utils.command import run_command
def wait(results):
    time.sleep(1)
    return results
def main():
    data = SECONDDataset(data_root=sys.argv[1], pipeline=[dict(type='tfinet_mm.LoadImagePair')])
    data.pipeline.transforms.append(wait)
    for facts in inspect_pairs(data, 2):
        print(facts.sample_id, flush=True)
run_command(main)
"""


def test_ctrl_c_ends_all_processes(make_scd, tmp_path):
    make_scd([f'{number:03d}' for number in range(120)], sizes=(4, 4))
    words = [sys.executable, '-W', 'ignore', '-c', SLOW, str(tmp_path)]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    line = process.stdout.readline()
    while '000' not in line.split():
        line = process.stdout.readline()
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    # 120 pairs would take two processes 60 s.
    assert time.monotonic() - start < 40
    assert process.returncode == 130
    assert errors == 'stopped\n'
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
