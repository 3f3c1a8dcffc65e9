"""Enable Open-CD on import, for a config's ``custom_imports``."""

from tfinet_mm.integrations.opencd.compat import enable

enable()
