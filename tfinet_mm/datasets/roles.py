"""Name the files of a pair: the keys of ``data_prefix``."""

from __future__ import annotations

from tfinet_mm.datasets.annotations import CHANGE, FROM, TO

IMAGE_ROLES = ('img_path_from', 'img_path_to')
SEMANTIC_ROLES = ('seg_map_path_from', 'seg_map_path_to')
CHANGE_ROLE = 'seg_map_path'
LABEL_ROLES = {FROM: SEMANTIC_ROLES[0], TO: SEMANTIC_ROLES[1], CHANGE: CHANGE_ROLE}
"""Key of ``data_prefix`` for the label files of each role."""
ROLE_OF_KEY = {key: role for role, key in LABEL_ROLES.items()}
ROLES = (*IMAGE_ROLES, *SEMANTIC_ROLES, CHANGE_ROLE)
