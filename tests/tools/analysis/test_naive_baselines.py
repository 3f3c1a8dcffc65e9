import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset

TOOL = Path(__file__).resolve().parents[3] / 'tools' / 'analysis' / 'naive_baselines.py'


@pytest.fixture(scope='module')
def tool():
    return runpy.run_path(str(TOOL))


def test_worked_figures(tool, tmp_path):
    # One pair of 4 x 4 pixels: the upper half turns from class 1 (black) to 2 (white) and is
    # annotated as changed, and so is, wrongly coloured, the first pixel of the lower half.
    before = np.zeros((4, 4, 3), np.uint8)
    after = before.copy()
    after[:2] = 255
    label1 = np.zeros((4, 4), np.uint8)
    label1[:2] = 1
    label1[2, 0] = 1
    label2 = label1 * 2
    for split in ('train', 'val'):
        for name, array in dict(im1=before, im2=after, label1=label1, label2=label2).items():
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            Image.fromarray(array).save(folder / 'a.png')
    figures = tool['score'](tmp_path, 'label', 32)
    # Otsu finds the upper 8 of 9 changed pixels; the classifier knows all of the first date
    # and the 8 white ones of the second.
    assert figures == pytest.approx(
        dict(
            changed_share=100 * 9 / 16,
            otsu_IoU=100 * 8 / 9,
            otsu_precision=100,
            otsu_recall=100 * 8 / 9,
            colour_accuracy=100 * 17 / 18,
        )
    )


def test_command_prints_and_writes(tool, tmp_path, capsys):
    write_dataset(tmp_path, 3, 2, SyntheticConfig(size=48, unchanged_pairs=0.0))
    tool['main']([str(tmp_path), '--json', str(tmp_path / 'figures.json')])
    out = capsys.readouterr().out
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert f'otsu_IoU         {figures["otsu_IoU"]:6.2f} %' in out
    assert 0 < figures['colour_accuracy'] < 100


def test_missing_pictures(tool, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'make_synthetic\.py'):
        tool['main']([str(tmp_path)])
