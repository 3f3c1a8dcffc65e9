"""Pairs that are generated as they are loaded, without files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.datasets.synthetic.world import WorldConfig
from tfinet_mm.registry import DATASETS
from tfinet_mm.structures import SECOND
from tfinet_mm.utils.config.values import is_whole


@DATASETS.register_module()
class GeneratedSCDDataset(SCDDataset):
    """Generated scenes of the world with SECOND's classes on every pixel.

    Pair ``i`` is scene ``first + i``: the same in every process and every run. The pipeline
    starts with :class:`~tfinet_mm.datasets.transforms.generated.LoadGeneratedPair`.

    Args:
        num_pairs: Number of pairs.
        world: Settings of :class:`~tfinet_mm.datasets.synthetic.world.WorldConfig`.
        first: Number of the first scene; give a validation set other numbers.
        **kwargs: As for :class:`SCDDataset`, without folders.

    Raises:
        ValueError: A number or a setting is out of its range.
    """

    METAINFO: dict[str, Any] = SECOND.metainfo()

    def __init__(
        self,
        num_pairs: int,
        world: Mapping[str, Any] | None = None,
        first: int = 0,
        **kwargs: Any,
    ) -> None:
        """See the class."""
        for name, value, least in (('num_pairs', num_pairs, 1), ('first', first, 0)):
            if not is_whole(value) or value < least:
                raise ValueError(
                    f'{name} has to be a whole number of {least} or more, got {value!r}'
                )
        self.num_pairs, self.first = int(num_pairs), int(first)
        self.world = WorldConfig(**(world or {}))
        super().__init__(**kwargs)

    def _checked_prefix(
        self, prefix: Mapping[str, str | None] | None, test_mode: bool
    ) -> dict[str, str]:
        if prefix:
            raise ValueError(
                f'generated pairs have no folders, got data_prefix={prefix!r}; leave it out'
            )
        return {}

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the scenes by their numbers."""
        numbers = range(self.first, self.first + self.num_pairs)
        return [dict(sample_id=f'{number:08d}', number=number) for number in numbers]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return the number of a scene and the settings of its world."""
        info = super().get_data_info(idx)
        info['world'] = self.world
        return info
