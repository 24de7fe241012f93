"""Whose data a node holds: histories first, counts last.

Every primary writes a history of its own, named by a replication id; a replica has the id of the primary whose data it
took, however long ago, until it has copied another one as a whole. Within one history the later offset is the later
copy. Offsets of different histories say nothing of each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slotwright.cluster.observation import NodeView, Observation, Role


def is_copy_of_another(view: NodeView, primary_id: str, observation: Observation) -> bool:
    """Whether what the node holds was taken from another primary, which serves slots and has all of it.

    So it is with a replica that was told to follow ``primary_id`` and could not copy it yet: told to lead that shard,
    it would bring the other one's keys.
    """
    return source_of(view, primary_id, observation) is not None


def source_of(view: NodeView, primary_id: str, observation: Observation) -> NodeView | None:
    """The other primary that serves slots and has all that the replica holds; None where there is none."""
    if not view.replication.history or view.id == primary_id:
        return None
    others = (other for other in observation.views if other.id not in (view.id, primary_id))
    return next((other for other in others if _has_all_of(other, view)), None)


def _has_all_of(other: NodeView, view: NodeView) -> bool:
    theirs, own, line = other.replication, view.replication, other.myself
    # A primary that was reset has the same data under another id, and serves none of it.
    if theirs.role is not Role.PRIMARY or line is None or not line.slots:
        return False
    is_same = own.history == theirs.history and own.offset <= theirs.offset
    return is_same or (own.history == theirs.former_history and own.offset < theirs.former_until)


def latest(copies: Iterable[NodeView]) -> Sequence[NodeView]:
    """The latest copy of each history among ``copies``, the one with most keys first: one where all have one history.

    A copy without keys has no history to lose, and one that has taken nothing since its server started (offset 0) comes
    from a disk: it counts where no other one is there.
    """
    views = list(copies)
    views = [view for view in views if view.replication.offset] or views
    by_history: dict[str, NodeView] = {}
    for view in sorted(views, key=lambda view: (view.replication.offset, view.health.keys, view.id)):
        by_history[view.replication.history] = view
    found = sorted(by_history.values(), key=lambda view: (view.health.keys, view.id), reverse=True)
    return [view for view in found if view.health.keys] or found[:1]
