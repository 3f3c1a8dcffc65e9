"""Test the study of ten corrections: its scores, and that its README states those it saved."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from study import load_study

pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
pytest.importorskip('scipy')
FOLDER = Path(__file__).parents[2] / 'projects' / 'corrections'


@pytest.fixture(scope='module')
def study():
    return load_study('corrections/run.py')


def test_the_interval_is_that_of_students_t(study):
    # Mean 2, standard error 1 / sqrt(3), and 4.303 of these at 2 degrees of freedom.
    np.testing.assert_allclose(study.interval([1.0, 2.0, 3.0]), (-0.484, 4.484), atol=1e-3)
    assert study.interval([1.0]) == (-np.inf, np.inf)


def test_options_are_values_or_words(study):
    words = ['weight=2', 'device=cpu', 'model.autocast=null']
    expected = {'weight': 2, 'device': 'cpu', 'model.autocast': None}
    assert study.read_options(words) == expected


def test_the_table_has_the_mean_over_scenes(study, capsys):
    runs = [
        dict(
            settings='default',
            scene=scene,
            kind='fit',
            seed=seed,
            before=dict.fromkeys(study.SCORES, 30.0),
            after=dict.fromkeys(study.SCORES, after),
        )
        for scene, seed, after in (
            ('haze-33', 0, 31.0),
            ('haze-33', 1, 33.0),
            ('world-34', 0, 34.0),
            ('other-21', 0, 10.0),
        )
    ]
    study.table(runs)
    chosen, reported = capsys.readouterr().out.split('fit, scenes reported')
    assert 'mean -20.0' in chosen
    # Each scene counts once: 2 of the two runs of the first, 4 of the second.
    assert 'mean +3.0' in reported
    assert 'SeK of each +1.0, +3.0' in reported


def test_the_readme_has_the_scores_that_were_saved(study):
    runs = json.loads((FOLDER / 'results.json').read_text())
    text = (FOLDER / 'README.md').read_text()
    own = [run for run in runs if (run['settings'], run['kind']) == ('default', 'fit')]
    assert {run['scene'] for run in own} == set(study.REPORTED)
    for run in own:
        gains = study.gain_table([run])[0]
        cells = [run['scene'], f'{run["before"]["SeK"]:.1f}', *(f'{gain:+.1f}' for gain in gains)]
        assert re.search(r'\| ' + re.escape(' | '.join(cells)) + r' \|', text), cells
    gains = study.gain_table(own)[:, 0]
    low, high = study.interval(gains)
    stated = f'{gains.mean():+.1f} points of SeK ({low:+.1f} to {high:+.1f})'
    assert stated in ' '.join(text.split())
