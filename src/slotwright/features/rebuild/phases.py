"""The phases of a rebuild from which on the old cluster is no longer whole.

How far it is stands in ``rebuild.json`` of the cluster's state folder before each phase begins, and each phase can be
done again. So the same command goes on after any cut; the record of the old cluster is kept in that file, as the new
one takes its place.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from slotwright.adapters.state.quarantine import StrayFile
from slotwright.app import server_placement as server_placement
from slotwright.app.session import Work
from slotwright.app.targets import Target, open_verifier
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.stages import one_by_one
from slotwright.cluster.topology import Address
from slotwright.errors import OperatorInterruptError, PartialError, SlotwrightError
from slotwright.features.deploy.api import draft_and_plan, execute
from slotwright.features.deploy.outcome import refuse_unsafe
from slotwright.features.rebuild.model import PhaseStep, Rebuild, RebuildPhase, ShardCopy
from slotwright.features.rebuild.plan.findings import rebuild_findings
from slotwright.features.rebuild.run.old_nodes import OldNodes
from slotwright.features.rebuild.run.readers import Readers
from slotwright.features.rebuild.store import forget_rebuild, read_rebuild, write_rebuild
from slotwright.keys.copy_keys import CopiedKeys, CountedKeys, KeyCopier
from slotwright.keys.migrate_keys import migrate_limiter
from slotwright.keys.model.counts import Difference
from slotwright.keys.node_keys import NodeKeys
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.runner import Runner, StepHandler, failures, journaled
from slotwright.ops.verify import Verdict
from slotwright.ports import Fleet, Journal

QUARANTINE = "quarantine.jsonl"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """``kept`` are the folders of the old nodes, each ``PATH`` or ``HOST:PATH``; ``brought`` and ``proof`` are None
    where no keys were wanted back; ``went_on_from`` is the phase in which an earlier run was cut, "" for none."""

    name: str
    archive: str
    kept: tuple[str, ...]
    copies: tuple[ShardCopy, ...]
    brought: CopiedKeys | None
    proof: CountedKeys | None
    findings: tuple[Finding, ...]
    verdict: Verdict
    went_on_from: str = ""

    @property
    def is_ok(self) -> bool:
        """The keys are all there, and the new cluster is sound."""
        return self.verdict.is_ok and all(finding.severity is Severity.NOTE for finding in self.findings)


class PhaseSteps(StepHandler[PhaseStep]):
    """How the old cluster is set aside and the new one made, each by steps of its own; ``verdict`` is that of the new
    one. Nothing is put back: what is whole is the archive, and the same command goes on."""

    def __init__(self, work: Work, fleet: Fleet, pool: ConnectionPool, journal: Journal, state: Rebuild) -> None:
        self._work = work
        self._fleet = fleet
        self._old_nodes = OldNodes(fleet, pool, work.context.clock, work.context.report, journal)
        self._state = state
        self._verdict: Verdict | None = None

    @property
    def verdict(self) -> Verdict:
        """Of the new cluster, once FORM is done."""
        assert self._verdict is not None
        return self._verdict

    async def is_done(self, step: PhaseStep) -> bool:
        """What is made is never taken for done: the same plan as for `up` says what it lacks."""
        return step.phase is RebuildPhase.ASIDE and await self._old_nodes.are_aside(self._state)

    async def act(self, step: PhaseStep) -> str:
        """Raises HostError, ServerError, PartialError, and what `up` raises."""
        if step.phase is RebuildPhase.ASIDE:
            await self._old_nodes.set_aside(self._state)
        else:
            self._verdict = await self._form()
        return ""

    async def _form(self) -> Verdict:
        """The way of `up`, with a record that is written first: what is begun here is never taken down again."""
        work, store = self._work, self._work.store
        record = store.read_record()
        if record is not None and record.blueprint.cluster_id == self._state.old.blueprint.cluster_id:
            await server_placement.clear(work.context, self._fleet, record, store, staying_hosts(work))
            store.forget_record()
        land = await server_placement.survey(work)
        draft, plan = await draft_and_plan(work, land)
        refuse_unsafe(plan)
        if store.read_record() is None:
            store.write_record(draft.record)
        return (await execute(work, land, draft, plan)).verdict


def staying_hosts(work: Work) -> frozenset[str]:
    """Hosts that the new cluster has nodes on."""
    return frozenset(host.address for host in work.topology.hosts)


class Rebuilder:
    """From the end of the old cluster to the proof of the new one.

    Bringing the keys back takes hours, with a progress, a pace and a proof of its own: it is supervised, and no step.
    """

    def __init__(self, work: Work, path: Path, fleet: Fleet, pool: ConnectionPool) -> None:
        self._work = work
        self._path = path
        self._fleet = fleet
        self._pool = pool
        self._journal: Journal = work.context.open_journal(work.store.journal_path)

    async def go_on(self, state: Rebuild, went_on_from: str) -> Rebuilt:
        """All phases that are left."""
        phases = PhaseSteps(self._work, self._fleet, self._pool, self._journal, state)
        try:
            self._journal.write({"phase": "begin", "verb": "rebuild", "from": state.phase.value})
            write_rebuild(self._work.store, state)
            for step in state.steps_left:
                for error in failures(await Runner(phases, self._journal).run(one_by_one([step]))):
                    raise error
                state = self._keep(state.after(step))
            with journaled(self._journal, {"step": "rebuild-copy", "where": state.old.name}):
                rebuilt = await self._bring_back(state, phases.verdict)
            self._journal.write({"phase": "end", "verb": "rebuild", "findings": len(rebuilt.findings)})
            return replace(rebuilt, went_on_from=went_on_from)
        except asyncio.CancelledError:
            raise self._interrupted(state) from None
        except OperatorInterruptError as error:
            raise self._interrupted(state) from error
        except SlotwrightError as error:
            raise self._partly(state, error) from error
        finally:
            self._journal.close()

    def _keep(self, state: Rebuild) -> Rebuild:
        if read_rebuild(self._work.store) != state:
            write_rebuild(self._work.store, state)
        return state

    async def _bring_back(self, state: Rebuild, verdict: Verdict) -> Rebuilt:
        brought, proof = None, None
        readers = self._readers(state)
        if not state.is_empty:
            async with (
                readers.open() as sources,
                ConnectionPool(self._work.fleet.login(self._work.password, "")) as pool,
            ):
                with StrayFile(Path(state.archive) / QUARANTINE) as quarantine:
                    copier = KeyCopier(
                        sources,
                        _owners(verdict, pool),
                        self._work.password,
                        self._work.context.clock,
                        self._work.context.report,
                        quarantine.keep,
                        migrate_limiter(self._work.context.clock),
                        self._work.fleet.login(self._work.password, ""),
                    )
                    brought = await copier.copy()
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
        staying = staying_hosts(self._work)

        def binary_on(host: str) -> str:
            return record.binary if host in staying else state.old.binary

        context = self._work.context
        return Readers(self._fleet, context.clock, context.report, state, self._work.password, binary_on)

    async def _look_again(self) -> Verdict:
        work, record = self._work, self._work.store.read_record()
        assert record is not None
        target = Target(record.name, work.password, record, work.store)
        verifier = await open_verifier(work.context, target, work.fleet, work.pool)
        await verifier.await_usable(work.context.report)
        return await verifier.look(with_canaries=True)

    async def _leave(self, state: Rebuild) -> None:
        """Hosts that the new cluster has no node on lose what they had for the old one; then nothing is under way."""
        work = self._work
        gone = {host.address for host in state.old.topology.hosts} - staying_hosts(self._work)
        if gone and state.old.topology.is_remote:
            await server_placement.clear(work.context, self._fleet, state.old, work.store, gone)
        forget_rebuild(work.store)

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
        case RebuildPhase.ARCHIVE | RebuildPhase.ASIDE:
            return f"{data}; the old nodes end, and their folders go to {state.kept_root}"
        case RebuildPhase.FORM:
            return f"{data} and in {state.kept_root}; the new cluster is not whole yet"
        case RebuildPhase.COPY:
            return f"{data} and in {state.kept_root}; the new cluster runs without all of its keys: keep clients away"


def _owners(verdict: Verdict, pool: ConnectionPool) -> list[tuple[Address, SlotSet, NodeKeys]]:
    return [
        (node.address, node.slots, NodeKeys(node.address, pool))
        for node in verdict.survey.nodes
        if node.slots and node.address is not None
    ]
