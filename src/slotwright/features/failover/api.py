"""failover: a replica takes over on purpose, or all primaries go back to where the file wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from slotwright.app.context import Context
from slotwright.app.kept_copies import keep_copies
from slotwright.app.nodes_conf_copies import keep_maps
from slotwright.app.targets import Target, find_by_node, find_target, open_verifier
from slotwright.cluster.findings import Finding
from slotwright.cluster.record import Stage
from slotwright.cluster.stages import one_by_one
from slotwright.cluster.topology import Address
from slotwright.errors import InputError, RefusedError
from slotwright.features.failover.plan import FailoverStep, failovers_to_plan, loses_later_copy, plan_failover
from slotwright.features.failover.run import FailoverResult, FailoverSteps
from slotwright.health.permission import Copies
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.presence import Operator, claim
from slotwright.ops.exams import examine_hosts
from slotwright.ops.runner import Runner, failures
from slotwright.ops.verify import Verdict, Verifier
from slotwright.ports import ClusterStore

AgreeToFailover = Callable[[Sequence[FailoverStep]], bool]


@dataclass(frozen=True, slots=True)
class Failover:
    """What was done, what could not be, and the cluster afterwards. ``asked``: the node that was named, "" for all."""

    name: str
    done: tuple[FailoverResult, ...]
    obstacles: tuple[Finding, ...]
    verdict: Verdict
    asked: str = ""


async def failover(
    context: Context,
    node: str,
    target: str | None = None,
    *,
    force: bool = False,
    agree: AgreeToFailover | None = None,
) -> Failover:
    """Make the replica at ``node`` (``host:port``, or the beginning of its id) the primary of its shard.

    Nothing is done for a node that is primary already. Raises InputError (unknown-node), RefusedError
    (failover-impossible, declined, locked), ServerError.
    """
    result = _target_of(context, node, target)

    def choose(verdict: Verdict) -> tuple[tuple[FailoverStep, ...], tuple[Finding, ...]]:
        step = plan_failover(verdict.survey, _address(verdict, node), may_force=force, exams=verdict.exams)
        if isinstance(step, FailoverStep) and result.record is not None:
            copies = Copies(verdict.observation, result.record.blueprint)
            step = loses_later_copy(step, copies) or step
        if isinstance(step, Finding):
            raise RefusedError(
                step.what, code=step.code, where=step.where, left="nothing was changed", hint=step.remedy
            )
        return ((step,) if step else ()), ()

    return replace(await _run(context, result, choose, agree), asked=node)


async def restore_plan(context: Context, target: Target, agree: AgreeToFailover | None = None) -> Failover:
    """Bring every primary back to the node where the file has it, one shard after the other.

    Shards that can't be brought back are among ``obstacles``. Raises as :func:`failover`.
    """
    if target.record is None:
        raise InputError(
            f"{target.name} has no file here that says where its primaries belong", code="not-ours", where=target.name
        )
    blueprint = target.record.blueprint
    return await _run(context, target, lambda verdict: failovers_to_plan(verdict.survey, blueprint), agree)


async def _run(
    context: Context,
    target: Target,
    choose: Callable[[Verdict], tuple[tuple[FailoverStep, ...], tuple[Finding, ...]]],
    agree: AgreeToFailover | None,
) -> Failover:
    if target.store is None:
        raise InputError(
            f"{target.name} is not known here: it can be looked at, not changed",
            code="not-ours",
            where=target.name,
            left="nothing was changed",
            hint=f"slotwright adopt {target.name} makes it known",
        )
    with target.store.hold("failover"):
        return await _fail_over(context, target, target.store, choose, agree)


async def _fail_over(
    context: Context,
    target: Target,
    store: ClusterStore,
    choose: Callable[[Verdict], tuple[tuple[FailoverStep, ...], tuple[Finding, ...]]],
    agree: AgreeToFailover | None,
) -> Failover:
    async with context.fleet(target.topology) as fleet, ConnectionPool(fleet.login(target.password, "")) as pool:
        verifier = deciding = await open_verifier(context, target, fleet, pool)
        if target.record is not None and target.record.stage is not Stage.ADOPTED:
            # Whether a primary is dead is its host's word; what else is wrong with hosts is for `check` to tell.
            deciding = replace(verifier, examine=partial(examine_hosts, fleet, target.record))
        steps, obstacles = choose(await deciding.look(with_canaries=False))
        if steps and agree is not None and not agree(steps):
            raise RefusedError("not confirmed", code="declined", left="nothing was changed")
        if steps:
            operator = Operator("failover", context.operator(), context.token())
            await claim(pool, verifier.addresses, operator, target.name)
        done = await _do(context, store, verifier, steps)
        verdict = await verifier.look(with_canaries=target.record is not None)
        if done and target.record is not None:
            await keep_maps(context, fleet, target.record, store)
            keep_copies(context.report, store, target.record, verdict.observation)
        return Failover(target.name, done, obstacles, verdict)


async def _do(
    context: Context, store: ClusterStore, verifier: Verifier, steps: Sequence[FailoverStep]
) -> tuple[FailoverResult, ...]:
    """One after the other: two shards without a primary at once are two too many."""
    handler = FailoverSteps(verifier.pool, context.clock, context.report, verifier.addresses)
    with context.journal(store.journal_path) as journal:
        failed = failures(await Runner(handler, journal).run(one_by_one(steps)))
    if failed:
        raise failed[0]
    return tuple(handler.results[step] for step in steps)


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
    addresses = [node.address for node in nodes if node.address is not None and str(node.address) == text]
    addresses = addresses or [
        node.address for node in nodes if node.address and len(text) > 3 and node.id.startswith(text)
    ]
    if len(addresses) != 1:
        named = ", ".join(node.place for node in nodes[:12])
        raise InputError(
            f"{verdict.survey.name} has no node {text}", code="unknown-node", where=text, hint=f"its nodes are {named}"
        )
    return addresses[0]
