"""Test tools/browse_dataset.py as users run it."""

import numpy as np
from PIL import Image

CONFIG = """
default_scope = 'mmseg'
train_dataloader = dict(dataset=dict(
    type='tfinet_mm.SECONDDataset', data_root={root!r},
    pipeline=[
        dict(type='tfinet_mm.LoadImagePair'),
        dict(type='tfinet_mm.LoadPairAnnotations'),
        dict(type='tfinet_mm.RandomFlipOrRotate', probs=(0, 1, 0, 0, 0, 0)),
        dict(type='tfinet_mm.PackPairInputs'),
    ]))
"""


def test_pictures_show_what_training_sees(make_scd, tmp_path, tools, run):
    written = make_scd(['a.1', 'sub/b', 'sub b'], sizes=(96, 96))
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.format(root=str(tmp_path)))
    output = run(tools / 'browse_dataset.py', config, '--out', tmp_path / 'seen', '--number', '9')
    assert '3 visualisations of 3 samples' in output
    files = sorted(path.name for path in (tmp_path / 'seen').iterdir())
    assert files == ['0000_a.1.png', '0001_sub b.png', '0002_sub_b.png']
    picture = np.asarray(Image.open(tmp_path / 'seen' / '0000_a.1.png').convert('RGB'))
    # The drawing contains the flipped first image, with each pixel as a square of 2 x 2 or more.
    flipped = written['a.1']['before'][:, ::-1]
    rows = [row for row in range(picture.shape[0] - 192) if matches(picture, flipped, row)]
    assert rows


def matches(picture, image, row):
    strip = image[0].repeat(2, axis=0)
    return any(
        np.array_equal(picture[row, column : column + 192], strip)
        for column in range(picture.shape[1] - 192)
        if np.array_equal(picture[row, column], strip[0])
    )
