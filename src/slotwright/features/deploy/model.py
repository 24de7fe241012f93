"""Who is who: the shards of a cluster, each with a primary, its replicas and its slots; and a plan that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slotwright.cluster.findings import Finding
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.steps import Fact
from slotwright.cluster.topology import Address


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """Shard ``number`` counts from 1; ``replicas`` are in the order of preference."""

    number: int
    slots: SlotSet
    primary: Address
    replicas: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """The shards in order of their slots, and what could not be had as one would wish.

    A SERIOUS finding means that the placement must not be used unless the file allows it.
    """

    shards: tuple[PlannedShard, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovedPlan:
    """A plan as its file has it, for somebody's approval. It holds no secret.

    ``topology_path`` is absolute, and ``topology_digest`` that of what the file says; ``made_at`` is a UTC time and
    ``made_by`` a ``user@host``. ``stages`` are the steps as `plan --json` shows them.
    """

    name: str
    topology_path: str
    topology_digest: str
    made_at: str
    made_by: str
    stages: tuple[tuple[dict[str, Any], ...], ...]
    facts: tuple[Fact, ...]
    digest: str
