"""Data sets of image pairs and the reading of their files."""

from typing import TYPE_CHECKING

from tfinet_mm.utils.lazy_names import lazy_names

if TYPE_CHECKING:
    from tfinet_mm.datasets import transforms
    from tfinet_mm.datasets.change_balanced import ChangeBalancedDataset
    from tfinet_mm.datasets.generated_scd import GeneratedSCDDataset
    from tfinet_mm.datasets.hrscd import HRSCDDataset
    from tfinet_mm.datasets.landsat_scd import LandsatSCDDataset
    from tfinet_mm.datasets.scd_dataset import SCDDataset
    from tfinet_mm.datasets.second import SECONDDataset
    from tfinet_mm.datasets.single_date import SingleDateDataset
    from tfinet_mm.datasets.stream_sampler import StreamSampler
    from tfinet_mm.datasets.synthetic_scd import SyntheticSCDDataset
    from tfinet_mm.io.change_masks import read_change_mask
    from tfinet_mm.io.images import read_image
    from tfinet_mm.io.labels import read_semantic_label

__all__ = [
    'ChangeBalancedDataset',
    'GeneratedSCDDataset',
    'HRSCDDataset',
    'LandsatSCDDataset',
    'SCDDataset',
    'SECONDDataset',
    'SingleDateDataset',
    'StreamSampler',
    'SyntheticSCDDataset',
    'read_change_mask',
    'read_image',
    'read_semantic_label',
    'transforms',
]

# Folders of pairs are listed without torch.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        'ChangeBalancedDataset': '.change_balanced',
        'GeneratedSCDDataset': '.generated_scd',
        'HRSCDDataset': '.hrscd',
        'LandsatSCDDataset': '.landsat_scd',
        'SCDDataset': '.scd_dataset',
        'SECONDDataset': '.second',
        'SingleDateDataset': '.single_date',
        'StreamSampler': '.stream_sampler',
        'SyntheticSCDDataset': '.synthetic_scd',
        'read_change_mask': 'tfinet_mm.io.change_masks',
        'read_image': 'tfinet_mm.io.images',
        'read_semantic_label': 'tfinet_mm.io.labels',
        'transforms': '.transforms',
    },
)
