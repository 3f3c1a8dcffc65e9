"""QGIS plugin of TFINet-MM: a Processing provider that runs its command line."""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:
    """Return the plugin, as QGIS asks for it.

    Args:
        iface: QGIS's interface, or None in ``qgis_process``.
    """
    from .plugin import Plugin

    return Plugin(iface)
