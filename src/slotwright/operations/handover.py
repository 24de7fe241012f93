"""Do a manual failover, and believe only what the nodes say afterwards.

The server answers OK before anything has happened, and then may do nothing at all: a manual failover that is not
through within five seconds is dropped without a word (cluster.h, CLUSTER_MF_TIMEOUT). So the role is polled, and it is
asked for again.
"""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.model.cluster import Link, NodeView, Observation, Role
from slotwright.model.events import Began, Ended, Moved, Report
from slotwright.model.topology import Address
from slotwright.operations.observe import observe
from slotwright.operations.roster import Roster
from slotwright.planning.handover import Handover
from slotwright.ports import Clock, ReplyError

_POLL_S = 0.02
_TRY_S = 6.0
_TRIES = 3
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
        for number in range(1, _TRIES + 1):
            await self._ask(step)
            deadline = self.clock.now() + _TRY_S
            while self.clock.now() < deadline:
                if await self._is_primary(step.replica):
                    return number
                await self.clock.sleep(_POLL_S)
        raise ServerError(
            f"{step.replica} said OK {_TRIES} times, and did not become primary",
            code="failover-not-happened",
            where=str(step.replica),
            left="its primary still serves the shard",
            hint=f"slotwright logs {step.replica} says why; slotwright check",
        )

    async def _ask(self, step: Handover) -> None:
        words = ("CLUSTER", "FAILOVER", "FORCE") if step.is_forced else ("CLUSTER", "FAILOVER")
        try:
            connection = await self.roster.connection(step.replica)
            await connection.call(*words)
        except ReplyError as error:
            # Between the question and the answer it may have become primary by itself.
            if await self._is_primary(step.replica):
                return
            raise ServerError(
                f"{step.replica} refuses the failover",
                code="failover-refused",
                where=str(step.replica),
                seen=str(error),
            ) from error

    async def _is_primary(self, address: Address) -> bool:
        try:
            connection = await self.roster.connection(address)
            role = await connection.call("ROLE")
        except NodeUnreachableError:
            await self.roster.drop(address)
            return False
        except ReplyError:
            return False
        return isinstance(role, list) and bool(role) and role[0] == b"master"

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
