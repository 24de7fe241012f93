"""The verdict: what the servers say afterwards, never what was sent.

*Usable* means: no finding at all in a fresh look at every node, no ping between members without an answer, every
replica's offset caught up with its primary's, and a key written and read back on every shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from slotwright.cluster.events import Moved, Report
from slotwright.cluster.expectation import Expectation
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.key_holders import Contents
from slotwright.cluster.observation import Link, NodeView, Observation, Role, SilentNode
from slotwright.cluster.slots import ALL_SLOTS
from slotwright.cluster.survey import ClusterState, Survey
from slotwright.cluster.take_survey import take_survey
from slotwright.cluster.topology import Address, Mode
from slotwright.errors import AuthenticationError, ServerError, SlotwrightError
from slotwright.health import CheckContext, diagnose
from slotwright.health.slot_claims import doubtful_slots
from slotwright.health.unjudged import unjudged
from slotwright.hosts.facts.exam import HostExam
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import ALWAYS_ASKED, find_login_faults, observe
from slotwright.ops.canary import fly_canaries
from slotwright.ops.canary import with_canaries as told_with_canaries
from slotwright.ports import Clock, LoginDialer, Reply, ReplyError
from slotwright.server.cluster_slots import parse_cluster_slots

_POLL_S = 0.02
_GOSSIP_POLL_S = 0.1
_UNTOLD = "clients are not told of"
_LOADING_PATIENCE_S = 600.0
_ANSWER_S = 1.0
"""Members that reach each other answer a ping long before."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One look at the cluster, judged. ``is_proved``: a client wrote and read on every shard.

    ``exams`` are what the hosts told, ``unjudged`` what could not be judged, and why, a sentence each.
    """

    survey: Survey
    observation: Observation
    findings: tuple[Finding, ...]
    is_proved: bool
    exams: tuple[HostExam, ...] = ()
    unjudged: tuple[str, ...] = ()
    contents: Contents = field(default_factory=Contents)

    @property
    def is_ok(self) -> bool:
        """Nothing that anybody should act on: notes alone don't count."""
        return all(finding.severity is Severity.NOTE for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Verifier:
    """Looks and judges. ``expected`` None: a cluster without a file; ``token`` makes the canary keys unique.

    ``examine`` asks the hosts of the nodes, and never raises (None: they can't be asked, or are not).
    """

    name: str
    pool: ConnectionPool
    clock: Clock
    login: LoginDialer
    addresses: tuple[Address, ...]
    token: str
    expected: Expectation | None = None
    examine: Callable[[], Awaitable[tuple[HostExam, ...]]] | None = None

    async def look(
        self, *, with_canaries: bool, timeout_s: float = 2.0, is_deep: bool = False, answer_s: float | None = None
    ) -> Verdict:
        """Observe, find causes, judge, and prove if asked to and if there is anything to be proved.

        ``is_deep``: keys are counted in every slot of every primary, not only in those that are doubtful.
        ``answer_s``: see :func:`~slotwright.nodes.observe.observe`.
        """
        observation, exams = await asyncio.gather(self._observe(timeout_s, answer_s), self._exams())
        _refuse_if_locked_out(self.name, observation)
        if self.expected is None and observation.silent and not observation.views:
            raise _nothing_seen(self.name, observation.silent[0])
        if any(view.replication.link is Link.DOWN for view in observation.views):
            observation = await find_login_faults(self.pool, observation, self.login)
        survey = take_survey(self.name, observation, self.expected.blueprint if self.expected else None)
        contents = await self._contents(survey, observation, is_deep=is_deep)
        case = CheckContext(survey, observation, self.expected, exams, contents)
        findings = diagnose(case)
        is_proved = False
        if with_canaries and survey.state is not ClusterState.DOWN:
            failed = await fly_canaries(self.pool, survey, self.token)
            findings, is_proved = told_with_canaries(self.name, findings, failed), not failed
        return Verdict(survey, observation, findings, is_proved, exams, unjudged(case), contents)

    async def _contents(self, survey: Survey, observation: Observation, *, is_deep: bool) -> Contents:
        """Of slots that are open or claimed twice, or of all: who holds how many keys of them."""
        slots = ALL_SLOTS if is_deep else doubtful_slots(observation)
        if not slots or survey.mode is not Mode.CLUSTER:
            return Contents()
        # The whole data plane, which most looks have no use for.
        from slotwright.keys.slot_contents import look_into_slots

        return await look_into_slots(self.pool, self.clock, survey, observation, slots)

    async def _exams(self) -> tuple[HostExam, ...]:
        return await self.examine() if self.examine else ()

    async def _observe(self, timeout_s: float, answer_s: float | None) -> Observation:
        of_file = [name for name, _ in self.expected.settings] if self.expected else []
        names = tuple(dict.fromkeys((*of_file, *ALWAYS_ASKED)))
        ask = partial(observe, self.pool, timeout_s=timeout_s, wall=self.clock.wall, answer_s=answer_s)
        observation = await ask(self.addresses, names)
        slow = [silent.address for silent in observation.silent if silent.code == "timeout"]
        if slow:
            # A busy machine is no dead node: who was late is asked once more.
            observation = observation.with_second(await ask(slow, names))
        return observation

    async def await_usable(self, report: Report) -> None:
        """Wait until it is usable, as far as settings that a formation lowers allow.

        So is a replica of which clients are not told yet, for as long as the patience lasts.
        A link of the cluster bus that says nothing is waited for as well: a look finds it broken only once the server
        gives it up, which would be after we said that all is well. Where it is silent for as long as the patience
        lasts, what a look says of it holds.

        Raises ServerError (code not-usable) with the findings that were left when the patience ended.
        """
        patience_s = 30.0 + 0.5 * len(self.addresses)
        started = self.clock.now()
        while True:
            waited = self.clock.now() - started
            answer_s = _ANSWER_S if waited <= patience_s else None
            waiting_for = await self._not_ready() or await self._not_usable(answer_s)
            if not waiting_for:
                return
            report(Moved("usable", waiting_for))
            is_loading = "loading" in waiting_for
            if waited > (_LOADING_PATIENCE_S if is_loading else patience_s):
                raise await self._give_up(waiting_for, waited)
            await self.clock.sleep(_GOSSIP_POLL_S if _UNTOLD in waiting_for else _POLL_S)

    async def _not_usable(self, answer_s: float | None) -> str:
        """A whole look: "" when nothing is found that waiting heals, canaries fly, and replicas have caught up."""
        verdict = await self.look(with_canaries=False, answer_s=answer_s)
        left = [finding for finding in verdict.findings if not _is_bearable(finding)]
        left = left or list(await fly_canaries(self.pool, verdict.survey, self.token))
        if left:
            return f"{left[0].where}: {left[0].what}"
        if await self._not_caught_up(verdict.survey):
            return "a replica has not caught up"
        return await self._not_told(verdict) if answer_s is not None else ""

    async def _not_told(self, verdict: Verdict) -> str:
        """Who does not tell clients of a replica yet. A server leaves one out of CLUSTER SLOTS until it has heard of
        its offset, which is with the next ping or pong (cluster.c, isReplicaAvailable)."""
        if verdict.survey.mode is not Mode.CLUSTER:
            return ""
        owners = {node.id for node in verdict.survey.nodes if node.slots}
        wanted = {
            node.id: node.place
            for node in verdict.survey.nodes
            if node.link is Link.UP and not node.trouble and node.replica_of in owners
        }
        missing = await asyncio.gather(*(self._untold(view.address, wanted) for view in verdict.observation.views))
        return next((text for text in missing if text), "")

    async def _untold(self, address: Address, wanted: Mapping[str, str]) -> str:
        try:
            reply = await (await self.pool.connection(address)).call("CLUSTER", "SLOTS")
            told = {node.id for shard in parse_cluster_slots(reply) for node in shard.nodes}
        except (SlotwrightError, ReplyError, ValueError):
            # What a look says of it counts.
            return ""
        place = next((place for node_id, place in wanted.items() if node_id not in told), "")
        return f"{address}: {_UNTOLD} {place} yet" if place else ""

    async def _not_ready(self) -> str:
        """A cheap look, most of the waiting: "" when each node says ok and every replica's link is up."""
        parts = await asyncio.gather(*(self._word_of(address) for address in self.addresses))
        return next((word for word in parts if word), "")

    async def _word_of(self, address: Address) -> str:
        try:
            connection = await self.pool.connection(address)
            info, state = await connection.pipeline([("INFO", "replication"), ("CLUSTER", "INFO")])
        except SlotwrightError as error:
            await self.pool.drop(address)
            return error.what
        if isinstance(info, ReplyError):
            return f"{address} is loading its data" if info.code == "LOADING" else f"{address}: {info}"
        if isinstance(state, ReplyError) and state.code == "LOADING":
            return f"{address} is loading its data"
        if _holds(info, b"role:slave") and not _holds(info, b"master_link_status:up"):
            return f"{address}: the replica is not in sync yet"
        is_cluster = not self.expected or self.expected.blueprint.mode is Mode.CLUSTER
        if is_cluster and not _holds(state, b"cluster_state:ok"):
            return f"{address}: the cluster is not ok yet"
        return ""

    async def _not_caught_up(self, survey: Survey) -> bool:
        """Whether a replica has less than what its primary had sent when it was asked before."""
        primaries = [node.address for node in survey.nodes if node.role is Role.PRIMARY and node.address]
        first = await observe(self.pool, primaries)
        sent = {view.id: view.replication.offset for view in first.views}
        followers = {node.address: node.replica_of for node in survey.nodes if node.role is Role.REPLICA}
        second = await observe(self.pool, [address for address in followers if address])
        return any(_is_behind(view, followers[view.address] or "", sent) for view in second.views)

    async def _give_up(self, waiting_for: str, waited: float) -> ServerError:
        verdict = await self.look(with_canaries=False)
        # What was not waited for is not the reason, whatever it is.
        text = "; ".join(_messages(tuple(one for one in verdict.findings if not _is_bearable(one)))) or waiting_for
        return ServerError(
            f"{self.name} is not usable after {waited:.0f} s", code="not-usable", where=self.name, seen=text
        )


def _refuse_if_locked_out(name: str, observation: Observation) -> None:
    """Nobody lets us in: that tells nothing of the cluster, so nothing is claimed of it."""
    if observation.views or not observation.silent:
        return
    if all(silent.code == "wrong-password" for silent in observation.silent):
        raise AuthenticationError(
            f"every node of {name} refuses our password",
            where=str(observation.silent[0].address),
            seen=observation.silent[0].reason,
            hint="give the password that the cluster was made with",
        )


def _nothing_seen(name: str, silent: SilentNode) -> ServerError:
    """Of a cluster without a file, of which no node tells anything: not even that it is one."""
    hints = {
        "no-permission": "give our user +info +config +cluster +client (ACL SETUSER), or log in as another",
        "not-a-server": "INFO and CLUSTER have to be answered under their own names",
    }
    return ServerError(
        f"nothing can be said of {name}: no node tells of itself",
        code="not-permitted" if silent.code == "no-permission" else silent.code,
        where=str(silent.address),
        seen=silent.reason,
        left="nothing was changed",
        hint=hints.get(silent.code, ""),
    )


_NOT_HEALED_BY_WAITING = frozenset(
    {
        "aof-rewrite-failing",
        "append-log-cut",
        "came-back-empty",
        "clocks-differ",
        "directory-shared",
        "disk-filling",
        "id-shared",
        "memory-near-limit",
        "memory-overcommitted",
        "node-timeout-short",
        "nofile-low",
        "oom-killed",
        "open-slot",
        "persistence-failing",
        "replica-beside-primary",
        "settings-differ",
        "too-few-voters",
        "unknown-node",
        "unpersisted",
    }
)


def _is_bearable(finding: Finding) -> bool:
    """What no waiting heals, and notes, are told in the end and not waited for; settings are put right after it."""
    return finding.code in _NOT_HEALED_BY_WAITING or finding.severity is Severity.NOTE


def _messages(findings: tuple[Finding, ...]) -> Iterator[str]:
    for finding in findings[:3]:
        yield f"{finding.where}: {finding.what}" + (f" ({finding.seen})" if finding.seen else "")


def _holds(reply: Reply | ReplyError, text: bytes) -> bool:
    return isinstance(reply, bytes) and text in reply


def _is_behind(view: NodeView, primary: str, sent: dict[str, int]) -> bool:
    return view.replication.link is not Link.UP or view.replication.offset < sent.get(primary, 0)
