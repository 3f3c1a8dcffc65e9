import argparse
import contextlib
import json
import os
import sys
import warnings

import pytest
from mmengine.logging import MMLogger

from tfinet_mm.errors import SceneError
from tfinet_mm.utils.command import (
    KeyValueAction,
    count,
    is_expected,
    message_of,
    run_command,
    seed,
)


def raising(error):
    def main():
        raise error

    return main


def bug():
    return None + 1


@pytest.fixture(autouse=True)
def no_logs(monkeypatch):
    """Remove arguments and log files of other tests, and the rank, which would end the tests."""
    monkeypatch.delenv('RANK', raising=False)
    monkeypatch.setattr(sys, 'argv', ['tool'])
    monkeypatch.setattr(MMLogger, '_instance_dict', {})


@pytest.mark.parametrize(
    'error',
    [
        SceneError('no CRS'),
        ValueError('no CRS'),
        FileNotFoundError('no CRS'),
        PermissionError('no CRS'),
        MemoryError('no CRS'),
    ],
)
def test_an_expected_error_is_one_line(error, capsys):
    with pytest.raises(SystemExit) as end:
        run_command(raising(error))
    assert end.value.code == 2
    assert capsys.readouterr().err == f'{type(error).__name__}: no CRS\n'


def test_a_warning_is_one_line_without_source(capsys):
    def main():
        warnings.warn('band 2 is 7 in all pixels', stacklevel=1)
        # As of another package, whose source line tells where to look.
        source = '\n' * 11 + 'import warnings; warnings.warn("deprecated", stacklevel=1)'
        exec(compile(source, '/elsewhere/module.py', 'exec'), {})

    shown = warnings.showwarning
    with warnings.catch_warnings(record=True) as others:
        warnings.simplefilter('always')
        run_command(main)
    assert capsys.readouterr().err == 'warning: band 2 is 7 in all pixels\n'
    assert [(str(one.message), one.filename) for one in others] == [
        ('deprecated', '/elsewhere/module.py')
    ]
    assert warnings.showwarning is shown


@pytest.mark.parametrize('level', [1, 2, 3, 4, 9])
def test_a_warning_is_one_line_whatever_place_it_names(capsys, level):
    """A context manager, for one, puts frames of contextlib between two of the package."""

    @contextlib.contextmanager
    def opened():
        warnings.warn(f'dates are swapped, {level}', stacklevel=level)
        yield

    def main():
        with opened():
            pass

    with warnings.catch_warnings():
        warnings.simplefilter('always')
        run_command(main)
    assert capsys.readouterr().err == f'warning: dates are swapped, {level}\n'


@pytest.mark.parametrize('main', [bug, raising(AttributeError('x')), raising(KeyError('x'))])
def test_a_bug_keeps_its_traceback(main):
    with pytest.raises((TypeError, AttributeError, KeyError)):
        run_command(main)


def test_a_status_is_passed_on():
    run_command(lambda: 0)
    run_command(lambda: None)
    with pytest.raises(SystemExit) as end:
        run_command(lambda: 1)
    assert end.value.code == 1


def test_an_interrupt_has_no_traceback(capsys):
    with pytest.raises(SystemExit) as end:
        run_command(raising(KeyboardInterrupt()))
    assert end.value.code == 130
    assert capsys.readouterr().err == 'stopped\n'


def test_the_traceback_is_shown_if_wanted(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['tool', '--traceback'])
    with pytest.raises(SystemExit):
        run_command(raising(SceneError('no CRS')))
    printed = capsys.readouterr().err
    assert printed.startswith('Traceback (most recent call last)')
    assert printed.endswith('SceneError: no CRS\n')


def test_the_traceback_goes_to_the_log_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    MMLogger.get_instance('run', log_file='run.log', log_level='INFO')
    with pytest.raises(SystemExit):
        run_command(raising(SceneError('no CRS')))
    assert capsys.readouterr().err == 'SceneError: no CRS [traceback: run.log]\n'
    assert 'in main' in (tmp_path / 'run.log').read_text()


def test_output_that_nobody_reads_is_no_error(monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, 'w') as stream:
        monkeypatch.setattr(sys, 'stdout', stream)
        with pytest.raises(SystemExit) as caught:
            run_command(lambda: print('x' * 10))
    assert caught.value.code == 141
    assert capsys.readouterr().err == ''
    # Another pipe that breaks is one.
    monkeypatch.undo()
    with pytest.raises(SystemExit) as caught:
        run_command(raising(BrokenPipeError('worker')))
    assert caught.value.code == 2


def test_the_launcher_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(tmp_path / 'error.json'))
    with pytest.raises(SystemExit):
        run_command(raising(SceneError('no CRS')))
    told = json.loads((tmp_path / 'error.json').read_text())
    assert 'no CRS' in told['message']['message']


def test_an_operation_that_fails_is_a_bug():
    """Only errors that are raised on purpose count, wherever the operation is."""
    with pytest.raises(TypeError) as caught:
        message_of()
    assert not is_expected(caught.value)


def test_the_error_of_a_worker_process_is_its_last_line():
    text = (
        'Caught LabelValueError in DataLoader worker process 0.\nOriginal Traceback (most recent '
        'call last):\n  File "a.py", line 1, in f\n    raise x\n'
        'tfinet_mm.errors.SceneError: a: label 7\nis too large\n'
    )
    assert message_of(SceneError(text)) == 'a: label 7\nis too large'


@pytest.mark.parametrize('word', ['nonsense', '=1', 'a..b=1', 'a=(1,2', 'a=[1'])
def test_options_without_a_value_are_named(word, capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=KeyValueAction)
    assert parser.parse_args(['--cfg-options', 'a.b=(1,2)']).cfg_options == {'a.b': (1, 2)}
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', word])
    printed = capsys.readouterr().err
    assert '--cfg-options' in printed
    assert repr(word) in printed


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        ('my data/second', 'my data/second'),
        ('"my data, [1]/(a"', 'my data, [1]/(a'),
        ("'7'", '7'),
        ('7', 7),
        ('a, b', ['a', 'b']),
        ('[(1, 2), c]', [(1, 2), 'c']),
        ('', ''),
    ],
)
def test_texts_keep_their_blanks_and_in_quotes_everything(value, expected):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=KeyValueAction)
    assert parser.parse_args(['--cfg-options', f'a={value}']).cfg_options == {'a': expected}


@pytest.mark.parametrize('text', ['-1', '0'])
def test_numbers_of_nothing_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match='from 1 on'):
        count(text)


@pytest.mark.parametrize('text', ['-1', str(2**32)])
def test_seeds_out_of_range_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match='seed'):
        seed(text)
