"""Generate a data set: pairs that look like aerial images, with semantic change labels."""

from tfinet_mm.datasets.synthetic.files import write_dataset
from tfinet_mm.datasets.synthetic.generate import SyntheticConfig, SyntheticPair, generate_pair

__all__ = ['SyntheticConfig', 'SyntheticPair', 'generate_pair', 'write_dataset']
