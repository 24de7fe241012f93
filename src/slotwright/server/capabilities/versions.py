"""Which server it is, from what it and its program say of themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind

_VERSION_LINE = re.compile(r"^(Redis|Valkey) server v=(\d+(?:\.\d+)*)", re.IGNORECASE)

OLDEST = (6, 2)


def parse_version_output(text: str) -> ServerVersion | None:
    """From what ``redis-server --version`` prints (``Valkey server v=9.1.2 sha=...``); None for anything else."""
    match = _VERSION_LINE.match(text.strip())
    if not match:
        return None
    return ServerVersion(EngineKind(match[1].lower()), _numbers(match[2]))


def version_from_info(info: Mapping[str, str]) -> ServerVersion:
    """From INFO server. Valkey says ``redis_version:7.2.4`` to please old clients: its own name comes first.

    A version that is not said is 0. Raises ValueError for one that is no version.
    """
    if info.get("server_name") == "valkey" or "valkey_version" in info:
        return ServerVersion(EngineKind.VALKEY, _numbers(info.get("valkey_version", "0")))
    return ServerVersion(EngineKind.REDIS, _numbers(info.get("redis_version", "0")))


def version_from_title(title: str) -> ServerVersion:
    """From :attr:`ServerVersion.title`; ValueError for anything else."""
    kind, _, numbers = title.partition(" ")
    return ServerVersion(EngineKind(kind.lower()), _numbers(numbers))


def is_supported(version: ServerVersion) -> bool:
    """The oldest server that is tested is 6.2."""
    return version.numbers >= OLDEST


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
