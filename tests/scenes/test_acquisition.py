import pytest

from tfinet_mm.scenes.acquisition import date_in


@pytest.mark.parametrize(
    ('name', 'date'),
    [
        ('town_2018', '2018'),
        ('2018-7_town', '2018'),
        ('LC08_L1TP_193024_20200815_20200822_01_T1', '2020-08-15'),
        ('S2B_MSIL1C_20170105T013442_N0204_R031_20170105T013443', '2017-01-05'),
        ('2019_04 of 2020', '2019-04'),
        ('20190231 in 2019', '2019'),
        ('tile_120180', None),
    ],
)
def test_the_most_precise_date_of_a_name(name, date):
    assert date_in(name) == date
