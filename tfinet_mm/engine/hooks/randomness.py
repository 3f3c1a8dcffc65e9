"""Let the network draw the same random numbers whether or not a training was resumed."""

from __future__ import annotations

from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tfinet_mm.engine.randomness import MODEL, SeededSampler, seed_network
from tfinet_mm.registry import HOOKS


@HOOKS.register_module()
class RandomnessHook(Hook):
    """Seed each iteration by the seed of the training, the rank and the iteration.

    A resumed training then draws the same numbers as one that never stopped, for
    dropout and anything else in its process, and each rank draws different ones.
    ``SCDRunner`` registers it.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Pass the epoch to the samples, even without MMEngine's ``DistSamplerSeedHook``."""
        sampler = getattr(runner.train_loop.dataloader.batch_sampler, 'sampler', None)
        if isinstance(sampler, SeededSampler):
            sampler.epoch = runner.epoch

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the generators."""
        seed_network(common_seed(runner), MODEL, get_rank(), runner.iter)


def common_seed(runner: Runner) -> int:
    """Return the seed of a run that all its ranks have in common.

    Args:
        runner: The runner, whose own seed differs by rank under ``diff_rank_seed``.
    """
    differs = runner._randomness_cfg.get('diff_rank_seed', False)
    return int(runner.seed) - (get_rank() if differs else 0)


def reseed_samples(runner: Runner) -> None:
    """Let the samples of a training draw from the seed that its runner has now.

    Args:
        runner: The runner, before the first step, after it took over the seed of a
            checkpoint.
    """
    loop = runner.train_loop
    sampler = getattr(loop.dataloader.batch_sampler, 'sampler', None)
    if not isinstance(sampler, SeededSampler) or sampler.seed == common_seed(runner):
        return
    sampler.reseed(common_seed(runner))
    # MMEngine 0.10's loop over iterations has begun to load samples of the other seed.
    if hasattr(loop, 'dataloader_iterator'):
        loop.dataloader_iterator = type(loop.dataloader_iterator)(loop.dataloader)
