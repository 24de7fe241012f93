"""Whether a node that does not run may be started while a replica would follow it: disks before roles.

Within one history the later copy is right. A primary that comes back from a whole append-only file has at least what it
had sent to its replica, so it goes first. Where its file is gone, cut, or older than what the replica took, the replica
is the later copy: started now, the primary would be followed by it, and the keys that only the replica has would be
gone (replication.c, a full resynchronisation empties the replica first).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.observation import NodeView, Observation, PeerView, Role
from slotwright.cluster.topology import Address
from slotwright.hosts.facts.disk import AppendLog, NodeDisk

_MOMENT_S = 0.3
"""A write reaches the files of a primary and of its replica within this time of each other."""

_SAID = {
    AppendLog.ABSENT: "its append-only file is gone",
    AppendLog.INCOMPLETE: "a part of its append-only file is gone",
    AppendLog.CUT: "the end of its append-only file is cut off",
    AppendLog.UNREAD: "nobody can tell whether its append-only file is whole",
}


_FULLNESS = {AppendLog.ABSENT: 0, AppendLog.INCOMPLETE: 1, AppendLog.CUT: 1, AppendLog.UNREAD: 1, AppendLog.WHOLE: 2}


@dataclass(frozen=True, slots=True)
class Follower:
    """A replica that would copy what is started at ``primary``; ``view`` None: it does not answer us."""

    primary: Address
    address: Address
    view: NodeView | None


def followers(seen: Observation, members: Blueprint, starting: Collection[Address]) -> Iterator[Follower]:
    """Replicas of ``members`` at ``starting``, by their own word or by that of others; of those that answer, the ones
    that have keys. A node that was voted out has none: its replicas follow its heir.

    Members are known by their ids: where they are looked for may be wrong, and heals once they run.
    """
    places = {node.id: node.address for node in members.nodes}
    waiting = {node_id: place for node_id, place in places.items() if place in starting}
    results: set[str] = set()
    for view in seen.views:
        for peer in view.peers:
            other = seen.view_by_id(peer.id)
            primary = waiting.get(_primary_of(view, peer) or "")
            address = other.address if other else places.get(peer.id, peer.address)
            is_told = peer.id in results or (other is not None and other is not view)
            if primary is None or address is None or is_told or (other is not None and not other.health.keys):
                continue
            results.add(peer.id)
            yield Follower(primary, address, other)


def _primary_of(view: NodeView, replica: PeerView) -> str | None:
    """The id of its primary, as the node has it that has this view; None where that one was voted out."""
    primary = view.peer(replica.replica_of) if replica.role is Role.REPLICA and replica.replica_of else None
    return primary.id if primary is not None and primary.role is Role.PRIMARY else None


def why_behind(disk: NodeDisk | None, copy: NodeDisk | None, *, is_at_rest: bool = False) -> str:
    """Why the node on ``disk`` would come back with less than its replica on ``copy`` has; "" where nothing says so.

    ``disk`` None: nobody looked, since it runs or keeps no such file. A replica that is itself ``is_at_rest`` has no
    more than its disk.
    """
    if disk is None:
        return ""
    if disk.append_log is not AppendLog.WHOLE:
        is_as_poor = copy is not None and _FULLNESS[copy.append_log] <= _FULLNESS[disk.append_log]
        return "" if is_at_rest and is_as_poor else _SAID[disk.append_log]
    if copy is None or copy.written_at is None or disk.written_at is None:
        return ""
    later_s = copy.written_at - disk.written_at
    if later_s > _MOMENT_S + disk.doubt_s + copy.doubt_s:
        return f"its append-only file ends {later_s:.1f} s before that of its replica"
    return ""


def disks_to_read(seen: Observation, members: Blueprint, starting: Collection[Address]) -> frozenset[Address]:
    """The nodes whose disks decide on these starts: the primaries, and the replicas that would follow them."""
    return frozenset(
        place for follower in followers(seen, members, starting) for place in (follower.primary, follower.address)
    )
