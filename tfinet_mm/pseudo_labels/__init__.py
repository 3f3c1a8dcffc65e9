"""Labels of the unchanged pixels, made by networks that are trained already.

The rules and the layout of the files are here; what runs networks over a data
set is in :mod:`tfinet_mm.pseudo_labels.labeler`.
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
