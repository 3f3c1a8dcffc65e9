"""Test that the examples of the README and the docs work as written."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine import Config
from mmengine.registry import DefaultScope
from test_configs import make_sample

from tfinet_mm.checkpoints.shipped import DEFAULT
from tfinet_mm.models.members import network_bands
from tfinet_mm.registry import DATASETS, MODELS
from tfinet_mm.utils.config.loading import load_config

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    ROOT / 'configs' / 'README.md',
    *sorted((ROOT / 'docs').glob('*.md')),
    *sorted((ROOT / 'projects').rglob('*.md')),
]


def _blocks(page, language):
    return re.findall(rf'```{language}\n(.*?)```', page.read_text(encoding='utf-8'), re.DOTALL)


def _commands():
    """Return every command line that runs something of this repository."""
    for page in PAGES:
        text = page.read_text(encoding='utf-8')
        lines = [line for block in _blocks(page, 'bash') for line in block.splitlines()]
        lines += re.findall(r'`((?:python )?(?:tools|projects/\w+)/[^`\n]+)`', text)
        for line in lines:
            yield str(page.relative_to(ROOT)), line


CONFIG_SNIPPETS = [b for b in _blocks(ROOT / 'README.md', 'python') if b.startswith('_base_')]
ENSEMBLES = [b for b in CONFIG_SNIPPETS if 'SCDEnsemble' in b]
STARTS = [b for b in CONFIG_SNIPPETS if 'load_from' in b]
SWAPS = [b for b in CONFIG_SNIPPETS if b not in ENSEMBLES + STARTS]
PROGRAMS = [b for b in _blocks(ROOT / 'README.md', 'python') if not b.startswith('_base_')]
TOOL_CALLS = sorted(
    {
        (page, line)
        for page, line in _commands()
        if re.match(r'python (tools|projects)/\S+\.py ', line) and '[' not in line
    }
)
DATA_SNIPPETS = _blocks(ROOT / 'docs' / 'datasets.md', 'python')
BANDS = [block for block in DATA_SNIPPETS if 'in_channels=' in block]
OWN_DATA = [block for block in DATA_SNIPPETS if "data_root='data/mine'" in block]
SCRIPTS = sorted({m for _, line in _commands() for m in re.findall(r'tools/\w+\.sh', line)})


def test_there_is_something_to_test():
    assert len(SWAPS) == 3
    assert len(ENSEMBLES) == len(STARTS) == 1
    assert len(PROGRAMS) == 1
    assert len(BANDS) == len(OWN_DATA) == 1
    assert len(TOOL_CALLS) > 8


@pytest.mark.parametrize('snippet', SWAPS)
def test_swaps_train_a_step(snippet, tmp_path):
    """Each swap builds, differs from its base, and runs forward and backward."""
    _train_a_step(snippet, tmp_path)


@pytest.mark.parametrize('snippet', STARTS)
def test_a_start_names_the_weights_of_the_package(snippet, tmp_path):
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    (tmp_path / 'start.py').write_text(snippet)
    cfg = load_config(tmp_path / 'start.py')
    assert cfg.load_from == DEFAULT


@pytest.mark.parametrize('snippet', ENSEMBLES)
def test_the_ensemble_averages_its_members(snippet, tmp_path, monkeypatch):
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'ensemble.py').write_text(snippet)
    cfg = Config.fromfile('ensemble.py')
    with DefaultScope.overwrite_default_scope('mmseg'):
        for member in cfg.model.members:
            model_cfg = Config.fromfile(member.config).model
            model_cfg.backbone.init_cfg = None
            torch.save({'state_dict': MODELS.build(model_cfg).state_dict()}, member.checkpoint)
        ensemble = MODELS.build(cfg.model)
        pairs = torch.randint(0, 256, (1, 6, 40, 40)).float()
        one, two = ensemble.member_probabilities(pairs)
        mean = ensemble.predict_probabilities(pairs)
    assert (one.change - two.change).abs().max() > 1e-4
    torch.testing.assert_close(mean.change, (one.change + 0.5 * two.change) / 1.5)


@pytest.mark.parametrize('snippet', BANDS)
def test_five_bands_train_a_step(snippet, tmp_path):
    cfg = _train_a_step(snippet, tmp_path, bands=5)
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.pipeline[0].bands == [1, 2, 3, 4, 5]
        assert dataset.img_suffix == '.tif'
    assert network_bands(cfg) == 5


@pytest.mark.parametrize('snippet', OWN_DATA)
def test_data_of_ones_own_is_found(snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, suffix in (
        *(('2018', '.tif'), ('2023', '.tif')),
        *(('cover 2018', '.png'), ('cover 2023', '.png'), ('change', '.png')),
    ):
        for name in ('a', 'sub/b.c d', 'unlisted'):
            path = tmp_path / 'data/mine' / folder / f'{name}{suffix}'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (tmp_path / 'data/mine/train.txt').write_text('a\nsub/b.c d.tif\n')
    values = dict(train_pipeline=[])
    exec(snippet, values)
    dataset = DATASETS.build(values['train_dataloader']['dataset'])
    assert [dataset[index]['sample_id'] for index in range(len(dataset))] == ['a', 'sub/b.c d']
    assert dataset.metainfo['semantic_classes'][1:] == ('water', 'forest', 'built')


def _train_a_step(snippet, tmp_path, bands=3):
    path = tmp_path / 'swap.py'
    path.write_text(snippet.replace("'configs/", f"'{ROOT.as_posix()}/configs/"))
    cfg = Config.fromfile(path)
    base = Config.fromfile(ROOT / 'configs' / 'tfinet_r18.py')
    assert cfg.model != base.model
    cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    raw = {
        'inputs': [torch.randint(0, 256, (2 * bands, 64, 64), dtype=torch.uint8) for _ in range(2)],
        'data_samples': [make_sample(6, (64, 64)) for _ in range(2)],
    }
    total, _ = model.parse_losses(model(**model.data_preprocessor(raw, training=True), mode='loss'))
    total.backward()
    assert torch.isfinite(total)
    return cfg


@pytest.mark.parametrize('program', PROGRAMS)
def test_programs_print_what_they_say(program):
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    promised = re.findall(r'# (torch\.Size\(\[[^)]*\]\))', program)
    assert done.stdout.split('\n')[: len(promised)] == promised


@pytest.mark.parametrize(('page', 'line'), TOOL_CALLS)
def test_tools_take_the_options_shown(page, line):
    """The tool exists and knows every option of the line; configs it names exist."""
    words = shlex.split(line, comments=True)
    tool = ROOT / words[1]
    assert tool.is_file(), f'{page}: {line}'
    for word in words[2:]:
        if re.match(r'(configs|projects)/\S+\.py$', word):
            assert [*ROOT.glob(word)], f'{page}: {line}'
    # Options after "--" are those of another program.
    words = words[: words.index('--')] if '--' in words else words
    shown = {word for word in words[2:] if word.startswith('--')}
    assert shown <= options_of(tool), f'{page}: {line}'


def options_of(tool):
    """Return the options in a tool and in the modules of the package that it imports."""
    found, left, known = {tool}, [tool], set()
    while left:
        source = left.pop().read_text(encoding='utf-8')
        known.update(re.findall(r"'(--[\w-]+)'", source))
        switches = re.findall(r"'--([\w-]+)',\s*action=argparse\.BooleanOptionalAction", source)
        known.update(f'--no-{name}' for name in switches)
        names = re.findall(r'^\s*from (tfinet_mm[.\w]*) import', source, flags=re.MULTILINE)
        modules = {(ROOT / name.replace('.', '/')).with_suffix('.py') for name in names}
        new = {one for one in modules if one.is_file() and "'--" in one.read_text()} - found
        found |= new
        left += new
    return known


@pytest.mark.parametrize('script', SCRIPTS)
def test_scripts_can_be_started(script):
    assert os.access(ROOT / script, os.X_OK)


def test_make_targets_exist():
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    text = '\n'.join(page.read_text(encoding='utf-8') for page in PAGES)
    named = set(re.findall(r'^make ([a-z0-9-]+)', text, re.MULTILINE))
    named |= set(re.findall(r'`make ([a-z0-9-]+)', text))
    assert named >= {'demo', 'test'}
    for target in named:
        assert re.search(rf'^{target}:', makefile, re.MULTILINE), target


def test_parameters_in_the_table_of_configs():
    """The figures of configs/README.md are those of the models (the two that build fast)."""
    table = (ROOT / 'configs' / 'README.md').read_text(encoding='utf-8')
    for name in ('tfinet_r18.py', 'demo/tfinet_r18_synthetic.py'):
        figure = re.search(rf'`{name}` \|[^|]*\| ([\d.]+) \|', table)[1]
        cfg = Config.fromfile(ROOT / 'configs' / name)
        cfg.model.backbone.init_cfg = None
        with DefaultScope.overwrite_default_scope('mmseg'):
            model = MODELS.build(cfg.model)
        parameters = sum(p.numel() for p in model.parameters())
        assert float(figure) == round(parameters / 1e6, 2), name


def _rows(page):
    """Return the rows of a page's tables, as lists of cells without the marks of code and links."""
    lines = [line for line in page.read_text(encoding='utf-8').splitlines() if line[:1] == '|']
    plain = [re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', line).replace('`', '') for line in lines]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in plain]


def test_figures_of_the_model_zoo_are_those_of_other_pages():
    """Each row repeats the figures of another page, where they change first."""
    zoo = _rows(ROOT / 'docs' / 'model_zoo.md')
    sizes = {row[0]: row[2:4] for row in _rows(ROOT / 'configs' / 'README.md') if len(row) == 5}
    scores = {row[0]: row for row in _rows(ROOT / 'projects' / 'equal_time' / 'README.md')}
    card = {row[0]: row[1:] for row in _rows(ROOT / 'tfinet_mm' / 'weights' / f'{DEFAULT}.md')}
    shipped = [row for row in zoo if row[0] == DEFAULT]
    compared = [row for row in zoo if row[0].endswith('.py')]
    assert len(shipped) == 4
    assert len(compared) == 5
    network, default, plain, augmented = shipped
    assert network[2:4] == sizes[network[1]]
    assert network[4] in card['file'][0]
    assert network[5].split()[0] in card['trained on'][0]
    assert default[2:] == card['SECOND, all eight']
    assert plain[2:] == card['SECOND, all eight, --no-tta']
    assert augmented[2:] == card['SECOND, all eight, --tta']
    for name, parameters, gflop, *measured in compared:
        assert [parameters, gflop] == sizes[name]
        same = scores[Path(name).stem]
        assert [parameters, gflop, *measured] == [*same[1:3], *same[5:]]
