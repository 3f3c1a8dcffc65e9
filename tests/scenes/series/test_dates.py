"""Test the dates of scenes in tags and names."""

import re

import numpy as np
import pytest

from tfinet_mm.scenes.series.dates import check_dates, find_dates

rasterio = pytest.importorskip('rasterio')


@pytest.fixture
def dated(raster):
    def write(name, **namespaces):
        path = raster(f'{name}.tif', np.ones((1, 2, 2), np.uint8))
        with rasterio.open(path, 'r+') as file:
            for namespace, tags in namespaces.items():
                file.update_tags(**({} if namespace == 'own' else dict(ns=namespace)), **tags)
        return path

    return write


def test_acquisition_counts_before_names_and_names_before_the_date_of_the_file(dated):
    written = [dict(TIFFTAG_DATETIME=f'2024:01:0{day} 10:00:00') for day in (1, 2)]
    named = [dated(f'{year}', own=tags) for year, tags in zip((2015, 2018), written, strict=True)]
    assert find_dates(named) == ['2015', '2018']
    taken = [
        dated(f'{year}', IMAGERY=dict(ACQUISITIONDATETIME=f'{year - 1}-05-01 10:12:00'))
        for year in (2021, 2022)
    ]
    assert find_dates(taken) == ['2020-05-01', '2021-05-01']
    # Both names have one number that could be a year.
    same = [dated(f'tile_2048_{n}', own=tags) for n, tags in zip('ab', written, strict=True)]
    assert find_dates(same) == ['2024-01-01', '2024-01-02']
    assert find_dates([dated('a'), dated('b')]) is None


def test_dates_have_to_rise(dated):
    with pytest.raises(ValueError, match=re.escape('names of the scenes have the dates 2018, 20')):
        find_dates([dated('2018'), dated('2015')])
    with pytest.raises(ValueError, match="--dates has '2018-13', expected YYYY, YYYY-MM or"):
        check_dates(['2017', '2018-13'])
    with pytest.raises(ValueError, match='expected each to be later'):
        check_dates(['2018', '2018'])
    with pytest.raises(ValueError, match='2020, 2018, 2018, which are not in the order of time'):
        find_dates([dated('2020'), dated('2018'), dated('b_2018')])
    assert find_dates([dated('2018'), dated('b_2018'), dated('2020')]) is None
