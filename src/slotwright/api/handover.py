"""failover: a replica takes over on purpose, or all primaries go back to where the file wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slotwright.adapters import lock
from slotwright.api.context import Context
from slotwright.api.maps import keep_maps
from slotwright.api.targets import Target, find_by_node, find_target, open_verifier
from slotwright.errors import InputError, RefusedError
from slotwright.model.findings import Finding
from slotwright.model.topology import Address
from slotwright.operations.handover import Director, HandedOver
from slotwright.operations.presence import Operator, claim
from slotwright.operations.roster import Roster
from slotwright.operations.verify import Verdict, Verifier
from slotwright.planning.handover import Handover, handovers_to_plan, plan_handover

AgreeToHandOver = Callable[[Sequence[Handover]], bool]


@dataclass(frozen=True, slots=True)
class Failover:
    """What was done, what could not be, and the cluster afterwards."""

    name: str
    done: tuple[HandedOver, ...]
    obstacles: tuple[Finding, ...]
    verdict: Verdict


async def failover(
    context: Context,
    node: str,
    target: str | None = None,
    *,
    force: bool = False,
    agree: AgreeToHandOver | None = None,
) -> Failover:
    """Make the replica at ``node`` (``host:port``, or the beginning of its id) the primary of its shard.

    Nothing is done for a node that is primary already. Raises InputError (unknown-node), RefusedError
    (failover-impossible, declined, locked), ServerError.
    """
    found = _target_of(context, node, target)

    def choose(verdict: Verdict) -> tuple[tuple[Handover, ...], tuple[Finding, ...]]:
        step = plan_handover(verdict.survey, _address(verdict, node), may_force=force)
        if isinstance(step, Finding):
            raise RefusedError(
                step.what, code=step.code, where=step.where, left="nothing was changed", hint=step.remedy
            )
        return ((step,) if step else ()), ()

    return await _run(context, found, choose, agree)


async def restore_plan(context: Context, target: Target, agree: AgreeToHandOver | None = None) -> Failover:
    """Bring every primary back to the node where the file has it, one shard after the other.

    Shards that can't be brought back are among ``obstacles``. Raises as :func:`failover`.
    """
    if target.record is None:
        raise InputError(
            f"{target.name} has no file here that says where its primaries belong", code="not-ours", where=target.name
        )
    blueprint = target.record.blueprint
    return await _run(context, target, lambda verdict: handovers_to_plan(verdict.survey, blueprint), agree)


async def _run(
    context: Context,
    target: Target,
    choose: Callable[[Verdict], tuple[tuple[Handover, ...], tuple[Finding, ...]]],
    agree: AgreeToHandOver | None,
) -> Failover:
    if target.store is None:
        raise InputError(
            f"{target.name} is not known here: it can be looked at, not changed",
            code="not-ours",
            where=target.name,
            left="nothing was changed",
            hint=f"slotwright adopt {target.name} makes it known",
        )
    with lock.hold(target.store.lock_path, "failover", target.name):
        return await _hand_over(context, target, choose, agree)


async def _hand_over(
    context: Context,
    target: Target,
    choose: Callable[[Verdict], tuple[tuple[Handover, ...], tuple[Finding, ...]]],
    agree: AgreeToHandOver | None,
) -> Failover:
    async with context.fleet(target.topology) as fleet, Roster(fleet.login(target.password, "")) as roster:
        verifier = await open_verifier(context, target, fleet, roster)
        steps, obstacles = choose(await verifier.look(with_canaries=False))
        if steps and agree is not None and not agree(steps):
            raise RefusedError("not confirmed", code="declined", left="nothing was changed")
        if steps:
            operator = Operator("failover", lock.operator(), context.token())
            await claim(roster, verifier.addresses, operator, target.name)
        done = await _direct(context, target, verifier, steps)
        verdict = await verifier.look(with_canaries=target.record is not None)
        if done and target.record is not None and target.store is not None:
            await keep_maps(context, fleet, target.record, target.store)
        return Failover(target.name, done, obstacles, verdict)


async def _direct(
    context: Context, target: Target, verifier: Verifier, steps: Sequence[Handover]
) -> tuple[HandedOver, ...]:
    """One after the other: two shards without a primary at once are two too many."""
    director = Director(verifier.roster, context.clock, context.report, verifier.addresses)
    journal = context.open_journal(target.store.journal_path) if target.store is not None else None
    done = []
    for step in steps:
        entry = {"step": "failover", "where": str(step.replica), "from": step.primary, "forced": step.is_forced}
        if journal is not None:
            journal.write({"phase": "intent", **entry})
        done.append(await director.hand_over(step))
        if journal is not None:
            journal.write({"phase": "done", **entry})
    return tuple(done)


def _target_of(context: Context, node: str, target: str | None) -> Target:
    if target is not None:
        return find_target(context, target)
    try:
        address = Address.parse(node)
    except ValueError:
        return find_target(context, None)
    return find_by_node(context, address) or find_target(context, node)


def _address(verdict: Verdict, text: str) -> Address:
    nodes = verdict.survey.nodes
    found = [node.address for node in nodes if node.address is not None and str(node.address) == text]
    found = found or [node.address for node in nodes if node.address and len(text) > 3 and node.id.startswith(text)]
    if len(found) != 1:
        named = ", ".join(node.place for node in nodes[:12])
        raise InputError(
            f"{verdict.survey.name} has no node {text}", code="unknown-node", where=text, hint=f"its nodes are {named}"
        )
    return found[0]
