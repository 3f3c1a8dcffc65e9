"""Predict one pair of a command that gives each pair a job: ``python -m ... JOBS NUMBER``."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from tfinet_mm.apis.command import predict_claimed
from tfinet_mm.apis.command_jobs import OUTCOME_FILE
from tfinet_mm.apis.command_outcomes import PREDICTED, Outcome, failure
from tfinet_mm.apis.command_output import Pair
from tfinet_mm.utils.command import run_command
from tfinet_mm.utils.manifest import RunManifest


def main() -> None:
    """Predict the pair whose file and number are the words of the command line."""
    content = json.loads(Path(sys.argv[1]).read_text(encoding='utf-8'))
    os.chdir(content['folder'])
    job = content['jobs'][sys.argv[2]]
    pair = Pair(*job['pair'])
    outcome, started = Outcome(PREDICTED), time.monotonic()
    try:
        predict_claimed(content['arguments'], pair, set(content['kinds']))
    except Exception as error:
        outcome = failure(error)
        raise
    finally:
        outcome = outcome._replace(seconds=time.monotonic() - started)
        RunManifest(Path(job['log']).parent, OUTCOME_FILE).write(outcome._asdict())


if __name__ == '__main__':
    run_command(main)
