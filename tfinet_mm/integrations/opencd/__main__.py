"""Run a program of Open-CD's beside the maintained stack.

python -m tfinet_mm.integrations.opencd open-cd/tools/train.py CONFIG [options]
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from tfinet_mm.integrations.opencd.compat import enable


def main() -> None:
    """Run the program that the first argument names, with the others."""
    if len(sys.argv) < 2 or sys.argv[1] in ('-h', '--help'):
        print(__doc__)
        sys.exit(0 if len(sys.argv) > 1 else 2)
    enable()
    program = sys.argv[1]
    sys.argv = sys.argv[1:]
    # As Python itself does; the first entry was the working directory.
    sys.path.insert(0, str(Path(program).resolve().parent))
    runpy.run_path(program, run_name='__main__')


if __name__ == '__main__':
    main()
