"""Whether a cluster is usable: one judgement for whoever formed it, made from what the servers say.

Usable means: every node says cluster_state:ok; all views name the same members, owners, roles and config epochs, and
the epochs are unique; 16384 slots are served; every replica's link is up and its offset caught up; and a key was
written and read back on every shard through MOVED, as a client would.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from slotwright.adapters.clock import MonotonicClock
from slotwright.adapters.servers.resp import RespDialer
from slotwright.cluster.findings import Severity
from slotwright.cluster.observation import Link, Observation, Role
from slotwright.cluster.secret import Secret
from slotwright.cluster.slots import SLOT_COUNT
from slotwright.cluster.survey import Survey
from slotwright.cluster.topology import Address
from slotwright.errors import ServerError
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import observe
from slotwright.ops.verify import Verifier
from slotwright.ports import Dialer, ReplyError

POLL_S = 0.02
_NOT_ASKED_HERE = frozenset({"replica-beside-primary", "memory-near-limit"})
"""Where a replica stands is a matter of planning, not of being usable."""


@dataclass(frozen=True, slots=True)
class Check:
    """Judges the cluster at ``addresses``, which should have ``shards`` shards of ``1 + replicas`` nodes."""

    addresses: tuple[Address, ...]
    shards: int
    replicas: int
    pool: ConnectionPool

    async def await_answers(self, deadline: float) -> str:
        """Until every server answers PING; the fault when ``deadline`` (monotonic) passed before."""
        return await self._await(self._silent, deadline)

    async def await_usable(self, deadline: float) -> str:
        """Until it is usable; the fault when ``deadline`` passed before, "" otherwise."""
        return await self._await(self.fault, deadline)

    async def fault(self) -> str:
        """The first thing that makes it not usable yet; "" when it is."""
        words = await asyncio.gather(*(self._word_of(address) for address in self.addresses))
        return next((word for word in words if word), "") or await self._full_look()

    async def _await(self, look: Callable[[], Awaitable[str]], deadline: float) -> str:
        while True:
            fault = await look()
            if not fault or time.monotonic() > deadline:
                return fault
            await asyncio.sleep(POLL_S)

    async def _silent(self) -> str:
        words = await asyncio.gather(*(self._ping(address) for address in self.addresses))
        return next((word for word in words if word), "")

    async def _ping(self, address: Address) -> str:
        try:
            await (await self.pool.connection(address)).call("PING")
        except (ServerError, ReplyError) as error:
            await self.pool.drop(address)
            return f"{address}: {error}"
        return ""

    async def _word_of(self, address: Address) -> str:
        """The cheap half: most of the waiting needs no more."""
        try:
            connection = await self.pool.connection(address)
            info, state = await connection.pipeline([("INFO", "replication"), ("CLUSTER", "INFO")])
        except ServerError as error:
            await self.pool.drop(address)
            return f"{address}: {error}"
        if not isinstance(info, bytes) or not isinstance(state, bytes):
            return f"{address}: {info!r}"
        if b"role:slave" in info and b"master_link_status:up" not in info:
            return f"{address}: the replica's link is down"
        return "" if b"cluster_state:ok" in state else f"{address}: cluster_state is not ok"

    async def _full_look(self) -> str:
        verifier = Verifier(
            "judged", self.pool, MonotonicClock(), _login, self.addresses, secrets.token_hex(6), expected=None
        )
        verdict = await verifier.look(with_canaries=False)
        fault = _first(
            *(
                f"{found.where}: {found.what}" + (f" ({found.seen})" if found.seen else "")
                for found in verdict.findings
                if found.severity is not Severity.NOTE and found.code not in _NOT_ASKED_HERE
            ),
            self._wrong_shape(verdict.survey),
            self._wrong_members(verdict.observation),
            _wrong_epochs(verdict.observation),
        )
        if fault:
            return fault
        proof = await verifier.look(with_canaries=True)
        failed = [f"{found.where}: {found.seen}" for found in proof.findings if found.code == "canary-failed"]
        if failed or not proof.is_proved:
            return failed[0] if failed else "no key was written"
        return await self._behind(proof.survey)

    def _wrong_shape(self, survey: Survey) -> str:
        copies = Counter(node.replica_of for node in survey.nodes if node.role is Role.REPLICA)
        owners = [node for node in survey.nodes if node.role is Role.PRIMARY and node.slots]
        if len(survey.served) != SLOT_COUNT:
            return f"{len(survey.served)} of {SLOT_COUNT} slots are served"
        if len(owners) != self.shards or len(survey.nodes) != len(self.addresses):
            return f"{len(owners)} shards of {self.shards}, {len(survey.nodes)} nodes of {len(self.addresses)}"
        wrong = [owner for owner in owners if copies[owner.id] < self.replicas]
        return f"{wrong[0].place} has {copies[wrong[0].id]} replicas" if wrong else ""

    def _wrong_members(self, observation: Observation) -> str:
        members = {view.id for view in observation.views}
        for view in observation.views:
            if {peer.id for peer in view.peers} != members:
                return f"{view.address} knows {len(view.peers)} of {len(members)} nodes"
        return ""

    async def _behind(self, survey: Survey) -> str:
        """Offsets: what a primary had sent when it was asked first, its replica must have now."""
        primaries = [node.address for node in survey.nodes if node.role is Role.PRIMARY and node.address]
        sent = {view.id: view.replication.offset for view in (await observe(self.pool, primaries)).views}
        follows = {node.address: node.replica_of for node in survey.nodes if node.role is Role.REPLICA and node.address}
        for view in (await observe(self.pool, list(follows))).views:
            behind = view.replication.offset < sent.get(follows[view.address] or "", 0)
            if behind or view.replication.link is not Link.UP:
                return f"{view.address}: the replica has not caught up"
        return ""


def open_roster() -> ConnectionPool:
    """Connections without a password."""
    return ConnectionPool(RespDialer(None))


def _login(password: Secret | None, username: str) -> Dialer:
    return RespDialer(password, username)


def _first(*faults: str) -> str:
    return next((fault for fault in faults if fault), "")


def _wrong_epochs(observation: Observation) -> str:
    """Each primary has its own config epoch, and all views say so."""
    own = {view.id: view.myself.epoch for view in observation.views if view.myself and view.myself.slots}
    if len(set(own.values())) < len(own):
        return "two primaries share a config epoch"
    for view in observation.views:
        for peer in view.peers:
            if peer.id in own and peer.epoch != own[peer.id]:
                return f"{view.address} has another config epoch for {peer.address}"
    return ""


def shards_of(addresses: Sequence[Address], replicas: int) -> int:
    """How many shards these nodes make."""
    return len(addresses) // (1 + replicas)
