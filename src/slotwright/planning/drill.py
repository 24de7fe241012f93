"""Which nodes a drill takes away, whether that is a drill or an outage, and what its ledger says of it afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from slotwright.model.cluster import Link, Role
from slotwright.model.findings import Finding, Severity
from slotwright.model.survey import Survey, SurveyNode
from slotwright.model.topology import Address, Mode


@dataclass(frozen=True, slots=True)
class Victims:
    """``nodes`` are taken away at once; ``shards`` are those among theirs that lose their primary."""

    nodes: tuple[Address, ...]
    shards: tuple[int, ...]


def choose_victims(survey: Survey, *, node: Address | None = None, host: str = "") -> Victims | Finding:
    """The named node, or all nodes of the named host, or the primary of the first shard.

    A Finding says why it would not be a drill: no replica in sync could take over, or most primaries would be away.
    """
    owners = [each for each in survey.nodes if each.role is Role.PRIMARY and each.slots]
    if survey.mode is Mode.SINGLE or not owners:
        return _no(survey.name, "there is no cluster to take over from it", "drills are for clusters")
    taken = [each for each in survey.nodes if each.address and _is_meant(each, owners[0], node, host)]
    if not taken:
        return _no(str(node or host), "it has no node there", "slotwright status shows the nodes")
    lost = [each for each in owners if each in taken]
    if len(lost) * 2 >= len(owners):
        return _no(
            str(node or host),
            f"{len(lost)} of {len(owners)} primaries would be away: no majority is left",
            "spread them",
        )
    for each in lost:
        heirs = [
            other
            for other in survey.nodes
            if other.replica_of == each.id and other not in taken and other.link is Link.UP and not other.trouble
        ]
        if not heirs:
            return _no(each.place, "no replica in sync is left to take over", "slotwright check says what is wrong")
    addresses = tuple(each.address for each in taken if each.address is not None)
    return Victims(addresses, tuple(each.shard for each in lost if each.shard is not None))


def _is_meant(each: SurveyNode, first: SurveyNode, node: Address | None, host: str) -> bool:
    if node is not None:
        return each.address == node
    if host:
        return each.address is not None and each.address.host == host
    return each.id == first.id


def _no(where: str, why: str, remedy: str) -> Finding:
    return Finding("not-a-drill", Severity.SERIOUS, where, f"that would be an outage, not a drill: {why}", remedy)


def longest_gap(moments: Sequence[float], since: float, until: float) -> float:
    """The longest time without an event among ``moments`` (sorted), of which some part lies between the two times."""
    edges = [since, *(moment for moment in moments if since < moment < until), until]
    before = [moment for moment in moments if moment <= since]
    after = [moment for moment in moments if moment >= until]
    edges[0] = before[-1] if before else since
    edges[-1] = after[0] if after else until
    return max((later - earlier for earlier, later in pairwise(edges)), default=0.0)
