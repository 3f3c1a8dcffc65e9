"""Test the scores that are 0 / 0 against NaN of the written-out formulas."""

import numpy as np
import pytest

from tfinet_mm.evaluation import SCDConfusion, format_table, scores_report, undefined_scores
from tfinet_mm.structures import ClassTable

TABLE = ClassTable(('unchanged', 'water', 'built'), ((0, 0, 0), (0, 0, 255), (255, 0, 0)))


def counts(annotation, prediction):
    """Return the counts of a pair with the same maps on both dates."""
    annotation, prediction = np.array(annotation), np.array(prediction)
    change, found = (annotation > 0).astype(int), (prediction > 0).astype(int)
    cover = np.where(annotation > 0, annotation - 1, 255)
    return SCDConfusion.from_maps(change, cover, cover, found, prediction, prediction, 2)


def nan_scores(one):
    """Return the names of the scores that are NaN by the published formulas."""

    def semantic(matrix):
        h = matrix.astype(float)
        q = h.copy()
        q[0, 0] = 0
        total = q.sum()
        pe = np.divide((q.sum(0) * q.sum(1)).sum(), total**2)
        kappa = (np.divide(np.trace(q), total) - pe) / (1 - pe)
        right = np.trace(q)
        precision, recall = right / q[:, 1:].sum(), right / q[1:].sum()
        return dict(
            OA=np.trace(h) / h.sum(),
            IoU_unchanged=h[0, 0] / (h[0].sum() + h[:, 0].sum() - h[0, 0]),
            IoU_changed=h[1:, 1:].sum() / (h.sum() - h[0, 0]),
            Kappa=kappa,
            SeK=kappa,
            Precision_scd=precision,
            Recall_scd=recall,
            Fscd=2 * right / (q[:, 1:].sum() + q[1:].sum()),
        )

    with np.errstate(divide='ignore', invalid='ignore'):
        scores = semantic(one.scd)
        transitions = semantic(one.from_to)
        scores |= {f'{name}_from_to': transitions[name] for name in ('SeK', 'Fscd')}
        _, false, missed, right = one.change.astype(float).ravel()
        scores['change/precision'] = right / (right + false)
        scores['change/recall'] = right / (right + missed)
        scores['change/F1'] = 2 * right / (2 * right + false + missed)
        scores['change/IoU'] = right / (right + false + missed)
        scores['change/OA'] = np.trace(one.change) / one.change.sum()
    return {name for name, value in scores.items() if np.isnan(value)}


CASES = {
    'no change at all': ([0, 0], [0, 0]),
    'nothing found': ([0, 1], [0, 0]),
    'change where none is': ([0, 0], [0, 1]),
    'one class, found': ([0, 1], [0, 1]),
    'everything changed': ([1, 2], [2, 2]),
    'two classes': ([0, 1, 2], [0, 1, 1]),
    'nothing annotated': ([], []),
}


@pytest.mark.parametrize('case', CASES)
def test_as_the_formulas_say(case):
    one = counts(*CASES[case]) if CASES[case][0] else SCDConfusion.zeros(2)
    assert set(undefined_scores(one)) - {'mIoU', 'Score'} == nan_scores(one)


def test_the_reason_is_printed_and_in_the_report():
    found = counts([0, 1], [0, 1])
    reason = undefined_scores(found)['SeK']
    assert reason.startswith('all changed pixels are of one class')
    last = format_table(found, TABLE, 1).split('\n\n')[-1].splitlines()
    assert last[0] == 'Undefined (0 / 0), counted as 0; other programs give NaN'
    assert last[1] == f'Kappa, SeK, SeK_from_to: {reason}'
    assert scores_report(found, TABLE, 1)['undefined']['SeK'] == reason
    assert 'Undefined' not in format_table(counts(*CASES['two classes']), TABLE, 1)
