import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from tfinet_mm.pseudo_labels.teacher import (
    MeanTeacher,
    TeacherLabels,
    changed_sample,
    filled_sample,
    teacher_labels,
)
from tfinet_mm.structures import SCDProbabilities


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).double()


@pytest.mark.parametrize('momentum', [0.0, 0.5, 0.999])
def test_the_average_by_the_formula(momentum):
    student = network()
    teacher = MeanTeacher(student, momentum)
    assert not teacher.module.training
    assert student.training
    names = ['0.weight', '0.bias', '1.weight', '1.bias', '1.running_mean', '1.running_var']
    expected = {}
    generator = torch.Generator().manual_seed(1)
    for t in range(30):
        with torch.no_grad():
            for name, value in student.state_dict().items():
                if name in names:
                    value.copy_(torch.rand(value.shape, generator=generator, dtype=value.dtype))
        teacher.update_parameters(student)
        kept = 0.0 if t == 0 else min(momentum, (1 + t) / (10 + t))
        for name in names:
            new = student.state_dict()[name].clone()
            expected[name] = kept * expected[name] + (1 - kept) * new if t else new
    for name in names:
        torch.testing.assert_close(teacher.module.state_dict()[name], expected[name])
        assert not teacher.module.state_dict()[name].requires_grad
    if momentum == 0:
        assert torch.equal(teacher.module[0].weight, student[0].weight)


def test_it_goes_on_from_its_state():
    student = network()
    teacher = MeanTeacher(student, 0.9)
    for _ in range(3):
        nn.init.normal_(student[0].weight)
        teacher.update_parameters(student)
    other = MeanTeacher(network(), 0.9)
    other.load_state_dict(teacher.state_dict())
    nn.init.normal_(student[0].weight)
    for one in (teacher, other):
        one.update_parameters(student)
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize('most', [None, 0.4])
def test_labels_of_a_teacher_pixel_by_pixel(most):
    generator = torch.Generator().manual_seed(0)
    covers = [torch.randn(2, 3, 5, 6, generator=generator).mul(2).softmax(1) for _ in range(2)]
    change = torch.rand(2, 1, 5, 6, generator=generator)
    thresholds = torch.tensor([0.5, 0.4, 0.7])
    found = teacher_labels(SCDProbabilities(*covers, change), thresholds, most)
    assert 0 < found.kept.sum() < found.kept.numel()
    for n in range(2):
        for y in range(5):
            for x in range(6):
                mean = [float(covers[0][n, k, y, x] + covers[1][n, k, y, x]) / 2 for k in range(3)]
                best = max(range(3), key=mean.__getitem__)
                assert found.cover[n, y, x] == best
                assert float(found.confidence[n, y, x]) == pytest.approx(mean[best], rel=1e-6)
                sure = mean[best] >= float(thresholds[best])
                if most is not None:
                    sure = sure and float(change[n, 0, y, x]) <= most
                assert bool(found.kept[n, y, x]) == sure


def made_sample(size=(6, 7), weights=False):
    """Return labels of every combination: unchanged, changed, ignored; known and unknown."""
    generator = torch.Generator().manual_seed(3)
    sample = SegDataSample(metainfo=dict(sample_id='a'))
    choices = torch.tensor([0, 1, 255])
    change = choices[torch.randint(0, 3, (1, *size), generator=generator)]
    sample.set_field(PixelData(data=change), 'gt_sem_seg')
    for date in ('from', 'to'):
        cover = torch.tensor([0, 1, 255, 255])[torch.randint(0, 4, (1, *size), generator=generator)]
        sample.set_field(PixelData(data=cover), f'gt_sem_seg_{date}')
        if weights:
            values = torch.rand(1, *size, generator=generator)
            sample.set_field(PixelData(data=values), f'gt_weight_{date}')
    return sample


def made_labels(size=(8, 9)):
    generator = torch.Generator().manual_seed(4)
    confidence = torch.rand(size, generator=generator)
    return TeacherLabels(
        torch.randint(0, 3, size, generator=generator), confidence, confidence > 0.4
    )


@pytest.mark.parametrize('weights', [False, True])
@pytest.mark.parametrize('weight', [None, 0.5, 'confidence'])
def test_a_sample_is_filled_where_it_may_be(weight, weights):
    sample, labels = made_sample(weights=weights), made_labels()
    before = sample.clone()
    new, counts = filled_sample(sample, labels, weight)
    expected_counts = [0, 0, 0.0]
    for date in ('from', 'to'):
        for y in range(6):
            for x in range(7):
                label = int(before.get(f'gt_sem_seg_{date}').data[0, y, x])
                old = before.get(f'gt_weight_{date}')
                expected_weight = float(old.data[0, y, x]) if weights else float(label != 255)
                if before.gt_sem_seg.data[0, y, x] == 0 and label == 255:
                    confidence = float(labels.confidence[y, x])
                    expected_counts[0] += 1
                    expected_counts[2] += confidence
                    if labels.kept[y, x]:
                        expected_counts[1] += 1
                        label = int(labels.cover[y, x])
                        expected_weight = confidence if weight == 'confidence' else weight or 1.0
                assert new.get(f'gt_sem_seg_{date}').data[0, y, x] == label
                if weight is not None or weights:
                    found = float(new.get(f'gt_weight_{date}').data[0, y, x])
                    assert found == pytest.approx(expected_weight, rel=1e-6)
        assert new.get(f'gt_sem_seg_{date}').data.dtype == torch.int64
        assert (f'gt_weight_{date}' in new) == (weights or weight is not None)
        # The input sample is not modified.
        for field in (f'gt_sem_seg_{date}', f'gt_weight_{date}'):
            assert (field in sample) == (field in before)
            if field in before:
                assert torch.equal(sample.get(field).data, before.get(field).data)
    assert expected_counts[1] > 3
    assert counts.tolist() == pytest.approx(expected_counts)
    assert torch.equal(new.gt_sem_seg.data, before.gt_sem_seg.data)
    assert new.sample_id == 'a'


@pytest.mark.parametrize('weight', [None, 0.5, 'confidence'])
def test_a_pair_without_labels_gets_what_the_teacher_is_sure_of(weight):
    generator = torch.Generator().manual_seed(5)
    size, known = (6, 7), (1, 5, 6)
    covers = [torch.randn(3, *size, generator=generator).mul(2).softmax(0) for _ in range(2)]
    chance = torch.rand(1, *size, generator=generator)
    thresholds = torch.tensor([0.5, 0.4, 0.7])
    nowhere = dict(seg_map_path=None, seg_map_path_from=None, seg_map_path_to=None)
    sample = SegDataSample(metainfo=nowhere)
    for field in ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to'):
        sample.set_field(PixelData(data=torch.full(known, 255)), field)
    made = changed_sample(sample, SCDProbabilities(*covers, chance), thresholds, 0.7, weight)
    seen = set()
    for y in range(5):
        for x in range(6):
            p = float(chance[0, y, x])
            change = 1 if p >= 0.7 else 0 if p <= 0.3 else 255
            assert made.gt_sem_seg.data[0, y, x] == change
            for date, cover in zip(('from', 'to'), covers, strict=True):
                shares = [float(cover[k, y, x]) for k in range(3)]
                best = max(range(3), key=shares.__getitem__)
                sure = change == 1 and shares[best] >= float(thresholds[best])
                label = getattr(made, f'gt_sem_seg_{date}').data
                assert label[0, y, x] == (best if sure else 255)
                if weight is not None:
                    wanted = (shares[best] if weight == 'confidence' else weight) * sure
                    found = float(getattr(made, f'gt_weight_{date}').data[0, y, x])
                    assert found == pytest.approx(wanted)
                seen.add((change, sure))
    assert seen == {(0, False), (1, False), (1, True), (255, False)}
    assert ('gt_weight_to' in made) == (weight is not None)
    assert (sample.gt_sem_seg.data == 255).all()


def test_pixels_without_data_are_not_labelled():
    nowhere = dict(seg_map_path=None, seg_map_path_from=None, seg_map_path_to=None)
    sample = SegDataSample(metainfo=nowhere)
    for field in ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to'):
        sample.set_field(PixelData(data=torch.full((1, 2, 2), 255)), field)
    # A transform that pads fills maps with 255.
    sample.set_field(PixelData(data=torch.tensor([[[0, 1], [255, 0]]])), 'gt_no_data')
    chance = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    covers = [torch.tensor([0.1, 0.9])[:, None, None].expand(2, 2, 2) for _ in range(2)]
    made = changed_sample(sample, SCDProbabilities(*covers, chance), torch.full((2,), 0.5), 0.9)
    assert made.gt_sem_seg.data.tolist() == [[[1, 255], [255, 0]]]
    assert made.gt_sem_seg_to.data.tolist() == [[[1, 255], [255, 255]]]
    batch = SCDProbabilities(*(one[None] for one in (*covers, chance)))
    labels = teacher_labels(batch, torch.full((2,), 0.5))
    filled, _ = filled_sample(made, TeacherLabels(*(one[0] for one in labels)))
    assert filled.gt_sem_seg_to.data.tolist() == [[[1, 255], [255, 1]]]


@pytest.mark.parametrize('meta', [{}, dict(seg_map_path='a.png', seg_map_path_from=None)])
def test_a_pair_with_label_files_keeps_its_ignored_pixels(meta):
    sample = SegDataSample(metainfo=meta)
    sample.gt_sem_seg = PixelData(data=torch.full((1, 2, 2), 255))
    sure = SCDProbabilities(*[torch.ones(1, 2, 2)] * 3)
    assert changed_sample(sample, sure, torch.tensor([0.5]), 0.9) is sample
