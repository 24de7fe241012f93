"""Do a manual failover, and believe only what the nodes say afterwards.

The server answers OK before anything has happened, and then may do nothing at all: a manual failover that is not
through within five seconds is dropped without a word (cluster.h, CLUSTER_MF_TIMEOUT). Worse, a replica whose last
election is not long past counts the votes of that one again: it calls itself primary for a few milliseconds, under an
old epoch, until the others correct it (cluster.c, clusterHandleSlaveFailover: a new election is begun only
``auth_retry_time``, four node time-outs, after the last; seen on Redis 7.0.15). So a promotion counts only with a new
epoch, and after one that came to nothing that time is waited for before it is asked again. Each asking stops the
shard's clients for up to five seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from slotwright.cluster.events import Began, Ended, Moved, Report
from slotwright.cluster.observation import Observation, Role
from slotwright.cluster.take_survey import is_seen_alive
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, RefusedError, ServerError
from slotwright.features.failover.plan import FailoverStep, unsettled
from slotwright.nodes.answers import reading
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import observe, setting_value
from slotwright.ops.runner import StepHandler
from slotwright.ports import Clock, ReplyError
from slotwright.server.cluster_nodes import parse_cluster_nodes
from slotwright.server.integers import integer_in

_POLL_S = 0.02
_TRY_S = 6.0
_TRIES = 3
_ELECTIONS_APART = 4
"""Node time-outs from one election of a replica to its next."""
_SETTLE_S = 60.0


@dataclass(frozen=True, slots=True)
class FailoverResult:
    """What came of it. ``promoted_s`` is from the command to the new role, ``whole_s`` until every node that answers
    agreed and the former primary (if it answers) was a replica in sync. ``began`` is when, by the clock that was handed
    in; ``tries`` 0: the servers had done it themselves, and nothing was asked."""

    step: FailoverStep
    promoted_s: float
    whole_s: float
    tries: int
    began: float


@dataclass
class FailoverSteps(StepHandler[FailoverStep]):
    """How failovers are done in the cluster that has nodes at ``addresses``; ``results`` has those that were.

    Nothing is put back: a manual failover that came to nothing is dropped by the servers themselves.
    """

    pool: ConnectionPool
    clock: Clock
    report: Report
    addresses: tuple[Address, ...]
    results: dict[FailoverStep, FailoverResult] = field(default_factory=dict)

    async def fail_over(self, step: FailoverStep) -> FailoverResult:
        """As one part of another step, which looks before. Raises what :meth:`act` and :meth:`read_back` raise."""
        await self.act(step)
        await self.read_back(step)
        return self.results[step]

    def fields(self, step: FailoverStep) -> Mapping[str, object]:
        """From whom, and by which way."""
        return {"from": step.primary, "forced": step.is_forced}

    async def is_done(self, step: FailoverStep) -> bool:
        """Whether the servers did it themselves meanwhile, and all of them agree."""
        if unsettled(step, await observe(self.pool, self.addresses)):
            return False
        self.results[step] = FailoverResult(step, 0.0, 0.0, 0, self.clock.now())
        return True

    async def act(self, step: FailoverStep) -> str:
        """Until the replica is primary. Raises ServerError (failover-refused, failover-not-happened), and RefusedError
        (primary-alive) before anything is forced."""
        self.report(Began("failover", step.what))
        began = self.clock.now()
        with self._failing(step):
            tries = await self._promote(step)
        promoted_s = self.clock.now() - began
        self.results[step] = FailoverResult(step, promoted_s, promoted_s, tries, began)
        return ""

    async def read_back(self, step: FailoverStep) -> None:
        """Until all agree. Raises ServerError (failover-not-settled)."""
        with self._failing(step):
            await self._settle(step)
        result = self.results[step]
        self.results[step] = replace(result, whole_s=self.clock.now() - result.began)
        self.report(Ended("failover", step.what))

    @contextmanager
    def _failing(self, step: FailoverStep) -> Iterator[None]:
        """Tell of the end of one that fails, or is cut."""
        try:
            yield
        except BaseException:
            self.report(Ended("failover", step.what, is_ok=False))
            raise

    async def _promote(self, step: FailoverStep) -> int:
        """How often it was asked."""
        observation = await observe(self.pool, self.addresses)
        if _is_primary(step, observation):
            return 0
        before = _epoch(step, observation)
        for number in range(1, _TRIES + 1):
            asked = self.clock.now()
            await self._ask(step, before)
            while self.clock.now() < asked + _TRY_S:
                if await self._is_promoted(step.replica, before):
                    return number
                await self.clock.sleep(_POLL_S)
            if number < _TRIES:
                await self._wait_for_next_election(step, asked)
        raise ServerError(
            f"{step.replica} said OK {_TRIES} times, and did not become primary",
            code="failover-not-happened",
            where=str(step.replica),
            left="its primary still serves the shard",
            hint=f"slotwright logs {step.replica} says why; slotwright check",
        )

    async def _wait_for_next_election(self, step: FailoverStep, asked: float) -> None:
        try:
            connection = await self.pool.connection(step.replica)
            timeout_ms = integer_in(setting_value(await connection.call("CONFIG", "GET", "cluster-node-timeout")))
        except (NodeUnreachableError, ReplyError):
            timeout_ms = None
        until = asked + _ELECTIONS_APART * (timeout_ms or 15000) / 1000 + 1
        while (left := until - self.clock.now()) > 0:
            text = (
                f"{step.replica} was elected not long ago, and begins no new election yet: asked again in {left:.0f} s"
            )
            self.report(Moved("failover", text))
            await self.clock.sleep(min(left, 1.0))

    async def _ask(self, step: FailoverStep, before: int) -> None:
        arguments = ("CLUSTER", "FAILOVER", "FORCE") if step.is_forced else ("CLUSTER", "FAILOVER")
        if step.is_forced:
            await refuse_over_the_living(self.pool, self.addresses, step.primary_id, step.primary)
        try:
            connection = await self.pool.connection(step.replica)
            await connection.call(*arguments)
        except ReplyError as error:
            # Between the question and the answer it may have become primary by itself.
            if await self._is_promoted(step.replica, before):
                return
            raise ServerError(
                f"{step.replica} refuses the failover",
                code="failover-refused",
                where=str(step.replica),
                seen=str(error),
            ) from error

    async def _is_promoted(self, address: Address, before: int) -> bool:
        """Primary, and by an election that is newer than the present primary's."""
        try:
            connection = await self.pool.connection(address)
            text = await connection.call("CLUSTER", "NODES")
            with reading(address, "CLUSTER NODES"):
                lines = parse_cluster_nodes(text.decode() if isinstance(text, bytes) else "", address)
        except NodeUnreachableError:
            await self.pool.drop(address)
            return False
        except ReplyError:
            return False
        mine = next((line for line in lines if "myself" in line.flags), None)
        return mine is not None and mine.role is Role.PRIMARY and mine.epoch > before

    async def _settle(self, step: FailoverStep) -> None:
        deadline = self.clock.now() + _SETTLE_S
        while waiting := unsettled(step, await observe(self.pool, self.addresses)):
            self.report(Moved("failover", f"{step.what}; {waiting}"))
            if self.clock.now() > deadline:
                raise ServerError(
                    f"{step.replica} is primary now, and the cluster has not settled: {waiting}",
                    code="failover-not-settled",
                    where=str(step.replica),
                    left=f"{step.replica} serves shard {step.shard}",
                    hint="slotwright check says what is left",
                )
            await self.clock.sleep(_POLL_S)


def _epoch(step: FailoverStep, observation: Observation) -> int:
    """The highest config epoch that any node gives to the present primary."""
    lines = [view.peer(step.primary_id) for view in observation.views]
    return max((line.epoch for line in lines if line is not None), default=0)


def _is_primary(step: FailoverStep, observation: Observation) -> bool:
    """Whether the replica says that it has the shard already; the others may not know it yet."""
    own = next((view.myself for view in observation.views if view.id == step.replica_id), None)
    return own is not None and own.role is Role.PRIMARY and bool(own.slots)


async def refuse_over_the_living(
    pool: ConnectionPool, addresses: tuple[Address, ...], primary_id: str, primary: str
) -> None:
    """The last look before a failover that the primary has no part in: raises RefusedError (``primary-alive``) where it
    answers, or another node reaches it. What it acknowledges meanwhile would be lost."""
    observation = await observe(pool, addresses)
    answers = any(view.id == primary_id for view in observation.views)
    if answers or is_seen_alive(primary_id, observation):
        raise RefusedError(
            f"{primary} lives: {'it answers' if answers else 'another node has a live link to it'}",
            code="primary-alive",
            where=primary,
            left="nothing was forced",
            hint="a plain failover loses nothing: slotwright failover REPLICA",
        )
