"""rebuild: the last resort. Archive, set the old folders aside, make a new cluster, bring the keys back, prove it.

How far it is stands in ``rebuild.json`` of the cluster's state folder before each phase begins, and each phase can be
done again. So the same command goes on after any cut; the record of the old cluster is kept in that file, as the new
one takes its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from slotwright.adapters.journal import FileJournal
from slotwright.adapters.quarantine import StrayFile
from slotwright.adapters.state import ClusterStore
from slotwright.api import ground
from slotwright.api.archiving import MANIFEST, SUMS, Archived, archive_into, verify_sums
from slotwright.api.context import Context
from slotwright.api.deploy import draft_and_plan, execute, refuse_unsafe
from slotwright.api.draft import make_draft
from slotwright.api.lifecycle import Farewell, own_record, say_farewell
from slotwright.api.removal import kept_root
from slotwright.api.targets import Target, open_verifier, with_ways_of
from slotwright.api.work import Work, at_work, inspect_hosts, load
from slotwright.errors import InputError, OperatorInterruptError, PartialError, RefusedError, SlotwrightError
from slotwright.model.findings import Finding, Severity
from slotwright.model.keys import Difference
from slotwright.model.rebuild import Phase, Rebuild, ShardCopy
from slotwright.model.record import ClusterRecord
from slotwright.model.slots import SlotSet
from slotwright.model.topology import Address, Mode
from slotwright.operations.key_copy import Brought, KeyCopier, Keyspace, Proof
from slotwright.operations.observe import observe
from slotwright.operations.rebuild import Farewells, Readers, look_at_members, old_settings
from slotwright.operations.roster import Roster
from slotwright.operations.verify import Verdict
from slotwright.planning.preflight import judge_hosts
from slotwright.planning.rebuild import Choice, Member, Uncovered, choose_copies, refuse_version
from slotwright.planning.rebuild_findings import rebuild_findings
from slotwright.ports import Fleet, Journal
from slotwright.wire.flavor import version_from_title

QUARANTINE = "quarantine.jsonl"

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class LastResort:
    """What a rebuild is about to do, shown before it asks."""

    farewell: Farewell
    archive: str
    kept_root: str
    old_shards: int
    new_shards: int
    new_nodes: int
    is_empty: bool


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """``kept`` are the folders of the old nodes, each ``PATH`` or ``HOST:PATH``; ``brought`` and ``proof`` are None
    where no keys were wanted back; ``went_on_from`` is the phase in which an earlier run was cut, "" for none."""

    name: str
    archive: str
    kept: tuple[str, ...]
    copies: tuple[ShardCopy, ...]
    brought: Brought | None
    proof: Proof | None
    findings: tuple[Finding, ...]
    verdict: Verdict
    went_on_from: str = ""

    @property
    def is_ok(self) -> bool:
        """The keys are all there, and the new cluster is sound."""
        return self.verdict.is_ok and all(found.severity is Severity.NOTE for found in self.findings)


Agree = Callable[[LastResort], bool]


async def rebuild(
    context: Context, path: Path, folder: Path | None = None, agree: Agree | None = None, *, empty: bool = False
) -> Rebuilt:
    """Archive the cluster of the file to ``folder`` (None: in the state folder), make a new one, and bring its keys
    back unless ``empty``. One that was cut goes on where it was, without asking again.

    Raises RefusedError before anything is changed, and PartialError from then on: the same call goes on.
    """
    loaded = load(context, path)
    async with at_work(context, loaded, "rebuild") as work:
        under_way = work.store.read_rebuild()
        if under_way is None or under_way.phase is Phase.ARCHIVE:
            return await _from_the_start(work, path, under_way, folder, agree, empty=empty)
        if empty and not under_way.is_empty:
            raise RefusedError(
                f"a rebuild of {work.store.name} that brings the keys back is under way",
                code="rebuild-under-way",
                where=work.store.name,
                left="nothing was changed",
                hint=f"slotwright rebuild {path} finishes it",
            )
        async with _old_hosts(work, under_way.old) as (fleet, roster):
            return await _Rebuilder(work, path, fleet, roster).go_on(under_way, under_way.phase.value)


async def _from_the_start(
    work: Work, path: Path, cut: Rebuild | None, folder: Path | None, agree: Agree | None, *, empty: bool
) -> Rebuilt:
    record = _record(work, path)
    async with _old_hosts(work, record) as (fleet, roster):
        beginning = _Beginning(work, record, fleet, roster)
        state = await beginning.decide(cut, folder, agree, empty=empty)
        return await _Rebuilder(work, path, fleet, roster).go_on(state, "")


@asynccontextmanager
async def _old_hosts(work: Work, record: ClusterRecord) -> AsyncIterator[tuple[Fleet, Roster]]:
    """The hosts of the old cluster, and its servers with the password that they were given."""
    topology = with_ways_of(work.topology, record).topology
    password = work.store.read_password()
    async with work.context.fleet(topology) as fleet, Roster(fleet.login(password, "")) as roster:
        yield fleet, roster


def _record(work: Work, path: Path) -> ClusterRecord:
    """What is to be rebuilt. Raises InputError or RefusedError for what can't be."""
    record = work.store.read_record()
    if record is None:
        raise InputError(
            f"{work.store.name} is not up: there is nothing to rebuild",
            code="not-created",
            where=str(path),
            hint=f"slotwright up {path}",
        )
    own_record(_target(work, record))
    if Mode.SINGLE in (record.topology.mode, work.topology.mode):
        raise RefusedError(
            f"{record.name} is or would be a stand-alone server: only clusters can be rebuilt",
            code="not-a-cluster",
            where=record.name,
            left="nothing was changed",
        )
    return record


def _target(work: Work, record: ClusterRecord) -> Target:
    return Target(record.name, work.store.read_password(), record, work.store)


class _Unknown(ClusterStore):
    """The place of a cluster that is not known yet: what the file alone would make."""

    def read_record(self) -> None:
        """There is none."""


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Everything up to the point from which on the old cluster is no longer whole."""

    work: Work
    record: ClusterRecord
    fleet: Fleet
    roster: Roster

    async def decide(self, cut: Rebuild | None, folder: Path | None, agree: Agree | None, *, empty: bool) -> Rebuild:
        """Look, refuse, ask, archive, and look at the archive; the rebuild that may begin."""
        context, record, store = self.work.context, self.record, self.work.store
        new_shards, new_nodes = await self._refuse_unmakeable()
        verifier = await open_verifier(context, _target(self.work, record), self.fleet, self.roster)
        observation = (await verifier.look(with_canaries=False)).observation
        members = await look_at_members(self.fleet, record, observation)
        choice = self._choose(members)
        place = _archive_folder(store, cut, folder)
        state = Rebuild(Phase.ARCHIVE, record, str(place), kept_root(context, record), empty)
        farewell = await self._farewell(choice, members)
        shown = LastResort(
            farewell, str(place), state.kept_root, len(record.blueprint.shards), new_shards, new_nodes, empty
        )
        if agree is not None and not agree(shown):
            raise RefusedError("not confirmed", code="declined", left="nothing was changed")
        store.write_rebuild(state)
        try:
            archived = await archive_into(context, self.fleet, self.roster, record, store, observation, place)
            await asyncio.to_thread(verify_sums, place)
            choice = self._choose(_without_unarchived(members, archived))
        except BaseException:
            store.forget_rebuild()
            raise
        left = tuple(member.address for member in members if member.is_out_of_reach)
        return replace(state, phase=Phase.ASIDE, copies=choice.copies, left_behind=left)

    async def _refuse_unmakeable(self) -> tuple[int, int]:
        """What would keep the new cluster from being made is found while the old one is there; its size otherwise."""
        land = await ground.survey(self.work)
        reason = refuse_version(version_from_title(self.record.version), land.version)
        if reason:
            raise RefusedError(
                reason,
                code="data-unreadable",
                where=self.record.name,
                left="nothing was changed",
                hint="name the binaries of the old version, or of a newer one, in the file",
            )
        blank = replace(self.work, store=_Unknown(self.work.context.state_root, self.work.store.name))
        draft = await make_draft(blank, land)
        new = await inspect_hosts(blank, land.data_root, land.away, self.record.topology.addresses)
        found = draft.desired.findings
        found += judge_hosts(new, Mode.CLUSTER, is_remote=self.work.topology.is_remote)
        serious = [each for each in found if each.severity is Severity.SERIOUS]
        if serious:
            raise RefusedError(
                f"the new cluster could not be made: {serious[0].what}",
                code=serious[0].code,
                where=serious[0].where,
                seen=serious[0].seen,
                left="nothing was changed",
                hint=serious[0].remedy,
            )
        return len(draft.desired.blueprint.shards), len(draft.desired.blueprint.nodes)

    def _choose(self, members: tuple[Member, ...]) -> Choice:
        choice = choose_copies(members, self.record.blueprint, old_settings(self.record))
        if choice.uncovered:
            raise _not_covered(self.record, choice.uncovered)
        return choice

    async def _farewell(self, choice: Choice, members: tuple[Member, ...]) -> Farewell:
        addresses = [node.address for node in self.record.blueprint.nodes]
        farewell = await say_farewell(self.fleet, self.record, self.roster, addresses, kill=False, keep_data=True)
        out = [
            f"{member.address} is neither archived nor ended ({member.trouble}): it must never come back"
            for member in members
            if member.is_out_of_reach
        ]
        return replace(farewell, risks=farewell.risks + choice.risks + tuple(out))


def _archive_folder(store: ClusterStore, cut: Rebuild | None, folder: Path | None) -> Path:
    """A folder with nothing in it; what a cut run had begun to write is taken away first. Raises RefusedError."""
    if cut is not None:
        _clear_archive(Path(cut.archive))
    place = folder.absolute() if folder else store.archives_path / datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    if place.exists() and any(place.iterdir()):
        raise RefusedError(
            f"{place} is not empty",
            code="folder-exists",
            where=str(place),
            left="nothing was changed",
            hint="name another folder with -o",
        )
    return place


def _clear_archive(folder: Path) -> None:
    if not folder.is_dir():
        return
    for path in [*folder.glob("*.tar.gz"), *(folder / name for name in (MANIFEST, SUMS, "record.json"))]:
        path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _without_unarchived(members: tuple[Member, ...], archived: Archived) -> tuple[Member, ...]:
    lost = {node.address: node.trouble for node in archived.nodes if not node.file}
    return tuple(
        replace(member, trouble=member.trouble or lost[member.address]) if member.address in lost else member
        for member in members
    )


def _not_covered(record: ClusterRecord, uncovered: tuple[Uncovered, ...]) -> RefusedError:
    first = uncovered[0]
    named = "; ".join(f"{member.address}: {member.trouble}" for shard in uncovered for member in shard.members)
    count = f"{len(uncovered)} shards" if len(uncovered) > 1 else f"shard {first.shard} (slots {first.slots})"
    return RefusedError(
        f"{count} of {record.name} would be lost: no member's folder can be archived",
        code="shard-not-covered",
        where=", ".join(str(member.address) for shard in uncovered for member in shard.members),
        seen=named,
        left="nothing was changed",
        hint="bring those hosts or folders back; without them, `slotwright destroy --keep-data` and `slotwright up` "
        "make an empty cluster",
    )


class _Rebuilder:
    """From the end of the old cluster to the proof of the new one."""

    def __init__(self, work: Work, path: Path, fleet: Fleet, roster: Roster) -> None:
        self._work = work
        self._path = path
        self._fleet = fleet
        self._roster = roster
        self._journal: Journal = work.context.open_journal(work.store.journal_path)

    async def go_on(self, state: Rebuild, went_on_from: str) -> Rebuilt:
        """All phases that are left."""
        try:
            self._journal.write({"phase": "begin", "verb": "rebuild", "from": state.phase.value})
            self._work.store.write_rebuild(state)
            if state.phase is Phase.ASIDE:
                await self._step(state, self._end_old(state))
                state = self._keep(replace(state, phase=Phase.FORM))
            verdict = await self._step(replace(state, phase=Phase.FORM), self._form(state))
            state = self._keep(replace(state, phase=Phase.COPY))
            rebuilt = await self._step(state, self._bring_back(state, verdict))
            self._journal.write({"phase": "end", "verb": "rebuild", "findings": len(rebuilt.findings)})
            return replace(rebuilt, went_on_from=went_on_from)
        except asyncio.CancelledError:
            raise self._interrupted(state) from None
        except OperatorInterruptError as error:
            raise self._interrupted(state) from error
        except SlotwrightError as error:
            raise self._partly(state, error) from error
        finally:
            if isinstance(self._journal, FileJournal):
                self._journal.close()

    async def _step(self, state: Rebuild, work: Awaitable[Value]) -> Value:
        entry = {"step": f"rebuild-{state.phase.value}", "where": state.old.name}
        self._journal.write({"phase": "intent", **entry})
        try:
            done = await work
        except SlotwrightError as error:
            self._journal.write({"phase": "failed", **entry, "code": error.code})
            raise
        self._journal.write({"phase": "done", **entry})
        return done

    def _keep(self, state: Rebuild) -> Rebuild:
        if self._work.store.read_rebuild() != state:
            self._work.store.write_rebuild(state)
        return state

    async def _end_old(self, state: Rebuild) -> None:
        context = self._work.context
        reachable = [node.address for node in state.old.blueprint.nodes if node.address not in state.left_behind]
        observation = await observe(self._roster, reachable)
        farewells = Farewells(self._fleet, self._roster, context.clock, context.report)
        await farewells.end(state, frozenset(view.address for view in observation.views))
        await farewells.set_aside(state)

    async def _form(self, state: Rebuild) -> Verdict:
        """The way of `up`, with a record that is written first: what is begun here is never taken down again."""
        work, store = self._work, self._work.store
        record = store.read_record()
        if record is not None and record.blueprint.cluster_id == state.old.blueprint.cluster_id:
            await ground.clear(work.context, self._fleet, record, store, self._staying())
            store.forget_record()
        land = await ground.survey(work)
        draft, found = await draft_and_plan(work, land)
        refuse_unsafe(found)
        if store.read_record() is None:
            store.write_record(draft.record)
        return (await execute(work, land, draft, found)).verdict

    def _staying(self) -> frozenset[str]:
        return frozenset(host.address for host in self._work.topology.hosts)

    async def _bring_back(self, state: Rebuild, verdict: Verdict) -> Rebuilt:
        brought, proof = None, None
        readers = self._readers(state)
        if not state.is_empty:
            async with readers.open() as sources, Roster(self._work.fleet.login(self._work.password, "")) as roster:
                with StrayFile(Path(state.archive) / QUARANTINE) as quarantine:
                    copier = KeyCopier(
                        sources,
                        _owners(verdict, roster),
                        self._work.password,
                        self._work.context.clock,
                        self._work.context.report,
                        quarantine.keep,
                    )
                    brought = await copier.bring()
                proof = await copier.prove(brought.expected)
            verdict = await self._look_again()
        findings = rebuild_findings(
            state,
            was_brought=brought is not None,
            quarantined=brought.quarantined if brought else 0,
            quarantine=str(Path(state.archive) / QUARANTINE),
            difference=proof.difference if proof else Difference(),
        )
        if not (proof and proof.difference.missing):
            await readers.forget() if brought else None
            await self._leave(state)
        return Rebuilt(
            state.old.name, state.archive, self._kept(state), state.copies, brought, proof, findings, verdict
        )

    def _readers(self, state: Rebuild) -> Readers:
        record = self._work.store.read_record()
        assert record is not None
        staying = self._staying()

        def binary_on(host: str) -> str:
            return record.binary if host in staying else state.old.binary

        context = self._work.context
        return Readers(self._fleet, context.clock, context.report, state, self._work.password, binary_on)

    async def _look_again(self) -> Verdict:
        work, record = self._work, self._work.store.read_record()
        assert record is not None
        target = Target(record.name, work.password, record, work.store)
        verifier = await open_verifier(work.context, target, work.fleet, work.roster)
        await verifier.await_usable(work.context.report)
        return await verifier.look(with_canaries=True)

    async def _leave(self, state: Rebuild) -> None:
        """Hosts that the new cluster has no node on lose what they had for the old one; then nothing is under way."""
        work = self._work
        gone = {host.address for host in state.old.topology.hosts} - self._staying()
        if gone and state.old.topology.is_remote:
            await ground.clear(work.context, self._fleet, state.old, work.store, gone)
        work.store.forget_rebuild()

    def _kept(self, state: Rebuild) -> tuple[str, ...]:
        if not state.old.topology.is_remote:
            return (state.kept_root,)
        away = {address.host for address in state.left_behind}
        return tuple(
            f"{host.address}:{state.kept_root}" for host in state.old.topology.hosts if host.address not in away
        )

    def _interrupted(self, state: Rebuild) -> OperatorInterruptError:
        return OperatorInterruptError("interrupted", where=state.old.name, left=_left(state), hint=self._again())

    def _partly(self, state: Rebuild, error: SlotwrightError) -> PartialError:
        hint = error.hint if "slotwright up" not in error.hint else ""
        partial = PartialError(
            error.what,
            code=error.code,
            where=error.where,
            seen=error.seen,
            left=_left(state),
            hint=f"{hint}; then {self._again()}" if hint else self._again(),
        )
        if hasattr(error, "plan"):
            partial.plan = error.plan  # type: ignore[attr-defined]
        return partial

    def _again(self) -> str:
        return f"slotwright rebuild {self._path} goes on from here"


def _left(state: Rebuild) -> str:
    data = f"all old data is in {state.archive}"
    match state.phase:
        case Phase.ARCHIVE | Phase.ASIDE:
            return f"{data}; the old nodes end, and their folders go to {state.kept_root}"
        case Phase.FORM:
            return f"{data} and in {state.kept_root}; the new cluster is not whole yet"
        case Phase.COPY:
            return f"{data} and in {state.kept_root}; the new cluster runs without all of its keys: keep clients away"


def _owners(verdict: Verdict, roster: Roster) -> list[tuple[Address, SlotSet, Keyspace]]:
    return [
        (node.address, node.slots, Keyspace(node.address, roster))
        for node in verdict.survey.nodes
        if node.slots and node.address is not None
    ]
