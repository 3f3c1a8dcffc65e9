"""Scenes of a few windows, and networks that depend on a few pixels around each."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from tfinet_mm.structures import ClassTable, SCDProbabilities

TABLE = ClassTable(
    ('unchanged', 'water', 'wood', 'town'), ((0, 0, 0), (0, 0, 255), (0, 128, 0), (255, 0, 0))
)


class Network:
    """Stand in for an SCDInferencer: blur over 5 x 5 pixels, then compare bands.

    Args:
        window: Default side of windows.
        bands: Number of bands of each date.
        threshold: Threshold on P(changed).
    """

    def __init__(self, window=32, bands=3, threshold=0.5, batch_size=2):
        self.window, self.overlap, self.batch_size = window, window // 4, batch_size
        self.network_bands, self.other_transforms = bands, []
        self.bands = self.value_range = None
        self.class_table = TABLE
        self.software = dict(torch=str(torch.__version__))
        self.settings = dict(
            model=[dict(name='blur', checkpoint='blur.pth', weights='abc')],
            tta=[],
            amp=None,
            threshold=threshold,
            classes=list(TABLE.names),
        )
        self.seen, self.whole = [], False

    @contextmanager
    def whole_images(self):
        self.whole = True
        yield
        self.whole = False

    def predict_probabilities(self, pairs):
        self.seen.append(pairs.shape)
        values = torch.as_tensor(pairs).float() / 255
        blurred = torch.nn.functional.avg_pool2d(
            torch.nn.functional.pad(values, (2, 2, 2, 2), mode='replicate'), 5, 1
        )
        before, after = blurred.chunk(2, dim=1)
        change = (6 * (before - after).abs().mean(1, keepdim=True)).clamp(0, 1)
        cycle = torch.arange(3) % before.shape[1]
        return SCDProbabilities(
            *(torch.softmax(8 * date[:, cycle], dim=1) for date in (before, after)), change
        )


@pytest.fixture(scope='session')
def network():
    return Network


@pytest.fixture
def scene(raster):
    """Write (B, H, W) as a GeoTIFF whose upper left corner and pixel size are given."""
    return lambda name, values, *args, **options: Path(
        raster(f'{name}.tif', values, *args, **options)
    )


def fields(height, width, seed=0, bands=3, scale=255, dtype=np.uint8):
    """Return smooth random values from 1 on, so that 0 can be nodata."""
    import cv2

    noise = np.random.default_rng(seed).random((bands, height, width)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(band, (0, 0), 4) for band in noise])
    low, high = smooth.min(), smooth.max()
    return (1 + (smooth - low) / (high - low) * (scale - 1)).astype(dtype)


@pytest.fixture(scope='session')
def smooth():
    return fields


@pytest.fixture
def staged(monkeypatch):
    """Keep the staged rows instead of making results of them, and read them."""
    from tfinet_mm.scenes import prediction

    def keep(inferencer, pair, staging, out, *_):
        for path in staging.folder.glob('*.img'):
            shutil.copy(path, out)
        return {}

    monkeypatch.setattr(prediction, '_write_results', keep)
    monkeypatch.setattr(prediction, 'write_quicklooks', lambda *_: None)
    monkeypatch.setattr(prediction, 'raster_hashes', lambda *_: {})
    return lambda out: {path.name: path.read_bytes() for path in sorted(out.glob('*.img'))}
