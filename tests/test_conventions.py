"""Samples of Open-CD's detectors, by its own code's arithmetic, and this package's scores."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tfinet_mm.conventions import convention_of
from tfinet_mm.engine.hooks import LabelConventionHook
from tfinet_mm.errors import LabelValueError
from tfinet_mm.evaluation import SCDMetric
from tfinet_mm.models.detectors.postprocess import with_predictions
from tfinet_mm.structures import SECOND, SCDProbabilities
from tfinet_mm.visualization import PairMaps, land_cover_array
from tfinet_mm.visualization.prediction_files import PredictionFiles

K = 6
GENERATOR = torch.Generator().manual_seed(5)
CHANGE = (torch.rand(24, 24, generator=GENERATOR) < 0.4).long()
PREDICTED_CHANGE = torch.where(torch.rand(24, 24, generator=GENERATOR) < 0.1, 1 - CHANGE, CHANGE)
COVERS = torch.randint(0, K, (2, 24, 24), generator=GENERATOR)
PREDICTED = torch.where(torch.rand(2, 24, 24, generator=GENERATOR) < 0.2, (COVERS + 1) % K, COVERS)
LABELS = torch.where(CHANGE == 1, COVERS, 255)


def sample(prediction, annotation, **fields):
    maps = dict(gt_sem_seg=CHANGE, pred_sem_seg=PREDICTED_CHANGE, **fields)
    for date, labels, predicted in zip(('from', 'to'), annotation, prediction, strict=True):
        maps |= {f'gt_sem_seg_{date}': labels, f'pred_sem_seg_{date}': predicted}
    made = SegDataSample(metainfo=dict(img_path=['im1/a.png', 'im2/a.png']))
    made.set_data({name: PixelData(data=one[None].clone()) for name, one in maps.items()})
    return made


def opencd(option):
    """A sample as the last lines of Open-CD's detector leave it."""
    logits = dict(seg_logits_from=PREDICTED[0], seg_logits_to=PREDICTED[1])
    if option is None:
        return sample(PREDICTED, LABELS, **logits)
    annotated = torch.where(LABELS == 255, torch.tensor(-1), LABELS) + 1
    return sample((PREDICTED + 1) * PREDICTED_CHANGE, annotated, **logits)


def own():
    return sample((PREDICTED + 1) * PREDICTED_CHANGE, LABELS)


def scores(one, **options):
    metric = SCDMetric(resamples=0, **options)
    metric.dataset_meta = SECOND.metainfo()
    metric.process({}, [one.to_dict()])
    return metric.evaluate(1)


@pytest.mark.parametrize(
    ('option', 'convention'), [('cover_semantic', 'cover_semantic'), (None, 'land_cover')]
)
def test_samples_of_open_cd_score_like_our_own(option, convention):
    expected = scores(own())
    assert expected['SeK'] > 1
    assert scores(opencd(option), convention=convention) == expected
    # Heads of one channel decide in real numbers.
    floating = opencd(option)
    floating.set_field(PixelData(data=floating.pred_sem_seg.data.float()), 'pred_sem_seg')
    assert scores(floating, convention=convention) == expected
    with pytest.raises(LabelValueError, match=r"a detector of Open-CD's.*convention='cover_sem"):
        scores(opencd(option))


def test_conventions_are_known_by_name_and_not_contradicted():
    with pytest.raises(ValueError, match=r"convention must be one of .*, got 'semantic'"):
        SCDMetric(convention='semantic')
    stated = opencd(None)
    LabelConventionHook('land_cover').after_test_iter(None, 0, outputs=[stated])
    assert convention_of(stated) == 'land_cover'
    with pytest.raises(LabelValueError, match=r"sample \['im1/a.png'.*'land_cover'.*leave"):
        scores(stated, convention='cover_semantic')


@pytest.mark.parametrize(
    ('option', 'convention'), [('cover_semantic', 'cover_semantic'), (None, 'land_cover')]
)
def test_hooks_draw_and_write_what_is_stated(option, convention, tmp_path):
    with pytest.raises(LabelValueError, match='LabelConventionHook'):
        PairMaps.from_sample(opencd(option))
    stated = opencd(option)
    LabelConventionHook(convention).after_val_iter(None, 0, outputs=[stated])
    found, expected = PairMaps.from_sample(stated), PairMaps.from_sample(own())
    for name in ('predicted_from', 'predicted_to', 'annotated_from', 'annotated_to'):
        assert (getattr(found, name) == getattr(expected, name)).all(), name
    assert (land_cover_array(stated, 'gt_sem_seg_to') == LABELS[1].numpy()).all()
    for folder, one in (('theirs', stated), ('ours', own())):
        PredictionFiles(tmp_path / folder).write(one, 'a', SECOND.palette)
    for name in ('label1/a.png', 'label2/a.png', 'change/a.png'):
        assert (tmp_path / 'theirs' / name).read_bytes() == (tmp_path / 'ours' / name).read_bytes()


def test_our_detector_shifts_annotation_as_open_cd_does():
    """Land cover of unchanged pixels, which some data sets annotate, becomes 0 as well."""
    before = sample(PREDICTED, COVERS)
    kept = before.gt_sem_seg_from.data.clone()
    given = before.gt_sem_seg_from.data
    logits = torch.nn.functional.one_hot(PREDICTED, K).permute(0, 3, 1, 2).float()
    found = SCDProbabilities(logits[:1], logits[1:], PREDICTED_CHANGE[None, None].float())
    (shifted,) = with_predictions(found, [before], cover_semantic=True)
    reference = opencd('cover_semantic')
    for name in ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to', 'pred_sem_seg_from'):
        assert torch.equal(getattr(shifted, name).data, getattr(reference, name).data), name
    assert torch.equal(given, kept)
    assert scores(shifted) == scores(own())
