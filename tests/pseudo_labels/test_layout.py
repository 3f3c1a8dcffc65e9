from pathlib import Path

import pytest

from tfinet_mm.pseudo_labels.layout import confidence_path, prediction_path, pseudo_label_path


def test_names_keep_sub_folders_dots_and_spaces():
    name = 'sub dir/a.b c_x0_y512'
    assert pseudo_label_path('p', name, 'from') == Path('p/label1/sub dir/a.b c_x0_y512.png')
    assert pseudo_label_path('p', name, 'to') == Path('p/label2/sub dir/a.b c_x0_y512.png')
    assert confidence_path('p', name, 'from') == Path('p/confidence1/sub dir/a.b c_x0_y512.png')
    assert confidence_path('p', name, 'to') == Path('p/confidence2/sub dir/a.b c_x0_y512.png')
    assert prediction_path('p', name) == Path('p/predictions/sub dir/a.b c_x0_y512.npz')


@pytest.mark.parametrize('path', [pseudo_label_path, confidence_path])
def test_an_unknown_date_is_refused(path):
    with pytest.raises(ValueError, match=r"one of \('from', 'to'\), got 'label1'"):
        path('p', 'a', 'label1')


@pytest.mark.parametrize('name', ['', '/a', '../a'])
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(ValueError, match='inside its folder'):
        pseudo_label_path('p', name, 'from')
