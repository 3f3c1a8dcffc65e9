"""Import Open-CD beside the maintained stack, and exchange weights with it.

``docs/open_cd.md`` has the whole of what the two packages exchange.
"""

from tfinet_mm.integrations.opencd.compat import enable
from tfinet_mm.integrations.opencd.weights import from_opencd, to_opencd

__all__ = ['enable', 'from_opencd', 'to_opencd']
