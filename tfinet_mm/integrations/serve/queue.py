"""Predict jobs one after the other on each device, in processes that can be stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfinet_mm.integrations.serve.checks import SKIPPED_DRIVERS
from tfinet_mm.integrations.serve.jobs import (
    CANCELLED,
    DONE,
    ENDED,
    ERROR_FILE,
    FAILED,
    REQUEST_FILE,
    RUNNING,
    UPLOADING,
    WAITING,
    Job,
    JobFolder,
    overdue,
    remove,
)
from tfinet_mm.integrations.serve.limits import Limits
from tfinet_mm.integrations.serve.products import REPORT, list_products
from tfinet_mm.integrations.serve.progress import read_warnings
from tfinet_mm.integrations.serve.refusal import Refusal
from tfinet_mm.utils.files import write_whole

MODULE = 'tfinet_mm.integrations.serve.prediction'
GRACE_S = 5.0
"""Seconds that a process has to end after SIGTERM."""
STEP_S = 0.1
SWEEP_S = 300.0
ENVIRONMENT = dict(
    PYTHONUNBUFFERED='1', TQDM_MININTERVAL='0.5', GDAL_SKIP=','.join(SKIPPED_DRIVERS)
)
"""Variables of the processes that predict."""
INTERRUPTED = 'The server ended while this job ran; send it again'


class JobQueue:
    """All jobs of a server, and the threads that predict them.

    Args:
        folder: Folder of the server.
        limits: Its limits.
        network: Words of the command that predicts for the network: none, CHECKPOINT, or CONFIG
            and CHECKPOINT.
        options: Further words for all jobs.
        devices: A device for each job that runs at a time, such as ``cuda:0``; None for a GPU if
            there is one.
        command: Command to which the folder of a job is added.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        network: Sequence[str] = (),
        options: Sequence[str] = (),
        devices: Sequence[str | None] = (None,),
        command: Sequence[str] = (sys.executable, '-m', MODULE),
    ) -> None:
        self.limits = limits
        self._folder = JobFolder(folder.resolve())
        self._network, self._options, self._command = list(network), list(options), list(command)
        self._devices = list(devices)
        self._jobs: dict[str, Job] = {}
        self._waiting: list[Job] = []
        self._cancelled: set[str] = set()
        self._removed: set[str] = set()
        self._changed = threading.Condition()
        self.closing = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Take up the jobs of an earlier server, and start to predict."""
        for job in self._folder.recall():
            self._jobs[job.id] = job
            if job.state == RUNNING:
                self._end(job, FAILED, INTERRUPTED)
            elif job.state == WAITING:
                self._waiting.append(job)
        self.sweep()
        self._threads = [
            threading.Thread(target=self._work, args=(device,), daemon=True)
            for device in self._devices
        ]
        self._threads.append(threading.Thread(target=self._sweep_often, daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let all processes and requests that wait end soon; does not wait for them.

        It takes no lock, so a handler of signals may call it.
        """
        self.closing = True

    def close(self) -> None:
        """Stop all processes; jobs that run are predicted from the start by the next server."""
        with self._changed:
            self.closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(GRACE_S * 2)

    def jobs(self) -> list[Job]:
        """Return all jobs, the newest first."""
        with self._changed:
            found = [job for job in self._jobs.values() if job.state != UPLOADING]
        return sorted(found, key=lambda job: job.created, reverse=True)

    def job(self, id: str) -> Job:
        """Return a job.

        Raises:
            Refusal: There is none of this id.
        """
        with self._changed:
            found = self._jobs.get(id)
        if found is None or found.state == UPLOADING:
            raise Refusal(404, 'there is no such job; it may have been removed')
        return found

    def place(self, job: Job) -> int | None:
        """Return the place of a job among those that wait, from 1; None where it doesn't wait."""
        with self._changed:
            return self._waiting.index(job) + 1 if job in self._waiting else None

    def public(self, job: Job) -> dict[str, Any]:
        """Return what a client may know of a job, as values of JSON."""
        # A copy, since the job may end while its log is read for the progress.
        with self._changed:
            copy, place = replace(job), self.place(job)
        return copy.public(place)

    def new(self) -> Job:
        """Make a job for an upload that begins.

        Raises:
            Refusal: Too many jobs wait.
        """
        with self._changed:
            waiting = [one for one in self._jobs.values() if one.state in (UPLOADING, WAITING)]
            if len(waiting) >= self.limits.waiting:
                raise Refusal(
                    429,
                    f'{len(waiting)} jobs are waiting, as many as this server keeps '
                    '(--max-waiting); try again later',
                    {'Retry-After': '60'},
                )
            job = self._folder.new()
            self._jobs[job.id] = job
            return job

    def submit(self, job: Job) -> None:
        """Let a job whose files are there wait for its turn."""
        with self._changed:
            job.state = WAITING
            job.save()
            self._waiting.append(job)
            self._changed.notify_all()

    def cancel(self, job: Job) -> None:
        """Stop a job that waits or runs; nothing happens to one that has ended.

        A process that runs is told to stop, and killed if it doesn't within seconds.
        """
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
                self._end(job, CANCELLED)
            elif job.state == RUNNING:
                self._cancelled.add(job.id)
                self._changed.notify_all()

    def remove(self, job: Job) -> None:
        """Remove a job with all its files, after stopping it."""
        with self._changed:
            if job.state == RUNNING:
                self._cancelled.add(job.id)
                self._removed.add(job.id)
                self._changed.notify_all()
                return
            if job in self._waiting:
                self._waiting.remove(job)
            self._jobs.pop(job.id, None)
        remove(job)

    def sweep(self, now: float | None = None) -> None:
        """Remove jobs that are kept no longer.

        Args:
            now: Seconds since 1970; the present by default.
        """
        now = time.time() if now is None else now
        with self._changed:
            found = overdue(self._jobs, self.limits.kept, self.limits.keep_seconds, now)
        for job in found:
            self.remove(job)

    def _sweep_often(self) -> None:
        while not self.closing:
            with self._changed:
                pause = min(SWEEP_S, max(self.limits.keep_seconds, STEP_S))
                self._changed.wait_for(lambda: self.closing, pause)
            self.sweep()

    def _work(self, device: str | None) -> None:
        """Predict job after job on a device."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.closing or self._waiting)
                if self.closing:
                    return
                job = self._waiting.pop(0)
                job.state, job.started = RUNNING, time.time()
            try:
                job.save()
                self._run(job, device)
            except Exception as error:
                # The thread has to take the next job.
                traceback.print_exception(error)
                self._end(job, FAILED, f'The prediction could not be started: {error}')
            self._forget(job)
            self.sweep()

    def _run(self, job: Job, device: str | None) -> None:
        """Run the process of a job to its end, and note how it ended."""
        chosen = [] if device is None else ['--device', device]
        request = dict(
            job.files,
            network=self._network,
            options=[*self._options, *chosen, *job.options],
            title=job.title,
            picture_pixels=self.limits.picture_pixels,
            scene_pixels=self.limits.scene_pixels,
        )
        text = json.dumps(request).encode()
        write_whole(job.folder / REQUEST_FILE, text)
        with job.log.open('wb') as log:
            process = subprocess.Popen(
                [*self._command, str(job.folder)],
                # Its end tells the process that the server is gone.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | ENVIRONMENT,
            )
        try:
            reason = self._wait(job, process)
        finally:
            end_group(process)
        if reason == CANCELLED:
            self._end(job, CANCELLED)
        elif reason == WAITING:
            with self._changed:
                job.state, job.started = WAITING, None
                job.save()
        elif reason:
            self._end(job, FAILED, reason)
        elif process.returncode == 0 and (job.results / REPORT).is_file():
            products = list_products(job.results)
            warnings = [job.told(one) for one in read_warnings(job.log)]
            self._end(job, DONE, products=products, warnings=warnings)
        else:
            self._end(job, FAILED, why(job, process.returncode))

    def _wait(self, job: Job, process: subprocess.Popen[bytes]) -> str | None:
        """Wait for the end of a process; returns why it is to be ended before, None if it ended."""
        limit = time.monotonic() + self.limits.job_seconds
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STEP_S)
                return None
            with self._changed:
                if job.id in self._cancelled:
                    return CANCELLED
                if self.closing:
                    return WAITING
            if time.monotonic() > limit:
                minutes = self.limits.job_seconds / 60
                return (
                    f'The prediction was stopped after {minutes:.4g} minutes, the longest time of '
                    'this server (--max-minutes); give a smaller scene'
                )

    def _end(self, job: Job, state: str, error: str = '', **made: Any) -> None:
        with self._changed:
            job.state, job.error, job.ended = state, error, time.time()
            for name, value in made.items():
                setattr(job, name, value)
            job.drop_uploads()
            # A full disk must not end the thread; the job is as the memory has it until a restart.
            with suppress(OSError):
                job.save()
            self._changed.notify_all()

    def _forget(self, job: Job) -> None:
        """Forget what was asked of a job while it ran."""
        with self._changed:
            self._cancelled.discard(job.id)
            unwanted = job.id in self._removed and job.state in ENDED
            self._removed.discard(job.id)
        if unwanted:
            self.remove(job)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process with its children: by SIGTERM, after a grace by SIGKILL."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    # Children may have survived it.
    _signal(process, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    # Its group has its number, since it leads one.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def why(job: Job, status: int) -> str:
    """Return the sentence that says why the process of a job failed.

    Args:
        job: The job.
        status: Exit status of its process, negative for a signal.
    """
    with suppress(OSError, ValueError):
        return job.told(str(json.loads((job.folder / ERROR_FILE).read_bytes())))
    if status < 0:
        name = signal.Signals(-status).name
        hint = ', as the system does when memory runs out' if status == -signal.SIGKILL else ''
        return f'The prediction was ended by {name}{hint}; see the log'
    return f'The prediction failed with status {status}; see the log'
