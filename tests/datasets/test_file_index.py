import os
import re
import sys
import time
import unicodedata

import pytest

from tfinet_mm.datasets.file_index import (
    fold_members,
    list_folder,
    match_folders,
    read_list_file,
    select_listed,
    tile_windows,
)
from tfinet_mm.errors import UnmatchedPairError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_names_with_dots_spaces_and_sub_folders_in_sorted_order(tmp_path):
    touch(
        tmp_path, 'b.png', 'a.v1.2.png', 'sub dir/ä b.c.PNG', '.hidden.png', '.git/x.png', 'n.txt'
    )
    files = list_folder(tmp_path, ('.png',))
    assert list(files) == ['a.v1.2', 'b', 'sub dir/ä b.c']
    assert files['sub dir/ä b.c'] == str(tmp_path / 'sub dir' / 'ä b.c.PNG')


def test_several_suffixes_but_not_two_files_of_a_name(tmp_path):
    touch(tmp_path, 'a.png', 'b.jpg')
    assert list(list_folder(tmp_path, ('.png', '.jpg'))) == ['a', 'b']
    touch(tmp_path, 'a.jpg')
    with pytest.raises(UnmatchedPairError, match="two files of the name 'a'"):
        list_folder(tmp_path, ('.png', '.jpg'))


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no such folder: .*gone'):
        list_folder(tmp_path / 'gone', ('.png',))
    (tmp_path / 'x.png').mkdir()
    with pytest.raises(FileNotFoundError, match=r'no file ending in .*x\.png is a folder'):
        list_folder(tmp_path, ('.png',))
    (tmp_path / 'x.png').rmdir()
    touch(tmp_path, 'a.tif')
    with pytest.raises(FileNotFoundError, match=r"no file ending in .*'\.png'.*\['\.tif'\]"):
        list_folder(tmp_path, ('.png',))


def test_list_files(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('\ufeff# a comment\n\n b c.d \nsub/e.png\n./f\n', encoding='utf-8')
    names = read_list_file(path)
    assert names == ['b c.d', 'sub/e.png', './f']
    available = {'b c.d': '1', 'sub/e': '2', 'f': '3', 'g': '4'}
    assert select_listed(names, available, ('.png',), path) == ['b c.d', 'sub/e', 'f']
    with pytest.raises(UnmatchedPairError, match=r"2 of the 3 names .*'x', 'y\.png'"):
        select_listed(['x', 'f', 'y.png'], available, ('.png',), path)


def test_bad_list_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such list file'):
        read_list_file(tmp_path / 'none.txt')
    path = tmp_path / 'list.txt'
    path.write_text('# nothing\n')
    with pytest.raises(ValueError, match='no names'):
        read_list_file(path)
    path.write_text('a\nb\na\n')
    with pytest.raises(ValueError, match=r"names 1 pairs more than once: 'a'"):
        read_list_file(path)


@pytest.mark.parametrize('twice', [['f', './f'], ['f', 'f.png'], ['g', 'f.png', './f']])
def test_two_ways_to_write_one_name_are_refused(twice):
    with pytest.raises(ValueError, match=r"list\.txt names 1 pairs more than once.*'f'"):
        select_listed(twice, {'f': '1', 'g': '2'}, ('.png',), 'list.txt')


@pytest.mark.parametrize('encoding', ['utf-16', 'latin-1'])
def test_list_files_of_other_encodings_are_named(tmp_path, encoding):
    path = tmp_path / 'list.txt'
    path.write_bytes('Zürich\n'.encode(encoding))
    with pytest.raises(ValueError, match=r'list\.txt is not text in UTF-8; save it as UTF-8'):
        read_list_file(path)


@pytest.mark.parametrize('path', [5, ['list.txt']])
def test_what_is_no_name_of_a_list_file(path):
    with pytest.raises(FileNotFoundError, match='no such list file'):
        read_list_file(path)


@pytest.mark.parametrize('target', ['.', '..', '../..'])
def test_a_link_to_a_folder_above_it_is_not_followed(tmp_path, target):
    touch(tmp_path, 'd/a.png', 'd/sub/b.png', 'other/c.png')
    (tmp_path / 'd' / 'sub' / 'loop').symlink_to(target)
    (tmp_path / 'd' / 'linked').symlink_to(tmp_path / 'other')
    (tmp_path / 'd' / 'sub' / 'again').symlink_to(tmp_path / 'other')
    below = {'a', 'sub/b', 'linked/c', 'sub/again/c'}
    if target == '../..':
        # A folder above the listed one, whose other contents are listed once.
        below |= {'sub/loop/other/c'}
    assert set(list_folder(tmp_path / 'd', ('.png',))) == below


def test_unmatched_names_are_counted_and_the_first_ones_listed():
    names = {f'{i:02d}': f'before/{i}' for i in range(30)}
    with pytest.raises(UnmatchedPairError) as error:
        match_folders({'before': names, 'after': {'00': 'after/0', 'zz': 'after/zz'}})
    message = str(error.value)
    assert message.startswith('30 names are not in every folder')
    assert "before lacks 'zz'" in message
    assert "after lacks '01', '02'" in message
    assert '(29 in all)' in message
    assert "'11'" not in message


def test_listed_names_need_no_others_to_match():
    folders = {'before': {'a': '1', 'b': '2'}, 'after': {'b': '3', 'c': '4'}}
    pairs = match_folders(folders, only=['b'])
    assert list(pairs) == [{'name': 'b', 'before': '2', 'after': '3'}]
    with pytest.raises(UnmatchedPairError, match="after lacks 'a'"):
        match_folders(folders, only=['a', 'b'])


def test_key_pattern_brings_names_of_two_years_together():
    folders = {
        'before': {'t-2006-1': '1', 't-2006-2': '2'},
        'after': {'t-2012-1': '3', 't-2012-2': '4'},
    }
    pairs = match_folders(folders, key_pattern=r'-\d{4}')
    assert [pair['after'] for pair in pairs] == ['3', '4']
    assert pairs[0]['name'] == 't-2006-1'
    with pytest.raises(UnmatchedPairError, match='make the pattern match less'):
        match_folders(folders, key_pattern=r'-\d+')


@pytest.mark.parametrize(
    ('total', 'every', 'start', 'number'),
    [(2968, 10, 0, 297), (2968, 5, 4, 593), (2385, 5, [0, 1], 954)],
)
def test_folds_have_the_published_sizes(total, every, start, number):
    names = [f'{index:05d}' for index in range(total)]
    held_out = fold_members(names, every, start)
    assert len(held_out) == number
    starts = [start] if isinstance(start, int) else start
    assert held_out == {name for name in names if int(name) % every in starts}


@pytest.mark.parametrize('fold', [(1, 0), (5, 5), (5, [-1]), (5, [])])
def test_impossible_folds(fold):
    with pytest.raises(ValueError, match=re.escape(f'start={fold[1]}')):
        fold_members(['a'], *fold)


@pytest.mark.parametrize(
    ('size', 'window', 'stride'),
    [((10, 10), (4, 4), (4, 4)), ((9, 13), (4, 5), (2, 3)), ((3, 20), (4, 8), (4, 8))],
)
def test_windows_cover_every_pixel_and_stay_inside(size, window, stride):
    height, width = size
    seen = [[0] * width for _ in range(height)]
    for box in tile_windows(width, height, window, stride):
        assert (box.height, box.width) == (min(window[0], height), min(window[1], width))
        for row in range(box.top, box.top + box.height):
            for column in range(box.left, box.left + box.width):
                seen[row][column] += 1
    assert min(min(row) for row in seen) >= 1


def test_dropped_edges_and_exact_tiling_see_nothing_twice():
    boxes = list(tile_windows(10, 9, (4, 4), (4, 4), edge='drop'))
    assert [(b.left, b.top) for b in boxes] == [(0, 0), (4, 0), (0, 4), (4, 4)]
    assert len(list(tile_windows(10000, 10000, (500, 500), (500, 500)))) == 400


def decomposed(name):
    return unicodedata.normalize('NFD', name)


def test_names_match_in_any_unicode_form(tmp_path):
    composed = {'Zürich': '1', 'b': '2'}
    other = {decomposed('Zürich'): '3', 'b': '4'}
    assert set(composed) != set(other)
    pairs = match_folders({'before': other, 'after': composed})
    found = {pair['name']: (pair['before'], pair['after']) for pair in pairs}
    assert found == {decomposed('Zürich'): ('3', '1'), 'b': ('4', '2')}
    # List files too may use either form, with and without suffix.
    for listed in ('Zürich', 'Zürich.png', decomposed('Zürich')):
        assert select_listed([listed], other, ('.png',), 'l') == [decomposed('Zürich')]
    with pytest.raises(ValueError, match='more than once'):
        select_listed(['Zürich', decomposed('Zürich')], other, ('.png',), 'l')


@pytest.mark.parametrize('names', [['Zürich', decomposed('Zürich')], ['\u212a', 'K']])
def test_two_files_that_differ_in_their_form_only_stay_two(names):
    folders = {role: {name: role + str(i) for i, name in enumerate(names)} for role in 'ab'}
    found = {pair['name']: (pair['a'], pair['b']) for pair in match_folders(folders)}
    assert found == {name: (f'a{i}', f'b{i}') for i, name in enumerate(names)}


@pytest.mark.skipif(sys.platform != 'linux', reason='other systems store text only')
def test_names_that_are_no_utf8_blank_or_dotted(tmp_path):
    names = [b'caf\xe9', b' a', b'b ', b'a.b.', b'x.png', b'line\x0bbreak', b'\xc2\x85y']
    for folder in (b'one', b'two'):
        (tmp_path / os.fsdecode(folder)).mkdir()
        for name in names:
            with open(os.path.join(os.fsencode(tmp_path), folder, name + b'.png'), 'wb'):
                pass
    folders = {one: list_folder(tmp_path / one, ('.png',)) for one in ('one', 'two')}
    pairs = match_folders(folders)
    assert {os.fsencode(pair['name']) for pair in pairs} == set(names)
    assert all(os.path.isfile(pair[role]) for pair in pairs for role in folders)
    path = tmp_path / 'list.txt'
    path.write_text('line\x0bbreak\n\u0085y.png\n a\nb .png\n', encoding='utf-8')
    listed = select_listed(read_list_file(path), folders['one'], ('.png',), path)
    assert listed == ['line\x0bbreak', '\u0085y', ' a', 'b ']


def test_a_list_with_many_repetitions_is_refused_in_time():
    names = [f'{i:06d}' for i in range(40_000)] * 2
    start = time.process_time()
    with pytest.raises(ValueError, match='names 40000 pairs more than once'):
        select_listed(names, dict.fromkeys(names, ''), ('.png',), 'list.txt')
    # It would take minutes to count each name in the whole list.
    assert time.process_time() - start < 10


def test_a_pattern_for_each_role_takes_its_files():
    files = {f'f{i}_{date}_disaster': f'{i}{date}' for i in range(2) for date in ('pre', 'post')}
    pattern = dict(before='_pre_disaster$', after='_post_disaster$')
    pairs = match_folders({'before': files, 'after': files}, pattern)
    assert [tuple(pair.values()) for pair in pairs] == [
        ('f0_pre_disaster', '0pre', '0post'),
        ('f1_pre_disaster', '1pre', '1post'),
    ]
    only = match_folders({'before': files, 'after': files}, pattern, ['f1_pre_disaster'])
    assert [pair['after'] for pair in only] == ['1post']
    with pytest.raises(UnmatchedPairError, match=r"'_pre_disaster\$' does not match 'f1_post"):
        match_folders({'before': files, 'after': files}, pattern, ['f1_post_disaster'])
    with pytest.raises(UnmatchedPairError, match="'_mid' is found in none of 4 names"):
        match_folders({'before': files, 'after': files}, dict(pattern, after='_mid'))
    with pytest.raises(UnmatchedPairError, match='give each role its own'):
        match_folders({'before': files, 'after': files}, '_(pre|post)_disaster')


def test_files_that_two_roles_share_are_found_through_links(tmp_path):
    touch(tmp_path, 'a/1.png', 'a/2.png', 'a/3.png', 'b/2.png', 'b/sub/4.png', 'a/sub/4.png')
    (tmp_path / 'b/1.png').symlink_to(tmp_path / 'a/1.png')
    (tmp_path / 'b/3.png').symlink_to('2.png')
    (tmp_path / 'c').symlink_to('a')
    files = {role: list_folder(tmp_path / role, ('.png',)) for role in 'abc'}
    pairs = match_folders(files)
    assert pairs.names == ['1', '2', '3', 'sub/4']
    assert pairs.one_file('a', 'b') == [0]
    assert pairs.one_file('a', 'c') == [0, 1, 2, 3]
    assert pairs.missing_links() == []
    (tmp_path / 'a/1.png').unlink()
    assert pairs.missing_links() == [str(tmp_path / 'b/1.png')]


def test_links_that_lead_round_in_a_circle(tmp_path):
    for folder in ('a', 'b'):
        touch(tmp_path, f'{folder}/1.png', f'{folder}/lost+found/x.png')
    for folder in ('a', 'b'):
        (tmp_path / folder / 'other').symlink_to(tmp_path / ('b' if folder == 'a' else 'a'))
        (tmp_path / folder / 'self.png').symlink_to('self.png')
    pairs = match_folders({one: list_folder(tmp_path / one, ('.png',)) for one in 'ab'})
    assert pairs.names == ['1', 'other/1', 'other/self', 'self']
    ours = [path for path in pairs.missing_links() if path.startswith(str(tmp_path / 'a/'))]
    assert [os.path.relpath(path, tmp_path / 'a') for path in ours] == [
        'other/self.png',
        'self.png',
    ]


def test_pairs_are_a_sequence():
    folders = {role: {name: role + name for name in 'abc'} for role in ('x', 'y')}
    pairs = match_folders(folders)
    assert list(pairs[1:]) == [{'name': n, 'x': f'x{n}', 'y': f'y{n}'} for n in 'bc']
    assert list(pairs.choose({'c', 'a'})) == [pairs[0], pairs[2]]
    assert pairs[-1]['name'] == 'c'
