"""What COMMAND said of the commands that change data, and of reads that don't simply have one key, recorded from real
servers."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from slotwright.model.cluster import ServerVersion
from slotwright.model.command_table import CommandTable
from slotwright.model.topology import EngineKind
from slotwright.planning.replay import Side
from slotwright.wire.command_table import Item, parse_command_table

_HERE = Path(__file__).parent
RECORDED = ("redis-6.2", "redis-8.2", "valkey-9.1")


@cache
def recorded(label: str) -> CommandTable:
    """The table of one of :data:`RECORDED`."""
    return parse_command_table(_bytes(json.loads((_HERE / f"{label}.json").read_text())))


def side(label: str) -> Side:
    """A side of a migration with that server."""
    kind, _, numbers = label.partition("-")
    return Side(ServerVersion(EngineKind(kind), tuple(map(int, numbers.split(".")))), recorded(label))


def _bytes(item: object) -> Item:
    if isinstance(item, str):
        return item.encode()
    return [_bytes(one) for one in item] if isinstance(item, list) else item
