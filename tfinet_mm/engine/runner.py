"""Extend MMEngine's Runner by the guards that this package's training relies on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.runner import BaseLoop, LogProcessor, Runner
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from tfinet_mm.checkpoints.addresses import SCHEME, read_checkpoint
from tfinet_mm.checkpoints.backend import whole_file_backend
from tfinet_mm.checkpoints.contents import (
    check_kinds,
    check_resumable,
    restoring,
    trained_classes,
    weights_of,
)
from tfinet_mm.checkpoints.pretrained import (
    forget_pretrained,
    guard_pretrained,
    register_reader,
)
from tfinet_mm.checkpoints.shipped import is_weights
from tfinet_mm.checkpoints.starting import (
    check_trained_normalisation,
    is_weights_checkpoint,
    starting_weights,
)
from tfinet_mm.checkpoints.weights import (
    check_optimizers,
    check_savable,
    named_weights,
    unmatched_keys,
    unwrapped,
)
from tfinet_mm.engine.band_order import check_band_order
from tfinet_mm.engine.batch_guard import check_batches
from tfinet_mm.engine.fused import with_fused
from tfinet_mm.engine.hooks.calibration import CalibrationHook
from tfinet_mm.engine.hooks.compiling import CompileHook
from tfinet_mm.engine.hooks.data_epoch import DataEpochHook
from tfinet_mm.engine.hooks.finite_loss import FiniteLossHook
from tfinet_mm.engine.hooks.foreign_model import ForeignModelHook
from tfinet_mm.engine.hooks.land_cover import LandCoverHook
from tfinet_mm.engine.hooks.randomness import RandomnessHook, common_seed
from tfinet_mm.engine.hooks.resume import ResumeHook, Resumption
from tfinet_mm.engine.hooks.step_log import StepLogHook
from tfinet_mm.engine.land_cover import set_trained_roles
from tfinet_mm.engine.randomness import seeded_loader
from tfinet_mm.engine.resume import newest_checkpoint
from tfinet_mm.registry import RUNNERS
from tfinet_mm.utils.class_names import find_class
from tfinet_mm.utils.config.building import building
from tfinet_mm.utils.dist import on_first_rank, one_rank_reads

GUARDS = (
    RandomnessHook,
    FiniteLossHook,
    ForeignModelHook,
    LandCoverHook,
    ResumeHook,
    CompileHook,
    CalibrationHook,
    DataEpochHook,
)
"""Hooks that every training has."""
MMENGINE_HOOKS = (
    *('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'),
)
"""Names under which MMEngine registers hooks by default."""


@RUNNERS.register_module()
class SCDRunner(Runner):
    """Run a config as MMEngine's Runner does, with guards.

    ``runner_type = 'tfinet_mm.SCDRunner'`` in a config makes mmseg's and Open-CD's
    own tools use it too. It reads checkpoints without running code from them, on
    one rank for all, refuses weights that aren't finite, and writes complete files
    only.

    Its trainings

    - wait for a GPU only where the log, a check or a checkpoint needs numbers of it
      (:class:`StepLogHook`), and are compiled where that pays (:class:`CompileHook`),
    - leave out a last batch of one pair that the network can't train on,
    - stop when a loss or a weight isn't finite (:class:`FiniteLossHook`),
    - stop a network of another package that gets shifted labels or exchanged bands
      (:class:`ForeignModelHook`),
    - train and score change alone where no land cover is annotated
      (:class:`LandCoverHook`),
    - end the same after a kill and a resume: samples and network draw the same random
      numbers (:class:`RandomnessHook`), the best checkpoint is found
      (:class:`ResumeHook`), and the schedule is that of the config.
    """

    _load_from: str | None
    _train_dataloader: Any
    optim_wrapper: Any
    param_schedulers: Any

    def register_hooks(self, default_hooks: Any = None, custom_hooks: Any = None) -> None:
        """Register the hooks of the config, and the guards that it lacks.

        Args:
            default_hooks: Hooks by name; None leaves one out.
            custom_hooks: Further hooks.
        """
        if default_hooks:
            # MMEngine takes None for its own hooks alone.
            default_hooks = {
                name: hook
                for name, hook in default_hooks.items()
                if hook is not None or name in MMENGINE_HOOKS
            }
        default_hooks = {'runtime_info': dict(type=StepLogHook), **(default_hooks or {})}
        super().register_hooks(default_hooks, custom_hooks)
        for guard in GUARDS:
            if not any(isinstance(hook, guard) for hook in self.hooks):
                self.register_hook(guard())

    def build_train_loop(self, loop: BaseLoop | dict[str, Any]) -> BaseLoop:
        """Build the training loop, with a seed for each sample.

        Args:
            loop: The loop or its config.

        Raises:
            BatchSizeError: The network can't train on batches of this size.
            NormalisationError: It would get BGR, and begins with weights for RGB.
        """
        loader: Any = self._train_dataloader
        if not isinstance(loop, BaseLoop):
            if isinstance(loader, dict) and 'dataset' in loader:
                # Labels that a data set counts are counted once for all ranks.
                with one_rank_reads(), building('train_dataloader', loader):
                    loader = self._train_dataloader = self.build_dataloader(
                        seeded_loader(loader, common_seed(self)),
                        seed=self.seed,
                        diff_rank_seed=self._randomness_cfg.get('diff_rank_seed', False),
                    )
            if isinstance(loader, DataLoader):
                check_band_order(loader, self.model)
                set_trained_roles(self.model, loader.dataset)
                check_batches(loader, self.model)
        with building('train_cfg', loop):
            return super().build_train_loop(loop)

    def build_val_loop(self, loop: BaseLoop | dict[str, Any]) -> BaseLoop:
        """Build the validation loop."""
        with building('val_cfg', loop):
            return super().build_val_loop(loop)

    def build_test_loop(self, loop: BaseLoop | dict[str, Any]) -> BaseLoop:
        """Build the test loop."""
        with building('test_cfg', loop):
            return super().build_test_loop(loop)

    @staticmethod
    def build_dataloader(dataloader: Any, *args: Any, **kwargs: Any) -> DataLoader[Any]:
        """Build a data loader."""
        with building('a dataloader', dataloader):
            return Runner.build_dataloader(dataloader, *args, **kwargs)

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        """Build an evaluator."""
        with building('an evaluator', evaluator):
            return super().build_evaluator(evaluator)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """Build the optimizer wrapper, fused, and warn of learning rates for no parameter."""
        for key in unmatched_keys(optim_wrapper, self.model):
            self.logger.warning(
                f'optim_wrapper.paramwise_cfg.custom_keys: no parameter of the network has {key!r} '
                'in its name'
            )
        with building('optim_wrapper', optim_wrapper):
            device = next(self.model.parameters()).device
            return super().build_optim_wrapper(with_fused(optim_wrapper, device))

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Build the schedules."""
        with building('param_scheduler', scheduler):
            return super().build_param_scheduler(scheduler)

    def build_log_processor(self, log_processor: Any) -> LogProcessor:
        """Build the log processor."""
        with building('log_processor', log_processor):
            return super().build_log_processor(log_processor)

    def build_visualizer(self, visualizer: Any = None) -> Visualizer:
        """Build the visualizer."""
        with building('visualizer', visualizer):
            return super().build_visualizer(visualizer)

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """Set up processes and threads."""
        with building('env_cfg', env_cfg):
            super().setup_env(env_cfg)

    def register_hook(self, hook: Any, priority: Any = None) -> None:
        """Build a hook and register it."""
        with building('a hook', hook):
            super().register_hook(hook, priority)

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call the hooks; some build things before the run."""
        builds = fn_name in ('before_run', 'before_train')
        with building('a part that a hook needs') if builds else nullcontext():
            super().call_hook(fn_name, **kwargs)

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: str | Callable[..., Any] = 'default',
    ) -> None:
        """Resume from a checkpoint, by the schedule of the config.

        Args:
            filename: The checkpoint.
            resume_optimizer: Load the state of the optimizer.
            resume_param_scheduler: Set the schedules to the step of the checkpoint.
            map_location: Device of its tensors.
        """
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        if self.param_schedulers is not None:
            self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
        resumption = Resumption(self)
        with restoring(filename):
            super().resume(filename, resume_optimizer, False, map_location)
            if resume_optimizer:
                check_optimizers(self.optim_wrapper, filename)
            resumption.finish(self, resume_optimizer, resume_param_scheduler)

    def build_model(self, model: nn.Module | dict[str, Any]) -> nn.Module:
        """Build the model; its initial weights will be read without running code."""
        with one_rank_reads(), building('model', model):
            built = super().build_model(model)
        guard_pretrained(built)
        return built

    def _trained_classes(self) -> Any:
        """Return the class names of the training's data set, None where it has none."""
        dataset = getattr(self.train_dataloader, 'dataset', None)
        return getattr(dataset, 'metainfo', {}).get('semantic_classes')

    def _init_model_weights(self) -> None:
        if self._load_from is not None and not self._resume and is_weights(self._load_from):
            # The checkpoint replaces the initial weights, whose file may be missing.
            forget_pretrained(self.model)
        with one_rank_reads():
            super()._init_model_weights()

    def load_or_resume(self) -> None:
        """Load or resume; without a name, from the newest complete and finite checkpoint."""
        if self._resume and self._load_from is None and not self._has_loaded:
            found = on_first_rank(lambda: newest_checkpoint(self.work_dir))
            if found is not None:
                self._load_from = str(found)
        super().load_or_resume()

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable[..., Any] = 'cpu',
        strict: bool = False,
        revise_keys: list[tuple[str, str]] = [(r'^module.', '')],  # noqa: B006
    ) -> dict[str, Any]:
        """Load a checkpoint into the model, as MMEngine's Runner does, once it is checked.

        Args:
            filename: A path or an address that MMEngine knows.
            map_location: Device of the tensors, as :func:`torch.load` takes it;
                among several ranks they stay on the CPU, from where model and
                optimizer take them.
            strict: Require the same keys in model and checkpoint.
            revise_keys: Pairs of a pattern in keys and its replacement.

        Returns:
            The checkpoint.

        Raises:
            UntrustedCheckpointError, DamagedCheckpointError: It can't be read, or
                a training can't be resumed from it.
            NotFiniteWeightsError: A weight is NaN or infinite.
            CheckpointMismatchError: Its weights are integers or complex; or a training
                starts from a file of weights of which more than the land-cover
                classes doesn't fit.
            NormalisationError: A file of weights was trained with another mean or
                standard deviation.
        """
        with one_rank_reads():
            checkpoint = read_checkpoint(filename, map_location)
        if is_weights_checkpoint(checkpoint) and not self._resume:
            check_trained_normalisation(self.model, checkpoint, filename)
            if isinstance(self._train_loop, BaseLoop):
                checkpoint = starting_weights(
                    self.model, checkpoint, self._trained_classes(), filename
                )
        check_kinds(
            unwrapped(self.model).state_dict(), named_weights(checkpoint, filename), filename
        )
        trained_classes(checkpoint, filename)
        if self._resume:
            check_resumable(checkpoint, filename)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        checkpoint = _load_checkpoint_to_model(model, checkpoint, strict, revise_keys=revise_keys)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict[str, Any] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict[str, Any] | None = None,
        by_epoch: bool = True,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        """Save a checkpoint if its weights are finite.

        Args:
            out_dir: The folder.
            filename: The file's name.
            file_client_args: As MMEngine's.
            save_optimizer: Save the optimizer's state too.
            save_param_scheduler: Save the schedulers' state too.
            meta: More entries of its ``meta``.
            by_epoch: Count the present epoch as done, in place of the iteration.
            backend_args: As MMEngine's; by default local files are written by
                :class:`~tfinet_mm.checkpoints.backend.WholeFileBackend`.

        Raises:
            NotFiniteWeightsError: A weight is NaN or infinite.
        """
        check_savable(self.model, filename, self.iter)
        if file_client_args is None and backend_args is None and '://' not in str(out_dir):
            backend_args = whole_file_backend()
        super().save_checkpoint(
            out_dir,
            filename,
            file_client_args=file_client_args,
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
            meta=meta,
            by_epoch=by_epoch,
            backend_args=backend_args,
        )


def check_for_other_runners(cfg: Config) -> None:
    """Check the checkpoint of a config whose Runner would read it without checks.

    Files of weights, which other Runners can't read themselves, get an address for which
    this package's reader is registered.

    Args:
        cfg: The config, whose ``load_from`` is to be read.

    Raises:
        UntrustedCheckpointError, DamagedCheckpointError: The config's
            Runner must not read it.
        NotFiniteWeightsError: A weight is NaN or infinite.
    """
    if cfg.get('load_from') is None or 'runner_type' not in cfg:
        return
    kind = find_class(MMENGINE_RUNNERS, cfg.runner_type)
    if not (isinstance(kind, type) and issubclass(kind, SCDRunner)):
        on_first_rank(lambda: len(weights_of(read_checkpoint(cfg.load_from), cfg.load_from)))
        if is_weights(cfg.load_from):
            register_reader()
            cfg.load_from = SCHEME + cfg.load_from


def build_runner(cfg: Config) -> Runner:
    """Build the Runner that a config names, or else :class:`SCDRunner`.

    Args:
        cfg: The config.

    Returns:
        The Runner, which has not run yet.
    """
    with building('the Runner of the config'):
        if 'runner_type' in cfg:
            return MMENGINE_RUNNERS.build(cfg)
        return SCDRunner.from_cfg(cfg)
