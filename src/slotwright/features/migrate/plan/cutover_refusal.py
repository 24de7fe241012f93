"""Why a source can't be cut over: somebody else takes its writes, and nobody holds these.

Holding and refusing writes is done on the server that is followed. Where that is a replica, its primary goes on
acknowledging writes that never get to the target. So a replica is cut over only while its primary stands still: for
some time the replica's stream brought life signs and no change. A stream that brings nothing at all says nothing: the
link may be cut, with the primary taking writes beyond it. A replica of a replica gets its life signs from the very
first primary (replication.c, replicationFeedSlaves).
"""

from __future__ import annotations

from slotwright.cluster.topology import Address
from slotwright.errors import RefusedError
from slotwright.features.migrate.model.migration import ReplicationStanding

CODE = "source-is-replica"

_LEFT = "the source is as it was, and nothing was cut over; the copy stays in the target"


def refuse_standing(source: Address, standing: ReplicationStanding) -> RefusedError | None:
    """What no waiting mends; None for a primary, and for a replica that may be watched."""
    if standing.role is None:
        return _refused(
            source,
            f"whether {source} is a primary can't be told",
            "INFO has no role, or more than one",
            "see what INFO replication says on it",
        )
    if not standing.is_replica:
        return None
    if standing.is_in_cluster:
        return _refused(
            source,
            f"{source} is a replica of {standing.primary} now: its slots are another node's",
            "role:slave, cluster_enabled:1",
            "slotwright migrate --resume begins at the nodes that are primaries now",
        )
    if standing.takes_writes:
        return _refused(
            source,
            f"{source} is a replica that takes writes itself: they are in no stream, and nobody would miss them",
            "slave_read_only:0",
            f"CONFIG SET replica-read-only yes on it, then try again; or {_move_the_primary(standing)}",
        )
    if not standing.link_is_up:
        return _refused(
            source,
            f"{source} is a replica whose link to its primary {standing.primary} is down: what that takes is not here",
            "master_link_status is not up",
            f"see that the link comes up; or {_move_the_primary(standing)}. Where that is gone for good: REPLICAOF NO "
            f"ONE on {source}, then slotwright migrate --resume",
        )
    return None


def refuse_moving(source: Address, standing: ReplicationStanding) -> RefusedError:
    """Changes came in from the primary."""
    return _refused(
        source,
        f"{source} is a replica, and its primary {standing.primary} goes on changing: nobody holds its writes",
        "changes came while it was watched",
        "stop what writes there, or let it refuse writes (on the primary: CONFIG SET min-replicas-to-write 1000000), "
        f"then try again; keys that expire are changes, too. Or {_move_the_primary(standing)}",
    )


def refuse_unheard(source: Address, standing: ReplicationStanding, waited_s: float) -> RefusedError:
    """Nothing came in."""
    return _refused(
        source,
        f"{source} is a replica, and whether its primary {standing.primary} stands still can't be told",
        f"not even a PING came from it within {waited_s:.0f} s",
        "a primary sends one every repl-ping-replica-period seconds (10 unless set, and not while its clients are "
        f"paused): see that it lives, and set that back. Or {_move_the_primary(standing)}",
    )


def refuse_turned(source: Address) -> RefusedError:
    """It is another's replica, or leads, since the cutover began."""
    return _refused(
        source,
        f"{source} changed its place while it was cut over: a failover, most likely",
        "its role, its primary or its replication id is another one",
        "slotwright migrate --resume goes on; see first who is the primary now",
    )


def _move_the_primary(standing: ReplicationStanding) -> str:
    return f"move the primary itself: slotwright migrate --abort, then slotwright migrate {standing.primary}"


def _refused(source: Address, what: str, seen: str, hint: str) -> RefusedError:
    return RefusedError(what, code=CODE, where=str(source), seen=seen, left=_LEFT, hint=hint)
