"""Options for Snakemake, what is missing for it, and a run of it that is stopped."""

import json
import os
import re
import shlex
import subprocess
import types

import pytest

from tfinet_mm.errors import MissingExtraError
from tfinet_mm.utils import snakemake

# All that Snakemake sets.
VARIABLES = [f'{name}_NUM_THREADS' for name in ('OMP', 'GOTO', 'OPENBLAS', 'MKL', 'NUMEXPR')]
VARIABLES.append('VECLIB_MAXIMUM_THREADS')


@pytest.mark.parametrize(
    ('executor', 'jobs', 'options'),
    [
        (None, None, '--cores 1'),
        ('local', 3, '--cores 3'),
        ('slurm', None, '--executor slurm --jobs unlimited'),
        ('slurm', 3, '--executor slurm --jobs 3'),
    ],
)
def test_options_of_an_executor(executor, jobs, options):
    assert snakemake.executor_options(executor, jobs) == options.split()


@pytest.mark.parametrize(('threads', 'found'), [(None, 'None'), (4, '4')])
def test_threads_are_the_users_not_snakemakes(threads, found, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('MKL_NUM_THREADS', '7')
    words = shlex.split(snakemake.thread_words(threads))
    # As Snakemake starts a job of one thread.
    environment = os.environ | dict.fromkeys(VARIABLES, '1')
    printed = subprocess.run(
        ['env', *words, 'env'], env=environment, capture_output=True, text=True, check=True
    ).stdout
    seen = dict(re.findall(r'^(\w+_THREADS)=(\d+)$', printed, re.MULTILINE))
    assert seen.pop('MKL_NUM_THREADS') == '7'
    assert str(seen.pop('OMP_NUM_THREADS', None)) == found
    assert not seen


def test_plugins_that_are_installed_are_executors(monkeypatch):
    pytest.importorskip('snakemake')
    plugin = types.SimpleNamespace(name='snakemake_executor_plugin_some_where')
    monkeypatch.setattr('pkgutil.iter_modules', lambda: [plugin])
    for name in (None, 'local', 'some-where'):
        snakemake.check_snakemake(name)
    with pytest.raises(MissingExtraError) as caught:
        snakemake.check_snakemake('slurm')
    message = str(caught.value)
    assert "no executor 'slurm', only local, dryrun, touch, some-where" in message
    assert 'pip install snakemake-executor-plugin-slurm' in message


def test_targets_are_made_again_and_a_failing_one_gives_its_code(tmp_path):
    pytest.importorskip('snakemake')
    rules = tmp_path / 'rules'
    rules.write_text("""
rule one:
    output: '{name}.done'
    shell: 'echo {config[word]} >> said; test {wildcards.name} = good && touch {output}'
""")
    folder = tmp_path / 'my folder'
    folder.mkdir()
    config = folder / 'config.json'
    config.write_text(json.dumps(dict(word='hello')))
    (folder / 'good.done').touch()
    targets, options = ['bad.done', 'good.done'], ['--cores', '1', '--keep-going']
    assert snakemake.run_snakemake(rules, config, targets, options) == 1
    assert (folder / 'said').read_text() == 'hello\nhello\n'
    assert (folder / 'good.done').exists()
    assert not (folder / 'bad.done').exists()
