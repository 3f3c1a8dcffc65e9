"""Export a network once, to run it with OpenVINO or ONNX Runtime whenever it is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfinet_mm.apis.network_export import export_network, sliding_windows
from tfinet_mm.apis.torch_network import TorchNetwork
from tfinet_mm.deploy.card import FORMAT_VERSION
from tfinet_mm.utils.dist import on_first_rank
from tfinet_mm.utils.fingerprints import content_hash
from tfinet_mm.version import __version__

if TYPE_CHECKING:
    from tfinet_mm.apis.loading import ConfigLike
    from tfinet_mm.apis.views import Augmentation

CACHE_VARIABLE = 'XDG_CACHE_HOME'
"""Environment variable of the folder below which exported networks are kept."""


def cached_export(
    config: ConfigLike | None,
    checkpoint: str | os.PathLike[str] | None,
    tta: Augmentation = None,
    calibration: bool | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> Path:
    """Return the exported file of a network, which is written if it isn't there yet.

    Args:
        config: As :class:`~tfinet_mm.apis.SCDInferencer` takes it, and so are all others.
        checkpoint: Weights of the network.
        tta: Views that are averaged.
        calibration: Calibrate P(changed) where the weights have a calibration.
        cfg_options: Values that replace the config's.

    Returns:
        An ONNX file in :func:`cache_folder`. Its name has a hash of config, weights, views and
        the version of this package.

    Raises:
        ExportError: The network can't be exported.
        MissingExtraError: A package of the extra ``export`` isn't installed.
    """
    network = TorchNetwork(
        config,
        checkpoint,
        'cpu',
        tta=tta,
        amp='float32',
        calibration=calibration,
        cfg_options=cfg_options,
    )
    settings = network.settings
    members = [
        {key: one[key] for key in ('model', 'weights', 'weight')} for one in settings['model']
    ]
    known = dict(
        members=members,
        settings={key: settings.get(key) for key in ('tta', 'threshold', 'classes', 'calibration')},
        colours=[list(colour) for colour in network.class_table.palette],
        reading=[network.bands, network.value_range],
        windows=[network.window, network.overlap, sliding_windows(network.model)],
        version=[__version__, FORMAT_VERSION],
    )
    first = settings['model'][0]
    name = Path(first['checkpoint']).stem if config is None else first['name']
    path = cache_folder() / f'{name}-{content_hash(known)[:16]}.onnx'

    def write() -> None:
        if path.is_file():
            return
        print(f'Exporting the network once, to {path}')
        path.parent.mkdir(parents=True, exist_ok=True)
        # Real numbers, so that values of any stretch are taken as torch takes them.
        export_network(
            config,
            checkpoint,
            path,
            tta=tta,
            calibration=calibration,
            input_type='float32',
            cfg_options=cfg_options,
            overwrite=True,
        )

    on_first_rank(write)
    return path


def cache_folder() -> Path:
    """Return the folder of exported networks, ``~/.cache/tfinet_mm`` by default."""
    base = os.environ.get(CACHE_VARIABLE) or '~/.cache'
    return Path(os.path.expanduser(base)) / 'tfinet_mm'
