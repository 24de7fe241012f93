"""The JSON of `client test`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import field

from slotwright.cluster.announced import Announced
from slotwright.console.output import FindingOutput, Output, finding_outputs
from slotwright.features.clients.path_model import ClientPath, DialledNode

if TYPE_CHECKING:
    from slotwright.features.clients.path_api import ClientPathResult


class AnnouncedNodeOutput(Output, frozen=True, kw_only=True):
    """A node where clients are sent to, and what became of it; ``also`` are its other addresses."""

    id: str
    shard: int
    role: str
    announced: str | None
    also: tuple[str, ...]
    reached: bool
    trouble: str
    answered_by: str | None
    took_ms: float | None


class RedirectOutput(Output, frozen=True, kw_only=True):
    """Where a node sent the client for a key of another; ``goal`` is null where it answered itself."""

    asked: str
    owner: str
    goal: str | None
    error: str


class ClientTestOutput(Output, frozen=True, kw_only=True):
    """`client test`; ``from`` is null for this machine."""

    name: str
    place: str | None = field(name="from")
    ok: bool
    entry: str
    nodes: tuple[AnnouncedNodeOutput, ...]
    redirects: tuple[RedirectOutput, ...]
    findings: tuple[FindingOutput, ...]


def client_test_output(walked: ClientPathResult) -> ClientTestOutput:
    """`client test`."""
    walk = walked.walk
    return ClientTestOutput(
        name=walked.name,
        place=walk.place or None,
        ok=walked.is_ok,
        entry=str(walk.entry),
        nodes=tuple(
            _node_output(walk, node, number) for number, shard in enumerate(walk.shards, 1) for node in shard.nodes
        ),
        redirects=tuple(
            RedirectOutput(
                asked=str(redirect.asked),
                owner=redirect.owner,
                goal=str(redirect.goal) if redirect.goal else None,
                error=redirect.error,
            )
            for redirect in walk.redirects
        ),
        findings=finding_outputs(walked.findings),
    )


def _node_output(walk: ClientPath, node: Announced, shard: int) -> AnnouncedNodeOutput:
    dialled = walk.dialled_of(node)
    return AnnouncedNodeOutput(
        id=node.id,
        shard=shard,
        role=node.role.value,
        announced=None if dialled is None else str(dialled.address),
        also=node.others,
        reached=walk.leads_home(node),
        trouble="" if dialled is None else dialled.code,
        answered_by=(dialled.id or None) if dialled else None,
        took_ms=_took_ms(dialled),
    )


def _took_ms(dialled: DialledNode | None) -> float | None:
    return round(dialled.took_ms, 1) if dialled and dialled.took_ms is not None else None
