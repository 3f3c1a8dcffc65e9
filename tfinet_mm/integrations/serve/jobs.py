"""Keep jobs in a folder each, which outlives the server for a time."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tfinet_mm.integrations.serve.products import PRODUCTS, REPORT
from tfinet_mm.integrations.serve.progress import read_progress
from tfinet_mm.utils.files import write_whole

UPLOADING, WAITING, RUNNING = 'uploading', 'waiting', 'running'
DONE, FAILED, CANCELLED = 'done', 'failed', 'cancelled'
ENDED = (DONE, FAILED, CANCELLED)
JOB_FILE, LOG_FILE, ERROR_FILE, REQUEST_FILE = 'job.json', 'log.txt', 'error.json', 'request.json'
RESULTS = 'results'
ID = re.compile('[0-9a-f]{20}')


@dataclass
class Job:
    """Prediction of one pair.

    Attributes:
        folder: Its own folder.
        names: Names of both files as they were uploaded, for display.
        files: Names under which they are stored.
        options: Words for the command that predicts.
        state: One of the states.
        created: Time of its upload, in seconds since 1970.
        started: Start of its prediction.
        ended: End of it.
        error: Sentence that says why it failed.
        warnings: Sentences that its prediction warned with.
        products: Bytes of each file that it made.
    """

    folder: Path
    names: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    state: str = UPLOADING
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    error: str = ''
    warnings: list[str] = field(default_factory=list)
    products: dict[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Return its name in addresses, which can't be guessed."""
        return self.folder.name

    @property
    def results(self) -> Path:
        """Return the folder of its results."""
        return self.folder / RESULTS

    @property
    def log(self) -> Path:
        """Return the file of what its prediction prints."""
        return self.folder / LOG_FILE

    @property
    def title(self) -> str:
        """Return the heading of its report."""
        return f'Changes from {self.names["before"]} to {self.names["after"]}'

    def told(self, text: str) -> str:
        """Return a text with the names of its files as they were uploaded, without its folder."""
        text = text.replace(f'{self.folder}{os.sep}', '')
        shown = {stored: self.names[date] for date, stored in self.files.items()}
        if not shown:
            return text
        # In one step, since a file may have been uploaded under the name that the other has here.
        pattern = '|'.join(rf'(?<![\w.-]){re.escape(stored)}(?![\w.-]*\w)' for stored in shown)
        return re.sub(pattern, lambda found: shown[found[0]], text)

    def save(self) -> None:
        """Write it to its folder."""
        kept = {one.name: getattr(self, one.name) for one in fields(self) if one.name != 'folder'}
        text = json.dumps(kept, ensure_ascii=False, indent=1)
        write_whole(self.folder / JOB_FILE, text.encode('utf-8', 'surrogatepass'))

    @classmethod
    def read(cls, folder: Path) -> Job | None:
        """Return the job of a folder, None if there is none that can be read."""
        try:
            kept = json.loads((folder / JOB_FILE).read_bytes())
            job = cls(folder, **kept)
            return job if isinstance(job.created, int | float) and job.names else None
        except (OSError, ValueError, TypeError):
            return None

    def drop_uploads(self) -> None:
        """Remove its uploaded files, which nothing needs after its end."""
        for name in self.files.values():
            with suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)

    def public(self, place: int | None = None) -> dict[str, Any]:
        """Return what a client may know, as values of JSON.

        Args:
            place: Its place among those that wait, from 1.
        """
        progress = read_progress(self.log) if self.state == RUNNING else None
        url = f'/api/jobs/{self.id}'
        files = [
            dict(
                name=name,
                content=PRODUCTS[name],
                bytes=self.products[name],
                url=f'{url}/files/{name}',
            )
            for name in PRODUCTS
            if name in self.products
        ]
        return dict(
            id=self.id,
            state=self.state,
            place=place,
            before=self.names.get('before'),
            after=self.names.get('after'),
            options=self.options,
            created=self.created,
            started=self.started,
            ended=self.ended,
            progress=None if progress is None else progress._asdict(),
            error=self.error or None,
            warnings=self.warnings,
            url=url,
            log=f'{url}/log',
            report=f'/jobs/{self.id}/report' if REPORT in self.products else None,
            zip=f'{url}/files.zip' if files else None,
            files=files,
        )


class JobFolder:
    """The folders of all jobs of a server.

    Args:
        folder: Folder to keep them in; others can't read it. It is made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / 'jobs'
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def new(self) -> Job:
        """Make the folder of a new job."""
        folder = self.folder / secrets.token_hex(10)
        folder.mkdir(mode=0o700)
        return Job(folder)

    def recall(self) -> list[Job]:
        """Return the jobs of an earlier server, the oldest first; remove unfinished uploads."""
        jobs = []
        for folder in self.folder.iterdir():
            if not ID.fullmatch(folder.name) or folder.is_symlink():
                continue
            job = Job.read(folder)
            if job is None or job.state == UPLOADING:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                jobs.append(job)
        return sorted(jobs, key=lambda job: job.created)


def remove(job: Job) -> None:
    """Remove the folder of a job; its name is gone at once, its files follow."""
    with suppress(OSError):
        (job.folder / JOB_FILE).unlink(missing_ok=True)
    shutil.rmtree(job.folder, ignore_errors=True)


def overdue(jobs: Mapping[str, Job], kept: int, keep_seconds: float, now: float) -> list[Job]:
    """Return the ended jobs that are kept no longer.

    Args:
        jobs: All jobs by their ids.
        kept: Most of them to keep, the newest.
        keep_seconds: Time to keep each after its end.
        now: Seconds since 1970.
    """
    ended = sorted(
        (job for job in jobs.values() if job.state in ENDED),
        key=lambda job: job.ended or job.created,
        reverse=True,
    )
    return [
        job
        for number, job in enumerate(ended)
        if number >= kept or now - (job.ended or job.created) > keep_seconds
    ]
