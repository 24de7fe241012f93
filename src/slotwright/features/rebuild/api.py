"""rebuild: the last resort. Archive, set the old folders aside, make a new cluster, bring the keys back, prove it.

Here is everything up to the point from which on the old cluster is no longer whole; ``phases.py`` does the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from slotwright.app import server_placement as server_placement
from slotwright.app.context import Context
from slotwright.app.jobs import refuse_while_open
from slotwright.app.session import Work, at_work, inspect_hosts, load
from slotwright.app.targets import Target, open_verifier, own_record, with_ways_of
from slotwright.cluster.findings import Severity
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.topology import Mode
from slotwright.errors import InputError, RefusedError
from slotwright.features.archive.api import MANIFEST, SUMS, Archived, archive_into, verify_sums
from slotwright.features.deploy.desired import make_draft
from slotwright.features.lifecycle.api import ShutdownImpact, shutdown_impact
from slotwright.features.lifecycle.destroy import kept_root
from slotwright.features.rebuild.model import Rebuild, RebuildPhase
from slotwright.features.rebuild.phases import Rebuilder, Rebuilt
from slotwright.features.rebuild.plan.copies import Choice, Member, Uncovered, choose_copies, refuse_version
from slotwright.features.rebuild.run.old_nodes import look_at_members
from slotwright.features.rebuild.run.readers import old_settings
from slotwright.features.rebuild.store import forget_rebuild, read_rebuild, write_rebuild
from slotwright.hosts.node_places import check_hosts
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import ClusterStore, Fleet
from slotwright.server.capabilities import version_from_title


@dataclass(frozen=True, slots=True)
class RebuildPreview:
    """What a rebuild is about to do, shown before it asks."""

    impact: ShutdownImpact
    archive: str
    kept_root: str
    old_shards: int
    new_shards: int
    new_nodes: int
    is_empty: bool


Agree = Callable[[RebuildPreview], bool]


async def rebuild(
    context: Context, path: Path, folder: Path | None = None, agree: Agree | None = None, *, empty: bool = False
) -> Rebuilt:
    """Archive the cluster of the file to ``folder`` (None: in the state folder), make a new one, and bring its keys
    back unless ``empty``. One that was cut goes on where it was, without asking again.

    Raises RefusedError before anything is changed, and PartialError from then on: the same call goes on.
    """
    loaded = load(context, path)
    async with at_work(context, loaded, "rebuild") as work:
        under_way = read_rebuild(work.store)
        if under_way is None or under_way.phase is RebuildPhase.ARCHIVE:
            return await _from_the_start(work, path, under_way, folder, agree, empty=empty)
        if empty and not under_way.is_empty:
            raise RefusedError(
                f"a rebuild of {work.store.name} that brings the keys back is under way",
                code="rebuild-under-way",
                where=work.store.name,
                left="nothing was changed",
                hint=f"slotwright rebuild {path} finishes it",
            )
        async with _old_hosts(work, under_way.old) as (fleet, pool):
            return await Rebuilder(work, path, fleet, pool).go_on(under_way, under_way.phase.value)


async def _from_the_start(
    work: Work, path: Path, cut: Rebuild | None, folder: Path | None, agree: Agree | None, *, empty: bool
) -> Rebuilt:
    record = _record(work, path)
    refuse_while_open(work.context, record.name)
    async with _old_hosts(work, record) as (fleet, pool):
        beginning = _Beginning(work, record, fleet, pool)
        state = await beginning.decide(cut, folder, agree, empty=empty)
        return await Rebuilder(work, path, fleet, pool).go_on(state, "")


@asynccontextmanager
async def _old_hosts(work: Work, record: ClusterRecord) -> AsyncIterator[tuple[Fleet, ConnectionPool]]:
    """The hosts of the old cluster, and its servers with the password that they were given."""
    topology = with_ways_of(work.topology, record).topology
    password = work.store.read_password()
    async with work.context.fleet(topology) as fleet, ConnectionPool(fleet.login(password, "")) as pool:
        yield fleet, pool


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


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Everything up to the point from which on the old cluster is no longer whole."""

    work: Work
    record: ClusterRecord
    fleet: Fleet
    pool: ConnectionPool

    async def decide(self, cut: Rebuild | None, folder: Path | None, agree: Agree | None, *, empty: bool) -> Rebuild:
        """Look, refuse, ask, archive, and look at the archive; the rebuild that may begin."""
        context, record, store = self.work.context, self.record, self.work.store
        new_shards, new_nodes = await self._refuse_unmakeable()
        verifier = await open_verifier(context, _target(self.work, record), self.fleet, self.pool)
        observation = (await verifier.look(with_canaries=False)).observation
        members = await look_at_members(self.fleet, record, observation)
        choice = self._choose(members)
        place = _archive_folder(store, cut, folder)
        state = Rebuild(RebuildPhase.ARCHIVE, record, str(place), kept_root(context, record), empty)
        impact = await self._shutdown_impact(choice, members)
        shown = RebuildPreview(
            impact, str(place), state.kept_root, len(record.blueprint.shards), new_shards, new_nodes, empty
        )
        if agree is not None and not agree(shown):
            raise RefusedError("not confirmed", code="declined", left="nothing was changed")
        # One may have been begun while somebody was being asked.
        refuse_while_open(context, store.name)
        write_rebuild(store, state)
        try:
            archived = await archive_into(context, self.fleet, self.pool, record, store, observation, place)
            await asyncio.to_thread(verify_sums, place)
            choice = self._choose(_without_unarchived(members, archived))
        except (Exception, asyncio.CancelledError):
            # Nothing was changed, and no half archive says otherwise. Of a killed process, the next one clears it.
            with suppress(OSError):
                _clear_archive(place)
            forget_rebuild(store)
            raise
        left = tuple(member.address for member in members if member.is_out_of_reach)
        return replace(state, phase=RebuildPhase.ASIDE, copies=choice.copies, left_behind=left)

    async def _refuse_unmakeable(self) -> tuple[int, int]:
        """What would keep the new cluster from being made is found while the old one is there; its size otherwise."""
        land = await server_placement.survey(self.work)
        reason = refuse_version(version_from_title(self.record.version), land.version)
        if reason:
            raise RefusedError(
                reason,
                code="data-unreadable",
                where=self.record.name,
                left="nothing was changed",
                hint="name the binaries of the old version, or of a newer one, in the file",
            )
        blank = replace(self.work, store=self.work.store.as_unknown())
        draft = await make_draft(blank, land)
        new = await inspect_hosts(blank, land.data_root, land.away, self.record.topology.addresses)
        findings = draft.desired.findings
        findings += check_hosts(new, Mode.CLUSTER, is_remote=self.work.topology.is_remote)
        serious = [finding for finding in findings if finding.severity is Severity.SERIOUS]
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

    async def _shutdown_impact(self, choice: Choice, members: tuple[Member, ...]) -> ShutdownImpact:
        addresses = [node.address for node in self.record.blueprint.nodes]
        impact = await shutdown_impact(self.fleet, self.record, self.pool, addresses, kill=False, keep_data=True)
        out = [
            f"{member.address} is neither archived nor ended ({member.trouble}): it must never come back"
            for member in members
            if member.is_out_of_reach
        ]
        return replace(impact, risks=impact.risks + choice.risks + tuple(out))


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
