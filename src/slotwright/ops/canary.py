"""The proof that a client works: a key written and read back on every shard, as a client would, then removed.

The first node asked is one that does not own the slot, so that the way there leads through MOVED, to the address that
the cluster itself tells its clients.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from slotwright.cluster.findings import Finding, Severity, by_gravity
from slotwright.cluster.observation import Role
from slotwright.cluster.slots import key_in
from slotwright.cluster.survey import Survey, SurveyNode
from slotwright.cluster.topology import Address, Mode
from slotwright.errors import ServerError
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Argument, Reply, ReplyError
from slotwright.server.addresses import escaped, parse_redirect

LIFETIME_MS = 60_000
_HOPS = 5


@dataclass(frozen=True, slots=True)
class CanaryReply:
    """What one canary came to: the reply, and the address that gave it."""

    reply: Reply
    address: Address


async def fly_canaries(pool: ConnectionPool, survey: Survey, token: str) -> tuple[Finding, ...]:
    """Findings for the shards where it failed; none when all are proved. ``token`` makes the keys this run's own.

    Shards whose primary doesn't answer us are left out: that is a finding already.
    """
    primaries = [
        node
        for node in survey.nodes
        if node.role is Role.PRIMARY and node.is_reachable and (node.slots or survey.mode is Mode.SINGLE)
    ]
    results = await asyncio.gather(*(_fly(pool, survey, node, token) for node in primaries))
    return tuple(result for result in results if result)


async def _fly(pool: ConnectionPool, survey: Survey, owner: SurveyNode, token: str) -> Finding | None:
    if owner.address is None:
        return _finding(owner, "its address is unknown")
    tag = key_in(owner.slots, "slotwright").decode() if owner.slots else "slotwright"
    key, value = f"{{{tag}}}:canary:{token}", token
    entry = _entry(survey, owner)
    try:
        written = await follow(pool, entry, ("SET", key, value, "NX", "PX", LIFETIME_MS))
        if written.reply != b"OK":
            return _finding(owner, f"the write answered {written.reply!r}")
        try:
            read = await follow(pool, entry, ("GET", key))
        finally:
            await follow(pool, entry, ("DEL", key))
    except (ServerError, ReplyError) as error:
        return _finding(owner, str(error))
    if read.reply != value.encode():
        return _finding(owner, "the key read back is not the key written")
    if written.address != owner.address:
        return _finding(owner, f"the write was led to {written.address}")
    return None


async def follow(pool: ConnectionPool, entry: Address, command: tuple[Argument, ...]) -> CanaryReply:
    """Send ``command``, going where MOVED leads. Raises ReplyError after too many hops and where it leads to no
    address, and what a dial raises."""
    address = entry
    last: ReplyError | None = None
    for _ in range(_HOPS):
        connection = await pool.connection(address)
        try:
            return CanaryReply(await connection.call(*command), address)
        except ReplyError as error:
            if error.code != "MOVED":
                raise
            last = error
            goal = parse_redirect(str(error), address)
            if goal is None:
                raise ReplyError(f"ERR {address} leads to what is no address: {escaped(str(error))}") from error
            address = goal
    raise ReplyError(f"ERR redirected {_HOPS} times: {last}")


_CAUSES = {
    "OOM": frozenset({"memory-near-limit"}),
    "NOREPLICAS": frozenset({"replicas-required"}),
    "MISCONF": frozenset({"persistence-failing"}),
    "TRYAGAIN": frozenset({"open-slot"}),
    "ASK": frozenset({"open-slot"}),
}
"""By the server's answer: what has it refuse."""


def with_canaries(name: str, findings: tuple[Finding, ...], failed: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings of the cluster ``name`` with the canaries that failed, gravest first: one whose cause is told is the
    cause's evidence, and makes it serious, for clients are refused now."""
    told = list(findings)
    for canary in failed:
        at = next((at for at, finding in enumerate(told) if _is_cause(finding, canary, name)), None)
        if at is None:
            told.append(canary)
        else:
            seen = "; ".join(filter(None, (told[at].seen, f"{canary.what}: {canary.seen}")))
            told[at] = replace(told[at], severity=Severity.SERIOUS, seen=seen)
    return by_gravity(tuple(told))


def _is_cause(finding: Finding, canary: Finding, name: str) -> bool:
    """By the answer that the canary got; else what is serious of its shard's primary, or of the cluster as a whole."""
    places = {place.strip(",") for place in finding.where.split()}
    answer = _CAUSES.get(canary.seen.partition(" ")[0])
    if answer is not None:
        return finding.code in answer and (canary.where in places or finding.code == "open-slot")
    is_grave = finding.severity is Severity.SERIOUS and finding.code != "canary-failed"
    return is_grave and bool({canary.where, name} & places)


def _entry(survey: Survey, owner: SurveyNode) -> Address:
    """Another primary where there is one, so that the owner is found by redirection."""
    for node in survey.nodes:
        if node.id != owner.id and node.is_reachable and node.address and node.role is Role.PRIMARY and node.slots:
            return node.address
    assert owner.address is not None
    return owner.address


def _finding(owner: SurveyNode, seen: str) -> Finding:
    return Finding(
        "canary-failed",
        Severity.SERIOUS,
        owner.place,
        f"a key could not be written and read back on shard {owner.shard}",
        "look at the other findings first; then at the node's log",
        seen=seen,
        risk="clients fail the same way",
    )
