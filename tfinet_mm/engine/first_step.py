"""Try what a run does before and in its first step, without training."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS
from torch import nn
from torch.utils.data import DataLoader

from tfinet_mm.datasets.check import ERROR, DatasetReport, Problem
from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.engine.band_order import check_band_order
from tfinet_mm.engine.batch_guard import check_batches
from tfinet_mm.engine.land_cover import set_trained_roles, with_land_cover
from tfinet_mm.engine.runner import SCDRunner
from tfinet_mm.models.foreign import land_cover_classes
from tfinet_mm.utils.class_names import is_class
from tfinet_mm.utils.command import is_expected, message_of
from tfinet_mm.utils.config.building import building

Part: TypeAlias = tuple[SCDDataset, DatasetReport]
MAX_PIXELS = 1024 * 1024
"""Pixels of a pair above which the network isn't run on it, which would take minutes."""


def try_first_step(cfg: Config, split: str, dataset: Any, parts: Sequence[Part]) -> list[Problem]:
    """Build the data loader and the network of a config, and run them on one batch.

    The batch has a pair of each shape that the pipeline makes, two at most, or one twice. In
    training, the network computes its losses on them; in validation and testing only the data
    preprocessor runs, since their networks may be large ensembles.

    Args:
        cfg: The config; without a complete ``model``, only the loader is built.
        split: ``'train'``, ``'val'`` or ``'test'``.
        dataset: Data set of the split, built.
        parts: Each data set in it, inside wrappers, with its report.

    Returns:
        The errors that such a run stops with.
    """
    training = split == 'train'
    try:
        loader = _loader(cfg[f'{split}_dataloader'], dataset)
    except Exception as error:
        return [_problem(error, f'{split}_dataloader can not be built')]
    problems = list(_missing_labels(cfg, split, parts))
    items: list[Any] = []
    stopped = _tried(lambda: items.extend(_examples(parts)))
    model = cfg.get('model') or {}
    if stopped or not items or not model.get('type'):
        return problems + stopped
    size = loader.batch_size or 1
    # Batch norm needs two pairs in some networks.
    batch = [*items, copy.deepcopy(items[0])][:2] if size > 1 else items[:1]
    if not training:
        settings = model.get('data_preprocessor')
        if settings is not None and is_class(settings, 'tfinet_mm.PairDataPreprocessor'):
            preprocessor = MODELS.build(copy.deepcopy(settings))
            # Pairs of several sizes are a matter of the batches, see the report.
            problems += _tried(lambda: preprocessor(loader.collate_fn(batch[:1]), False))
        return problems
    try:
        with building('model', model):
            network = MODELS.build(copy.deepcopy(model))
    except Exception as error:
        return [*problems, _problem(error, 'the network can not be built')]
    number = land_cover_classes(network)
    fits = all(number in (None, report.table.num_classes) for _, report in parts)
    return problems + _training_step(loader, network, batch, fits)


def _loader(settings: Mapping[str, Any], dataset: Any) -> DataLoader[Any]:
    plain = copy.deepcopy({key: one for key, one in settings.items() if key != 'dataset'})
    # The check has loaded every pair in processes already.
    plain.update(num_workers=0, persistent_workers=False)
    plain.pop('prefetch_factor', None)
    return SCDRunner.build_dataloader({**plain, 'dataset': dataset}, seed=0)


def _examples(parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    """Load a pair of each shape that the pipelines make, two at most."""
    kinds = {
        kind: (dataset, index)
        for dataset, report in parts
        for kind, (_, index) in report.packed_kinds.items()
    }
    for dataset, index in list(kinds.values())[:2]:
        if (item := dataset[index]) is not None:
            yield item


def _training_step(
    loader: DataLoader[Any], network: nn.Module, batch: Sequence[Any], fits: bool
) -> list[Problem]:
    """Return the errors of a training; the losses are left out if the classes don't fit."""
    problems = _tried(lambda: check_band_order(loader, network))
    problems += _tried(lambda: check_batches(loader, network))
    preprocessor: Any = network.data_preprocessor
    collate: Any = loader.collate_fn
    stopped = _tried(lambda: preprocessor(collate(batch), True))
    large = any(item['inputs'][0].numel() > MAX_PIXELS for item in batch if 'inputs' in item)
    if problems or stopped or large or not fits:
        return problems + stopped
    # In training, since some networks have outputs that they lack in testing; and as a Runner of
    # one process does it, whose network has no SyncBN.
    network = revert_sync_batchnorm(network).train()
    set_trained_roles(network, loader.dataset)

    def step() -> None:
        with torch.no_grad():
            data = collate(batch)
            data['data_samples'] = with_land_cover(data['data_samples'])
            network._run_forward(preprocessor(data, True), mode='loss')  # type: ignore[operator]

    return _tried(step)


def _tried(step: Any) -> list[Problem]:
    try:
        step()
    except Exception as error:
        return [_problem(error, 'the first step of a run fails')]
    return []


def _problem(error: Exception, what: str) -> Problem:
    return Problem(
        ERROR, '', message_of(error) if is_expected(error) else f'{what}: {_said(error)}'
    )


def _said(error: Exception) -> str:
    return f'{type(error).__name__}: {message_of(error)}'


def _missing_labels(cfg: Config, split: str, parts: Sequence[Part]) -> Iterator[Problem]:
    """Find pairs without labels that are to be scored."""
    evaluators = cfg.get(f'{split}_evaluator') or []
    evaluators = [evaluators] if isinstance(evaluators, Mapping) else evaluators
    scored = any(is_class(one, 'tfinet_mm.SCDMetric') for one in evaluators)
    unlabelled = [one for _, one in parts if one.pairs and not one.change_counts.any()]
    loaded = [one for one in unlabelled if one.ok]
    if split != 'train' and scored and loaded:
        message = (
            f'{split}_evaluator scores pairs, but there are no labels; give their folders in '
            f'data_prefix, or predict without scores: {split}_evaluator=[]'
        )
        yield Problem(ERROR, '', message)
