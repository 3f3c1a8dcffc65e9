import pytest

from tfinet_mm.pseudo_labels.weights import check_weight


def test_what_a_weight_may_be():
    assert check_weight(None) is None
    assert check_weight('confidence') == 'confidence'
    weight = check_weight(2)
    assert weight == 2
    assert isinstance(weight, float)


@pytest.mark.parametrize('weight', [0, -1, True, False, float('inf'), float('nan'), 'sure', [1]])
def test_anything_else_is_an_error(weight):
    with pytest.raises(ValueError, match=r'weight has to be None \(equal'):
        check_weight(weight)
