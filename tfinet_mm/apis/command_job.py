"""Predict one pair of a command that gives each pair a job: ``python -m ... JOBS NUMBER``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tfinet_mm.apis.command import predict_claimed
from tfinet_mm.apis.command_output import Pair
from tfinet_mm.utils.command import run_command


def main() -> None:
    """Predict the pair whose file and number are the words of the command line."""
    content = json.loads(Path(sys.argv[1]).read_text(encoding='utf-8'))
    os.chdir(content['folder'])
    pair = Pair(*content['jobs'][sys.argv[2]]['pair'])
    predict_claimed(content['arguments'], pair, set(content['kinds']))


if __name__ == '__main__':
    run_command(main)
