"""Predict the pair of a job in a process of its own: ``python -m ... FOLDER``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tfinet_mm.apis.command import main as predict
from tfinet_mm.integrations.serve.checks import check_images
from tfinet_mm.integrations.serve.jobs import ERROR_FILE, REQUEST_FILE, RESULTS
from tfinet_mm.integrations.serve.parent import end_with_parent
from tfinet_mm.integrations.serve.products import REPORT
from tfinet_mm.report import write_report
from tfinet_mm.utils.command import is_expected, message_of, run_command


def main() -> int | None:
    """Check the two files of a job, predict them and write the report.

    The error that ends it is written to the folder, as the server shows it.
    """
    folder = Path(sys.argv[1]).resolve()
    # The words of a job name its files without their folder, and so do messages.
    os.chdir(folder)
    end_with_parent()
    try:
        return run_request(json.loads(Path(REQUEST_FILE).read_bytes()))
    except Exception as error:
        if is_expected(error):
            text = json.dumps(message_of(error).replace(f'{folder}{os.sep}', ''))
            Path(ERROR_FILE).write_text(text, encoding='utf-8')
        raise


def run_request(request: dict[str, Any]) -> int | None:
    """Predict what a request in the current folder asks for.

    Args:
        request: ``before`` and ``after``, names of files in the current folder; ``network`` and
            ``options``, words of the command that predicts; ``title``; ``picture_pixels`` and
            ``scene_pixels``.
    """
    before, after = request['before'], request['after']
    check_images(Path(before), Path(after), request['picture_pixels'], request['scene_pixels'])
    status = predict([*request['network'], before, after, '--out', RESULTS, *request['options']])
    if status:
        return status
    write_report(RESULTS, Path(RESULTS) / REPORT, title=request['title'])
    return None


if __name__ == '__main__':
    run_command(main)
