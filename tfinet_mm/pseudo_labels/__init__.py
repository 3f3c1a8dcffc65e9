"""Land cover of unchanged pixels, predicted by trained networks.

The rules and the layout of the files are exported here;
:mod:`tfinet_mm.pseudo_labels.labeler` runs networks over a data set.
"""

from tfinet_mm.pseudo_labels.layout import confidence_path, pseudo_label_path
from tfinet_mm.pseudo_labels.rules import PseudoLabels, soft, vote
from tfinet_mm.pseudo_labels.selection import Selection

__all__ = [
    'PseudoLabels',
    'Selection',
    'confidence_path',
    'pseudo_label_path',
    'soft',
    'vote',
]
