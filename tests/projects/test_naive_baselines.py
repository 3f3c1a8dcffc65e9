"""The naive baselines, against loops, OpenCV and worked figures."""

import json

import numpy as np
import pytest
from PIL import Image
from study import load_study

from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset

STUDY = load_study('naive_baselines/run.py')


def test_colour_difference_worked_numbers():
    before = np.array([[[0, 0, 0], [10, 20, 30], [255, 255, 255]]], np.uint8)
    after = np.array([[[3, 4, 0], [10, 20, 30], [0, 0, 0]]], np.uint8)
    np.testing.assert_allclose(
        STUDY.colour_difference(before, after), [[5, 0, 255 * np.sqrt(3)]], rtol=1e-6
    )


@pytest.mark.parametrize('seed', range(5))
def test_otsu_against_trying_every_threshold(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(60, 12, 300), rng.normal(150, 25, 120)])
    values = np.clip(np.rint(values), 0, 255)
    best, found = -1.0, None
    for threshold in np.arange(values.min(), values.max()):
        low, high = values[values <= threshold], values[values > threshold]
        between = len(low) * len(high) * (low.mean() - high.mean()) ** 2
        if between > best:
            best, found = between, threshold
    # As many bins as values: each bin holds one integer.
    bins = int(np.ptp(values)) + 1
    assert abs(STUDY.otsu_threshold(values, bins) - found) <= 1


def test_otsu_against_opencv():
    cv2 = pytest.importorskip('cv2')
    rng = np.random.default_rng(7)
    values = np.where(rng.random((90, 80)) < 0.3, 170, 70) + rng.normal(0, 15, (90, 80))
    values = np.clip(values, 0, 255).astype(np.uint8)
    values[0, :2] = 0, 255
    expected, mask = cv2.threshold(values, 0, 255, cv2.THRESH_OTSU)
    threshold = STUDY.otsu_threshold(values)
    assert abs(threshold - expected) <= 1
    assert ((values > threshold) == (mask > 0)).mean() > 0.995


def test_otsu_of_equal_and_of_no_values():
    assert STUDY.otsu_threshold(np.full((3, 3), 7)) == 7
    with pytest.raises(ValueError, match='at least one value'):
        STUDY.otsu_threshold(np.empty(0))


def test_otsu_change_finds_a_patch():
    rng = np.random.default_rng(0)
    before = rng.integers(90, 110, (40, 40, 3)).astype(np.uint8)
    after = before.copy()
    after[10:20, 5:25] += 100
    expected = np.zeros((40, 40), bool)
    expected[10:20, 5:25] = True
    np.testing.assert_array_equal(STUDY.otsu_change(before, after), expected)
    assert not STUDY.otsu_change(before, before).any()


def test_colour_classifier_against_a_loop():
    rng = np.random.default_rng(1)
    bins, classes = 4, 3
    image = rng.integers(0, 256, (12, 15, 3)).astype(np.uint8)
    label = rng.integers(0, classes + 1, (12, 15))
    histogram = STUDY.ColourHistogram(classes, bins)
    histogram.add(image[:6], label[:6])
    histogram.add(image[6:], label[6:])
    score = np.zeros((classes, bins, bins, bins))
    weight = {0: 2, 1: 1, -1: 1}
    for pixel, name in zip(image.reshape(-1, 3), label.ravel(), strict=True):
        if name == 0:
            continue
        at = [int(value) // 64 for value in pixel]
        for step in np.ndindex(3, 3, 3):
            moved = [a + s - 1 for a, s in zip(at, step, strict=True)]
            if all(0 <= m < bins for m in moved):
                score[(name - 1, *moved)] += np.prod([weight[s - 1] for s in step])
    sure = np.sort(score, 0)[-1] > np.sort(score, 0)[-2]
    table = histogram.classifier().table
    np.testing.assert_array_equal(table[sure], (score.argmax(0) + 1)[sure])
    assert sure.mean() > 0.7


def test_unseen_colours_get_the_most_frequent_class():
    histogram = STUDY.ColourHistogram(num_classes=3, bins=16)
    image = np.zeros((1, 5, 3), np.uint8)
    histogram.add(image, np.array([[2, 2, 2, 3, 0]]))
    classifier = histogram.classifier()
    assert classifier.predict(np.full((2, 2, 3), 255, np.uint8)).tolist() == [[2, 2], [2, 2]]


def test_classifier_reads_its_table():
    table = np.ones((2, 2, 2), np.uint8)
    table[1, 0, 1] = 4
    image = np.array([[[200, 10, 128], [127, 10, 255]]], np.uint8)
    assert STUDY.ColourClassifier(table).predict(image).tolist() == [[4, 1]]


def test_too_many_bins():
    with pytest.raises(ValueError, match=r'expected 1\.\.256 bins'):
        STUDY.ColourHistogram(bins=300)


def test_naive_confusion_against_a_loop():
    rng = np.random.default_rng(2)
    changed, predicted = rng.random((9, 11)) < 0.5, rng.integers(1, 4, (9, 11))
    label = rng.integers(0, 4, (9, 11)).astype(np.uint8)
    expected = np.zeros((4, 4), int)
    for c, p, y in zip(changed.flat, predicted.flat, label.flat, strict=True):
        expected[y, p if c else 0] += 1
    np.testing.assert_array_equal(STUDY.naive_confusion(changed, predicted, label, 3), expected)


def test_worked_figures(tmp_path):
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
    figures = STUDY.score(tmp_path, 'label', 32)
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


def test_command_prints_and_writes(tmp_path, capsys):
    write_dataset(tmp_path, 3, 2, SyntheticConfig(size=48, unchanged_pairs=0.0))
    STUDY.main([str(tmp_path), '--json', str(tmp_path / 'figures.json')])
    out = capsys.readouterr().out
    figures = json.loads((tmp_path / 'figures.json').read_text())
    assert f'otsu_IoU         {figures["otsu_IoU"]:6.2f} %' in out
    assert 0 < figures['colour_accuracy'] < 100


def test_missing_pictures(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'make_synthetic\.py'):
        STUDY.main([str(tmp_path)])
