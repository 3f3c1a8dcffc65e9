"""Define the package's registries, children of MMEngine's, in the scope ``tfinet_mm``.

From any other scope (mmseg's, Open-CD's) a part of this package is found as
``tfinet_mm.Name``. MMEngine imports this module when it finds that prefix, so a
config needs no ``custom_imports``.
"""

from tfinet_mm.utils.check_env import explain_missing

with explain_missing():
    from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
    from mmengine.registry import DATASETS as MMENGINE_DATASETS
    from mmengine.registry import HOOKS as MMENGINE_HOOKS
    from mmengine.registry import METRICS as MMENGINE_METRICS
    from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
    from mmengine.registry import MODELS as MMENGINE_MODELS
    from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
    from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
    from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
    from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
    from mmengine.registry import Registry

SCOPE = 'tfinet_mm'

MODELS = Registry('model', parent=MMENGINE_MODELS, scope=SCOPE, locations=['tfinet_mm.models'])
DATASETS = Registry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope=SCOPE,
    locations=[
        'tfinet_mm.datasets.change_balanced',
        'tfinet_mm.datasets.scd_dataset',
        'tfinet_mm.datasets.generated_scd',
        'tfinet_mm.datasets.hrscd',
        'tfinet_mm.datasets.landsat_scd',
        'tfinet_mm.datasets.second',
        'tfinet_mm.datasets.single_date',
        'tfinet_mm.datasets.synthetic_scd',
    ],
)
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=MMENGINE_DATA_SAMPLERS,
    scope=SCOPE,
    locations=['tfinet_mm.datasets.stream_sampler'],
)
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    scope=SCOPE,
    locations=['tfinet_mm.datasets.transforms', 'tfinet_mm.pseudo_labels.transforms'],
)
METRICS = Registry(
    'metric',
    parent=MMENGINE_METRICS,
    scope=SCOPE,
    locations=['tfinet_mm.evaluation.metric', 'tfinet_mm.evaluation.reliability_metric'],
)
HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope=SCOPE,
    locations=[
        'tfinet_mm.engine.hooks',
        'tfinet_mm.pseudo_labels.mean_teacher',
        'tfinet_mm.report.hook',
    ],
)
OPTIM_WRAPPERS = Registry(
    'optim_wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope=SCOPE,
    locations=['tfinet_mm.engine.optim_wrapper'],
)
RUNNERS = Registry(
    'runner',
    parent=MMENGINE_RUNNERS,
    scope=SCOPE,
    locations=['tfinet_mm.engine.runner'],
)
MODEL_WRAPPERS = Registry(
    'model_wrapper',
    parent=MMENGINE_MODEL_WRAPPERS,
    scope=SCOPE,
    locations=['tfinet_mm.engine.launch'],
)
VISUALIZERS = Registry(
    'visualizer',
    parent=MMENGINE_VISUALIZERS,
    scope=SCOPE,
    locations=['tfinet_mm.visualization'],
)

__all__ = [
    'DATASETS',
    'DATA_SAMPLERS',
    'HOOKS',
    'METRICS',
    'MODELS',
    'MODEL_WRAPPERS',
    'OPTIM_WRAPPERS',
    'RUNNERS',
    'SCOPE',
    'TRANSFORMS',
    'VISUALIZERS',
]
