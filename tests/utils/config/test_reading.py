from pathlib import Path

import pytest
from mmengine.config import Config

from tfinet_mm.errors import ConfigError
from tfinet_mm.utils.config import reading
from tfinet_mm.utils.config.reading import merge_options, read_config_file

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'a = 1\n\tb = 2\n', r'cfg\.py, line 2: IndentationError'),
        (b'a = (\n', r'cfg\.py, line 1: SyntaxError'),
        (b'a = 1\nb = nowhere\n', r"cfg\.py, line 2: NameError: name 'nowhere'"),
        (b'a = 1\nraise ValueError("mine")\n', r'cfg\.py, line 2: ValueError: mine'),
        (b'import sys\nsys.exit(3)\n', r'cfg\.py, line 2: SystemExit: 3'),
        ('a = 1\n'.encode('utf-16'), r'cfg\.py is no text in UTF-8'),
        (b'a = "\xe9"\n', r'cfg\.py is no text in UTF-8'),
        (b'a = 1\0', r'cfg\.py'),
        (b'_base_ = "nowhere.py"', r'there is no config .*nowhere\.py'),
        (b'_base_ = 5', r'cfg\.py: _base_ must be'),
        (b'_base_ = "cfg.py"', r'a cycle of configs'),
        (b'_base_ = "nopackage::a.py"', r'no nopackage is installed'),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, message):
    (tmp_path / 'cfg.py').write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_config_file(tmp_path / 'cfg.py')


def test_a_cycle_of_two_names_both(tmp_path):
    (tmp_path / 'a.py').write_text('_base_ = "b.py"')
    (tmp_path / 'b.py').write_text('_base_ = ["a.py"]')
    with pytest.raises(ConfigError, match=r'a\.py -> .*b\.py -> .*a\.py'):
        read_config_file(tmp_path / 'a.py')


def test_the_line_is_that_of_the_inherited_file(tmp_path):
    (tmp_path / 'base.py').write_text('a = 1\n\nb = 1 / 0\n')
    (tmp_path / 'cfg.py').write_text('_base_ = "base.py"\n')
    with pytest.raises(ConfigError, match=r'base\.py, line 3: ZeroDivisionError'):
        read_config_file(tmp_path / 'cfg.py')


def test_byte_order_marks_change_nothing(tmp_path):
    """Marks may be in any file; the result is that of MMEngine on files without them."""
    texts = {
        'sub/base.py': 'model = dict(type="A", name="{{ fileBasename }}")\nlist_ = [1]\n',
        'cfg.py': '_base_ = [\n    "sub/base.py",\n]\nmodel = dict(b={{_base_.list_}})\n',
    }
    results = []
    for encoding in ('utf-8', 'utf-8-sig'):
        folder = tmp_path / encoding
        (folder / 'sub').mkdir(parents=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding=encoding)
        results.append(read_config_file(folder / 'cfg.py'))
    expected = Config.fromfile(str(tmp_path / 'utf-8/cfg.py'))
    assert results[0].to_dict() == results[1].to_dict() == expected.to_dict()
    assert results[1].filename == str(tmp_path / 'utf-8-sig/cfg.py')
    assert str(tmp_path / 'utf-8-sig/sub/base.py') in results[1].text


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
def test_bases_may_be_named_by_variables(tmp_path, monkeypatch, encoding):
    """Variables of the environment, defaults and the config's place are replaced as by MMEngine."""
    (tmp_path / 'sub').mkdir()
    for number in range(3):
        (tmp_path / 'sub' / f'{number}.py').write_text(f'a{number} = {number}\n')
    (tmp_path / 'cfg.py').write_text(
        "_base_ = ['{{$TFINET_TEST_FOLDER:nowhere}}/0.py', '{{$TFINET_TEST_UNSET:sub}}/1.py',\n"
        "    '{{ fileDirname }}/sub/2.py']\nb = {{'$TFINET_TEST_UNSET:3'}}\n",
        encoding=encoding,
    )
    monkeypatch.setenv('TFINET_TEST_FOLDER', str(tmp_path / 'sub'))
    monkeypatch.delenv('TFINET_TEST_UNSET', raising=False)
    assert read_config_file(tmp_path / 'cfg.py').to_dict() == dict(a0=0, a1=1, a2=2, b=3)
    (tmp_path / 'cfg.py').write_text("_base_ = '{{$TFINET_TEST_UNSET:}}/1.py'\n", encoding=encoding)
    with pytest.raises(ConfigError, match='TFINET_TEST_UNSET'):
        read_config_file(tmp_path / 'cfg.py')


def test_other_files_are_no_configs(tmp_path):
    (tmp_path / 'a.pth').write_bytes(b'x')
    with pytest.raises(ConfigError, match=r'config and checkpoint given in the right order'):
        read_config_file(tmp_path / 'a.pth')
    with pytest.raises(FileNotFoundError, match='is a folder'):
        read_config_file(tmp_path)


def test_it_is_said_once_that_configs_run(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(reading, '_notified', set())
    monkeypatch.setattr(reading, 'print_log', lambda message, **kwargs: said.append(message))
    (tmp_path / 'cfg.py').write_text('a = 1\n')
    for _ in range(2):
        read_config_file(tmp_path / 'cfg.py')
    assert len(said) == 1
    assert 'your rights' in said[0]


def test_options_that_lead_nowhere_are_named():
    cfg = Config(dict(a=dict(b=[dict(e=1)])))
    merge_options(cfg, {'a.b.0.e': 2, 'c.d': 3})
    assert cfg.to_dict() == dict(a=dict(b=[dict(e=2)]), c=dict(d=3))
    with pytest.raises(ConfigError, match=r'a\.b\.7\.e=1'):
        merge_options(cfg, {'a.b.7.e': 1})


def test_bases_of_a_config_that_is_read_cannot_be_set():
    with pytest.raises(ConfigError, match=r'_base_=.* is read already'):
        merge_options(Config(dict(a=1)), {'_base_': 'other.py'})


def test_functions_that_are_imported_are_no_settings(tmp_path):
    path = tmp_path / 'cfg.py'
    path.write_text('from math import sqrt\nfrom os.path import join\na = sqrt(4)\n')
    cfg = read_config_file(path)
    assert dict(cfg) == dict(a=2.0)
    assert 'a=2.0' in cfg.pretty_text.replace(' ', '')


def test_configs_of_the_package_go_by_name(tmp_path):
    name = 'tfinet_mm::senseearth/fcn_hrnet18.py'
    cfg = read_config_file(name)
    assert cfg.model.backbone.width == 18
    assert cfg.to_dict() == read_config_file(ROOT / 'configs/senseearth/fcn_hrnet18.py').to_dict()
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = ['{name}']\nmodel = dict(backbone=dict(frozen_stages=1))\n")
    mine = read_config_file(path)
    assert (mine.model.backbone.width, mine.model.backbone.frozen_stages) == (18, 1)
    assert mine.filename == str(path)
    # Bases of bases too.
    (tmp_path / 'again.py').write_text("_base_ = 'mine.py'\n")
    assert read_config_file(tmp_path / 'again.py').model.backbone.frozen_stages == 1


@pytest.mark.parametrize(
    ('name', 'hint'),
    [
        ('tfinet_mm::tfinet_lite0_fpm.py', r'did you mean tfinet_mm::tfinet_lite0_fpn\.py'),
        ('tfinet_mm::../setup.py', 'the package has no config'),
    ],
)
def test_names_of_no_config_are_refused(tmp_path, name, hint):
    with pytest.raises(FileNotFoundError, match=hint):
        read_config_file(name)
    (tmp_path / 'mine.py').write_text(f"_base_ = '{name}'\n")
    with pytest.raises(ConfigError, match=rf'mine\.py: _base_ names {name}, but .*{hint}'):
        read_config_file(tmp_path / 'mine.py')
