"""Find the best checkpoint of a training that was killed and is resumed.

MMEngine writes ``epoch_N.pth`` before it validates epoch N, so that file doesn't know whether the
best checkpoint is that of epoch N; a worse one of a later epoch would take its place.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.errors import DamagedCheckpointError, UntrustedCheckpointError


@dataclass(frozen=True)
class Best:
    """Score and file of a best checkpoint, and the step in its name."""

    score: float
    path: Path
    number: int = -1


def adopt_best(runner: Runner, hook: CheckpointHook) -> None:
    """Set the best checkpoint to the known one, or to a better one in the folder.

    Files named as MMEngine names best checkpoints are read for their score. All
    but the best are removed, as MMEngine does when it saves a better one. Files
    that can't be read, and those of other folders, are kept.

    Args:
        runner: The runner, resumed.
        hook: The hook that saves its checkpoints, after its ``before_train``.
    """
    if not hook.save_best or 'auto' in hook.key_indicators or not Path(hook.out_dir).is_dir():
        return
    for key, rule in zip(hook.key_indicators, hook.rules, strict=True):
        single = len(hook.key_indicators) == 1
        names = ('best_score', 'best_ckpt') if single else (f'best_score_{key}', f'best_ckpt_{key}')
        found: list[Any] = [None]
        if is_main_process():
            found = [_find(runner, hook, key, rule, names)]
        broadcast_object_list(found)
        best: Best | None = found[0]
        info = runner.message_hub.runtime_info
        path: str | None = None
        if best is None:
            info.pop(names[0], None)
            info.pop(names[1], None)
        else:
            runner.message_hub.update_info(names[0], best.score)
            runner.message_hub.update_info(names[1], str(best.path))
            # MMEngine removes this file once there is a better one; keep that of another run.
            if _is_in(best.path, hook.out_dir):
                path = str(best.path)
        if single:
            hook.best_ckpt_path = path
        else:
            hook.best_ckpt_path_dict[key] = path


def _find(
    runner: Runner, hook: CheckpointHook, key: str, rule: str, names: tuple[str, str]
) -> Best | None:
    """Return the best checkpoint by one score, and remove the others of the folder."""
    info = runner.message_hub.runtime_info
    start = f'best_{key}_'.replace('/', '_')
    candidates = list(_candidates(hook, start, names))
    known: Best | None = None
    if names[0] in info and names[1] in info and Path(info[names[1]]).name.startswith(start):
        known = Best(float(info[names[0]]), Path(info[names[1]]))
        if not known.path.is_file():
            moved = [one for one in candidates if one.path.name == known.path.name]
            if not moved and known.path.name:
                print_log(
                    f'the best checkpoint so far, {known.path}, is gone; the best of the others '
                    'takes its place',
                    logger='current',
                    level=logging.WARNING,
                )
            known = None
    best = known
    for one in sorted(candidates, key=lambda one: one.number):
        if best is None or CheckpointHook.rule_map[rule](one.score, best.score):
            best = one
    if best is not known and best is not None:
        print_log(
            f'The best checkpoint so far is {best.path.name}, with {best.score:0.4f} {key}',
            logger='current',
        )
    for one in candidates:
        if best is not None and one.path.resolve() != best.path.resolve():
            one.path.unlink(missing_ok=True)
            print_log(f'The previous best checkpoint {one.path} is removed', logger='current')
    return best


def _candidates(hook: CheckpointHook, start: str, names: tuple[str, str]) -> Iterator[Best]:
    """Read the best checkpoints of a folder by one score."""
    template = re.escape(start + hook.filename_tmpl.replace('/', '_')).replace(r'\{\}', r'(\d+)')
    for path in sorted(Path(hook.out_dir).iterdir()):
        match = re.fullmatch(template, path.name)
        if match is None or not path.is_file():
            continue
        try:
            checkpoint = load_checkpoint_file(path, map_location='cpu')
        except (DamagedCheckpointError, UntrustedCheckpointError) as error:
            print_log(
                f'not counted as the best checkpoint: {error}',
                logger='current',
                level=logging.WARNING,
            )
            continue
        info = _runtime_info(checkpoint)
        score = info.get(names[0])
        # The training saved the best by one score and now does by several, or the reverse.
        if score is None and Path(str(info.get('best_ckpt'))).name == path.name:
            score = info.get('best_score')
        if isinstance(score, int | float) and math.isfinite(score):
            yield Best(float(score), path, int(match.group(1)))


def _runtime_info(checkpoint: Any) -> Mapping[str, Any]:
    """Return MMEngine's notes on the training in a checkpoint; empty where there are none."""
    found = checkpoint
    for key in ('message_hub', 'runtime_info'):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _is_in(path: Path, folder: str) -> bool:
    return path.resolve().parent == Path(folder).resolve()
