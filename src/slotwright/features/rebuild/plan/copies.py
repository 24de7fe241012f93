"""Which old folders a rebuild brings keys back from, and whether anything would be lost: decided before anything ends.

Who owned a slot is what the nodes' own maps say, live or from their disks, the higher epoch first, as the servers judge
it themselves (cluster.c, clusterUpdateSlotsConfigWith). A word of the blueprint counts only where no map says anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.observation import PeerView, Role, ServerVersion
from slotwright.cluster.slots import SLOT_COUNT, SlotRange, SlotSet
from slotwright.cluster.topology import Address
from slotwright.features.rebuild.model import ShardCopy
from slotwright.server.capabilities import can_read_data

APPEND_FOLDER = "appendonlydir"
APPEND_FILE = "appendonly.aof"
SNAPSHOT = "dump.rdb"


@dataclass(frozen=True, slots=True)
class Member:
    """An old node as it was found. ``trouble`` is "" when its folder can be had, else why not; ``keys`` None: it does
    not answer. ``data`` are names and sizes of its data files, ``lines`` its own map, live or from its disk.
    ``is_out_of_reach``: its host is away or its folder is somebody else's, so that it can't be ended either."""

    address: Address
    id: str
    trouble: str = ""
    keys: int | None = None
    data: tuple[tuple[str, int], ...] = ()
    lines: tuple[PeerView, ...] = ()
    is_out_of_reach: bool = False

    @property
    def answers(self) -> bool:
        """Whether it was asked itself."""
        return self.keys is not None


@dataclass(frozen=True, slots=True)
class Uncovered:
    """A shard that would be lost: none of its members' folders can be had."""

    shard: int
    slots: SlotSet
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """``risks`` are sentences for whoever is asked; with anything ``uncovered`` nothing may be ended."""

    copies: tuple[ShardCopy, ...]
    uncovered: tuple[Uncovered, ...]
    risks: tuple[str, ...]


def choose_copies(members: Sequence[Member], blueprint: Blueprint, settings: Sequence[tuple[str, str]]) -> Choice:
    """One folder a shard, the most complete one. ``settings`` are those that the old servers ran with."""
    lines = _believed(members, blueprint)
    copies: list[ShardCopy] = []
    uncovered: list[Uncovered] = []
    for number, (owner, slots) in enumerate(_owners(lines), 1):
        shard = [member for member in members if _owner_of(member.id, lines) == owner]
        ranked = sorted(
            (member for member in shard if not member.trouble), key=lambda member: _rank(member, owner, settings)
        )
        if ranked:
            copies.append(_copy(ranked[0], owner, shard, number, slots, settings))
        else:
            uncovered.append(Uncovered(number, slots, tuple(shard)))
    return Choice(tuple(copies), tuple(uncovered), tuple(_risks(copies)))


def has_append_log(data: Sequence[tuple[str, int]], settings: Sequence[tuple[str, str]]) -> bool:
    """Whether a server with these settings would read its append-only file; a stale one, of a time when it was on, does
    not count."""
    wanted = dict(settings)
    if wanted.get("appendonly", "yes") != "yes":
        return False
    folder, file = wanted.get("appenddirname", APPEND_FOLDER), wanted.get("appendfilename", APPEND_FILE)
    return any(name.startswith(f"{folder}/") or name == file for name, _ in data)


def has_data(data: Sequence[tuple[str, int]], settings: Sequence[tuple[str, str]]) -> bool:
    """Whether there is anything that a server would load."""
    return has_append_log(data, settings) or any(name == dict(settings).get("dbfilename", SNAPSHOT) for name, _ in data)


def refuse_version(old: ServerVersion, new: ServerVersion) -> str:
    """ "" when the new server reads what the old one wrote, else why not."""
    if can_read_data(new, old):
        return ""
    return f"{new.title} can't read what {old.title} has written"


def _rank(member: Member, owner: str, settings: Sequence[tuple[str, str]]) -> tuple[bool, int, int, Address]:
    """The smallest is the most complete: first what has data at all, then by role and persistence, then by size."""
    is_owner, logs = member.id == owner, has_append_log(member.data, settings)
    if member.answers:
        grade = 0 if is_owner else 2
    else:
        grade = {(True, True): 1, (True, False): 3, (False, True): 4, (False, False): 5}[is_owner, logs]
    amount = member.keys if member.keys is not None else sum(size for _, size in member.data)
    return not _is_filled(member, settings), grade, -amount, member.address


def _is_filled(member: Member, settings: Sequence[tuple[str, str]]) -> bool:
    # One that answers is told to save when it ends.
    return member.answers or has_data(member.data, settings)


def _copy(
    chosen: Member,
    owner: str,
    shard: Sequence[Member],
    number: int,
    slots: SlotSet,
    settings: Sequence[tuple[str, str]],
) -> ShardCopy:
    return ShardCopy(
        chosen.address,
        number,
        slots,
        _is_filled(chosen, settings),
        has_append_log(chosen.data, settings),
        _why(chosen, owner, shard),
    )


def _why(chosen: Member, owner: str, shard: Sequence[Member]) -> str:
    if chosen.id == owner:
        return "" if chosen.answers else "the primary does not run: what it had not written to its disk is lost"
    primary = next((member for member in shard if member.id == owner), None)
    called = f"its primary {primary.address}" if primary else "its primary"
    reason = (primary.trouble if primary else "") or "has less"
    return f"a replica's copy, as {called} can't give its own ({reason}): what it had not sent is lost"


def _risks(copies: Sequence[ShardCopy]) -> list[str]:
    risks = []
    for copy in copies:
        if not copy.has_data:
            risks.append(f"shard {copy.shard} has nothing on any disk: none of its keys comes back")
        elif copy.why:
            risks.append(f"shard {copy.shard} comes back from {copy.address}: {copy.why}")
    return risks


def _believed(members: Sequence[Member], blueprint: Blueprint) -> dict[str, PeerView]:
    """Id -> the line that is believed: the node's own, else the one with the highest epoch, else the blueprint's."""
    planned = _planned(blueprint)
    heard: dict[str, PeerView] = {}
    for line in (line for member in members for line in member.lines):
        known = heard.get(line.id)
        if known is None or line.epoch > known.epoch:
            heard[line.id] = line
    own = {member.id: line for member in members for line in member.lines if line.id == member.id}
    return planned | heard | own


def _planned(blueprint: Blueprint) -> dict[str, PeerView]:
    return {
        node.id: PeerView(
            id=node.id,
            address=node.address,
            flags=frozenset({"absent"}),
            role=node.role,
            replica_of=None if node.role is Role.PRIMARY else shard.primary.id,
            epoch=node.epoch,
            is_connected=False,
            slots=shard.slots if node.role is Role.PRIMARY else SlotSet(),
        )
        for shard in blueprint.shards
        for node in shard.nodes
    }


def _owners(lines: dict[str, PeerView]) -> list[tuple[str, SlotSet]]:
    """(id, slots) in order of the first slot, every slot once."""
    free = SlotSet((SlotRange(0, SLOT_COUNT - 1),))
    owners: list[tuple[str, SlotSet]] = []
    primaries = [line for line in lines.values() if line.role is Role.PRIMARY and line.slots]
    for line in sorted(primaries, key=lambda line: ("absent" in line.flags, -line.epoch, line.id)):
        mine = line.slots & free
        if mine:
            owners.append((line.id, mine))
        free = free - mine
    return sorted(owners, key=lambda owner: owner[1].ranges[0].first)


def _owner_of(node_id: str, lines: dict[str, PeerView]) -> str:
    """The primary that a node follows, itself for a primary; replicas of replicas are followed to their end."""
    results: set[str] = set()
    while node_id in lines and node_id not in results and lines[node_id].replica_of:
        results.add(node_id)
        node_id = lines[node_id].replica_of or node_id
    return node_id
