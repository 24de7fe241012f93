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

from dataclasses import dataclass

from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.model.cluster import Link, NodeView, Observation, Role
from slotwright.model.events import Began, Ended, Moved, Report
from slotwright.model.topology import Address
from slotwright.operations.observe import observe, setting_value
from slotwright.operations.roster import Roster
from slotwright.planning.handover import Handover
from slotwright.ports import Clock, ReplyError
from slotwright.wire.cluster_nodes import parse_cluster_nodes

_POLL_S = 0.02
_TRY_S = 6.0
_TRIES = 3
_ELECTIONS_APART = 4
"""Node time-outs from one election of a replica to its next."""
_SETTLE_S = 60.0


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What came of it. ``promoted_s`` is from the command to the new role, ``whole_s`` until every node that answers
    agreed and the former primary (if it answers) was a replica in sync."""

    step: Handover
    promoted_s: float
    whole_s: float
    tries: int


@dataclass(frozen=True, slots=True)
class Director:
    """Does handovers in the cluster that has nodes at ``addresses``."""

    roster: Roster
    clock: Clock
    report: Report
    addresses: tuple[Address, ...]

    async def hand_over(self, step: Handover) -> HandedOver:
        """Raises ServerError: ``failover-refused``, ``failover-not-happened`` or ``failover-not-settled``."""
        text = f"failover of shard {step.shard}: {step.replica} takes over from {step.primary}"
        self.report(Began("failover", text))
        started = self.clock.now()
        is_ok = False
        try:
            tries = await self._promote(step)
            promoted = self.clock.now() - started
            await self._settle(step, text)
            is_ok = True
            return HandedOver(step, promoted, self.clock.now() - started, tries)
        finally:
            self.report(Ended("failover", text, is_ok))

    async def _promote(self, step: Handover) -> int:
        before = await self._epoch(step)
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

    async def _epoch(self, step: Handover) -> int:
        """The highest config epoch that any node gives to the present primary."""
        seen = await observe(self.roster, self.addresses)
        lines = [view.peer(step.primary_id) for view in seen.views]
        return max((line.epoch for line in lines if line is not None), default=0)

    async def _wait_for_next_election(self, step: Handover, asked: float) -> None:
        try:
            connection = await self.roster.connection(step.replica)
            value = setting_value(await connection.call("CONFIG", "GET", "cluster-node-timeout"))
        except (NodeUnreachableError, ReplyError):
            value = None
        until = asked + _ELECTIONS_APART * int(value or 15000) / 1000 + 1
        while (left := until - self.clock.now()) > 0:
            text = (
                f"{step.replica} was elected not long ago, and begins no new election yet: asked again in {left:.0f} s"
            )
            self.report(Moved("failover", text))
            await self.clock.sleep(min(left, 1.0))

    async def _ask(self, step: Handover, before: int) -> None:
        words = ("CLUSTER", "FAILOVER", "FORCE") if step.is_forced else ("CLUSTER", "FAILOVER")
        try:
            connection = await self.roster.connection(step.replica)
            await connection.call(*words)
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
            connection = await self.roster.connection(address)
            text = await connection.call("CLUSTER", "NODES")
        except NodeUnreachableError:
            await self.roster.drop(address)
            return False
        except ReplyError:
            return False
        lines = parse_cluster_nodes(text.decode() if isinstance(text, bytes) else "", address)
        mine = next((line for line in lines if "myself" in line.flags), None)
        return mine is not None and mine.role is Role.PRIMARY and mine.epoch > before

    async def _settle(self, step: Handover, text: str) -> None:
        deadline = self.clock.now() + _SETTLE_S
        while True:
            seen = await observe(self.roster, self.addresses)
            waiting = _not_settled(step, seen)
            if not waiting:
                return
            self.report(Moved("failover", f"{text}; {waiting}"))
            if self.clock.now() > deadline:
                raise ServerError(
                    f"{step.replica} is primary now, and the cluster has not settled: {waiting}",
                    code="failover-not-settled",
                    where=str(step.replica),
                    left=f"{step.replica} serves shard {step.shard}",
                    hint="slotwright check says what is left",
                )
            await self.clock.sleep(_POLL_S)


def _not_settled(step: Handover, seen: Observation) -> str:
    """What is still being waited for, "" when all is as it should be."""
    own = next((view.myself for view in seen.views if view.id == step.replica_id), None)
    if own is None:
        return f"{step.replica} does not answer"
    for view in seen.views:
        heir = view.peer(step.replica_id)
        if heir is None or heir.role is not Role.PRIMARY or heir.slots != own.slots or not own.slots:
            return f"{view.address} does not know it yet"
    former = next((view for view in seen.views if view.id == step.primary_id), None)
    if former is None:
        return ""
    if not _follows(former, step.replica_id):
        return f"{former.address} does not follow it yet"
    for view in seen.views:
        line = view.peer(step.primary_id)
        if line is None or line.replica_of != step.replica_id:
            return f"{view.address} does not know yet that {former.address} follows it"
    return ""


def _follows(former: NodeView, heir_id: str) -> bool:
    mine = former.myself
    return mine is not None and mine.replica_of == heir_id and former.replication.link is Link.UP
