"""Test what happens to jobs besides requests: sweeping, restarts, processes, devices."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfinet_mm.integrations.serve import jobs, parent
from tfinet_mm.integrations.serve.jobs import Job, JobFolder
from tfinet_mm.integrations.serve.progress import read_log, read_progress, read_warnings


def is_alive(pid):
    """Return whether a process runs; one that has ended and waits for its parent doesn't."""
    try:
        state = Path(f'/proc/{pid}/stat').read_text(encoding='utf-8').rpartition(') ')[2][0]
    except OSError:
        return False
    return state != 'Z'


def wait_until(test, seconds=15):
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end
        time.sleep(0.02)


def put(queue, text=b''):
    """Add a job to a queue as an upload does."""
    job = queue.new()
    job.names = dict(before='b.tif', after='a.tif')
    job.files = dict(before='before.tif', after='after.tif')
    for name in job.files.values():
        (job.folder / name).write_bytes(text)
    queue.submit(job)
    return job


def processes(job):
    path = job.folder / 'processes.json'
    wait_until(path.is_file)
    return json.loads(path.read_bytes())


@pytest.fixture
def started(new_queue):
    """A function that starts a queue; all are closed after the test."""
    made = []

    def start(*args, **options):
        queue = new_queue(*args, **options)
        queue.start()
        made.append(queue)
        return queue

    yield start
    for queue in made:
        queue.close()


needs_proc = pytest.mark.skipif(not Path('/proc/self/stat').is_file(), reason='no /proc')


@needs_proc
@pytest.mark.parametrize('text', [b'SLOW', b'SLOW STUBBORN'])
def test_cancelling_ends_all_processes_of_a_job(started, monkeypatch, text):
    monkeypatch.setattr('tfinet_mm.integrations.serve.queue.GRACE_S', 0.3)
    queue = started()
    job = put(queue, text)
    running = processes(job)
    assert all(map(is_alive, running))
    queue.cancel(job)
    wait_until(lambda: job.state == 'cancelled')
    wait_until(lambda: not any(map(is_alive, running)))


def test_a_job_at_a_time_on_each_device(started):
    queue = started(devices=['cuda:0', 'cuda:1'])
    jobs = [put(queue, b'SLOW') for _ in range(3)]
    for job in jobs[:2]:
        processes(job)
    assert [job.state for job in jobs] == ['running', 'running', 'waiting']
    requests = [json.loads((job.folder / 'request.json').read_bytes()) for job in jobs[:2]]
    assert sorted(one['options'] for one in requests) == [
        ['--device', 'cuda:0'],
        ['--device', 'cuda:1'],
    ]
    queue.cancel(jobs[0])
    processes(jobs[2])


def test_the_words_of_the_server_come_before_those_of_a_job(started):
    queue = started(network=['a.py', 'b.pth'], options=['--no-tta'])
    job = queue.new()
    job.names = job.files = dict(before='before.tif', after='after.tif')
    job.options = ['--threshold=0.4']
    (job.folder / 'before.tif').touch()
    queue.submit(job)
    wait_until(lambda: job.state == 'done')
    request = json.loads((job.folder / 'request.json').read_bytes())
    assert request['network'] == ['a.py', 'b.pth']
    assert request['options'] == ['--no-tta', '--threshold=0.4']


def test_a_job_that_cannot_be_started_does_not_stop_the_others(started, capsys):
    queue = started(command=['/nowhere/python'])
    jobs = [put(queue), put(queue)]
    wait_until(lambda: all(job.state == 'failed' for job in jobs))
    assert 'could not be started' in jobs[0].error
    assert '/nowhere/python' in capsys.readouterr().err


def test_jobs_are_removed_after_their_time(started):
    queue = started(dict(keep_seconds=3600))
    job, other = put(queue), put(queue, b'SLOW')
    wait_until(lambda: job.state == 'done' and other.state == 'running')
    queue.sweep(job.ended + 3599)
    assert job in queue.jobs()
    queue.sweep(job.ended + 3601)
    assert queue.jobs() == [other]
    assert not job.folder.exists()


def test_an_idle_server_removes_them_in_time(started):
    queue = started(dict(keep_seconds=0.3))
    job = put(queue)
    wait_until(lambda: job.state == 'done')
    wait_until(lambda: queue.jobs() == [] and not job.folder.exists())


def test_the_oldest_jobs_make_room(started):
    queue = started(dict(kept=2))
    jobs = []
    for _ in range(3):
        jobs.append(put(queue))
        wait_until(lambda: jobs[-1].state == 'done')
    wait_until(lambda: queue.jobs() == [jobs[2], jobs[1]])
    wait_until(lambda: not jobs[0].folder.exists())


def test_jobs_outlive_their_server(new_queue, started):
    first = new_queue()
    first.start()
    done, running, waiting = put(first), put(first, b'SLOW'), put(first)
    processes(running)
    cut_off = first.new()
    (cut_off.folder / 'before.tif').write_bytes(b'part')
    (done.folder.parent / 'of somebody').mkdir()
    first.close()
    (running.folder / 'processes.json').unlink()
    second = started()
    found = {job.id: job for job in second.jobs()}
    assert set(found) == {done.id, running.id, waiting.id}
    assert found[done.id].products == done.products
    # It begins again, since its server was stopped in order.
    processes(running)
    assert found[waiting.id].state == 'waiting'
    assert not cut_off.folder.exists()
    assert (done.folder.parent / 'of somebody').is_dir()


def test_jobs_of_a_server_that_was_killed(new_queue, started, tmp_path):
    folder = JobFolder(tmp_path / 'serve')
    job = folder.new()
    job.names, job.files = dict(before='b', after='a'), dict(before='before.tif')
    (job.folder / 'before.tif').touch()
    job.state, job.started = 'running', time.time()
    job.save()
    old = folder.new()
    old.names, old.state, old.ended = dict(before='b', after='a'), 'done', time.time() - 1e6
    old.save()
    damaged = folder.new()
    (damaged.folder / 'job.json').write_text('{"state": ')
    (found,) = started().jobs()
    assert (found.id, found.state) == (job.id, 'failed')
    assert 'send it again' in found.error
    assert not (job.folder / 'before.tif').exists()
    assert not old.folder.exists()
    assert not damaged.folder.exists()


def test_what_is_stored_is_read_back(tmp_path):
    job = JobFolder(tmp_path).new()
    job.names = dict(before='ä\udc80.tif', after='a')
    job.products, job.options = {'report.html': 3}, ['--align']
    job.save()
    assert Job.read(job.folder) == job


@needs_proc
def test_a_prediction_ends_with_its_server():
    """Its input is closed when the server is gone, however that came."""
    # Without the package, whose import takes seconds.
    program = f'import runpy, time; runpy.run_path({parent.__file__!r})["end_with_parent"](); '
    program += 'print("ready", flush=True); time.sleep(60)'
    process = subprocess.Popen(
        [sys.executable, '-S', '-c', program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == b'ready\n'
        process.stdin.close()
        assert process.wait(20) == -signal.SIGKILL
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        ('', None),
        ('Reading 3/4 of it [not a bar]', None),
        ('\rb:  0%|  | 0/9 [00:00<?, ?window/s]\rb: 10%|#| 1/9 [00:03<00:30, 3.1s/window]', (1, 9)),
        ('\r100%|##| 9/9 [00:09<00:00, 1.1window/s]\n\rb:  0%| | 0/4 [00:00<?, ?file/s]', (0, 4)),
        ('  0%|          | 0/1 [00:00<?, ?pair/s]', (0, 1)),
    ],
)
def test_progress_is_that_of_the_newest_bar(tmp_path, text, found):
    (tmp_path / 'log').write_bytes(text.encode())
    progress = read_progress(tmp_path / 'log')
    assert (progress and progress[:2]) == found


def test_progress_is_what_tqdm_draws(tmp_path):
    from tqdm import tqdm

    with (tmp_path / 'log').open('w') as log:
        bar = tqdm(total=7, desc='scene 1/2 [x]', unit='window', file=log, mininterval=0)
        bar.update(5)
        assert read_progress(tmp_path / 'log') == (5, 7, 'window')
        bar.close()
    assert '0/7' not in read_log(tmp_path / 'log')


def test_a_log_is_read_in_part(tmp_path):
    (tmp_path / 'log').write_bytes(b'x' * 300_000 + b'\nend\xff\r\n')
    text = read_log(tmp_path / 'log')
    assert len(text) <= 200_000
    assert text.endswith('end\N{REPLACEMENT CHARACTER}\n')
    assert read_log(tmp_path / 'none') == ''


def test_warnings_are_found_all_over_a_log(tmp_path):
    """They may stand before the bars of a long prediction, or behind one."""
    bar = '\rbefore:  25%|#   | 3/12 [00:01<00:03, 2.9window/s]'
    text = f'Reading\nwarning: first\r\n{bar * 5000}warning: second\n{bar}\nno warning: third\n'
    (tmp_path / 'log').write_bytes((text + 'warning: first\n').encode() + b'warning: \xff\n')
    assert len(text) > 200_000
    assert read_warnings(tmp_path / 'log') == ['first', 'second', '\N{REPLACEMENT CHARACTER}']
    assert read_warnings(tmp_path / 'none') == []


def test_a_job_that_ends_while_it_is_read(started, monkeypatch):
    """A client gets one state, not parts of two."""
    queue = started()
    job = put(queue, b'SLOW')
    processes(job)
    read = jobs.read_progress

    def end_meanwhile(log):
        progress = read(log)
        queue.cancel(job)
        wait_until(lambda: job.state == 'cancelled')
        return progress

    monkeypatch.setattr(jobs, 'read_progress', end_meanwhile)
    assert queue.public(job)['state'] == 'running'
    monkeypatch.setattr(jobs, 'read_progress', read)
    public = queue.public(job)
    assert (public['state'], public['progress']) == ('cancelled', None)
