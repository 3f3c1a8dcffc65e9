"""Share tiny data sets in every variant that users have, written by one function."""

from __future__ import annotations

import logging
import os
import platform
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# Before torch is imported, here and in the processes that tests start. On networks this small
# two threads that wait for each other take up to five times the CPU time of one.
os.environ.setdefault('OMP_NUM_THREADS', '1')
# A shell lets what it runs in the background ignore Ctrl+C, and so would processes of tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image

from tfinet_mm.structures import SECOND, ClassTable
from tfinet_mm.utils import device


@pytest.fixture(autouse=True)
def default_scope() -> Iterator[None]:
    """Keep the scope that a test's Runner or config sets from the tests after it."""
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep decisions about labels out of the home of who runs the tests."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.getbasetemp() / 'cache'))


class Touch:
    """Make a file when unpickled, by a call of os.system."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        """Return the call that is stored."""
        return os.system, (f'touch {self.path}',)


@pytest.fixture
def touch() -> type[Touch]:
    """Return the class of an object that makes the given file when it is unpickled."""
    return Touch


@pytest.fixture
def hostile() -> Callable[[Path], Path]:
    """Write a checkpoint that makes a file when its code runs, and return that file."""

    def write(path: Path) -> Path:
        victim = path.parent / 'ran'
        torch.save({'state_dict': {}, 'extra': Touch(victim)}, path)
        return victim

    return write


SHARED = Path(__file__).resolve().parents[1] / '..' / 'shared'


def write_image(path: Path, image: np.ndarray) -> None:
    """Write (H, W, B) in RGB order as PNG or TIFF, by the suffix, keeping its type."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.tif':
        rasterio = pytest.importorskip('rasterio')
        height, width, bands = image.shape
        with rasterio.open(
            path, 'w', driver='GTiff', width=width, height=height, count=bands, dtype=image.dtype
        ) as file:
            file.write(image.transpose(2, 0, 1))
        return
    stored = image[..., ::-1] if image.shape[2] == 3 else image
    encoded = cv2.imencode(path.suffix, stored)[1]
    path.write_bytes(encoded.tobytes())


@pytest.fixture
def raster(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes (B, H, W) as a GeoTIFF in UTM zone 33 and returns its path.

    Its upper left corner, the side of a pixel and the CRS may be given, and options of rasterio.
    """
    rasterio = pytest.importorskip('rasterio')

    def write(
        name: str,
        values: np.ndarray,
        x: float = 500_000,
        y: float = 5_000_000,
        size: float = 10.0,
        crs: str | None = 'EPSG:32633',
        **options: Any,
    ) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        count, height, width = values.shape
        with rasterio.open(
            path,
            'w',
            driver='GTiff',
            count=count,
            height=height,
            width=width,
            dtype=values.dtype,
            crs=crs,
            transform=rasterio.Affine(size, 0, x, 0, -size, y),
            **options,
        ) as file:
            file.write(values)
        return str(path)

    return write


def write_label(path: Path, label: np.ndarray, storage: str, table: ClassTable = SECOND) -> None:
    """Write class indices (H, W) as 'index', 'palette' or 'rgb', or a mask as '0/255'."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if storage == 'rgb':
        image = Image.fromarray(np.array(table.palette, np.uint8)[label])
    elif storage == 'palette':
        image = Image.fromarray(label, mode='P')
        image.putpalette([value for colour in table.palette for value in colour])
    elif storage == '0/255':
        image = Image.fromarray(label * np.uint8(255))
    else:
        image = Image.fromarray(label)
    image.save(path)


def random_labels(
    rng: np.random.Generator, size: tuple[int, int], classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels of both dates in SECOND's convention: both 0 where unchanged."""
    changed = rng.random(size) < 0.4
    before, after = (rng.integers(1, classes + 1, size) * changed for _ in range(2))
    return before.astype(np.uint8), after.astype(np.uint8)


@pytest.fixture
def make_scd(tmp_path: Path) -> Callable[..., dict[str, dict[str, np.ndarray]]]:
    """Return a function that writes a data set below ``tmp_path`` and returns arrays by name."""

    def make(
        names: Sequence[str] = ('a', 'b', 'c'),
        sizes: Mapping[str, tuple[int, int]] | tuple[int, int] = (12, 16),
        storage: str = 'rgb',
        mask: str | None = None,
        dtype: Any = np.uint8,
        bands: int = 3,
        suffix: str = '.png',
        table: ClassTable = SECOND,
        root: str = '',
        folders: Sequence[str] = ('im1', 'im2', 'label1', 'label2', 'change'),
        seed: int = 0,
    ) -> dict[str, dict[str, np.ndarray]]:
        rng = np.random.default_rng(seed)
        written = {}
        for name in names:
            size = sizes if isinstance(sizes, tuple) else sizes[name]
            high = 256 if dtype == np.uint8 else 4000
            images = [rng.integers(0, high, (*size, bands)).astype(dtype) for _ in range(2)]
            labels = random_labels(rng, size, table.num_classes)
            change = (labels[0] > 0).astype(np.uint8)
            base = tmp_path / root
            for folder, image in zip(folders[:2], images, strict=True):
                write_image(base / folder / f'{name}{suffix}', image)
            for folder, label in zip(folders[2:4], labels, strict=True):
                write_label(base / folder / f'{name}.png', label, storage, table)
            if mask is not None:
                write_label(base / folders[4] / f'{name}.png', change, mask)
            written[name] = dict(
                before=images[0],
                after=images[1],
                label_from=labels[0],
                label_to=labels[1],
                change=change,
            )
        return written

    return make


@pytest.fixture
def second_samples() -> Path:
    """Return the folder of real pairs of SECOND with RGB labels; skip the test without it."""
    folder = SHARED / 'data' / 'second_samples'
    if not folder.is_dir():
        pytest.skip('no samples of SECOND on this machine')
    return folder


@pytest.fixture
def made_up_cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Return a function that fakes a CPU with bfloat16 units (True) or without (False)."""

    def make(units: bool) -> None:
        for name in ('ONEDNN_MAX_CPU_ISA', 'DNNL_MAX_CPU_ISA'):
            monkeypatch.delenv(name, raising=False)
        used, able = ('AVX512', dict(avx512_bf16=True)) if units else ('AVX2', {})
        monkeypatch.setattr(platform, 'machine', lambda: 'x86_64')
        monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: True)
        monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: used)
        monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: able, raising=False)

    return make


@pytest.fixture
def made_up_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that fakes a GPU of a CUDA capability, on which nothing can compute."""

    def make(*capability: int) -> None:
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device=None: capability)

    return make


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch find no GPU."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Collect log messages about types of numbers, as (level, message), as in a new process."""
    messages: list[tuple[int, str]] = []

    def print_log(message: str, logger: str, level: int = logging.INFO) -> None:
        messages.append((level, message))

    monkeypatch.setattr(device, '_said', set())
    monkeypatch.setattr(device, 'print_log', print_log)
    return messages
