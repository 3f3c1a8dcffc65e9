"""Test reading a config with the options of a command line."""

import pytest

from tfinet_mm.utils.config.loading import load_config


def test_configs_are_read_with_what_the_command_line_says(tmp_path):
    path = tmp_path / 'my config.py'
    path.write_text('a = dict(b=1, c=2)\n')
    cfg = load_config(path, {'a.b': 5})
    assert cfg.a == dict(b=5, c=2)
    assert cfg.work_dir == 'work_dirs/my config'
    assert load_config(path, None, tmp_path).work_dir == str(tmp_path)
    path.write_text('work_dir = "there"\n')
    assert load_config(path).work_dir == 'there'
    with pytest.raises(FileNotFoundError, match='nowhere'):
        load_config(tmp_path / 'nowhere.py')
