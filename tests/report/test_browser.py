"""Test the page in headless Chromium: the effects of keys, boxes and buttons on its pixels."""

import numpy as np
import pytest
import torch

from tfinet_mm.evaluation.reliability import ChangeHistogram, reliability_report
from tfinet_mm.report import PairView, Polygon, ReportData, save_report, write_report
from tfinet_mm.report.records import PairSummary

BEFORE, AFTER = (20, 30, 240), (250, 240, 30)


def near(colour, expected, off=6):
    return np.abs(np.array(colour, int) - np.array(expected)).max() <= off


def mixed(image, colour, opacity):
    return np.array(image) * (1 - opacity) + np.array(colour) * opacity


@pytest.fixture(scope='module')
def page(table, tmp_path_factory):
    """Wood turned into town on the left half of a scene, by the prediction.

    By the annotation it did on the left quarter but for the lowest rows, on the next one it
    became another class, and then something changed that isn't predicted; the last eighth is
    left out.
    """
    before = np.zeros((40, 80), np.uint8)
    after = before.copy()
    before[:, :40], after[:, :40] = 1, 3
    annotated = [before.copy(), after.copy()]
    for one, value in zip(annotated, (1, 2), strict=True):
        one[:, 20:60] = value
        one[30:, :20] = 0
        one[:, 70:] = 255
    colours = [np.full((40, 80, 3), colour, np.uint8) for colour in (BEFORE, AFTER)]
    matrix = np.zeros((3, 3))
    matrix[0, 2] = 16.0
    summary = PairSummary(
        'scene',
        'scene',
        (80, 40),
        matrix,
        16.0,
        histogram=np.arange(20),
        unit='ha',
        scores=dict(score=40.0, wrong=50.0, annotated=60.0),
    )
    polygons = [
        Polygon(1, 3, 12.0, 0.9, (0.0, 0.0, 0.25, 0.5)),
        Polygon(1, 3, 4.0, None, (0.4, 0.5, 0.4875, 0.675)),
    ]
    maps = (before, after, None, *annotated)
    view = PairView(*colours, *maps, polygons=polygons, polygon_count=7)
    reliability = reliability_report(
        ChangeHistogram.from_maps(torch.tensor([0.1, 0.1, 0.9, 0.9]), torch.tensor([0, 1, 1, 1])),
        bins=5,
    )
    data = ReportData(table, [summary], lambda *_: view, threshold=0.5, reliability=reliability)
    return save_report(data, tmp_path_factory.mktemp('page') / 'report.html', title='One scene')


@pytest.fixture(scope='module')
def acted(page, browse):
    """The answers of the page to all actions, in one browser, as starting one takes long."""
    return browse(page, 'act_on_scene.js')


def test_the_swipe_moves(acted):
    said = acted['swipe']
    assert near(said['start'][0], BEFORE)
    assert near(said['start'][1], AFTER)
    assert near(said['moved'][0], BEFORE)
    assert near(said['moved'][1], AFTER)
    assert said['key'] == '22'
    assert near(said['later'], BEFORE)
    assert said['text'] == '62 percent before'
    assert said['labelled'] == 1
    assert said['divider'] == '62%'


def test_arrow_keys_move_the_focused_range(acted):
    """The swipe is a plain range input, which the browser itself moves by keys."""
    said = acted['range']
    assert said['type'] == 'range'
    assert said['focused']
    assert said['divider'] == '51%'


def test_plots_follow_the_width_of_the_page(acted):
    for name, least, most in (('narrow', 80, 360), ('wide', 361, 1200)):
        for drawn, place in acted['narrow'][name]:
            assert drawn == pytest.approx(place, abs=1)
            assert least < place <= most


def test_the_reliability_is_drawn_where_there_are_pixels(acted):
    """Half of the pixels at 0.1 changed, all at 0.9; three of five bins are empty."""
    said = acted['reliability']
    assert np.allclose(said['points'], [[0.1, 0.5], [0.9, 1.0]])
    assert said['markers'] == 2
    assert said['rows'][0] == ['0.00 to 0.20', '2', '10.0\u202f%', '50.0\u202f%']
    assert said['rows'][1] == ['0.20 to 0.40', '0', *2 * ['\u2013']]


def test_boxes_and_modes_change_pixels(acted, table):
    said = acted['boxes']
    colours = {name: tuple(one) for name, one in said['colours'].items()}
    wood, town = table.palette[1], table.palette[3]
    assert colours['dates'] == wood
    assert near(colours['bare'], AFTER)
    assert colours['change'] == (230, 0, 126)
    assert colours['from'] == wood
    assert colours['to'] == town
    assert near(colours['none'], BEFORE)
    assert sorted(map(tuple, said['stripes'])) == sorted([wood, town])
    assert near(colours['off'], BEFORE)
    assert colours['on'] == wood
    assert near(colours['faint'], mixed(BEFORE, wood, 0.4))
    assert said['boxes'] == 3


def test_errors_and_the_annotation(acted, table):
    said = acted['errors']
    colours = {name: tuple(one) for name, one in said['colours'].items()}
    assert colours['right'] == (0, 158, 115)
    assert colours['wrongClass'] == (204, 121, 167)
    assert colours['missed'] == (255, 130, 0)
    assert colours['false'] == (60, 130, 255)
    assert colours['leftOut'] == (120, 120, 120)
    assert near(colours['unchanged'], AFTER)
    # Of the annotation, which has a change where nothing is predicted.
    assert colours['annotated'] == table.palette[2]
    assert near(colours['predicted'], AFTER)
    assert said['key'] == ['right', 'missed', 'false', 'wrong class', 'left out']
    assert said['panels'] == [
        *('Before', 'After', 'Prediction before', 'Prediction after'),
        *('Annotation before', 'Annotation after', 'Errors'),
    ]
    # No probability was kept.
    assert said['disabled'] == ['probability']


def test_a_polygon_row_jumps(acted):
    said = acted['polygons']
    assert said['rows'][0] == ['1', 'wood → town', '12.00', '0.90', 'Show']
    assert said['rows'][1][3] == '\N{EN DASH}'
    assert said['moved']
    assert said['zoomed']
    assert said['fit']
    assert said['panned']
    assert said['said'] == 'Change 2: wood → town, 4.00 ha'
    assert said['current'] == [None, 'true']
    assert 'wood → town' in said['read']
    assert 'column 35, row 23' in said['read']
    assert said['hint'] == 'The 2 largest of 7.'


def test_a_cell_of_the_matrix_filters(acted):
    said = acted['cell']
    assert said['text'] == 'Only wood → town is shown.'
    assert said['boxes'] == ['wood before', 'town after']


def test_numbers_in_the_tables_add_up(acted):
    said = acted['numbers']
    changed, unchanged, total = said['sums']
    assert [sum(column) for column in zip(*said['classes'], strict=True)] == [changed, changed]
    assert changed + unchanged == total == 32
    assert sum(sum(row[:-1]) for row in said['matrix']) == said['total'] == 16


ODD = 'x<img src=x onerror="testErrors.push(1)"> & "y", a name too long for any telephone'


@pytest.fixture(scope='module')
def pairs_page(predict, tmp_path_factory):
    """Three pairs, the one with the most change called ``ODD``."""
    folder = tmp_path_factory.mktemp('pairs')
    return write_report(predict(folder, names=('a', ODD, 'rock'), **{ODD: 0.9})[0])


@pytest.fixture(scope='module')
def switched(pairs_page, browse):
    """The answers of the page to all actions, in dark colours."""
    return browse(pairs_page, 'act_on_pairs.js', dark=True)


def test_pairs_are_switched(switched):
    assert switched['first'][0] == ODD
    assert switched['second'][0] != ODD
    assert switched['first'][1] != switched['second'][1]
    # From the index the focus goes to the viewer.
    assert switched['third'] == ['a', 'pair-name']


def test_the_theme_follows_the_system_and_the_button(switched):
    dark, light = switched['dark'], switched['light']
    assert (dark['theme'], light['theme']) == ('dark', 'light')
    # Plots and page.
    assert dark['ink'] != light['ink']
    assert dark['back'] != light['back']


def test_the_index_is_sorted_and_filtered(switched):
    assert switched['falling'][0] == ODD
    assert switched['rising'] == switched['falling'][::-1]
    assert switched['kept'] == ['rock']


def test_nothing_is_wider_than_a_telephone(pairs_page, browse):
    said = browse(pairs_page, 'act_on_narrow.js', frame=375)
    assert said['window'] == 375
    assert said['page'] <= 375
    # Tables and plots that are wider scroll in a frame of their own, or don't reach over it.
    assert said['over'] == []


def test_names_stay_text(switched):
    """Names of pairs and classes that look like HTML are shown as they are, in plots too."""
    assert switched['images'] == 0
    assert switched['class'] == 'a<b> & "c"'
    assert switched['tick'] == 'a<b> & "c"'
