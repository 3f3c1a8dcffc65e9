"""Command lines: options, paths, names, folders, rights, what an earlier run left.

In the arguments below @ stands for the folder of the case, BASE for the folder of the small
config, PROJECT for the project's root.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rasterio import Affine
from robustness import network, project
from robustness.corpus import Case, Catalogue, Maker, Trial
from robustness.files import Random, picture, save, save_tiff

CONFIG, CHECKPOINT = 'BASE/tiny.py', 'BASE/tiny/epoch_4.pth'
NETWORK = (CONFIG, CHECKPOINT)
OUT = ('--out', '@/out')
PICTURES = ('@/b.png', '@/a.png')
SCENES = ('@/sb.tif', '@/sa.tif')
FOLDERS = ('@/A', '@/B')
NOBODY = 65534

Names = Sequence[Sequence[str]]
Setup = Callable[[Path, Random], Any]


def cases() -> list[Case]:
    """All cases of this area."""
    catalogue = Catalogue('commands')
    _add_valid(catalogue)
    _add_options(catalogue)
    _add_numbers(catalogue)
    _add_picture_paths(catalogue)
    _add_scene_paths(catalogue)
    _add_folders(catalogue)
    _add_names(catalogue)
    _add_links(catalogue)
    _add_earlier_results(catalogue)
    _add_other_tools(catalogue)
    return catalogue.cases


# ------------------------------------------------------------------------------ command lines


def command_case(
    arguments: Sequence[str],
    names: Names = (),
    expect: str = 'error',
    tool: str = 'predict',
    setup: Setup | None = None,
    check: Callable[[Path], str | None] | None = None,
    unprivileged: bool = False,
) -> Maker:
    """A tool with these arguments, in a folder with the usual inputs and ``setup``'s changes."""

    def make(folder: Path, rng: Random) -> Trial:
        write_inputs(folder, rng)
        if setup:
            setup(folder, rng)
        filled = [_filled(argument, folder) for argument in arguments]

        def call() -> None:
            if unprivileged:
                _drop_rights()
            project.run_tool(tool, *filled)

        judge = (lambda value: check(folder)) if check else None
        return Trial(call, expect, judge, names)

    return make


def _filled(argument: str, folder: Path) -> str:
    places = (('@', folder), ('BASE', network.folder()), ('PROJECT', project.ROOT))
    for word, place in places:
        argument = argument.replace(word, str(place))
    return argument


def _drop_rights() -> None:
    """Become a user who may neither read nor write everything, unless one already."""
    if os.getuid() == 0:
        network.inferencer()
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def write_inputs(folder: Path, rng: Random) -> None:
    """Two folders of two pictures, two single pictures and two scenes."""
    for name in ('A', 'B'):
        (folder / name).mkdir()
        for stem in ('p', 'q'):
            save(folder / name / f'{stem}.png', picture(rng, 32, 32))
    for name in ('b', 'a'):
        save(folder / f'{name}.png', picture(rng, 32, 32))
    place = dict(crs='EPSG:32633', transform=Affine(10, 0, 5e5, 0, -10, 5e6))
    for name in ('sb', 'sa'):
        values = picture(rng, 48, 48).transpose(2, 0, 1)
        save_tiff(folder / f'{name}.tif', values, **place)


def predicted(count: int) -> Callable[[Path], str | None]:
    """A check that so many pictures were predicted."""

    def check(folder: Path) -> str | None:
        found = len(list((folder / 'out/change_prob').rglob('*.png')))
        return None if found == count else f'{found} files, not {count}'

    return check


def _add(catalogue: Catalogue, name: str, *arguments: Any, **options: Any) -> None:
    """A command line of tools/predict.py."""
    catalogue.add(f'predict: {name}', command_case(*arguments, **options))


def _add_valid(catalogue: Catalogue) -> None:
    plain = dict(expect='value', check=predicted(1))
    _add(catalogue, 'plain', NETWORK + PICTURES + OUT, **plain)
    scene = dict(expect='value', check=_has_scene)
    _add(catalogue, 'scene', NETWORK + SCENES + OUT, **scene)


def _has_scene(folder: Path) -> str | None:
    return None if (folder / 'out/sb/scene.json').exists() else 'no scene.json'


# ------------------------------------------------------------------------------------ options

OPTIONS = (
    ('--foo',),
    ('--out',),
    ('--input-type', 'tile'),
    ('--bands', 'a'),
    ('--bands', '0', '1', '2'),
    ('--batch-size', 'two'),
    ('--cfg-options', 'nonsense'),
    ('--cfg-options', 'model.test_cfg.mode=foo'),
    ('--device', 'gpu'),
    ('--device', 'cuda:7'),
    ('--stretch', '5', '1'),
    ('--stretch', '0', '0'),
    ('--launcher', 'x'),
    ('--min-area', '5'),
)


def _add_options(catalogue: Catalogue) -> None:
    for option in OPTIONS:
        word = option[0].lstrip('-').split('-')[0]
        names = [[word], [option[0]], [option[-1]]]
        _add(catalogue, ' '.join(option), NETWORK + PICTURES + OUT + option, names)


NUMBERS = {
    '--window': ('-1', '0', '100000000', '-100'),
    '--overlap': ('-1', '0', '100000000', '-100'),
    '--batch-size': ('-1', '0', '100000000', '-100'),
    '--workers': ('-1', '0', '100000000', '-100'),
    '--threshold': ('-1', '0', '1e9', 'nan'),
    '--min-area': ('-1', '0', '1e9', 'nan'),
}
ALLOWED_NUMBERS = {
    ('--window', '100000000'),
    ('--overlap', '0'),
    ('--batch-size', '100000000'),
    ('--workers', '0'),
    ('--workers', '100000000'),
    ('--threshold', '0'),
    ('--min-area', '0'),
    ('--min-area', '1e9'),
}


def _add_numbers(catalogue: Catalogue) -> None:
    """Two of each option's values for pictures, the other two for scenes."""
    for option, values in NUMBERS.items():
        if option != '--min-area':
            for value in values[::2]:
                _add_number(catalogue, 'picture', PICTURES, option, value)
        for value in values[1::2]:
            _add_number(catalogue, 'scene', SCENES, option, value)


def _add_number(
    catalogue: Catalogue, kind: str, inputs: tuple[str, ...], option: str, value: str
) -> None:
    window = ('--window', '16') if option == '--overlap' else ()
    arguments = NETWORK + inputs + OUT + window + (option, value)
    expect = 'either' if (option, value) in ALLOWED_NUMBERS else 'error'
    names = [*_spellings(option), ['smallest area']]
    _add(catalogue, f'{kind} {option} {value}', arguments, names, expect)


def _spellings(option: str) -> list[list[str]]:
    """Return how a message may write the name of an option."""
    word = option.lstrip('-')
    return [[word], [word.replace('-', '_')], [word.replace('-', ' ')]]


# -------------------------------------------------------------------------- inputs and outputs


def _add_picture_paths(catalogue: Catalogue) -> None:
    def add(name: str, arguments: Sequence[str], names: Names, **options: Any) -> None:
        _add(catalogue, f'picture {name}', arguments, names, **options)

    usual = NETWORK + PICTURES + OUT
    add('overlap = window', (*usual, '--window', '16', '--overlap', '16'), [['overlap']])
    add('threshold 2', (*usual, '--threshold', '2'), [['threshold']])
    add('same input twice', NETWORK + PICTURES[:1] * 2 + OUT, [['same']])
    below = NETWORK + PICTURES + ('--out', '@/b.png/x')
    add('out below a file', below, [['b.png']])
    closed = dict(setup=_close_inputs, unprivileged=True)
    add('input not readable', usual, [['permission']], **closed)
    add('absent before', (*NETWORK, '@/nope.png', '@/a.png', *OUT), [['nope.png']])
    add('before alone', ('@/b.png', *OUT), [['b.png', 'missing']])
    add('checkpoint and before', (CHECKPOINT, '@/b.png', *OUT), [['b.png', 'missing']])
    add('three images', (*PICTURES, '@/b.png', *OUT), [['b.png', 'no network']])
    add('mistyped weights', ('tfinet_lite0', *PICTURES, *OUT), [['tfinet_lite0']])
    add('absent checkpoint', (CONFIG, '@/nope.pth', *PICTURES, *OUT), [['nope.pth']])
    swapped = (CHECKPOINT, CONFIG, *PICTURES, *OUT)
    add('checkpoint as config, config as checkpoint', swapped, [['tiny.py'], ['epoch_4']])
    add('before and folder', (*NETWORK, '@/b.png', '@/A', *OUT), [['folders']])


def _close_inputs(folder: Path, rng: Random) -> None:
    for name in ('b.png', 'sb.tif'):
        (folder / name).chmod(0)


def _add_scene_paths(catalogue: Catalogue) -> None:
    def add(name: str, arguments: Sequence[str], names: Names = (), **options: Any) -> None:
        _add(catalogue, f'scene {name}', arguments, names, **options)

    usual = NETWORK + SCENES + OUT
    add('overlap > window', (*usual, '--window', '16', '--overlap', '64'), [['overlap']])
    add('threshold inf', (*usual, '--threshold', 'inf'), [['threshold']])
    add('out is a file', NETWORK + SCENES + ('--out', '@/b.png'), [['b.png']])
    closed = NETWORK + SCENES + ('--out', '@/closed/out')
    add('out not writable', closed, [['closed']], setup=_closed_folder, unprivileged=True)
    inside = NETWORK + SCENES + ('--out', '@')
    add('out is the input folder', inside, [['out']], expect='either')
    add('absent config', ('@/nope.py', CHECKPOINT, *SCENES, *OUT), [['nope.py']])
    add('config is the checkpoint', (CHECKPOINT, *SCENES, *OUT), expect='value')
    add('image as checkpoint', (CONFIG, '@/b.png', *SCENES, *OUT), [['b.png']])


def _closed_folder(folder: Path, rng: Random) -> None:
    (folder / 'closed').mkdir(mode=0o555)


# ----------------------------------------------------------------------------------- folders


def _add_folders(catalogue: Catalogue) -> None:
    mixed = (*NETWORK, '@/b.png', '@/sa.tif', *OUT)
    _add(catalogue, 'picture and scene', mixed, [['b.png'], ['before']])
    folders = NETWORK + FOLDERS + OUT
    _add(catalogue, 'empty second folder', folders, [['/B']], setup=_empty_second_folder)
    capitals = [["'q'"], ["'Q'"]]
    _add(catalogue, 'names differ in case', folders, capitals, setup=_capital_name)
    damaged = dict(setup=_damage_a_picture)
    _add(catalogue, 'one damaged picture of two', folders, [['q.png']], **damaged)


def _empty_second_folder(folder: Path, rng: Random) -> None:
    for path in (folder / 'B').iterdir():
        path.unlink()


def _capital_name(folder: Path, rng: Random) -> None:
    (folder / 'B/q.png').rename(folder / 'B/Q.png')


def _damage_a_picture(folder: Path, rng: Random) -> None:
    (folder / 'A/q.png').write_bytes(b'x')


ODD_NAMES = (
    'ü ñ',
    'a;b',
    '-dash',
    '日本',
    '<img src=x onerror=alert(1)>',
    'dot.',
    'a\\b',
    'a\udce9',
)
"""The last one is no UTF-8."""


def _add_names(catalogue: Catalogue) -> None:
    for name in ODD_NAMES:
        report = ('--report',) if name.startswith('<') else ()
        arguments = NETWORK + FOLDERS + OUT + report
        options = dict(expect='value', setup=_named(name), check=predicted(2))
        _add(catalogue, f'name {name[:12]!r}', arguments, **options)


def _named(name: str) -> Setup:
    def setup(folder: Path, rng: Random) -> None:
        for date in ('A', 'B'):
            (folder / date / 'q.png').rename(folder / date / f'{name}.png')

    return setup


def _add_links(catalogue: Catalogue) -> None:
    folders = NETWORK + FOLDERS + OUT
    loop = dict(expect='either', setup=_link_loops, check=predicted(2))
    _add(catalogue, 'symlink loop in folders', folders, **loop)
    outside = dict(expect='value', setup=_link_outside, check=predicted(2))
    _add(catalogue, 'symlink to a file outside', folders, **outside)


def _link_loops(folder: Path, rng: Random) -> None:
    for date in ('A', 'B'):
        (folder / date / 'loop').symlink_to(folder / date)


def _link_outside(folder: Path, rng: Random) -> None:
    (folder / 'A/q.png').unlink()
    (folder / 'A/q.png').symlink_to(folder / 'b.png')


def _add_earlier_results(catalogue: Catalogue) -> None:
    usual = NETWORK + PICTURES + OUT
    damaged = dict(setup=_damaged_manifest)
    _add(catalogue, 'manifest damaged', usual, [['manifest.json']], **damaged)
    taken = (*NETWORK, '@/label1.tif', '@/sa.tif', *OUT)
    _add(catalogue, 'scene named label1', taken, [['label1']], setup=_scene_named_label1)


def _damaged_manifest(folder: Path, rng: Random) -> None:
    (folder / 'out').mkdir()
    whole = json.dumps(dict(version=1))
    (folder / 'out/manifest.json').write_text(whole[:-1])


def _scene_named_label1(folder: Path, rng: Random) -> None:
    (folder / 'sb.tif').rename(folder / 'label1.tif')


# -------------------------------------------------------------------------------- other tools

PSEUDO = (CONFIG, CHECKPOINT, '--out', '@/p')
SOFT = (*PSEUDO, '--method', 'soft')
WORK = ('--work-dir', '@/w')
ONE_EPOCH = ('--cfg-options', 'train_cfg.max_epochs=1')
REPORT = ('--report', '@/r.html', '--max-pairs', '0')
RECIPE = 'PROJECT/configs/senseearth/recipe_synthetic.py'
OTHER_TOOLS = (
    ('train', ('@/nope.py',)),
    ('train', (CONFIG, '--seed', 'x')),
    ('train', (CONFIG, '--seed', '-1', *WORK, *ONE_EPOCH)),
    ('train', (CONFIG, '--amp', 'float16', *WORK)),
    ('test', (CONFIG, '@/nope.pth', *WORK)),
    ('test', (*NETWORK, '--max-pairs', '3', *WORK)),
    ('test', (*NETWORK, '--tta', '--time-budget', 'nan', *WORK)),
    ('test', (*NETWORK, '--json', '@', *WORK)),
    ('test', (*NETWORK, *REPORT, *WORK)),
    ('pseudo_label', (CONFIG, '--out', '@/p')),
    ('pseudo_label', (*PSEUDO, '--threshold', '.5')),
    ('pseudo_label', (*SOFT, '--threshold', 'nan')),
    ('pseudo_label', (*SOFT, '--class-thresholds', '.5', '.5')),
    ('pseudo_label', (*PSEUDO, '--batch-size', '0')),
    ('pseudo_label', (*PSEUDO, '--workers', '-1')),
    ('recipe', (RECIPE, '--only', 'nix', '--dry-run', *WORK)),
    ('check_dataset', ('@/nope.py',)),
    ('check_dataset', (CONFIG, '--workers', '-3', '--split', 'val')),
    ('browse_dataset', (CONFIG, '--out', '@/b.png')),
    ('convert_checkpoint', (CHECKPOINT, '@/x.pth', '--network', 'foo')),
)
UNBLAMED = {
    '--work-dir',
    '--out',
    '--method',
    '--dry-run',
    '--tta',
    '--json',
    '--network',
    '--split',
    '--resume',
}
"""Options that are no fault of these command lines."""
OTHER_WORDS = [['nope'], ['nix'], ['b.png'], ['CHECKPOINT'], ['pairs'], ['budget'], ['batch']]


def _add_other_tools(catalogue: Catalogue) -> None:
    for tool, arguments in OTHER_TOOLS:
        options = [word for word in arguments if word.startswith('--') and word not in UNBLAMED]
        names = [group for option in options for group in _spellings(option)] + OTHER_WORDS
        shown = ' '.join(arguments).replace('BASE', '').replace('PROJECT', '')[:90]
        catalogue.add(f'{tool}: {shown}', command_case(arguments, names, tool=tool))
