"""Two looks at one cluster -> what happened between them, in the order in which it matters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from slotwright.cluster.observation import Link, Role
from slotwright.cluster.slots import SLOT_COUNT
from slotwright.cluster.survey import Survey, SurveyNode


class Happening(StrEnum):
    """What kind of thing happened."""

    FAILOVER = "failover"
    NODE_DOWN = "node-down"
    NODE_UP = "node-up"
    LINK_LOST = "link-lost"
    LINK_BACK = "link-back"
    SLOTS_LOST = "slots-lost"
    SLOTS_BACK = "slots-back"
    STATE = "state"
    JOINED = "joined"
    LEFT = "left"

    @property
    def is_bad(self) -> bool:
        """Whether somebody should look."""
        return self in (Happening.NODE_DOWN, Happening.LINK_LOST, Happening.SLOTS_LOST, Happening.LEFT)


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """``where`` is a ``host:port``, a shard or the cluster's name; ``what`` says it in one sentence."""

    happening: Happening
    where: str
    what: str


def changes_between(before: Survey, after: Survey) -> tuple[ClusterChange, ...]:
    """Nothing for two looks at the same."""
    return (*_failovers(before, after), *_nodes(before, after), *_service(before, after))


def _failovers(before: Survey, after: Survey) -> Iterator[ClusterChange]:
    for shard in sorted({node.shard for node in after.nodes if node.shard is not None}):
        old, new = _primary(before, shard), _primary(after, shard)
        if old is not None and new is not None and old.id != new.id:
            what = f"shard {shard}: {new.place} is primary instead of {old.place}"
            yield ClusterChange(Happening.FAILOVER, new.place, what)


def _primary(survey: Survey, shard: int) -> SurveyNode | None:
    owners = [node for node in survey.shard(shard) if node.role is Role.PRIMARY and node.slots]
    return owners[0] if owners else None


def _nodes(before: Survey, after: Survey) -> Iterator[ClusterChange]:
    earlier = {node.id: node for node in before.nodes}
    for node in after.nodes:
        old = earlier.pop(node.id, None)
        if old is None:
            yield ClusterChange(Happening.JOINED, node.place, f"{node.place} is a member now")
        else:
            yield from _node(old, node)
    for gone in earlier.values():
        yield ClusterChange(Happening.LEFT, gone.place, f"{gone.place} is no member any more")


def _node(old: SurveyNode, new: SurveyNode) -> Iterator[ClusterChange]:
    if new.trouble != old.trouble:
        if new.trouble:
            yield ClusterChange(Happening.NODE_DOWN, new.place, f"{new.place} ({new.role.value}): {new.trouble}")
        else:
            yield ClusterChange(Happening.NODE_UP, new.place, f"{new.place} ({new.role.value}) answers again")
    elif new.role is old.role is Role.REPLICA and new.link is not old.link and not new.trouble:
        if new.link is Link.UP:
            yield ClusterChange(Happening.LINK_BACK, new.place, f"{new.place} is in sync again")
        elif old.link is Link.UP:
            yield ClusterChange(Happening.LINK_LOST, new.place, f"{new.place} has lost its primary")


def _service(before: Survey, after: Survey) -> Iterator[ClusterChange]:
    lost, now = len(before.served), len(after.served)
    if now < lost:
        yield ClusterChange(
            Happening.SLOTS_LOST, after.name, f"{now} of {SLOT_COUNT} slots are served, {lost - now} less"
        )
    elif now > lost:
        yield ClusterChange(
            Happening.SLOTS_BACK, after.name, f"{now} of {SLOT_COUNT} slots are served, {now - lost} more"
        )
    if after.state is not before.state:
        yield ClusterChange(
            Happening.STATE, after.name, f"the cluster is {after.state.value}, and was {before.state.value}"
        )
