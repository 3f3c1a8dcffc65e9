"""Configs, list files and recipes: typos, values that don't fit, damaged and odd files.

In the texts below BASE stands for the folder of the small config and its data, FOLDER for the
folder of the case.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from robustness import network, process, project
from robustness.corpus import Case, Catalogue, Maker, Trial
from robustness.files import Random

SMALL = '_base_ = "BASE/tiny.py"\n'
FAST = """\
train_cfg = dict(max_epochs=1, val_interval=1)
train_dataloader = dict(dataset=dict(data_root="BASE/data/val"))
"""
Names = Sequence[Sequence[str]]
Setup = Callable[[Path], Any]
Text = str | bytes | Callable[[], str | bytes]


def cases() -> list[Case]:
    """All cases of this area."""
    catalogue = Catalogue('configs')
    for name, (line, word) in (TYPOS | TYPES | NETWORKS | SCHEDULES).items():
        _add(catalogue, name, line, [[word]], 'train')
    for name, (line, word) in DECISIONS.items():
        _add(catalogue, name, line, [[word]], 'test')
    _add_datasets(catalogue)
    _add_lists(catalogue)
    _add_files(catalogue)
    for name, (text, word) in RECIPES.items():
        _add(catalogue, f'recipe {name}', text, [[word]], 'recipe', whole=True)
    return catalogue.cases


# ----------------------------------------------------------------------- what reads a config


def train(config: Path) -> None:
    """Train the small network for an epoch."""
    project.run_tool('train', config, '--work-dir', config.parent / 'w')


def test(config: Path) -> None:
    """Test its checkpoint."""
    project.run_tool('test', config, network.checkpoint(), '--work-dir', config.parent / 'w')


def check(config: Path) -> None:
    """Check the training data."""
    project.run_tool('check_dataset', config, '--workers', 0, '--split', 'train')


def infer(config: Path) -> None:
    """Load the small network for prediction."""
    project.inferencer(config, network.checkpoint())


def recipe(config: Path) -> None:
    """Plan a recipe."""
    project.run_tool('recipe', config, '--work-dir', config.parent / 'w', '--dry-run')


DOORS = dict(train=train, test=test, check=check, infer=infer, recipe=recipe)


def _add(
    catalogue: Catalogue,
    name: str,
    text: Text,
    names: Names,
    door: str,
    whole: bool = False,
    **options: Any,
) -> None:
    """A config of these lines, put below the small one unless it is ``whole``."""
    if not whole:
        text = SMALL + FAST + text
    catalogue.add(f'{name} [{door}]', config_case(text, names, door, **options))


def config_case(
    text: Text,
    names: Names,
    door: str,
    expect: str = 'error',
    setup: Setup | None = None,
    judge: Callable[[Any], str | None] | None = None,
) -> Maker:
    """A config, called cfg.py, given to one of the tools."""

    def make(folder: Path, rng: Random) -> Trial:
        path = folder / 'cfg.py'
        if setup:
            setup(folder)
        path.write_bytes(_filled(text() if callable(text) else text, folder))
        return Trial(lambda: DOORS[door](path), expect, judge, names)

    return make


def _filled(text: str | bytes, folder: Path) -> bytes:
    if isinstance(text, bytes):
        return text
    return text.replace('BASE', str(network.folder())).replace('FOLDER', str(folder)).encode()


def data(arguments: str) -> str:
    """Settings of the training data."""
    return f'train_dataloader = dict(dataset=dict({arguments}))\n'


# ------------------------------------------------------- config lines, and a word of the error

TYPOS = {
    'typo top level modle': ('modle=dict(backbone=dict(base_channels=16))', 'modle'),
    'typo top level optim_wraper': ('optim_wraper=dict(optimizer=dict(lr=1))', 'optim_wraper'),
    'typo top level randomnes': ('randomnes=dict(seed=7)', 'randomnes'),
    'typo top level load_form': ('load_form="/nowhere.pth"', 'load_form'),
    'typo top level tta_modle': ('tta_modle=dict(transforms=["identity"])', 'tta_modle'),
    'typo max_epoch': ('train_cfg=dict(max_epoch=1)', 'max_epoch'),
    'typo data_perfix': (data('data_perfix=dict()'), 'data_perfix'),
    'typo pipline': (data('pipline=[]'), 'pipline'),
    'typo in_chanels': ('model=dict(neck=dict(in_chanels=64))', 'in_chanels'),
    'typo class_weigth': (
        'model=dict(semantic_head=dict(loss_decode=dict(class_weigth=[1]*6)))',
        'class_weigth',
    ),
    'typo sampller': ('train_dataloader=dict(sampller=dict(type="x"))', 'sampller'),
    'typo save_bset': ('default_hooks=dict(checkpoint=dict(save_bset="Score"))', 'save_bset'),
    'typo metricc': ('val_evaluator=dict(metricc=1)', 'metricc'),
    'typo clip_gard': ('optim_wrapper=dict(clip_gard=dict(max_norm=1))', 'clip_gard'),
}
TYPES = {
    'unknown type SCDDatset': (data('type="tfinet_mm.SCDDatset"'), 'SCDDatset'),
    'unknown type FeatureInteracton': (
        'model=dict(neck=dict(type="tfinet_mm.FeatureInteracton"))',
        'FeatureInteracton',
    ),
    'unknown type tfinet.X': (
        'model=dict(neck=dict(type="tfinet.FeatureInteraction"))',
        'tfinet.FeatureInteraction',
    ),
    'unknown type SCDMetricc': (
        'val_evaluator=dict(type="tfinet_mm.SCDMetricc")',
        'SCDMetricc',
    ),
}


def _classes(number: str) -> str:
    head = f'num_classes={number}, loss_decode=dict(class_weight=None)'
    return f'model=dict(semantic_head=dict({head}))'


NETWORKS = {
    'num_classes=5': (_classes('5'), 'classes'),
    'num_classes=0': (_classes('0'), 'classes'),
    'num_classes=-1': (_classes('-1'), 'classes'),
    'num_classes=None': (_classes('None'), 'classes'),
    'class_weight of 5': (
        'model=dict(semantic_head=dict(loss_decode=dict(class_weight=[1]*5)))',
        'weight',
    ),
    'backbone in_channels=4': ('model=dict(backbone=dict(in_channels=4))', 'channels'),
    'neck in_channels=512': ('model=dict(neck=dict(in_channels=512))', 'in_channels'),
    'change in_channels=64': ('model=dict(change_head=dict(in_channels=64))', 'in_channels'),
    'mean of 1': ('model=dict(data_preprocessor=dict(mean=[1], std=[1]))', 'mean'),
    'std NaN': ('model=dict(data_preprocessor=dict(std=[float("nan")]*3))', 'std'),
    'stride=16': ('model=dict(semantic_head=dict(stride=16))', 'stride'),
    'autocast float8': ('model=dict(autocast="float8")', 'autocast'),
}
DECISIONS = {
    'typo treshold': ('model=dict(test_cfg=dict(treshold=0.9))', 'treshold'),
    'threshold 2': ('model=dict(test_cfg=dict(threshold=2))', 'threshold'),
    'threshold text': ('model=dict(test_cfg=dict(threshold="x"))', 'threshold'),
    'mode sliding': ('model=dict(test_cfg=dict(mode="sliding"))', 'mode'),
    'slide stride > crop': (
        'model=dict(test_cfg=dict(mode="slide", crop_size=(16, 16), stride=(32, 32)))',
        'stride',
    ),
}
LARGE_CROPS = """pipeline=[
    dict(type="tfinet_mm.LoadImagePair"),
    dict(type="tfinet_mm.LoadPairAnnotations"),
    dict(type="tfinet_mm.RandomCropWithChange", crop_size=(128, 128)),
    dict(type="tfinet_mm.PackPairInputs"),
]"""
NO_LABELS = """pipeline=[
    dict(type="tfinet_mm.LoadImagePair"),
    dict(type="tfinet_mm.PackPairInputs"),
]"""
SCHEDULES = {
    'batch_size 0': ('train_dataloader=dict(batch_size=0)', 'batch_size'),
    'batch_size text': ('train_dataloader=dict(batch_size="4")', 'batch_size'),
    'lr negative': ('optim_wrapper=dict(optimizer=dict(lr=-1))', 'learning'),
    'lr 1e9': ('optim_wrapper=dict(optimizer=dict(lr=1e9))', 'loss'),
    'max_epochs 0': ('train_cfg=dict(max_epochs=0)', 'max_epochs'),
    'val_interval 0': ('train_cfg=dict(val_interval=0)', 'val_interval'),
    'pipeline empty': (data('pipeline=[]'), 'pipeline'),
    'pipeline without labels': (data(NO_LABELS), 'label'),
    'crop larger than image': (data(LARGE_CROPS), 'crop'),
    'train without labels': (
        data('data_prefix=dict(seg_map_path_from=None, seg_map_path_to=None)'),
        'label',
    ),
}


# ------------------------------------------------------------------------------- data sets


def _table(first_colour: str = '[0, 0, 0]', colours: str = '', names: str = '') -> str:
    """A data set of seven classes, with a first colour, or other colours or names."""
    plain = f'[{first_colour}] + [[i, 0, 0] for i in range(1, 7)]'
    classes = names or '["u", "a", "b", "c", "d", "e", "f"]'
    table = f'semantic_classes={classes}, semantic_palette={colours or plain}'
    return f'type="tfinet_mm.SCDDataset", {table}'


DATASETS = {
    'palette of 6': (_table(colours='[[i, 0, 0] for i in range(6)]'), 'colours'),
    'palette out of range': (_table('[300, 0, 0]'), '300'),
    'palette negative': (_table('[-1, 0, 0]'), '-1'),
    'palette strings': (_table(colours='["red"] * 7'), 'palette'),
    'classes doubled': (_table(names='["a"] * 7'), 'names'),
    'root absent': ('data_root="/nowhere"', '/nowhere'),
    'prefix absent': ('data_prefix=dict(img_path_from="nix")', 'nix'),
    'prefix of mmseg': ('data_prefix=dict(img_path="im1", seg_map_path="label1")', 'img_path'),
    'both dates one folder': ('data_prefix=dict(img_path_to="im1")', 'same image'),
    'labels of images swapped': (
        'data_prefix=dict(img_path_from="label1", seg_map_path_from="im1")',
        'label',
    ),
    'suffix without dot': ('img_suffix="png"', 'suffix'),
    'suffix None': ('img_suffix=None', 'suffix'),
    'fold keep': ('fold=dict(every=3, keep="x")', 'keep'),
    'fold start': ('fold=dict(every=3, start=5, keep="rest")', 'start'),
    'window larger': ('window=4096', 'window'),
    'key_pattern bad': ('key_pattern="("', 'key_pattern'),
    'semantics': ('label_semantics="cover"', 'label_semantics'),
    'indices 0': ('indices=0', 'indices'),
    'label_storage': ('label_storage="grey"', 'label_storage'),
}
NOT_ALWAYS_WRONG = ('window larger', 'suffix without dot')


def _add_datasets(catalogue: Catalogue) -> None:
    for name, (arguments, word) in DATASETS.items():
        expect = 'either' if name in NOT_ALWAYS_WRONG else 'error'
        _add(catalogue, f'dataset {name}', data(arguments), [[word]], 'check', expect=expect)


# ------------------------------------------------------------------------------- list files

VALID_LISTS = {
    'windows line ends': 'FIRST\r\nSECOND\r\n',
    'old mac line ends': 'FIRST\rSECOND',
    'trailing spaces': 'FIRST   \n  SECOND\t',
}
BAD_LISTS = {
    'doubled with suffix': 'FIRST\nFIRST.png',
    'absent name': 'FIRST\nnope',
    'comments only': '# a\n#b',
    'parent': '../im1/FIRST',
    'commas': 'FIRST,SECOND',
}


def _add_lists(catalogue: Catalogue) -> None:
    listed = data('ann_file="FOLDER/list.txt"')
    for name, content in VALID_LISTS.items():
        options = dict(expect='value', judge=_two_pairs, setup=_list(content))
        _add(catalogue, f'list {name}', listed, [['list']], 'check', **options)
    for name, content in BAD_LISTS.items():
        word = 'nope' if 'nope' in content else 'list.txt'
        _add(catalogue, f'list {name}', listed, [[word]], 'check', setup=_list(content))
    wide = _list('FIRST\nSECOND', 'utf-16')
    _add(catalogue, 'list UTF-16', listed, [['list.txt']], 'check', setup=wide)
    folder = data('ann_file="FOLDER"')
    _add(catalogue, 'list is a folder', folder, [['list file']], 'check')


def _list(content: str, encoding: str = 'utf-8') -> Setup:
    """Write a list file; FIRST and SECOND stand for names of pairs."""

    def setup(folder: Path) -> None:
        first, second = network.pair_names()[:2]
        text = content.replace('FIRST', first).replace('SECOND', second)
        (folder / 'list.txt').write_bytes(text.encode(encoding))

    return setup


def _two_pairs(value: Any) -> str | None:
    text = process.printed()
    return None if '2 pairs' in text else f'not 2 pairs: {text[-200:]}'


# ----------------------------------------------------------------------------- config files

FILES = {
    'empty': ('', 'model'),
    'base absent': ('_base_ = "nowhere.py"', 'nowhere.py'),
    'name error': (SMALL + FAST + 'x = undefined_name\n', 'undefined_name'),
    'raises': (SMALL + FAST + 'raise ValueError("mine")\n', 'mine'),
    'model list': (SMALL + FAST + 'model = [1]\n', 'model'),
    'json': ('{"model": 1}', 'cfg'),
    'tabs': (SMALL + FAST + '\tx = 1\n', 'cfg'),
}


def _add_files(catalogue: Catalogue) -> None:
    for name, (text, word) in FILES.items():
        _add(catalogue, f'file {name}', text, [[word]], 'infer', whole=True)
    marked = _encoded('utf-8-sig')
    _add(catalogue, 'file BOM', marked, [['cfg']], 'train', whole=True, expect='value')
    _add(catalogue, 'file UTF-16', _encoded('utf-16'), [['cfg']], 'infer', whole=True)
    cycle = dict(whole=True, setup=_base_that_goes_back)
    names = [['cfg.py'], ['b.py'], ['cycle']]
    _add(catalogue, 'base cycle of two', '_base_ = "b.py"\n', names, 'infer', **cycle)


def _encoded(encoding: str) -> Callable[[], bytes]:
    """A good config in an encoding of its own."""
    return lambda: (SMALL + FAST).replace('BASE', str(network.folder())).encode(encoding)


def _base_that_goes_back(folder: Path) -> None:
    (folder / 'b.py').write_text('_base_ = "cfg.py"\n')


# ---------------------------------------------------------------------------------- recipes

MEMBER = 'members=["BASE/tiny.py"]\n'
RECIPES = {
    'no members': ('members=[]', 'members'),
    'unknown key': ('member=["x.py"]', 'member'),
    'name with slash': ('members=[dict(config="BASE/tiny.py", name="../../x")]', 'names'),
    'name ..': ('members=[dict(config="BASE/tiny.py", name="..")]', 'names'),
    'weight NaN': ('members=[dict(config="BASE/tiny.py", weight=float("nan"))]', 'weight'),
    'weight text': ('members=[dict(config="BASE/tiny.py", weight="x")]', 'weight'),
    'method unknown': (MEMBER + 'pseudo_labels=dict(method="hard")', 'method'),
    'retrain without LoadPseudoLabels': (
        MEMBER + 'pseudo_labels=dict(method="vote")\nretrain=[dict(config="BASE/other.py")]',
        'LoadPseudoLabels',
    ),
    'members a string': ('members="BASE/tiny.py"', 'members'),
    'name with newline': (r'members=[dict(config="BASE/tiny.py", name="a\nb")]', 'names'),
}
