import subprocess
import sys
import warnings

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


def test_importing_mmseg_says_nothing():
    code = 'from tfinet_mm.utils.quiet import import_mmseg; import_mmseg(); import mmseg.datasets'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout == ''
    assert 'MultiScaleDeformableAttention' not in done.stderr
