import json
import runpy
from pathlib import Path

import pytest
from PIL import Image

TOOL = Path(__file__).resolve().parents[3] / 'tools' / 'dataset' / 'make_synthetic.py'


@pytest.fixture(scope='module')
def main():
    return runpy.run_path(str(TOOL))['main']


def test_writes_and_reuses(main, tmp_path, capsys):
    root = tmp_path / 'data set'
    arguments = [str(root), '--train', '2', '--val', '1', '--size', '40', '56', '--seed', '3']
    main([*arguments, '--workers', '1'])
    assert '3 pairs written' in capsys.readouterr().out
    with Image.open(root / 'val' / 'im2' / '00000.png') as image:
        assert image.size == (56, 40)
    assert json.loads((root / 'meta.json').read_text())['config']['seed'] == 3
    main([*arguments, '--workers', '2'])
    assert '0 pairs written' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('extra', 'message'),
    [(['--seed', '4'], r'config\.seed was 0, is 4'), (['--size', '8'], 'expected a size')],
)
def test_errors_are_named(main, tmp_path, extra, message):
    arguments = [str(tmp_path), '--train', '1', '--val', '0', '--size', '40', '--workers', '1']
    main(arguments)
    with pytest.raises((FileExistsError, ValueError), match=message):
        main([*arguments, *extra])
