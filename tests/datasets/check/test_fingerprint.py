import io

import cv2
import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets.check.fingerprint import (
    MAX_BITS,
    date_difference,
    fingerprint,
    near_copies,
    reduced_pair,
)


def scene(seed, side=200, bands=3):
    """Return an image of blobs, (side, side, bands) uint8."""
    noise = np.random.default_rng(seed).normal(128, 45, (9, 9, bands)).astype(np.float32)
    return (
        np.clip(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC), 0, 255)
        .astype(np.uint8)
        .reshape(side, side, bands)
    )


def jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'JPEG', quality=50)
    return np.asarray(Image.open(file))


def brighter(image):
    return np.clip(image * 1.15 + 8, 0, 255).astype(np.uint8)


def halved(image):
    return np.asarray(Image.fromarray(image).resize((100, 100)))


def printed(before, after):
    return fingerprint(reduced_pair(np.concatenate([before, after], axis=2)))


def stacked(found):
    return np.stack([one.bits for one in found]), np.stack([one.thumbnails for one in found])


@pytest.mark.parametrize('change', [jpeg, brighter, halved])
def test_copies_are_found_among_others(change):
    pairs = [(scene(seed), scene(seed + 1000)) for seed in range(40)]
    copies = [tuple(change(image) for image in pairs[place]) for place in (3, 17)]
    bits, thumbnails = stacked([printed(*pair) for pair in (*pairs, *copies)])
    assert near_copies(bits, thumbnails).tolist() == [[3, 40], [17, 41]]


def test_one_date_of_two_is_no_copy():
    pairs = [(scene(0), scene(1)), (scene(0), scene(2)), (scene(3), scene(1))]
    assert not len(near_copies(*stacked([printed(*pair) for pair in pairs])))


def test_images_that_show_nothing_have_no_fingerprint():
    rng = np.random.default_rng(0)
    flat = rng.normal(90, 3, (200, 200, 3)).clip(0, 255).astype(np.uint8)
    slope = np.broadcast_to(np.linspace(40, 200, 200)[:, None, None], (200, 200, 3))
    assert printed(flat, scene(1)) is None
    assert printed(scene(1), slope.astype(np.uint8)) is None
    assert printed(scene(1), scene(2)) is not None


@pytest.mark.parametrize('groups', [None, np.arange(600) % 2])
def test_all_that_differ_in_few_bits_are_found(groups):
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 256, (600, 16)).astype(np.uint8)
    # Copies with 0 to 14 bits changed, some of them several times.
    for place in range(300):
        flipped = np.unpackbits(bits[place])
        flipped[rng.permutation(128)[: place % 15]] ^= 1
        bits[599 - place] = np.packbits(flipped)
    thumbnails = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(16, 16), (600, 2, 16, 16))
    distance = np.unpackbits(bits[:, None] ^ bits[None], axis=2).sum(axis=2)
    expected = [
        [i, j]
        for i, j in np.argwhere(np.triu(distance <= MAX_BITS, 1)).tolist()
        if groups is None or groups[i] != groups[j]
    ]
    assert expected
    assert near_copies(bits, thumbnails, groups).tolist() == expected


def test_many_copies_of_one_pair_are_listed_once_each():
    bits, thumbnails = stacked([printed(scene(1), scene(2))] * 500)
    assert near_copies(bits, thumbnails).tolist() == [[0, other] for other in range(1, 500)]
    found = near_copies(bits, thumbnails, np.arange(500) >= 1)
    assert found.tolist() == [[0, other] for other in range(1, 500)]


@pytest.mark.parametrize('bands', [1, 2, 3, 5])
@pytest.mark.parametrize('side', [12, 64, 131, 256])
def test_means_of_cells_for_any_size_and_number_of_bands(side, bands):
    image = scene(5, side, 2 * bands)
    reduced = reduced_pair(image)
    assert reduced.shape == (64, 64, 2 * bands)
    assert reduced.mean(axis=(0, 1)) == pytest.approx(image.mean(axis=(0, 1)), abs=1.5)


def test_another_light_is_no_difference():
    before = scene(1)
    darker = (before * 0.7).astype(np.uint8)
    changed = darker.copy()
    changed[:60, :60] = 255
    same = date_difference(reduced_pair(np.concatenate([before, darker], axis=2)))
    other = date_difference(reduced_pair(np.concatenate([before, changed], axis=2)))
    assert same.max() < 2
    assert other[:18, :18].mean() > 5 * other[30:, 30:].mean()
