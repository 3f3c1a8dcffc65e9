"""tools/analysis/benchmark_listing.py on few pairs."""

import json


def test_pairs_are_listed_and_measured(load_tool, tmp_path, capsys):
    out = tmp_path / 'figures.json'
    words = ['--pairs', '12', '--folder', str(tmp_path), '--json', str(out)]
    load_tool('analysis/benchmark_listing.py').main(words)
    figures = json.loads(out.read_text())
    last = {name: one.pop('last') for name, one in figures.items()}
    assert last == dict(folders='region_0000_tile_00000011', list_file='region_0000_tile_00000000')
    assert all(one['pairs'] == 12 and one['seconds'] > 0 for one in figures.values())
    printed = capsys.readouterr().out
    assert '48 files made' in printed
    assert 'list_file: 12 pairs in' in printed
    # The files are gone.
    assert [path.name for path in tmp_path.iterdir()] == ['figures.json']
