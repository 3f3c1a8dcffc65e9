"""Labels of the unchanged areas, made by networks that are trained already."""

from tfinet_mm.pseudo_labels.layout import confidence_path, pseudo_label_path

__all__ = ['confidence_path', 'pseudo_label_path']
