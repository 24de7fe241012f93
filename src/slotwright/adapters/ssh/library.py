"""asyncssh, imported in this one place.

At its import it looks for two libraries of the system, and Python's way to look runs ``ldconfig``, ``gcc`` and ``ld``
with our whole environment, in which passwords may be: so both searches are answered with "no". It costs the UMAC codes,
beside which there are others, and nothing of the key exchange: its post-quantum algorithm comes with the cryptography
package.
"""

from __future__ import annotations

import ctypes.util

_search = ctypes.util.find_library


def _find_nothing(name: str) -> str | None:
    return None


ctypes.util.find_library = _find_nothing
try:
    import asyncssh as asyncssh
finally:
    ctypes.util.find_library = _search
