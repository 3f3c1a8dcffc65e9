"""Write a page for each package from its docstrings, and resolve the names in them."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import mmcv.transforms.utils
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import GoogleDocstring

# Autodoc looks methods up on their class, where this decorator fails; plain methods don't.
mmcv.transforms.utils.cache_randomness = lambda method: method

PACKAGE = 'tfinet_mm'


def write_pages(app: Sphinx) -> None:
    """Write api/PACKAGE.rst for each package, and remove pages of packages that no longer exist."""
    # Types come from annotations: text before a colon in the docstring of a constant is no type.
    GoogleDocstring._parse_attribute_docstring = GoogleDocstring._consume_to_end
    folder = Path(app.srcdir) / 'api'
    folder.mkdir(exist_ok=True)
    pages = {f'{name}.rst': package_page(name, modules) for name, modules in packages().items()}
    for file in folder.iterdir():
        if file.name not in pages:
            file.unlink()
    for name, text in pages.items():
        file = folder / name
        if not file.is_file() or file.read_text(encoding='utf-8') != text:
            file.write_text(text, encoding='utf-8')


def packages() -> dict[str, list[str]]:
    """Return the modules of each package, by the names of the packages."""
    found: dict[str, list[str]] = {PACKAGE: []}
    walked = pkgutil.walk_packages(importlib.import_module(PACKAGE).__path__, f'{PACKAGE}.')
    for module in walked:
        if module.ispkg:
            found[module.name] = []
        else:
            found[module.name.rpartition('.')[0]].append(module.name)
    return found


def package_page(name: str, modules: list[str]) -> str:
    """Return the page of a package: its docstring, then a section for each of its modules."""
    lines = [name, '=' * len(name), '', f'.. automodule:: {name}', '']
    for module in modules:
        title = module.removeprefix(f'{name}.')
        lines += [title, '-' * len(title), '', f'.. automodule:: {module}', '']
    return '\n'.join(lines)


def find_python(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Node
) -> nodes.Node | None:
    """Link a name that a docstring's module imports to the place where it is defined.

    A name of another package becomes text, since a link would need the network. One that can't be
    imported stays without a target, which is a warning of Sphinx.
    """
    if node.get('refdomain') != 'py':
        return None
    module = node.get('py:module') or PACKAGE
    found = definition(node['reftarget'], module)
    if found is None and node['reftype'] == 'attr':
        found = owner(node['reftarget'], module, node.get('py:class'))
    if found is None:
        return None
    domain: Any = env.domains['py']
    made = domain.resolve_xref(env, node['refdoc'], app.builder, 'obj', found, node, contnode)
    return made if made is not None else contnode


def definition(target: str, module: str) -> str | None:
    """Return the full name under which a target is defined, or None if there is no such target.

    Args:
        target: Name of an object, with or without its module.
        module: Name of the module whose docstring has it.
    """
    words = target.split('.')
    splits = [('.'.join(words[:count]), words[count:]) for count in range(len(words), 0, -1)]
    for place, attributes in [(module, words), *splits, ('builtins', words)]:
        try:
            value = importlib.import_module(place)
            for attribute in attributes:
                value = getattr(value, attribute)
        except (ImportError, AttributeError):
            continue
        if not attributes:
            return place
        home = getattr(value, '__module__', None) or place
        return f'{home}.{getattr(value, "__qualname__", attributes[-1])}'
    return None


def owner(attribute: str, module: str, name: str | None) -> str | None:
    """Return the full name of a class whose docstring lists an attribute, or None if it doesn't."""
    found = definition(name, module) if name else None
    if found is None:
        return None
    text = getattr(importlib.import_module(module), str(name)).__doc__ or ''
    return found if f'\n        {attribute}: ' in text else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect this extension with the build."""
    app.connect('builder-inited', write_pages)
    app.connect('missing-reference', find_python)
    return {'parallel_read_safe': True}
