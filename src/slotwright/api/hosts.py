"""preflight: what the hosts are like, what is wrong with them for this cluster, and making it right for good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slotwright.api.context import Context
from slotwright.api.estate import read_profile, survey_estate
from slotwright.api.work import Work, at_hosts, inspect_hosts, load
from slotwright.errors import HostError, PartialError, RefusedError
from slotwright.model.events import Began, Ended
from slotwright.model.findings import Finding, Severity, by_gravity
from slotwright.model.profile import HostProfile
from slotwright.model.record import Stage
from slotwright.model.site import Place
from slotwright.model.topology import Mode
from slotwright.planning.fitness import judge_fitness
from slotwright.planning.fitness_wants import ClockOffset, Wants
from slotwright.planning.mending import Mending, plan_mending
from slotwright.planning.preflight import judge_hosts
from slotwright.ports import Shell
from slotwright.wire.mending_scripts import FAILED, OVERRULED

THIS_MACHINE = "this machine"
AgreeToMend = Callable[[tuple[Mending, ...]], bool]


@dataclass(frozen=True, slots=True)
class Mended:
    """A mending that was done: what its script reported as changed, and what would not hold."""

    mending: Mending
    deeds: tuple[str, ...]
    troubles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preflight:
    """The hosts as they are now, after any mending. ``pairs`` is how many ordered pairs of hosts were tried."""

    name: str
    profiles: tuple[HostProfile, ...]
    clocks: tuple[tuple[str, ClockOffset], ...]
    findings: tuple[Finding, ...]
    pairs: int
    mended: tuple[Mended, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Nothing that anybody should act on: notes don't count."""
        return all(found.severity is Severity.NOTE for found in self.findings)


@dataclass(frozen=True, slots=True)
class _Seen:
    profiles: tuple[HostProfile, ...]
    clocks: tuple[tuple[str, ClockOffset], ...]
    findings: tuple[Finding, ...]
    wants: Wants
    shells: dict[str, Shell]
    pairs: int = 0


async def preflight(context: Context, path: Path, *, fix: bool = False, agree: AgreeToMend | None = None) -> Preflight:
    """Look at every host of the file; with ``fix``, mend for good what can be mended, and look again.

    Raises InputError; HostError when no host can be looked at; RefusedError when ``agree`` says no.
    """
    loaded = load(context, path)
    async with at_hosts(context, loaded, "preflight", is_change=fix) as work:
        record = work.store.read_record()
        if record is not None and record.stage is Stage.ADOPTED:
            raise RefusedError(
                f"{record.name} was adopted: its servers, units and firewall are not slotwright's to judge or mend",
                code="adopted",
                where=record.name,
                left="nothing was changed",
                hint=f"slotwright check {record.name}",
            )
        seen = await _look(work)
        mendings = plan_mending(seen.profiles, seen.findings, seen.wants) if fix else ()
        done: tuple[Mended, ...] = ()
        if mendings:
            if agree is not None and not agree(mendings):
                raise RefusedError("not confirmed", code="declined", left="nothing was changed")
            done = await _mend(context, mendings, seen.shells)
            seen = await _look(work)
        return Preflight(work.topology.name, seen.profiles, seen.clocks, by_gravity(seen.findings), seen.pairs, done)


async def _look(work: Work) -> _Seen:
    return await (_look_at_hosts(work) if work.topology.is_remote else _look_here(work))


async def _look_at_hosts(work: Work) -> _Seen:
    estate = await survey_estate(work)
    findings, pairs = estate.findings, 0
    facts = await inspect_hosts(work, _data_root(work, estate.place.data_root), estate.away)
    findings += _news(judge_hosts(facts, work.topology.mode, is_remote=True), findings)
    if len(estate.views) > 1 and work.topology.mode is Mode.CLUSTER:
        text = "every pair of hosts reaches each other's client and bus ports"
        work.context.report(Began("reach", text))
        shut = await estate.try_reach()
        pairs = len(estate.views) * (len(estate.views) - 1)
        findings += shut
        is_open = all(found.severity is Severity.NOTE for found in shut)
        work.context.report(Ended("reach", text, is_ok=is_open))
    return _Seen(
        tuple(view.profile for view in estate.views.values()),
        tuple((host, view.clock) for host, view in estate.views.items() if view.clock),
        findings,
        estate.wants,
        {host: view.shell for host, view in estate.views.items()},
        pairs,
    )


async def _look_here(work: Work) -> _Seen:
    from slotwright.adapters.engines import locate
    from slotwright.adapters.shells.local import LocalShell

    topology = work.topology
    binary = locate(topology.engine)
    data = topology.data_directory or str(work.store.nodes_path)
    shell = LocalShell(THIS_MACHINE)
    profile, _ = await read_profile(shell, binary.path, Place(data, data, data))
    wants = Wants(
        ports=((THIS_MACHINE, tuple(address.port for address in topology.addresses)),),
        mode=topology.mode,
        replicas=topology.replicas,
        settings=topology.settings,
        engine_kind=topology.engine.kind,
        engine_version=str(binary.version),
        data_root=data,
        is_remote=False,
    )
    facts = await inspect_hosts(work, _data_root(work, data))
    findings = judge_fitness((profile,), wants)
    findings += _news(judge_hosts(facts, topology.mode), findings)
    return _Seen((profile,), (), findings, wants, {THIS_MACHINE: shell})


_SAID_BY_THE_HOST = {
    "disk-full": ("disk-short",),
    "directory-not-writable": ("directory-read-only", "directory-not-writable", "directory-noexec"),
}


def _news(found: tuple[Finding, ...], said: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Those about a node's place that were not said of its whole host already."""
    known = {(finding.code, finding.where) for finding in said}

    def is_said(finding: Finding) -> bool:
        causes = _SAID_BY_THE_HOST.get(finding.code, ())
        return any((code, where) in known and finding.where.startswith(where) for code in causes for _, where in known)

    return tuple(finding for finding in found if not is_said(finding))


def _data_root(work: Work, default: str) -> str:
    """Where the nodes' folders are, for a cluster that is known already."""
    record = work.store.read_record()
    return record.data_root if record is not None and record.data_root else default


async def _mend(context: Context, mendings: tuple[Mending, ...], shells: dict[str, Shell]) -> tuple[Mended, ...]:
    text = f"mend {len({mending.host for mending in mendings})} hosts for good"
    context.report(Began("mend", text))
    started = time.monotonic()
    done = await asyncio.gather(
        *(_mend_one(mending, shells[mending.host]) for mending in mendings), return_exceptions=True
    )
    failed = [each for each in done if isinstance(each, BaseException)]
    context.report(Ended("mend", text, is_ok=not failed))
    mended = tuple(each for each in done if isinstance(each, Mended))
    if failed:
        first = failed[0]
        if not isinstance(first, HostError):
            raise first
        raise PartialError(
            first.what,
            code=first.code,
            where=first.where,
            seen=first.seen,
            left=f"{len(mended)} of {len(mendings)} changes were made, in {time.monotonic() - started:.0f} s",
            hint="slotwright preflight --fix again: what is done already is left as it is",
        ) from first
    return mended


async def _mend_one(mending: Mending, shell: Shell) -> Mended:
    result = await shell.run(mending.script, *mending.arguments, timeout_s=60)
    lines = result.output.splitlines()
    troubles = tuple(line for line in lines if line.startswith((FAILED, OVERRULED)))
    if result.status != 0 and not troubles:
        troubles = (result.complaint.strip()[-200:] or f"the script ended with status {result.status}",)
    return Mended(mending, tuple(line.partition(" ")[2] for line in lines if line.startswith("did ")), troubles)
