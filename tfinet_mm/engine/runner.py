"""MMEngine's Runner with the guards that this package's training relies on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from torch import nn

from tfinet_mm.checkpoints.addresses import read_checkpoint
from tfinet_mm.checkpoints.backend import whole_file_backend
from tfinet_mm.checkpoints.contents import (
    check_kinds,
    check_resumable,
    trained_classes,
    weights_of,
)
from tfinet_mm.checkpoints.pretrained import guard_pretrained
from tfinet_mm.checkpoints.sharing import one_rank_reads
from tfinet_mm.engine.launch import on_first_rank
from tfinet_mm.engine.resume import newest_checkpoint
from tfinet_mm.engine.weights import check_savable, named_weights, unwrapped
from tfinet_mm.registry import RUNNERS


@RUNNERS.register_module()
class SCDRunner(Runner):
    """MMEngine's Runner, for configs of this package and of any other.

    ``runner_type = 'tfinet_mm.SCDRunner'`` in a config makes mmseg's and Open-CD's
    own tools use it too. It reads checkpoints without running code from them, on
    one rank for all, refuses weights that aren't finite, and writes whole files.
    """

    _load_from: str | None

    def build_model(self, model: nn.Module | dict[str, Any]) -> nn.Module:
        """Build the model, whose initial weights will be read safely."""
        with one_rank_reads():
            built = super().build_model(model)
        guard_pretrained(built)
        return built

    def _init_model_weights(self) -> None:
        with one_rank_reads():
            super()._init_model_weights()

    def load_or_resume(self) -> None:
        """Load or resume; without a name, from the newest checkpoint that is whole and finite."""
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
            map_location: Where tensors go, as :func:`torch.load` takes it; among
                several ranks they stay on the CPU, from where model and
                optimizer take them.
            strict: Whether all weights of model and checkpoint must be the same.
            revise_keys: Pairs of a pattern and what takes its place in keys.

        Returns:
            The checkpoint.

        Raises:
            UntrustedCheckpointError, DamagedCheckpointError: It can't be read, or
                a training can't be resumed from it.
            NotFiniteWeightsError: A weight is NaN or infinite.
            CheckpointMismatchError: Its weights are integers or complex.
        """
        with one_rank_reads():
            checkpoint = read_checkpoint(filename, map_location)
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
        """Save a checkpoint, whole or not at all, if its weights are finite.

        Args:
            out_dir: The folder.
            filename: The file's name.
            file_client_args: As MMEngine's.
            save_optimizer: Whether the optimizer's state is in it.
            save_param_scheduler: Whether the schedulers' state is in it.
            meta: More entries of its ``meta``.
            by_epoch: Whether it is named after an epoch.
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
    """Read the checkpoint of a config once, where its Runner would read it without checks.

    Args:
        cfg: The config, whose ``load_from`` is to be read.

    Raises:
        UntrustedCheckpointError, DamagedCheckpointError: Somebody else's Runner
            must not read it.
        NotFiniteWeightsError: A weight is NaN or infinite.
    """
    if cfg.get('load_from') is None or 'runner_type' not in cfg:
        return
    kind = MMENGINE_RUNNERS.get(cfg.runner_type)
    if not (isinstance(kind, type) and issubclass(kind, SCDRunner)):
        on_first_rank(lambda: len(weights_of(read_checkpoint(cfg.load_from), cfg.load_from)))


def build_runner(cfg: Config) -> Runner:
    """Build the Runner that a config names, or else :class:`SCDRunner`.

    Args:
        cfg: The config.

    Returns:
        The Runner, which has not run yet.
    """
    if 'runner_type' in cfg:
        return MMENGINE_RUNNERS.build(cfg)
    return SCDRunner.from_cfg(cfg)
