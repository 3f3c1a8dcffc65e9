"""Test that labels in a wrong order are found by the colours of their images."""

import itertools
import shutil

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import SECONDDataset
from tfinet_mm.datasets.check import ERROR, WARNING, check_dataset
from tfinet_mm.datasets.check.label_fit import (
    EXCHANGED,
    GROUPS,
    LEAST_SIGMA,
    OTHER_ORDERS,
    OWN,
    UPSIDE_DOWN,
    LabelFit,
    ReducedPair,
)
from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset

LOADING = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]
PAIRS = 80


def random_pairs(number, classes=3, bands=2):
    rng = np.random.default_rng(0)
    for _ in range(number):
        labels = rng.choice([*range(classes), 255], (2, 64, 64)).astype(np.uint8)
        colours = rng.normal(labels[..., None] % 7, 2.0, (2, 64, 64, bands))
        yield ReducedPair(colours.astype(np.float16), labels)


def test_shares_are_those_of_an_analysis_of_variance():
    """With one band, F of SciPy gives eta squared = d1 F / (d1 F + d2)."""
    stats = pytest.importorskip('scipy.stats')
    pairs = list(random_pairs(4, bands=1))
    fit = LabelFit(3, 1)
    for pair in pairs:
        fit.add(pair)
    colours = np.stack([one.colours[..., 0] for one in pairs]).astype(np.float64)
    labels = np.stack([one.labels for one in pairs])
    for order, moved in (
        (OWN, labels),
        (EXCHANGED, labels[:, ::-1]),
        (UPSIDE_DOWN, labels[:, :, ::-1]),
    ):
        known = [colours[moved == place] for place in range(3)]
        found = stats.f_oneway(*known).statistic
        expected = 2 * found / (2 * found + sum(map(len, known)) - 3)
        assert fit.share(order) == pytest.approx(expected, rel=1e-9)


def test_the_lead_is_that_of_a_jackknife():
    pairs = list(random_pairs(2 * GROUPS))
    fit = LabelFit(3, 2)
    for pair in pairs:
        fit.add(pair)
    leads = []
    for left_out in range(GROUPS):
        part = LabelFit(3, 2)
        for place, pair in enumerate(pairs):
            if place % GROUPS != left_out:
                part.add(pair)
        leads.append(part.share(OWN) - part.share(UPSIDE_DOWN))
    error = np.sqrt((GROUPS - 1) / GROUPS * np.sum((np.array(leads) - np.mean(leads)) ** 2))
    expected = (fit.share(OWN) - fit.share(UPSIDE_DOWN)) / error
    assert fit.lead(OWN, UPSIDE_DOWN) == pytest.approx(expected, rel=1e-9)
    assert expected > LEAST_SIGMA


def test_the_light_of_an_image_says_nothing():
    rng = np.random.default_rng(1)
    reduced = rng.normal(100, 20, (64, 64, 6)).astype(np.float32)
    before, after = rng.integers(0, 3, (2, 130, 90))
    one = ReducedPair.of(reduced, before, after)
    other = ReducedPair.of(0.5 * reduced + 30, before, after)
    np.testing.assert_allclose(one.colours, other.colours, atol=4e-3)
    assert one.colours.astype(np.float64).mean() == pytest.approx(0, abs=1e-4)
    # The centre of the first of 64 cells of 130 rows and 90 columns, and that of the last.
    assert one.labels[0, 0, 0] == before[1, 0]
    assert one.labels[1, -1, -1] == after[128, 89]


@pytest.mark.parametrize('noise', [0.0, 1e-4])
def test_images_of_one_colour_are_not_judged(noise):
    rng = np.random.default_rng(2)
    fit = LabelFit(3, 3)
    for _ in range(PAIRS):
        reduced = np.float32([90, 60, 30] * 2) + noise * rng.normal(size=(64, 64, 6))
        fit.add(ReducedPair.of(reduced, *rng.integers(0, 3, (2, 64, 64))))
    assert list(fit.problems()) == []


def test_pixels_without_a_number_count_as_no_colour():
    reduced = np.random.default_rng(3).normal(100, 20, (64, 64, 6)).astype(np.float32)
    reduced[:8] = np.nan
    pair = ReducedPair.of(reduced, *np.zeros((2, 64, 64), np.uint8))
    assert np.isfinite(pair.colours).all()


@pytest.mark.parametrize('bands', [1, 4])
def test_pairs_with_other_bands_are_left_out(bands):
    fit = LabelFit(3, 3)
    pairs = list(random_pairs(2, bands=3))
    (other,) = random_pairs(1, bands=bands)
    for pair in (pairs[0], other, pairs[1]):
        fit.add(pair)
    expected = LabelFit(3, 3)
    for pair in pairs:
        expected.add(pair)
    assert (fit.pairs, fit.shares()) == (2, expected.shares())


def test_labels_without_land_cover_are_not_judged():
    fit = LabelFit(3, 3)
    assert list(fit.problems()) == []
    for pair in random_pairs(PAIRS, bands=3):
        fit.add(ReducedPair(pair.colours, np.full_like(pair.labels, 255)))
    assert list(fit.problems()) == []


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp('pairs')
    write_dataset(root, PAIRS, 0, SyntheticConfig(size=64, seed=5))
    return root / 'train'


@pytest.fixture
def copy(written, tmp_path):
    return shutil.copytree(written, tmp_path / 'train')


def check(root):
    report = check_dataset(SECONDDataset(data_root=str(root), pipeline=LOADING))
    return report, [one for one in report.problems if 'the land cover fits' in one.message]


def files(root):
    return [sorted((root / folder).iterdir()) for folder in ('label1', 'label2')]


def exchange(root):
    for one, other in zip(*files(root), strict=True):
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)


def turn(how):
    def change(root):
        for path in itertools.chain(*files(root)):
            image = Image.open(path)
            turned = image.transpose(how)
            turned.putpalette(image.getpalette())
            turned.save(path)

    return change


def move(by):
    def change(root):
        for paths in files(root):
            held = [path.read_bytes() for path in paths]
            for place, path in enumerate(paths):
                path.write_bytes(held[(place + by) % len(held)])

    return change


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (exchange, 'with both dates exchanged'),
        (turn(Image.Transpose.FLIP_TOP_BOTTOM), 'upside down'),
        (turn(Image.Transpose.FLIP_LEFT_RIGHT), 'mirrored from left to right'),
        (turn(Image.Transpose.ROTATE_180), 'turned by 180 degrees'),
        (move(1), 'with the labels of the pair before each pair'),
        (move(-1), 'with the labels of the pair after each pair'),
    ],
    ids=['exchanged', 'upside down', 'mirrored', 'turned', 'one before', 'one after'],
)
def test_labels_in_another_order_are_an_error(copy, change, said):
    change(copy)
    _, (problem,) = check(copy)
    assert problem.level == ERROR
    assert f'fits the images {said}' in problem.message


def test_labels_of_other_places_are_a_warning(copy):
    move(7)(copy)
    _, (problem,) = check(copy)
    assert problem.level == WARNING
    assert 'no better than upside down' in problem.message


def test_the_right_order_is_no_problem(written):
    report, problems = check(written)
    assert problems == []
    assert set(report.label_fit) == {OWN, *OTHER_ORDERS}
    assert max(report.label_fit, key=report.label_fit.get) == OWN


@pytest.mark.parametrize('number', [20, 23, 30, 40, 60])
def test_few_right_pairs_are_no_problem(copy, number):
    for path in (copy / 'im1', copy / 'im2', copy / 'label1', copy / 'label2'):
        for one in sorted(path.iterdir())[number:]:
            one.unlink()
    assert check(copy)[1] == []


def test_few_pairs_are_not_judged(copy):
    exchange(copy)
    for path in (copy / 'im1', copy / 'im2', copy / 'label1', copy / 'label2'):
        for one in sorted(path.iterdir())[10:]:
            one.unlink()
    assert check(copy)[1] == []


def test_the_hash_is_of_names_and_labels_whatever_their_files(copy):
    first = check(copy)[0].labels_hash
    path = files(copy)[0][0]
    Image.open(path).convert('RGB').save(path)
    assert check(copy)[0].labels_hash == first
    Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    other = check(copy)[0].labels_hash
    assert other != first
    Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    assert check(copy)[0].labels_hash == first
    for folder in ('im1', 'im2', 'label1', 'label2'):
        place = copy / folder / path.name
        place.rename(place.with_stem('another'))
    assert check(copy)[0].labels_hash != first
