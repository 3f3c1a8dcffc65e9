"""Let Open-CD 1.1 be imported beside the maintained stack and a current torch.

Open-CD 1.1 accepts MMCV below 2.2 and MMSegmentation below 1.3, and imports two things that the
maintained packages don't ship. :func:`enable` changes nothing of these packages for good: it
answers imports that would fail. What it answers, each only when it is asked for:

* ``opencd`` itself: while its ``__init__`` compares versions, MMCV and MMSegmentation say the last
  ones that it accepts. MMDetection, of which it reads the version alone, may be missing.
* ``mmcv._ext``, MMCV's compiled operators, which ``onedl-mmcv`` doesn't have: a stand-in whose
  operators raise when they are called. Open-CD's models need none of them.
* ``torchvision``, where its binary doesn't fit the installed torch (as that of PyPI beside a torch
  without CUDA): the two operators without which it can't be imported are declared.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

from tfinet_mm.errors import StackError

ACCEPTED = {'mmcv': '2.1.0', 'mmseg': '1.2.2'}
"""Versions that Open-CD 1.1 accepts, said while it compares them."""
MMDETECTION = '3.3.0'
NEEDED = ('einops', 'mmpretrain', 'torchvision')
INSTALL = 'pip install --no-deps -r requirements/opencd.txt'
NMS = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
_libraries: list[Any] = []  # The operators of a torch.library.Library end with it.


def enable() -> None:
    """Let ``import opencd`` and its sub-packages work; a second call does nothing.

    Call it before the first import of Open-CD, or import
    ``tfinet_mm.integrations.opencd.enabled`` (``custom_imports`` of a config), or run a program
    by ``python -m tfinet_mm.integrations.opencd PROGRAM``.
    """
    if not any(isinstance(finder, _OpenCDFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OpenCDFinder())
        # The last one asked, so that compiled operators come first where there are any.
        sys.meta_path.append(_OperatorsFinder())


class _OpenCDFinder(importlib.abc.MetaPathFinder):
    """Prepare the imports of Open-CD and of torchvision's table of operators."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of ``opencd`` with its loader wrapped; None for all other modules."""
        if fullname == 'torchvision._meta_registrations':
            _declare_operators()
        if fullname != 'opencd':
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, 'find_spec'):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _OpenCDLoader(spec.loader)
                return spec
        return None


class _OpenCDLoader(importlib.abc.Loader):
    """Run Open-CD's ``__init__`` with versions that it accepts."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        """Create the module as its own loader does."""
        module: types.ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the module.

        Raises:
            StackError: A package that Open-CD imports is missing.
        """
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            # No ImportError, which MMEngine's registries would turn into a KeyError.
            raise StackError(
                f'Open-CD imports {" and ".join(missing)}, which is missing; {INSTALL}, from a '
                'checkout of this package'
            )
        with _accepted_versions():
            self._loader.exec_module(module)


@contextlib.contextmanager
def _accepted_versions() -> Iterator[None]:
    """Let MMCV and MMSegmentation say versions that Open-CD accepts, and MMDetection exist."""
    said = []
    for name, version in ACCEPTED.items():
        package: Any = importlib.import_module(name)
        said.append((package, package.__version__))
        package.__version__ = version
    stand_in = importlib.util.find_spec('mmdet') is None
    if stand_in:
        module: Any = types.ModuleType('mmdet')
        module.__version__ = MMDETECTION
        sys.modules['mmdet'] = module
    try:
        yield
    finally:
        for package, version in said:
            package.__version__ = version
        if stand_in:
            # Others ask whether MMDetection is installed.
            sys.modules.pop('mmdet', None)


class _OperatorsFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stand in for MMCV's compiled operators where they are missing."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of the stand-in for ``mmcv._ext``; None for all other modules."""
        return importlib.machinery.ModuleSpec(fullname, self) if fullname == 'mmcv._ext' else None

    def exec_module(self, module: types.ModuleType) -> None:
        """Give the module an operator of any name."""
        module.__dict__['__getattr__'] = _missing_operator


def _missing_operator(name: str) -> Any:
    if name.startswith('__'):
        raise AttributeError(name)

    def operator(*args: Any, **kwargs: Any) -> Any:
        raise StackError(
            f'the operator {name} of MMCV is compiled code, which onedl-mmcv does not have; '
            "install OpenMMLab's mmcv with its operators"
        )

    return operator


def _declare_operators() -> None:
    """Declare the operators that torchvision describes, where its binary didn't load."""
    import torch

    library: Any = torch.library.Library('torchvision', 'FRAGMENT')  # type: ignore[no-untyped-call]
    for name in ('nms', 'qnms'):
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + NMS)
    _libraries.append(library)
