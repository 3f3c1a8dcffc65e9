"""Check the keys, types and values of a config before anything is built."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from mmengine import registry as roots
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from tfinet_mm.errors import ConfigError
from tfinet_mm.utils.config import values
from tfinet_mm.utils.config.signatures import Keys, keys_of
from tfinet_mm.utils.near_names import hint, nearest
from tfinet_mm.utils.quiet import import_mmseg

TOP_LEVEL = (
    *(
        name
        for name in inspect.signature(Runner.__init__).parameters
        if name not in ('self', 'cfg')
    ),
    *('find_unused_parameters', 'model_wrapper_cfg', 'tta_model', 'default_tta', 'runner_type'),
    'custom_imports',
)
"""Keys that the Runner and our tools read."""

PARTS = frozenset(
    {
        *('backbone', 'neck', 'decode_head', 'auxiliary_head', 'semantic_head', 'change_head'),
        *('loss_decode', 'data_preprocessor', 'segmentor', 'module'),
    }
)
"""Parts of a model that are surely built through the registry of models."""
LAYERS = frozenset({'norm_cfg', 'act_cfg', 'conv_cfg', 'upsample_cfg'})
ANY_KEYS = frozenset({'type', '_scope_', '_delete_'})
LOADER_KEYS = frozenset(
    {'sampler', 'batch_sampler', 'dataset', 'collate_fn', 'num_batch_per_epoch'}
)
PARAMWISE_KEYS = (
    *('bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult', 'dwconv_decay_mult'),
    *('dcn_offset_lr_mult', 'bypass_duplicate', 'custom_keys', 'num_layers', 'decay_rate'),
    'decay_type',
)
ENVIRONMENT_KEYS = ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit')
GROUP_KEYS = ('backend', 'timeout', 'init_method', 'world_size', 'rank')
CLIP_KEYS = ('max_norm', 'norm_type', 'error_if_nonfinite', 'foreach', 'clip_value', 'type')
TEST_KEYS = ('mode', 'crop_size', 'stride', 'threshold', 'calibration')
ALMOST = 0.81
"""Similarity of a misspelt key to a right one where other keys may be right: one letter of five
is not enough, as ``in_index`` and ``ignore_index`` differ by less."""
NOT_NUMBERS = ('nodata', 'fill', 'pad', 'value')
"""Parts of the keys of values that may be NaN."""
TOGETHER = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)
CONFIGURED = frozenset({'MODELS', 'TRANSFORMS', 'HOOKS', 'METRICS', 'DATASETS'})
"""Registries that build from the config alone, which so needs every required key."""


def check_config(cfg: Config, only: Sequence[str] | None = None) -> None:
    """Refuse a config with unknown keys, wrong types or values out of range.

    The dictionaries that are built are compared with the arguments of their classes, the keys
    of the top level with those that MMEngine's Runner and the tools read. A top-level key that
    nothing reads may be a variable, so it is refused only if it looks like one that is read and
    the text of the config doesn't use it again.

    Args:
        cfg: A config with any of the Runner's keys; nothing of it changes.
        only: Keys of the top level whose parts are checked; by default all.

    Raises:
        ConfigError: Lists everything that was found, by dotted key, with the nearest right name.
    """
    import_mmseg()
    scope = cfg.get('default_scope') or 'mmengine'
    with DefaultScope.overwrite_default_scope(scope if _exists(str(scope)) else 'mmengine'):
        problems = list(dict.fromkeys(_Checker(_exists(str(scope))).config(cfg, only)))
    if problems:
        name = cfg.filename or 'the config'
        if len(problems) == 1:
            raise ConfigError(f'{name}: {problems[0]}')
        listed = ''.join(f'\n  {problem}' for problem in problems)
        raise ConfigError(f'{name} has {len(problems)} problems:{listed}')


class _Checker:
    """Walk through a config; each method yields the problems of one kind of place.

    Args:
        scoped: The default scope is installed, without which names that have no
            scope can't be found.
    """

    def __init__(self, scoped: bool) -> None:
        self.scoped = scoped

    def config(self, cfg: Config, only: Sequence[str] | None = None) -> Iterator[str]:
        """Yield the problems of a whole config."""
        yield from self._top_level(cfg)
        if only is None:
            yield from _incomplete(cfg)
        wrong = {
            key
            for key, rule in values.TOP.items()
            if cfg.get(key) is not None and rule(cfg[key]) is not None
        }
        checks: Mapping[str, Callable[[Any, str], Iterator[str]]] = dict(
            model=self._model,
            # Often a variable of the config, with keys to add to the model's preprocessor.
            data_preprocessor=functools.partial(
                self._part, kind='MODELS', sure=False, rules=values.MODEL
            ),
            tta_model=functools.partial(
                self._part,
                kind='MODELS',
                given=frozenset({'module'}),
                default='tfinet_mm.SCDTTAModel',
            ),
            train_dataloader=self._loader,
            val_dataloader=self._loader,
            test_dataloader=self._loader,
            train_cfg=self._train_loop,
            val_cfg=functools.partial(self._loop, default='ValLoop'),
            test_cfg=functools.partial(self._loop, default='TestLoop'),
            optim_wrapper=self._optim_wrapper,
            param_scheduler=self._schedulers,
            val_evaluator=self._evaluator,
            test_evaluator=self._evaluator,
            default_hooks=self._default_hooks,
            custom_hooks=self._hooks,
            visualizer=self._visualizer,
            log_processor=self._log_processor,
            randomness=self._randomness,
            env_cfg=self._environment,
            auto_scale_lr=self._scaling,
        )
        if only is None and not wrong:
            yield from self._save_best(cfg)
        for key, check in checks.items():
            if only is not None and key not in only:
                continue
            if cfg.get(key) is not None and key not in wrong:
                found = list(check(cfg[key], key))
                yield from found
                named = {problem.partition(' must be ')[0] for problem in found}
                yield from (
                    f'{path} must be a number, got nan'
                    for path in _not_numbers(cfg[key], key)
                    if path not in named
                )

    def _top_level(self, cfg: Config) -> Iterator[str]:
        used = _used_names(cfg.text)
        for key in cfg:
            value = cfg[key]
            if key in TOP_LEVEL:
                rule = values.TOP.get(key)
                if key == 'default_scope' and isinstance(value, str) and not self.scoped:
                    yield from _misspelt_scope(value)
                expected = rule(value) if rule and value is not None else None
                if expected:
                    yield f'{key} must be {expected}, got {_shown(value)}'
            elif not key.startswith('_') and not callable(value) and key not in used:
                found = nearest(key, TOP_LEVEL)
                if found:
                    yield f'{key}: nothing reads this key; did you mean {found!r}?'

    # ------------------------------------------------------------------ what is built

    def _part(
        self,
        part: Any,
        path: str,
        kind: str,
        default: str | None = None,
        sure: bool = True,
        extra: Iterable[str] = (),
        given: frozenset[str] = frozenset(),
        rules: Mapping[str, values.Rule] | None = None,
    ) -> Iterator[str]:
        """Check a dictionary that a registry builds, without the parts in it."""
        if not isinstance(part, Mapping):
            if sure and isinstance(part, str | int | float):
                yield f'{path} must be a dictionary with a type, got {_shown(part)}'
            return
        target, problem = self._target(part, path, kind, default, sure)
        if problem:
            yield problem
        if target is not None:
            yield from self._keys(part, path, keys_of(target), kind, target, extra, given, sure)
        yield from _values(part, path, rules or {})

    def _target(
        self, part: Mapping[str, Any], path: str, kind: str, default: str | None, sure: bool
    ) -> tuple[Callable[..., Any] | None, str | None]:
        """Return the class or function that a dictionary builds, or the problem with its type."""
        name = part.get('type', default)
        if name is None:
            problem = f'{path} needs a type, got the keys {sorted(map(str, part))}'
            return None, problem if sure else None
        if not isinstance(name, str):
            if callable(name):
                return name, None
            return None, f'{path}.type must be a name or a class, got {_shown(name)}'
        scope = part.get('_scope_')
        found = find_type(kind, name, scope) if self._can_find(name, scope) else None
        if found is not None or not (sure and self._can_find(name, scope)):
            return found, None
        return None, f'{path}.type: {_unknown(kind, name)}'

    def _type(self, part: Mapping[str, Any], path: str, kind: str) -> Iterator[str]:
        """Yield the problems of a type alone."""
        problem = self._target(part, path, kind, None, True)[1]
        if problem:
            yield problem

    def _can_find(self, name: str, scope: str | None) -> bool:
        """Return whether a name that isn't found is surely wrong."""
        return '.' in name or (self.scoped and (scope is None or _exists(scope)))

    def _keys(
        self,
        part: Mapping[str, Any],
        path: str,
        keys: Keys,
        kind: str,
        target: Callable[..., Any],
        extra: Iterable[str],
        given: frozenset[str],
        sure: bool,
    ) -> Iterator[str]:
        known = keys.names | ANY_KEYS | set(extra)
        for key in part:
            if key in known:
                continue
            is_open = keys.is_open or not sure
            if is_open and nearest(str(key), known, ALMOST) is None:
                continue
            takes = f'{getattr(target, "__name__", target)} has no such key'
            yield f'{path}.{key}: {takes}{_meant(str(key), known)}'
        missing = keys.required - set(part) - given
        if missing and sure and kind in CONFIGURED:
            listed = ', '.join(sorted(missing))
            yield f'{path}: {getattr(target, "__name__", target)} needs {listed}'

    # ----------------------------------------------------------------------- the model

    def _model(
        self, part: Any, path: str, sure: bool = True, extra: Iterable[str] = ()
    ) -> Iterator[str]:
        yield from self._part(
            part, path, 'MODELS', sure=sure, rules=values.MODEL if sure else None, extra=extra
        )
        if not isinstance(part, Mapping):
            return
        target = self._target(part, path, 'MODELS', None, False)[0]
        extras = getattr(target, 'part_keys', {})
        for key, value in part.items():
            below = f'{path}.{key}'
            if value is None and target is not None and _is_needed(target, key):
                yield f'{below} must be a dictionary with a type, got None'
            if key in LAYERS:
                yield from self._layer(value, below)
            elif key == 'test_cfg' and isinstance(value, Mapping):
                yield from _near_keys(value, below, TEST_KEYS)
            elif key in PARTS:
                for one, where in _each(value, below):
                    yield from self._model(one, where, True, extras.get(key, ()))
                    if key.endswith('_head') and isinstance(one, Mapping):
                        yield from _values(one, where, values.HEAD)
            elif key == 'init_cfg':
                for one, where in _each(value, below):
                    # mmseg's VisionTransformer itself reads entries of this type.
                    if isinstance(one, Mapping) and one.get('type') != 'Pretrained_Part':
                        yield from self._type(one, where, 'WEIGHT_INITIALIZERS')
            elif key not in ('train_cfg', 'test_cfg', 'sampler', 'assigner'):
                for one, where in _each(value, below):
                    if isinstance(one, Mapping) and 'type' in one:
                        yield from self._model(one, where, False)

    def _layer(self, part: Any, path: str) -> Iterator[str]:
        """Check the config of a norm, an activation, a convolution or an upsampling."""
        if not isinstance(part, Mapping):
            return
        name = part.get('type')
        if isinstance(name, str) and self._can_find(name, part.get('_scope_')):
            names = _names('MODELS', name)
            if find_type('MODELS', name) is None and nearest(name, names):
                yield f'{path}.type: {_unknown("MODELS", name)}'
        extra = {'requires_grad', 'mode', 'padding_mode'}
        yield from self._part(part, path, 'MODELS', sure=False, extra=extra)

    # ------------------------------------------------------------------------ the data

    def _loader(self, part: Any, path: str) -> Iterator[str]:
        for one, where in _each(part, path):
            if not isinstance(one, Mapping):
                continue
            known = keys_of(DataLoader).names | LOADER_KEYS
            for key in one:
                if key not in known and key not in ANY_KEYS:
                    yield f'{where}.{key}: a data loader has no such key{_meant(str(key), known)}'
            yield from _values(one, where, values.LOADER)
            if one.get('num_workers') == 0:
                for key in ('persistent_workers', 'prefetch_factor'):
                    if one.get(key):
                        yield f'{where}.{key}={one[key]} needs num_workers above 0, got 0'
            if 'dataset' in one:
                yield from self._dataset(one['dataset'], f'{where}.dataset')
            for key in ('sampler', 'batch_sampler'):
                if one.get(key) is not None:
                    rules = values.SAMPLER
                    yield from self._part(one[key], f'{where}.{key}', 'DATA_SAMPLERS', rules=rules)
            for key in ('collate_fn', 'worker_init_fn'):
                if isinstance(one.get(key), Mapping):
                    yield from self._part(one[key], f'{where}.{key}', 'FUNCTIONS')

    def _dataset(self, part: Any, path: str) -> Iterator[str]:
        if isinstance(part, list | tuple):
            yield f"{path} must be a dictionary, got a list; join data sets by type='ConcatDataset'"
        yield from self._part(part, path, 'DATASETS', rules=values.DATASET)
        if not isinstance(part, Mapping):
            return
        for key in ('dataset', 'datasets'):
            for one, where in _each(part.get(key), f'{path}.{key}'):
                yield from self._dataset(one, where)
        pipeline = part.get('pipeline')
        if pipeline is not None and not isinstance(pipeline, list | tuple):
            yield f'{path}.pipeline must be a list of transforms, got {_shown(pipeline)}'
        elif pipeline is not None and not pipeline and not {'dataset', 'datasets'} & set(part):
            yield f'{path}.pipeline is empty: nothing would be loaded'
        else:
            yield from self._transforms(pipeline, f'{path}.pipeline')

    def _transforms(self, pipeline: Any, path: str) -> Iterator[str]:
        for one, where in _each(pipeline, path):
            if isinstance(one, list | tuple):
                yield from self._transforms(one, where)
                continue
            yield from self._part(one, where, 'TRANSFORMS')
            if not isinstance(one, Mapping):
                continue
            target = self._target(one, where, 'TRANSFORMS', None, False)[0]
            # Wrappers of other libraries hold transforms of other libraries.
            if str(getattr(target, '__module__', '')).startswith(('mmcv.', 'mmengine.')):
                yield from self._transforms(one.get('transforms'), f'{where}.transforms')

    # ------------------------------------------------------------------------- the run

    def _train_loop(self, part: Mapping[str, Any], path: str) -> Iterator[str]:
        if 'type' not in part and 'by_epoch' not in part:
            yield f"{path} needs type='EpochBasedTrainLoop' or by_epoch=True"
        by_epoch = part.get('by_epoch', 'max_iters' not in part)
        default = 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop'
        yield from self._loop(part, path, default)

    def _loop(self, part: Mapping[str, Any], path: str, default: str) -> Iterator[str]:
        extra = () if 'type' in part else ('by_epoch',)
        yield from self._part(part, path, 'LOOPS', default, extra=extra, rules=values.LOOP)

    def _optim_wrapper(self, part: Mapping[str, Any], path: str) -> Iterator[str]:
        name = part.get('constructor', 'DefaultOptimWrapperConstructor')
        kind = 'OPTIM_WRAPPER_CONSTRUCTORS'
        can_find = isinstance(name, str) and self._can_find(name, None)
        if can_find and find_type(kind, name) is None:
            yield f'{path}.constructor: {_unknown(kind, name)}'
        several = 'optimizer' not in part and 'type' not in part and 'constructor' in part
        if several:
            return
        extra = {'constructor', 'paramwise_cfg'}
        yield from self._part(
            part,
            path,
            'OPTIM_WRAPPERS',
            'OptimWrapper',
            extra=extra,
            rules=values.OPTIM_WRAPPER,
        )
        optimizer, clip = part.get('optimizer'), part.get('clip_grad')
        if optimizer is not None:
            where = f'{path}.optimizer'
            yield from self._part(optimizer, where, 'OPTIMIZERS', rules=values.OPTIMIZER)
        if isinstance(clip, Mapping):
            yield from _near_keys(clip, f'{path}.clip_grad', CLIP_KEYS)
            yield from _values(clip, f'{path}.clip_grad', values.CLIP_GRAD)
        if isinstance(part.get('paramwise_cfg'), Mapping):
            yield from self._paramwise(part['paramwise_cfg'], f'{path}.paramwise_cfg')

    def _paramwise(self, part: Mapping[str, Any], path: str) -> Iterator[str]:
        """Check the learning rates of parts of the network."""
        yield from _near_keys(part, path, PARAMWISE_KEYS)
        yield from _values(part, path, values.PARAMWISE)
        several = part.get('custom_keys')
        for name, one in several.items() if isinstance(several, Mapping) else ():
            if isinstance(one, Mapping):
                where = f'{path}.custom_keys[{name!r}]'
                yield from _near_keys(one, where, tuple(values.LR_MULTIPLIERS))
                yield from _values(one, where, values.LR_MULTIPLIERS)

    def _schedulers(self, part: Any, path: str) -> Iterator[str]:
        for one, where in _each(part, path):
            if isinstance(one, Mapping) and 'type' not in one and path == where:
                # Schedules of several optimizers, by their names.
                for name, several in one.items():
                    if isinstance(several, Mapping | list):
                        yield from self._schedulers(several, f'{where}.{name}')
                continue
            if one is None and path != where:
                yield f'{where} must be a dictionary with a type, got None'
            if isinstance(one, Mapping):
                begin, end = one.get('begin', 0), one.get('end', float('inf'))
                if values.is_whole(begin) and values.is_whole(end) and begin >= end:
                    yield f'{where}: end must be above begin, got begin={begin} and end={end}'
            yield from self._part(
                one,
                where,
                'PARAM_SCHEDULERS',
                extra=('convert_to_iter_based',),
                rules=values.SCHEDULER,
            )

    def _evaluator(self, part: Any, path: str) -> Iterator[str]:
        if isinstance(part, list | tuple) and not part:
            yield f'{path} has no metric'
        if isinstance(part, Mapping) and 'metrics' in part and 'type' not in part:
            part, path = part['metrics'], f'{path}.metrics'
        for one, where in _each(part, path):
            if isinstance(one, Mapping) and 'metrics' in one:
                yield from self._part(one, where, 'EVALUATOR')
                yield from self._evaluator(one['metrics'], f'{where}.metrics')
            else:
                yield from self._part(one, where, 'METRICS', rules=values.METRIC)

    def _save_best(self, cfg: Config) -> Iterator[str]:
        """Find a score of ``save_best`` that none of the metrics has."""
        hook = (cfg.get('default_hooks') or {}).get('checkpoint')
        wanted = hook.get('save_best') if isinstance(hook, Mapping) else None
        names: list[str] = []
        for one, _ in _each(cfg.get('val_evaluator'), ''):
            metric = isinstance(one, Mapping) and self._target(one, '', 'METRICS', None, False)[0]
            found = getattr(metric, 'result_names', None)
            if found is None or one.get('per_class'):
                # The names of its scores are known only once it has run.
                return
            names += [f'{one["prefix"]}/{name}' if one.get('prefix') else name for name in found]
        for name in [wanted] if isinstance(wanted, str) else wanted or ():
            if names and name not in ('auto', *names):
                where = 'default_hooks.checkpoint.save_best'
                yield f'{where}: the metrics have no score {name!r}{hint(name, names)}'

    def _default_hooks(self, part: Mapping[str, Any], path: str) -> Iterator[str]:
        for name, hook in part.items():
            if hook is not None:
                yield from self._hook(hook, f'{path}.{name}')

    def _hooks(self, part: Sequence[Any], path: str) -> Iterator[str]:
        for hook, where in _each(part, path):
            yield from self._hook(hook, where)

    def _hook(self, part: Any, path: str) -> Iterator[str]:
        yield from self._part(part, path, 'HOOKS', extra=('priority',), rules=values.HOOK)
        if not isinstance(part, Mapping):
            return
        target = self._target(part, path, 'HOOKS', None, False)[0]
        if part.get('interval') == 0 and target in (CheckpointHook, LoggerHook):
            yield f'{path}.interval must be a whole number from 1 on, got 0'

    def _visualizer(self, part: Mapping[str, Any], path: str) -> Iterator[str]:
        yield from self._part(part, path, 'VISUALIZERS', 'Visualizer')
        for one, where in _each(part.get('vis_backends'), f'{path}.vis_backends'):
            yield from self._part(one, where, 'VISBACKENDS')

    def _log_processor(self, part: Mapping[str, Any], path: str) -> Iterator[str]:
        yield from self._part(
            part,
            path,
            'LOG_PROCESSORS',
            'LogProcessor',
            rules=dict(window_size=values.whole(1), by_epoch=values.TRUTH),
        )
        for one, where in _each(part.get('custom_cfg'), f'{path}.custom_cfg'):
            if not isinstance(one, Mapping):
                continue
            yield from _near_keys(one, where, (*values.AVERAGES, 'log_name', 'window_size'))
            missing = [key for key in values.AVERAGES if key not in one]
            if missing:
                yield f'{where} needs {", ".join(missing)}'
            yield from _values(one, where, values.AVERAGES)

    def _environment(self, part: Mapping[str, Any], path: str) -> Iterator[str]:
        yield from _near_keys(part, path, ENVIRONMENT_KEYS)
        if isinstance(part.get('mp_cfg'), Mapping):
            yield from _near_keys(part['mp_cfg'], f'{path}.mp_cfg', tuple(values.MULTIPROCESSING))
            yield from _values(part['mp_cfg'], f'{path}.mp_cfg', values.MULTIPROCESSING)
        if isinstance(part.get('dist_cfg'), Mapping):
            yield from _near_keys(part['dist_cfg'], f'{path}.dist_cfg', GROUP_KEYS)
        yield from _values(part, path, dict(cudnn_benchmark=values.TRUTH))

    def _scaling(self, part: Mapping[str, Any], path: str) -> Iterator[str]:
        yield from _near_keys(part, path, tuple(values.SCALING))
        yield from _values(part, path, values.SCALING)

    def _randomness(self, part: Mapping[str, Any], path: str) -> Iterator[str]:
        known = keys_of(Runner.set_randomness).names - {'self'}
        for key in part:
            if key not in known:
                yield f'{path}.{key}: nothing reads this key{_meant(str(key), known)}'
        yield from _values(part, path, values.RANDOMNESS)


def _incomplete(cfg: Config) -> Iterator[str]:
    """Find parts set to None that MMEngine's Runner needs together with others."""
    if 'model' in cfg and cfg['model'] is None:
        yield 'model is None, expected a dictionary with a type'
    for names in TOGETHER:
        missing = [name for name in names if cfg.get(name) is None]
        if missing and len(missing) < len(names) and any(name in cfg for name in missing):
            there = ' and '.join(name for name in names if name not in missing)
            yield f'{missing[0]} is None, but the config has {there}'


def _misspelt_scope(scope: str) -> Iterator[str]:
    """Find a default scope that isn't installed and looks like one that is."""
    names = {one.scope for one in _family(roots.MODELS)}
    found = nearest(scope, names)
    if found:
        yield f'default_scope: there is no package {scope!r}; did you mean {found!r}?'


def _is_needed(target: Callable[..., Any], key: str) -> bool:
    """Return whether a part has no default and is no option of its class."""
    return key in PARTS and key in keys_of(target).required


def find_type(kind: str, name: str, scope: str | None = None) -> Callable[..., Any] | None:
    """Return the class or function of a name in a registry of MMEngine or one of its children.

    Args:
        kind: Name of the registry in ``mmengine.registry``.
        name: The name, with or without a scope.
        scope: Scope to look in, by default the current one.

    Returns:
        The class or function, or None.
    """
    prefix = name.split('.')[0] if '.' in name else None
    if prefix is not None and not _exists(prefix):
        return None
    try:
        with getattr(roots, kind).switch_scope_and_registry(scope) as registry:
            return registry.get(name)
    except (ImportError, AttributeError):
        return None


def _exists(scope: str) -> bool:
    """Return whether a package of this name is installed."""
    try:
        return bool(scope) and find_spec(scope) is not None
    except (ImportError, ValueError):
        return False


def _names(kind: str, like: str) -> list[str]:
    """Return the names of a registry and its children, with a scope if the name has one."""
    scope, dot, _ = like.rpartition('.')
    found: list[str] = []
    for registry in _family(getattr(roots, kind)):
        if dot and _exists(scope) and registry.scope != scope:
            continue
        found += [f'{registry.scope}.{name}' if dot else name for name in registry.module_dict]
    return found


def _family(registry: Registry) -> Iterator[Registry]:
    yield registry
    for child in registry.children.values():
        yield from _family(child)


def _unknown(kind: str, name: str) -> str:
    scope, dot, _ = name.rpartition('.')
    what = getattr(roots, kind).name
    missing = f'; there is no package {scope!r}' if dot and not _exists(scope.split('.')[0]) else ''
    return f'{name!r} is no registered {what}{missing}{hint(name, _names(kind, name))}'


def _values(part: Mapping[str, Any], path: str, rules: Mapping[str, values.Rule]) -> Iterator[str]:
    for key, rule in rules.items():
        if key in part:
            expected = rule(part[key])
            if expected:
                yield f'{path}.{key} must be {expected}, got {_shown(part[key])}'


def _not_numbers(part: Any, path: str) -> Iterator[str]:
    """Find NaN at any depth, which is right only as the value of pixels without data."""
    if isinstance(part, float) and math.isnan(part):
        yield path
    elif isinstance(part, Mapping):
        for key, value in part.items():
            if not any(word in str(key) for word in NOT_NUMBERS):
                yield from _not_numbers(value, f'{path}.{key}')
    else:
        for one, where in _each(part, path) if isinstance(part, list | tuple) else ():
            yield from _not_numbers(one, where)


def _near_keys(part: Mapping[str, Any], path: str, known: Sequence[str]) -> Iterator[str]:
    """Find misspelt keys of a dictionary in which any key may be right."""
    for key in part:
        if key not in known:
            found = nearest(str(key), known)
            if found:
                yield f'{path}.{key}: nothing reads this key; did you mean {found!r}?'


def _meant(key: str, known: Iterable[str]) -> str:
    """Return the nearest key, or all if none is near."""
    names = sorted(set(known) - ANY_KEYS)
    return hint(key, names) or (f'; it has {", ".join(names)}' if len(names) < 12 else '')


def _each(part: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Yield a value, or those of a list, each with its path."""
    if isinstance(part, list | tuple):
        yield from ((one, f'{path}[{index}]') for index, one in enumerate(part))
    elif part is not None:
        yield part, path


def _used_names(text: str) -> set[str]:
    """Return the names that a config's text uses elsewhere than where it sets them."""
    text = re.sub(r'#.*', '', text)
    total: dict[str, int] = {}
    for name in re.findall(r'[A-Za-z_]\w*', text):
        total[name] = total.get(name, 0) + 1
    for name in re.findall(r'^([A-Za-z_]\w*)\s*(?::[^=\n]*)?=(?!=)', text, re.MULTILINE):
        total[name] -= 1
    return {name for name, count in total.items() if count > 0}


def _shown(value: Any, length: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= length else f'{text[:length]} ...'
