"""Run the tutorial and store its output in it: `python docs/_ext/run_tutorial.py`."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

TUTORIAL = Path(__file__).parents[1] / 'tutorial.ipynb'


def run(file: Path) -> nbformat.NotebookNode:
    """Return a notebook with the present output of its cells, without warnings and times.

    Args:
        file: The notebook.

    Raises:
        CellExecutionError: A cell fails.
    """
    notebook = nbformat.read(file, as_version=4)
    client = NotebookClient(
        notebook, timeout=250, kernel_name='python3', record_timing=False, coalesce_streams=True
    )
    client.execute(cwd=str(file.parent))
    for cell in notebook.cells:
        if cell.cell_type == 'code':
            cell.outputs = [one for one in cell.outputs if one.get('name') != 'stderr']
    # The version of the Python that ran it would differ each time.
    notebook.metadata.language_info = {'name': 'python'}
    return notebook


if __name__ == '__main__':
    nbformat.write(run(TUTORIAL), TUTORIAL)
