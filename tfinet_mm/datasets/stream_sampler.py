"""A sampler that reads a long data set once, a part in each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sized

from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from tfinet_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class StreamSampler(Sampler[int]):
    """Yield the next ``per_epoch`` samples of a data set each epoch, in order.

    For generated pairs: no pair is seen twice, epochs are short enough for a checkpoint each,
    and a resumed training gets the pairs that an uninterrupted one would get. The first sample
    follows the last.

    Args:
        dataset: Data set to take samples from.
        per_epoch: Samples of an epoch, of all ranks together.
        seed: Not used, since the order is that of the data set. MMEngine passes it.

    Raises:
        ValueError: ``per_epoch`` is not 1 or more.
    """

    def __init__(self, dataset: Sized, per_epoch: int, seed: int | None = None) -> None:
        """See the class."""
        if per_epoch < 1:
            raise ValueError(f'per_epoch has to be 1 or more, got {per_epoch!r}')
        self.dataset, self.per_epoch = dataset, int(per_epoch)
        self.rank, self.world_size = get_dist_info()
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        """Yield this rank's part of the epoch."""
        start = self.epoch * self.per_epoch
        for i in range(self.rank, len(self) * self.world_size, self.world_size):
            yield (start + i) % len(self.dataset)

    def __len__(self) -> int:
        """Return the number of samples of this rank in an epoch."""
        return -(-self.per_epoch // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Select the part of an epoch."""
        self.epoch = epoch
