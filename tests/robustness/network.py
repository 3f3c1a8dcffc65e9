"""The small data set and the two small networks that the cases need."""

from pathlib import Path

from robustness import project
from robustness.process import run_in_child

NETWORK = """\
_base_ = ['{root}/configs/demo/tfinet_r18_synthetic.py']
model = dict(
    autocast=None,
    backbone=dict(base_channels={width}),
    neck=dict(in_channels={deep}),
    semantic_head=dict(in_channels={deep}, blocks=((16,), (8,))),
    change_head=dict(in_channels={both}, blocks=((16, 8), (8,), (8,))),
)
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=4, dataset=dict(data_root='{base}/data/train'), **loader)
val_dataloader = dict(batch_size=2, dataset=dict(data_root='{base}/data/val'), **loader)
test_dataloader = dict(batch_size=2, dataset=dict(data_root='{base}/data/val'), **loader)
train_cfg = dict(max_epochs=4, val_interval=1)
"""

_folder: Path | None = None


def folder() -> Path:
    """Return the folder of ``tiny.py``, ``other.py``, their checkpoints and ``data``."""
    if _folder is None:
        raise RuntimeError('call network.prepare first')
    return _folder


def config() -> Path:
    """Return the config of a very small TFINet."""
    return folder() / 'tiny.py'


def checkpoint() -> Path:
    """Return trained weights for ``config()``."""
    return folder() / 'tiny/epoch_4.pth'


def other_checkpoint() -> Path:
    """Return weights of a network twice as wide."""
    return folder() / 'other/epoch_1.pth'


def pair_names() -> list[str]:
    """Return the names of the pairs of the validation part."""
    return sorted(path.stem for path in (folder() / 'data/val/im1').glob('*.png'))


def inferencer() -> project.SCDInferencer:
    """Load the small network."""
    return project.inferencer(config(), checkpoint())


def prepare(root: Path) -> None:
    """Make everything in ``root``, in some ten seconds."""
    global _folder
    _folder = root / 'base'
    _folder.mkdir()
    _write_config('tiny', width=8)
    _write_config('other', width=16)
    sizes = ('--train', 32, '--val', 8, '--size', 64, '--seed', 0)
    _make(_folder / 'data', 'dataset/make_synthetic', _folder / 'data', *sizes)
    for name, epochs in dict(tiny=4, other=1).items():
        options = ('--seed', 0, '--cfg-options', f'train_cfg.max_epochs={epochs}')
        work_dir = _folder / name
        _make(work_dir, 'train', work_dir.with_suffix('.py'), '--work-dir', work_dir, *options)


def _write_config(name: str, width: int) -> None:
    values = dict(root=project.ROOT, base=folder(), width=width, deep=width * 8)
    text = NETWORK.format(both=width * 16, **values)
    (folder() / f'{name}.py').write_text(text)


def _make(made: Path, tool: str, *arguments: object) -> None:
    """Run a tool in a forked process, so that this one keeps a clean state."""
    log = made.with_suffix('.log')
    run_in_child(lambda: project.run_tool(tool, *arguments), log)
    if not made.is_dir():
        raise RuntimeError(f'{made} could not be made: {log.read_text(errors="replace")[-2000:]}')
