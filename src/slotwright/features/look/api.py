"""status, check, slot and logs: looking, without changing anything but a canary key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from slotwright.app.context import Context
from slotwright.app.targets import Target, find_by_node, find_target, open_verifier
from slotwright.cluster.findings import Finding, Severity, by_gravity
from slotwright.cluster.observation import Role
from slotwright.cluster.record import Stage
from slotwright.cluster.slots import key_slot
from slotwright.cluster.survey import SurveyNode
from slotwright.cluster.topology import Address, Mode
from slotwright.errors import InputError
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.exams import examine_hosts
from slotwright.ops.verify import Verdict

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class SlotOfKey:
    """Where a key lives; ``primary`` None: its slot belongs to nobody."""

    key: bytes
    slot: int
    primary: SurveyNode | None
    replicas: tuple[SurveyNode, ...] = ()


async def status(context: Context, target: Target) -> Verdict:
    """One look at every node, judged but not proved. Raises for a foreign cluster whose seed doesn't answer."""
    async with context.fleet(target.topology) as fleet, ConnectionPool(fleet.login(target.password, "")) as pool:
        verifier = await open_verifier(context, target, fleet, pool)
        return with_change(target, await verifier.look(with_canaries=False))


async def check(context: Context, target: Target, *, with_canaries: bool, is_deep: bool = False) -> Verdict:
    """The proof, or the findings, with what the hosts tell of nodes that were made here. ``with_canaries``: also write
    and read a key on every shard. ``is_deep``: keys are counted slot by slot on every primary.

    Raises AuthenticationError when no node lets us in, and what :func:`open_verifier` raises.
    """
    async with context.fleet(target.topology) as fleet, ConnectionPool(fleet.login(target.password, "")) as pool:
        verifier = await open_verifier(context, target, fleet, pool)
        record = target.record
        if record is not None and record.stage is not Stage.ADOPTED:
            verifier = replace(verifier, examine=partial(examine_hosts, fleet, record))
        return with_change(target, await verifier.look(with_canaries=with_canaries, is_deep=is_deep))


def with_change(target: Target, verdict: Verdict) -> Verdict:
    """With a change that was cut as a finding: what is found besides may come from it."""
    if target.store is None or target.record is None or not target.store.has_baseline():
        return verdict
    cut = Finding(
        "change-unfinished",
        Severity.WARNING,
        target.name,
        "a change by `up` was begun and is not proved: some nodes may have it, others not",
        f"slotwright up {target.record.topology_path or target.name} goes on; "
        f"slotwright abort {target.name} takes it back",
    )
    return replace(verdict, findings=by_gravity((*verdict.findings, cut)))


async def find_slots(context: Context, target: Target, keys: Sequence[bytes]) -> tuple[SlotOfKey, ...]:
    """The slot of each key, and who serves it now."""
    survey = (await status(context, target)).survey
    result = []
    for key in keys:
        slot = key_slot(key)
        is_single = survey.mode is Mode.SINGLE
        owner = next(
            (node for node in survey.nodes if node.role is Role.PRIMARY and (is_single or slot in node.slots)), None
        )
        replicas = tuple(node for node in survey.nodes if owner and node.replica_of == owner.id)
        result.append(SlotOfKey(key, slot, owner, replicas))
    return tuple(result)


def find_node(context: Context, text: str, target: str | None) -> tuple[Target, Address]:
    """The cluster and the address that ``text`` (``host:port`` or the beginning of an id) names. Raises InputError."""
    chosen = find_target(context, target) if target else None
    if chosen is None:
        try:
            chosen = find_by_node(context, Address.parse(text))
        except ValueError:
            chosen = find_target(context, None)
    if chosen is None:
        raise InputError(
            f"no cluster known here has a node {text}",
            code="unknown-node",
            where=text,
            hint=f"known here: {', '.join(context.known())}" if context.known() else "",
        )
    from slotwright.app.targets import choose_nodes, own_record

    record, _ = own_record(chosen)
    return chosen, choose_nodes(record, [text])[0]


async def read_log(context: Context, target: Target, address: Address) -> tuple[str, int]:
    """The last 64 KiB of a node's log, and the offset in bytes where what comes later begins."""
    from slotwright.app.targets import own_record

    record, _ = own_record(target)
    directory = record.node_directory(address)
    async with context.fleet(target.topology) as fleet:
        host = fleet.at(address.host)
        _, end = await host.log_from(directory, -1)
        return await host.log_from(directory, max(0, end - 65536))


async def follow_log(context: Context, target: Target, address: Address, offset: int) -> AsyncIterator[str]:
    """What stands in a node's log from ``offset`` on, for ever; a rotated log is followed into the new one."""
    from slotwright.app.targets import own_record

    record, _ = own_record(target)
    directory = record.node_directory(address)
    async with context.fleet(target.topology) as fleet:
        while True:
            text, offset = await fleet.at(address.host).log_from(directory, offset)
            if text:
                yield text
            else:
                await asyncio.sleep(_POLL_S)
