"""preflight: what the hosts are like, what is wrong with them for this cluster, and making it right for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slotwright.app.context import Context
from slotwright.app.remote_hosts import read_profile, survey_remote_hosts
from slotwright.app.session import Work, at_hosts, inspect_hosts, load
from slotwright.cluster.events import Began, Ended
from slotwright.cluster.findings import Finding, Severity, by_gravity
from slotwright.cluster.record import Stage
from slotwright.cluster.stages import by_place
from slotwright.cluster.topology import Mode
from slotwright.errors import PartialError, RefusedError
from slotwright.features.preflight.plan import HostTuning, plan_tuning
from slotwright.features.preflight.run import TuningResult, TuningSteps
from slotwright.hosts.facts.installation import Place
from slotwright.hosts.facts.profile import HostProfile
from slotwright.hosts.fitness import check_fitness
from slotwright.hosts.fitness.requirements import ClockOffset, Requirements
from slotwright.hosts.node_places import check_hosts
from slotwright.ops.runner import Runner, failures
from slotwright.ports import Shell

THIS_MACHINE = "this machine"
AgreeToMend = Callable[[tuple[HostTuning, ...]], bool]


@dataclass(frozen=True, slots=True)
class Preflight:
    """The hosts as they are now, after any tuning. ``pairs`` is how many ordered pairs of hosts were tried."""

    name: str
    profiles: tuple[HostProfile, ...]
    clocks: tuple[tuple[str, ClockOffset], ...]
    findings: tuple[Finding, ...]
    pairs: int
    mended: tuple[TuningResult, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Nothing that anybody should act on: notes don't count."""
        return all(finding.severity is Severity.NOTE for finding in self.findings)


@dataclass(frozen=True, slots=True)
class _HostViews:
    profiles: tuple[HostProfile, ...]
    clocks: tuple[tuple[str, ClockOffset], ...]
    findings: tuple[Finding, ...]
    wants: Requirements
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
        result = await _look(work)
        tunings = plan_tuning(result.profiles, result.findings, result.wants) if fix else ()
        done: tuple[TuningResult, ...] = ()
        if tunings:
            if agree is not None and not agree(tunings):
                raise RefusedError("not confirmed", code="declined", left="nothing was changed")
            done = await _tune(work, tunings, result.shells)
            result = await _look(work)
        return Preflight(
            work.topology.name, result.profiles, result.clocks, by_gravity(result.findings), result.pairs, done
        )


async def _look(work: Work) -> _HostViews:
    return await (_look_at_hosts(work) if work.topology.is_remote else _look_here(work))


async def _look_at_hosts(work: Work) -> _HostViews:
    remote_hosts = await survey_remote_hosts(work)
    findings, pairs = remote_hosts.findings, 0
    facts = await inspect_hosts(work, _data_root(work, remote_hosts.place.data_root), remote_hosts.away)
    findings += _news(check_hosts(facts, work.topology.mode, is_remote=True), findings)
    if len(remote_hosts.views) > 1 and work.topology.mode is Mode.CLUSTER:
        text = "every pair of hosts reaches each other's client and bus ports"
        work.context.report(Began("reach", text))
        shut = await remote_hosts.try_reach()
        pairs = len(remote_hosts.views) * (len(remote_hosts.views) - 1)
        findings += shut
        is_open = all(finding.severity is Severity.NOTE for finding in shut)
        work.context.report(Ended("reach", text, is_ok=is_open))
    return _HostViews(
        tuple(view.profile for view in remote_hosts.views.values()),
        tuple((host, view.clock) for host, view in remote_hosts.views.items() if view.clock),
        findings,
        remote_hosts.wants,
        {host: view.shell for host, view in remote_hosts.views.items()},
        pairs,
    )


async def _look_here(work: Work) -> _HostViews:
    topology = work.topology
    binary = work.context.find_engine(topology.engine)
    data = topology.data_directory or str(work.store.nodes_path)
    shell = work.context.open_shell(THIS_MACHINE)
    profile, _ = await read_profile(shell, binary.path, Place(data, data, data))
    wants = Requirements(
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
    findings = check_fitness((profile,), wants)
    findings += _news(check_hosts(facts, topology.mode), findings)
    return _HostViews((profile,), (), findings, wants, {THIS_MACHINE: shell})


_SAID_BY_THE_HOST = {
    "disk-full": ("disk-short",),
    "directory-not-writable": ("directory-read-only", "directory-not-writable", "directory-noexec"),
}


def _news(result: tuple[Finding, ...], findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Those about a node's place that were not said of its whole host already."""
    known = {(finding.code, finding.where) for finding in findings}

    def is_reported(finding: Finding) -> bool:
        causes = _SAID_BY_THE_HOST.get(finding.code, ())
        return any((code, where) in known and finding.where.startswith(where) for code in causes for _, where in known)

    return tuple(finding for finding in result if not is_reported(finding))


def _data_root(work: Work, default: str) -> str:
    """Where the nodes' folders are, for a cluster that is known already."""
    record = work.store.read_record()
    return record.data_root if record is not None and record.data_root else default


async def _tune(work: Work, tunings: tuple[HostTuning, ...], shells: dict[str, Shell]) -> tuple[TuningResult, ...]:
    context, text = work.context, f"mend {len({tuning.host for tuning in tunings})} hosts for good"
    context.report(Began("mend", text))
    started, handler = context.clock.now(), TuningSteps(shells)
    with context.journal(work.store.journal_path) as journal:
        failed = failures(await Runner(handler, journal).run(by_place(tunings)))
    context.report(Ended("mend", text, is_ok=not failed))
    mended = tuple(handler.results[tuning] for tuning in tunings if tuning in handler.results)
    if failed:
        first = failed[0]
        raise PartialError(
            first.what,
            code=first.code,
            where=first.where,
            seen=first.seen,
            left=f"{len(mended)} of {len(tunings)} changes were made, in {context.clock.now() - started:.0f} s",
            hint="slotwright preflight --fix again: what is done already is left as it is",
        ) from first
    return mended
