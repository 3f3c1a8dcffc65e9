import subprocess
import sys
import warnings
from pathlib import Path

import tfinet_mm
from tfinet_mm.utils.quiet import NOISE, WARNING, quiet_imports


def test_only_the_two_messages_are_dropped(capsys):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        with quiet_imports():
            print(NOISE)
            print('a result')
            warnings.warn(WARNING, stacklevel=1)
            warnings.warn('another', stacklevel=1)
    assert capsys.readouterr().out == 'a result\n'
    assert [str(one.message) for one in seen] == ['another']


CONFIGS = Path(tfinet_mm.__file__).parents[1] / 'configs'
PROGRAM = """
import sys
from tfinet_mm.utils.config.loading import load_config
from tfinet_mm.registry import MODELS
for path in sys.argv[1:]:
    cfg = load_config(path)
MODELS.build(cfg.model.neck)
import mmseg.datasets
"""


def test_reading_configs_says_once_what_users_have_to_know():
    """Import mmseg in a separate process, whose imports may print nothing."""
    names = ('_base_/../demo/tfinet_r18_synthetic.py', 'demo/tfinet_r18_synthetic.py')
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM, *(str(CONFIGS / name) for name in names)],
        capture_output=True,
        text=True,
        check=True,
    )
    printed = done.stdout + done.stderr
    assert printed.count('Configs are Python code, which runs with your rights') == 1
    assert [line for line in done.stdout.splitlines() if 'Configs are' not in line] == []
    assert NOISE not in printed
    assert 'MultiScaleDeformableAttention' not in printed
