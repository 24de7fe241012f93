"""Where server binaries come from: on this machine (``local``), and on hosts (``remote``, loaded when it is used)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slotwright.adapters.engines.local import locate

if TYPE_CHECKING:
    from slotwright.adapters.engines.remote import RemoteEngines

__all__ = ["RemoteEngines", "locate"]


def __getattr__(name: str) -> Any:
    if name != "RemoteEngines":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from slotwright.adapters.engines.remote import RemoteEngines

    return RemoteEngines
