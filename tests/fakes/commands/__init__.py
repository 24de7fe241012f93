"""What COMMAND said of the commands that change data, and of reads that don't simply have one key, recorded from real
servers."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind
from slotwright.features.migrate.replay.replayer import ServerCommands
from slotwright.server.capabilities import capabilities_of
from slotwright.server.commands.parse import Item, parse_command_table
from slotwright.server.commands.table import CommandTable

_HERE = Path(__file__).parent
RECORDED = ("redis-6.2", "redis-8.2", "valkey-9.1")


@cache
def recorded(label: str) -> CommandTable:
    """The table of one of :data:`RECORDED`."""
    return parse_command_table(_bytes(json.loads((_HERE / f"{label}.json").read_text())))


def side(label: str) -> ServerCommands:
    """A side of a migration with that server."""
    kind, _, numbers = label.partition("-")
    version = ServerVersion(EngineKind(kind), tuple(map(int, numbers.split("."))))
    return ServerCommands(capabilities_of(version), recorded(label))


def _bytes(item: object) -> Item:
    if isinstance(item, str):
        return item.encode()
    return [_bytes(one) for one in item] if isinstance(item, list) else item
