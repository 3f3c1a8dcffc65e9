"""Score the weights of the package in int8 against float32, as docs/export.md states it."""

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.apis.network_export import export_network
from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset
from tfinet_mm.deploy.backends import openvino_core
from tfinet_mm.deploy.float_layers import MAPS
from tfinet_mm.evaluation import scd_scores
from tfinet_mm.evaluation.confusion import scd_confusion

openvino = pytest.importorskip('openvino')
pytest.importorskip('nncf')
pytest.importorskip('onnxscript')


def scored(path, pairs):
    """Return SeK in percent, and change and both land covers of each pair."""
    compiled = openvino_core().compile_model(path, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    counts, maps = 0, []
    for name in sorted(one.name for one in (pairs / 'im1').iterdir()):
        read = {kind: np.asarray(Image.open(pairs / kind / name)) for kind in ('im1', 'im2')}
        labels = [np.asarray(Image.open(pairs / kind / name)) for kind in ('label1', 'label2')]
        images = [image.transpose(2, 0, 1)[None] for image in read.values()]
        made = compiled(dict(zip(('before', 'after'), images, strict=True)))
        change, *covers = (made[name][0] for name in MAPS)
        maps.append([change, *covers])
        counts = counts + scd_confusion(*labels, *(cover * change for cover in covers), 6)
    return scd_scores(counts)['SeK'], np.array(maps)


@pytest.mark.families
@pytest.mark.timeout(3600)
def test_int8_loses_less_than_half_a_point(tmp_path):
    write_dataset(tmp_path / 'data', 48, 40, SyntheticConfig(size=128, seed=9))
    train, held_out = tmp_path / 'data/train', tmp_path / 'data/val'
    made = {}
    for precision in ('fp32', 'int8'):
        options = {}
        if precision == 'int8':
            options = dict(calibrate=[train / 'im1', train / 'im2'], calibration_pairs=24)
        out = tmp_path / f'{precision}.xml'
        card = export_network(out=out, precision=precision, tta=False, **options).card
        made[precision] = scored(out, held_out)
    stated = card.calibration
    assert min(stated['agreement'].values()) >= 99
    assert stated['float_layers'] < 0.75 * stated['layers']
    assert made['fp32'][0] > 30
    assert made['int8'][0] > made['fp32'][0] - 0.5
    # Of pairs that it wasn't measured on.
    equal = (made['int8'][1] == made['fp32'][1]).mean((0, 2, 3))
    assert equal.min() > 0.985
