"""Checkpoints: damaged files, other files, other contents, code in them."""

import functools
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from mmengine.logging import HistoryBuffer
from robustness import network, project
from robustness.corpus import Case, Catalogue, Maker, Trial
from robustness.files import Random, overwrite, picture, truncate
from safetensors.torch import load_file, save_file

NOT_FINITE = [['NaN'], ['finite']]
Write = Callable[[Path, Random], Any]
Edit = Callable[[dict[str, Any], Random], Any]


def cases() -> list[Case]:
    """All cases of this area."""
    catalogue = Catalogue('checkpoints')
    catalogue.add('plain', edited(lambda checkpoint, rng: None, 'value'))
    _add_damage(catalogue)
    _add_other_files(catalogue)
    _add_keys(catalogue)
    _add_types(catalogue)
    _add_not_finite(catalogue)
    _add_other_networks(catalogue)
    _add_objects(catalogue)
    _add_metadata(catalogue)
    _add_embedded_configs(catalogue)
    _add_pickles(catalogue)
    _add_legacy(catalogue)
    _add_resuming(catalogue)
    _add_paths(catalogue)
    _add_weight_files(catalogue)
    return catalogue.cases


# --------------------------------------------------------------- the ways a checkpoint is read


def predict(network: project.SCDInferencer) -> np.ndarray:
    """P(changed) of one pair that is always the same."""
    rng = np.random.default_rng(0)
    return network(picture(rng, 32, 32), picture(rng, 32, 32)).change_prob


def infer(path: Path) -> np.ndarray:
    """Predict with a config and the checkpoint."""
    return predict(project.inferencer(network.config(), path))


def embedded(path: Path) -> np.ndarray:
    """Predict with the config that is inside the checkpoint."""
    return predict(project.inferencer(path))


def resume(path: Path) -> Path | None:
    """Return the checkpoint of its folder that a training would resume from."""
    return project.newest_checkpoint(path.parent)


def convert(path: Path) -> None:
    """Convert it as if it were a published TFINet."""
    converted = path.parent / 'converted.pth'
    project.run_tool('convert_checkpoint', path, converted, '--network', 'tfinet')


DOORS = dict(infer=infer, embedded=embedded, resume=resume, convert=convert)


def case(
    write: Write,
    expect: str = 'error',
    door: str = 'infer',
    names: Sequence[Sequence[str]] | None = None,
    check: Callable[[Any], str | None] | None = None,
) -> Maker:
    """A file by ``write``, called epoch_9.pth, read in one of the ways."""

    def make(folder: Path, rng: Random) -> Trial:
        path = folder / 'w/epoch_9.pth'
        path.parent.mkdir()
        write(path, rng)
        judge = check or (_same_prediction if door in ('infer', 'embedded') else None)
        default = [['epoch_9'], [str(path.parent)]]
        return Trial(lambda: DOORS[door](path), expect, judge, names or default)

    return make


def edited(edit: Edit, expect: str = 'error', **options: Any) -> Maker:
    """A good checkpoint, changed by ``edit``, or replaced by what that gives back."""

    def write(path: Path, rng: Random) -> None:
        checkpoint = load()
        replacement = edit(checkpoint, rng)
        torch.save(checkpoint if replacement is None else replacement, path)

    return case(write, expect, **options)


def load() -> dict[str, Any]:
    """A good checkpoint."""
    return torch.load(network.checkpoint(), map_location='cpu', weights_only=False)


def _same_prediction(probability: np.ndarray) -> str | None:
    if not np.isfinite(probability).all():
        return 'the probabilities are not finite'
    difference = np.abs(infer(network.checkpoint()) - probability).max()
    return f'probabilities differ by {difference:.3f}' if difference > 2e-2 else None


# ------------------------------------------------------------------------------ damaged files


def _add_damage(catalogue: Catalogue) -> None:
    numbers = dict(infer=(0, 2), embedded=(1,), resume=(0, 2), convert=(1,))
    for door in DOORS:
        catalogue.add(f'truncated {door}', case(_cut, door=door), (0, 2))
        catalogue.add(f'random bytes inside {door}', case(_damaged, door=door), numbers[door])


def _cut(path: Path, rng: Random) -> None:
    shutil.copy(network.checkpoint(), path)
    truncate(path, rng, keep=1)


def _damaged(path: Path, rng: Random) -> None:
    shutil.copy(network.checkpoint(), path)
    overwrite(path, rng, length=300, last=100)


def _add_other_files(catalogue: Catalogue) -> None:
    other_files = {
        'empty': _content(b''),
        'text': _content(b'hello'),
        'html': _content(b'<html>404 not found</html>'),
        'safetensors': _content(struct.pack('<Q', 2) + b'{}'),
        'pickle protocol 4 dict': _content(pickle.dumps({'state_dict': {}}, 4)),
        'random': _content(bytes(range(256)) * 9),
        'zip': _zip,
        'tar': _tar,
        'npz': _npz,
    }
    some = ('empty', 'html', 'zip', 'npz', 'random')
    others = ('text', 'tar', 'safetensors', 'pickle protocol 4 dict')
    for door, names in dict(infer=some, embedded=others, resume=some, convert=others).items():
        for name in names:
            catalogue.add(f'{name} {door}', case(other_files[name], door=door))


def _content(data: bytes) -> Write:
    return lambda path, rng: path.write_bytes(data)


def _zip(path: Path, rng: Random) -> None:
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('a.txt', 'x')


def _tar(path: Path, rng: Random) -> None:
    with tarfile.open(path, 'w') as archive:
        archive.add(__file__, 'x')


def _npz(path: Path, rng: Random) -> None:
    with open(path, 'wb') as file:
        np.savez(file, a=np.ones(3))


# ------------------------------------------------------------------------------- the weights


def _add_keys(catalogue: Catalogue) -> None:
    catalogue.add('missing key', edited(_remove_a_key), (0, 2))
    catalogue.add('missing num_batches', edited(_remove_counts, 'value'))
    catalogue.add('wrong shape', edited(_cut_a_weight), (0,))
    catalogue.add('prefix module.', edited(_with_prefix('module.'), 'value'))
    catalogue.add('prefix _orig_mod.', edited(_with_prefix('_orig_mod.')))
    for key in ('model_state_dict', 'state'):
        catalogue.add(f'weights under {key}', edited(_under(key)))
    published = edited(_published_names, names=[['convert_checkpoint']])
    catalogue.add('published names without conversion', published)


def _remove_a_key(checkpoint: dict, rng: Random) -> None:
    weights = checkpoint['state_dict']
    needed = [key for key in weights if 'num_batches' not in key and 'auxiliary' not in key]
    del weights[sorted(needed)[int(rng.integers(len(needed)))]]


def _remove_counts(checkpoint: dict, rng: Random) -> None:
    weights = checkpoint['state_dict']
    for key in [key for key in weights if 'num_batches' in key]:
        del weights[key]


def _cut_a_weight(checkpoint: dict, rng: Random) -> None:
    weights = checkpoint['state_dict']
    first = sorted(key for key in weights if key.endswith('conv1.weight'))
    key = first[int(rng.integers(len(first)))]
    weights[key] = weights[key][:, :1]


def _with_prefix(prefix: str) -> Edit:
    def edit(checkpoint: dict, rng: Random) -> dict:
        weights = checkpoint['state_dict'].items()
        renamed = {f'{prefix}{key}': value for key, value in weights}
        return dict(meta=checkpoint['meta'], state_dict=renamed)

    return edit


def _under(key: str) -> Edit:
    return lambda checkpoint, rng: {key: checkpoint['state_dict']}


def _published_names(checkpoint: dict, rng: Random) -> dict:
    weights = checkpoint['state_dict'].items()
    renamed = {key.replace('backbone.', 'resnet.', 1): value for key, value in weights}
    return dict(state_dict=renamed)


def _add_types(catalogue: Catalogue) -> None:
    for dtype in (torch.float16, torch.float64):
        catalogue.add(f'dtype {dtype}', edited(_as_type(dtype), 'value'))
    for dtype in (torch.int8, torch.complex64):
        catalogue.add(f'dtype {dtype}', edited(_as_type(dtype)))


def _as_type(dtype: torch.dtype) -> Edit:
    def edit(checkpoint: dict, rng: Random) -> None:
        weights = checkpoint['state_dict']
        for key, value in weights.items():
            if value.is_floating_point():
                weights[key] = value.to(dtype)

    return edit


def _add_not_finite(catalogue: Catalogue) -> None:
    nan, infinity = float('nan'), float('inf')
    named = dict(names=NOT_FINITE)
    catalogue.add('NaN weights infer', edited(_fill('change_head', nan), **named))
    infinite = edited(_fill('change_head', infinity), door='embedded', **named)
    catalogue.add('inf weights embedded', infinite)
    catalogue.add('one inf weight', edited(_one_weight(infinity), **named))
    catalogue.add('NaN in semantic head only', edited(_fill('semantic_head', nan), **named))
    catalogue.add('all zero weights', edited(_fill('', 0), 'undetectable'))


def _fill(prefix: str, value: float) -> Edit:
    def edit(checkpoint: dict, rng: Random) -> None:
        for key, weight in checkpoint['state_dict'].items():
            if key.startswith(prefix) and (weight.is_floating_point() or value == 0):
                weight.fill_(value)

    return edit


def _one_weight(value: float) -> Edit:
    def edit(checkpoint: dict, rng: Random) -> None:
        checkpoint['state_dict']['backbone.conv1.weight'][0, 0, 0, 0] = value

    return edit


def _add_other_networks(catalogue: Catalogue) -> None:
    other = case(lambda path, rng: shutil.copy(network.other_checkpoint(), path))
    catalogue.add('other network', other)
    own = case(lambda path, rng: shutil.copy(network.checkpoint(), path), door='convert')
    catalogue.add('convert own checkpoint', own)


# ------------------------------------------------------------------- other objects, metadata


def _add_objects(catalogue: Catalogue) -> None:
    objects = {
        'list': [1, 2],
        'tensor': torch.ones(3),
        'None': None,
        'int': 5,
        'string': 'x',
        'empty dict': {},
        'state_dict None': dict(state_dict=None),
        'state_dict list': dict(state_dict=[1]),
        'int keys': dict(state_dict={1: torch.ones(1)}),
        'values not tensors': dict(state_dict={'a': 5, 'b': 'x', 'c': None}),
        'tuple': (1,),
    }
    some = ('list', 'None', 'string', 'state_dict None', 'int keys', 'tuple')
    others = ('tensor', 'int', 'empty dict', 'state_dict list', 'values not tensors')
    for door, names in dict(infer=some, embedded=others, resume=some, convert=others).items():
        for name in names:
            catalogue.add(f'object {name} {door}', case(_object(objects[name]), door=door))
    for door in ('embedded', 'convert'):
        text = edited(lambda checkpoint, rng: checkpoint.update(meta='x'), door=door)
        catalogue.add(f'object meta string {door}', text)


def _object(value: Any) -> Write:
    return lambda path, rng: torch.save(value, path)


def _add_metadata(catalogue: Catalogue) -> None:
    many = edited(_nine_classes, names=[['classes'], ['names']])
    catalogue.add('dataset_meta too many classes', many)
    catalogue.add('dataset_meta None', edited(_no_dataset_meta, 'value'))


def _nine_classes(checkpoint: dict, rng: Random) -> None:
    checkpoint['meta']['dataset_meta'].update(semantic_classes=tuple('abcdefghi'))


def _no_dataset_meta(checkpoint: dict, rng: Random) -> None:
    checkpoint['meta'].update(dataset_meta=None)


# -------------------------------------------------------------------- code inside a checkpoint

NETWORK = 'type="tfinet_mm.SemanticChangeDetector"'
BACKBONE = 'type="mmseg.ResNet", depth=18'
EMBEDDED = {
    'code': 'import os\nos.system("touch MARKER")\nmodel=dict(type="x")',
    'type subprocess': 'model=dict(type="subprocess.run", args="touch MARKER", shell=True)',
    'f-string': 'model=dict(type=f"{open(\'/etc/passwd\').read()}")',
    'syntax': 'model = ((',
    'deep': 'model=' + '[' * 5000 + ']' * 5000,
    'builtin scope': 'default_scope="os"\nmodel=dict(type="system", command="touch MARKER")',
    'huge layer': f'model=dict({NETWORK}, backbone=dict({BACKBONE}, base_channels=100000))',
}
"""Texts of configs that a checkpoint may carry; MARKER is a file that their code would make."""


def _add_embedded_configs(catalogue: Catalogue) -> None:
    for name, text in EMBEDDED.items():
        catalogue.add(f'meta.cfg {name}', _config_case(text))


def _config_case(text: str) -> Maker:
    def make(folder: Path, rng: Random) -> Trial:
        marker = folder / 'marker'
        edit = _with_config(text.replace('MARKER', str(marker)))
        return _unless_run(edited(edit, door='embedded')(folder, rng), marker)

    return make


def _with_config(text: str) -> Edit:
    return lambda checkpoint, rng: checkpoint['meta'].update(cfg=text)


def _unless_run(trial: Trial, marker: Path) -> Trial:
    """The trial, where an error is worth nothing if the code in the checkpoint ran before it."""
    call = trial.call

    def watched() -> Any:
        try:
            return call()
        except Exception:
            if marker.exists():
                return None
            raise

    def check(value: Any) -> str:
        return 'code in the checkpoint ran' if marker.exists() else 'no error'

    trial.call, trial.check = watched, check
    return trial


class Reduced:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Say what unpickling it calls."""
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Say what unpickling does."""
        return self.call


def _strange_object(name: str, marker: Path) -> Any:
    """Return what no checkpoint should hold; some would make ``marker``."""
    objects = dict(
        system=Reduced(os.system, f'touch {marker}'),
        exec=Reduced(exec, f'open({str(marker)!r}, "w")'),
        getattr=Reduced(getattr, HistoryBuffer, '__init__'),
        module=torch.nn.Linear(2, 2),
        npobj=np.array([{}, 1], object),
        path=Path('/x'),
        partial=functools.partial(print, 1),
    )
    return objects[name]


def _add_pickles(catalogue: Catalogue) -> None:
    some, others = ('system', 'getattr', 'npobj', 'partial'), ('exec', 'module', 'path')
    for door, names in dict(infer=some, embedded=others, resume=some, convert=others).items():
        for name in names:
            catalogue.add(f'pickle {name} {door}', _pickle_case(name, door))


def _pickle_case(name: str, door: str) -> Maker:
    def make(folder: Path, rng: Random) -> Trial:
        marker = folder / 'marker'
        meta = dict(x=_strange_object(name, marker))
        checkpoint = dict(state_dict={}, meta=meta, message_hub={})
        return _unless_run(case(_object(checkpoint), door=door)(folder, rng), marker)

    return make


# ---------------------------------------------------------------------- format, resuming, paths


def _add_legacy(catalogue: Catalogue) -> None:
    catalogue.add('legacy format', case(_legacy, 'value'))
    catalogue.add('legacy truncated', case(_legacy_cut), (0, 2))


def _legacy(path: Path, rng: Random) -> None:
    torch.save(load(), path, _use_new_zipfile_serialization=False)


def _legacy_cut(path: Path, rng: Random) -> None:
    whole = io.BytesIO()
    torch.save(load(), whole, _use_new_zipfile_serialization=False)
    data = whole.getvalue()
    path.write_bytes(data[: int(rng.integers(10, len(data)))])


def _add_resuming(catalogue: Catalogue) -> None:
    older = case(_newest_cut, 'value', 'resume', check=_is_older)
    catalogue.add('resume: newest cut, older whole', older, (0, 2))
    frozen = edited(_without_optimizer, 'either', door='resume', check=_is_taken)
    catalogue.add('resume: no optimizer', frozen)
    elsewhere = case(_note_of_another_folder, 'value', 'resume', check=_is_none)
    catalogue.add('resume: last_checkpoint elsewhere', elsewhere)


def _newest_cut(path: Path, rng: Random) -> None:
    shutil.copy(network.checkpoint(), path.parent / 'epoch_3.pth')
    _cut(path, rng)


def _is_older(found: Path | None) -> str | None:
    return None if found and found.name == 'epoch_3.pth' else f'took {found}'


def _without_optimizer(checkpoint: dict, rng: Random) -> None:
    del checkpoint['optimizer']


def _is_taken(found: Path | None) -> str:
    return 'a checkpoint without optimizer is taken'


def _note_of_another_folder(path: Path, rng: Random) -> None:
    (path.parent / 'last_checkpoint').write_text('/nowhere/epoch_7.pth')


def _is_none(found: Path | None) -> str | None:
    return None if found is None else f'took {found}'


def _add_paths(catalogue: Catalogue) -> None:
    catalogue.add('is a folder', case(lambda path, rng: path.mkdir()))
    catalogue.add('symlink loop', case(lambda path, rng: path.symlink_to(path.name)))


# ------------------------------------------------------------------------- files of weights


def _add_weight_files(catalogue: Catalogue) -> None:
    for door in ('infer', 'embedded'):
        catalogue.add(f'weights {door}', exported(lambda head: None, 'value', door=door))
    for door in ('infer', 'embedded', 'resume'):
        cut = case(_then(truncate, keep=1), door=door)
        catalogue.add(f'weights, truncated {door}', cut, (0, 1, 2))
        # A text of the head may change without a trace.
        spoilt = case(_then(overwrite, length=300, last=100), door=door)
        catalogue.add(f'weights, random bytes {door}', spoilt, (0, 1))
    catalogue.add('weights resume', exported(lambda head: None, door='resume'))
    edits: dict[str, Callable[[dict[str, Any]], Any]] = {
        'no model': lambda head: head['config'].pop('model'),
        'a model that is text': lambda head: head['config'].update(model='TFINet'),
        'a model that is code': lambda head: head['config']['model'].update(type='os.system'),
        'a wide model': lambda head: head['config']['model']['backbone'].update(
            base_channels=10**6
        ),
        'other classes': lambda head: head['dataset_meta'].update(
            semantic_classes=['unchanged', 'b'], semantic_palette=[[0, 0, 0], [1, 1, 1]]
        ),
        'classes that are numbers': lambda head: head['dataset_meta'].update(semantic_classes=[1]),
        'a mean of text': lambda head: head['config']['model']['data_preprocessor'].update(
            mean='abc'
        ),
        'a window of text': lambda head: head['config'].update(window='wide'),
        'a pipeline of numbers': lambda head: head['config'].update(test_pipeline=[1, 2]),
    }
    for name, change in edits.items():
        catalogue.add(
            f'weights, {name}',
            exported(change, door='embedded', names=[['config'], ['epoch_9'], ['class']]),
        )


def exported(edit: Callable[[dict[str, Any]], Any], expect: str = 'error', **options: Any) -> Maker:
    """A file of weights whose head, its JSON read, is changed by ``edit``."""

    def write(path: Path, rng: Random) -> None:
        _export(path)
        with safetensors.safe_open(path, 'pt') as file:
            head = file.metadata()
        read = {key: json.loads(head[key]) for key in ('config', 'dataset_meta', 'training')}
        edit(read)
        head |= {key: json.dumps(value) for key, value in read.items()}
        save_file(load_file(path), path, head)

    return case(write, expect, **options)


def _export(path: Path) -> None:
    """Export the good checkpoint to a file of any name."""
    made = path.with_suffix('.safetensors')
    project.run_tool('export_weights', network.checkpoint(), made)
    made.replace(path)


def _then(spoil: Callable[..., None], **options: Any) -> Write:
    def write(path: Path, rng: Random) -> None:
        _export(path)
        spoil(path, rng, **options)

    return write
