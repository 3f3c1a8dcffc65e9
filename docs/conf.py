"""Settings of the documentation's site, which `make docs` builds without a network."""

import sys
from pathlib import Path

from tfinet_mm.version import __version__

sys.path.insert(0, str(Path(__file__).parent / '_ext'))

project = 'TFINet-MM'
author = 'The TFINet-MM contributors'
version = release = __version__

extensions = [
    'myst_nb',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx_copybutton',
    'api_pages',
    'markdown_pages',
]
exclude_patterns = ['_build']
smartquotes = False  # dashes and quotes are as written
nitpicky = True  # every name that a docstring refers to exists
# Names that only type checkers import, in modules that work without torch.
nitpick_ignore = [('py:class', name) for name in ('Augmentation', 'ConfigLike', 'Tensor')]

html_theme = 'furo'
html_title = f'TFINet-MM {__version__}'
html_copy_source = False

# Anchors of headings as code hosts make them, so that one link works in both places.
myst_heading_anchors = 4
# The tutorial is stored with what it printed: `make tutorial` runs it, and a test compares.
nb_execution_mode = 'off'

autodoc_member_order = 'bysource'
autodoc_use_type_comments = False
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
autodoc_default_options = {'members': True, 'show-inheritance': True, 'ignore-module-all': True}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
