"""Remote hosts as ground for nodes: looked at in one go, judged, and made ready step by step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from slotwright.adapters.engines import RemoteEngines
from slotwright.adapters.hosts.firewalld import apply_firewall, read_firewall
from slotwright.adapters.hosts.reach import Listening, ReachProbe
from slotwright.adapters.ssh.fleet import SshFleet
from slotwright.adapters.ssh.shell import SshShell
from slotwright.adapters.supervisors.refusals import refused_by
from slotwright.adapters.supervisors.supervisors import DetachedSupervisor, SystemdSupervisor
from slotwright.app.session import Work
from slotwright.cluster.events import Began, Ended, Warned
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.record import ClusterRecord, HostRules, folder_of
from slotwright.cluster.steps import ChangeFirewall, HostStep, PrepareHost, ProveReach, Step
from slotwright.cluster.topology import Mode, SudoMode, Topology, Via
from slotwright.errors import HostError, ServerError
from slotwright.hosts.facts.engine import ENGINE_ROOT, EngineHost, EngineOnHost, WantedEngine
from slotwright.hosts.facts.firewall import FirewalldState, FirewallFacts, FirewallNeed, FirewallPlan, FirewallRule
from slotwright.hosts.facts.installation import ROOT, SERVICE_USER, Place, Site
from slotwright.hosts.facts.profile import HostProfile
from slotwright.hosts.firewall_plan import commands_for, firewall_need, plan_firewall
from slotwright.hosts.fitness import check_fitness
from slotwright.hosts.fitness.requirements import ClockOffset, Requirements, clock_offset
from slotwright.hosts.host_waves import HostRequirements, plan_host_waves
from slotwright.hosts.reach_findings import check_reach, check_speakers
from slotwright.hosts.scripts.packages import service_findings
from slotwright.hosts.scripts.profile import PROFILE_SCRIPT, profile_arguments
from slotwright.hosts.scripts.profile_parse import parse_profile
from slotwright.hosts.scripts.site import EXIT_TEXTS, MAKE_SITE, READ_SITE, REMOVE_SITE, parse_site
from slotwright.hosts.scripts.systemd_unit import UnitSpec, render_unit, template_name
from slotwright.ports import Shell
from slotwright.server.server_conf import effective_settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HostView:
    """All that was seen of one host."""

    shell: SshShell
    site: Site
    profile: HostProfile
    engine: EngineHost
    firewall: FirewallFacts
    clock: ClockOffset | None


@dataclass(slots=True)
class RemoteHosts:
    """The hosts of a cluster. ``options`` are for those that answer; ``away`` says why the others don't."""

    work: Work
    fleet: SshFleet
    place: Place
    views: dict[str, HostView]
    wanted: dict[str, WantedEngine]
    options: tuple[HostRequirements, ...]
    wants: Requirements
    findings: tuple[Finding, ...]
    engines: RemoteEngines = field(repr=False)
    opened: set[str] = field(default_factory=set)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    installed: dict[str, EngineOnHost | HostError] | None = None

    @property
    def away(self) -> dict[str, HostError]:
        """Hosts that can't be reached."""
        return self.fleet.errors

    @property
    def is_ready(self) -> bool:
        """Whether servers can be started on every host that answers."""
        return bool(self.options) and all(options.is_ready for options in self.options)

    def waves(self, *, must_prove: bool) -> tuple[tuple[Step, ...], ...]:
        """What the hosts lack, as the first waves of a plan."""
        topology = self.work.topology
        ports = tuple(sorted({address.port for address in topology.addresses}))
        return plan_host_waves(self.options, ports, must_prove=must_prove and topology.mode is Mode.CLUSTER)

    def rules(self) -> tuple[HostRules, ...]:
        """The firewall rules that are or may be ours from now on: to be remembered before any is added."""
        return tuple(
            HostRules(options.site.host, tuple(map(str, options.firewall.claims)))
            for options in self.options
            if options.firewall.claims
        )

    async def act(self, step: HostStep) -> None:
        """Do one step, and read it back. Raises HostError, ServerError (bus-blocked, port-blocked)."""
        match step:
            case PrepareHost():
                await self._prepare(step.host)
            case ChangeFirewall():
                options = next(options for options in self.options if options.site.host == step.host)
                await apply_firewall(self.views[step.host].shell, options.firewall)
                self.opened.add(step.host)
            case ProveReach():
                shut = [finding for finding in await self.try_reach() if finding.severity is Severity.SERIOUS]
                if shut:
                    raise _blocked(tuple(shut))

    async def try_reach(self) -> tuple[Finding, ...]:
        """Every ordered pair of hosts that answer, on client and bus ports, with real listeners."""
        topology = self.work.topology
        listening = tuple(
            Listening(
                self.views[host.address].shell,
                tuple(address for address in host.node_addresses),
                frozenset(
                    entry.port
                    for entry in self.views[host.address].profile.listeners
                    if entry.address in ("*", "0.0.0.0", "::", host.address)
                ),
                topology.mode is Mode.CLUSTER,
            )
            for host in topology.hosts
            if host.address in self.views
        )
        tried = await ReachProbe(self.fleet.reach).try_all(listening)
        firewalls = {host: view.firewall for host, view in self.views.items()}
        lacking = {
            host
            for host, view in self.views.items()
            if view.shell.is_root and plan_firewall(firewall_need(topology, host), view.firewall).add
        }
        closed = lacking - self.opened
        by_hand = {
            host: commands_for(plan_firewall(firewall_need(topology, host), view.firewall))
            for host, view in self.views.items()
            if not view.shell.is_root
        }
        return check_reach(tried, firewalls, closed, by_hand)

    async def _prepare(self, host: str) -> None:
        view = self.views[host]
        options = next(options for options in self.options if options.site.host == host)
        result = await view.shell.run(MAKE_SITE, self.place.tree, self.place.data_root, SERVICE_USER)
        refused = refused_by(result, host, self.place.tree)
        if refused is not None:
            raise refused
        if result.status != 0:
            raise HostError(
                f"{host}: {EXIT_TEXTS.get(result.status, 'its folders could not be made')}",
                code="host-not-prepared",
                where=host,
                seen=result.complaint.strip()[-200:],
            )
        await asyncio.gather(self._give_engine(view, options), self._give_units(view, options))

    async def _give_engine(self, view: HostView, options: HostRequirements) -> None:
        host, on_host = view.shell.host, options.present
        if on_host is None:
            engine = (await self._installed())[host]
            if isinstance(engine, HostError):
                raise engine
            on_host = engine
        if options.site.link != on_host.folder:
            await self.engines.link(view.shell, on_host, self.place.tree)

    async def _installed(self) -> dict[str, EngineOnHost | HostError]:
        """Once for all hosts that lack one: a source is built on one of them, for its like."""
        async with self.turn:
            if self.installed is None:
                names = [options.site.host for options in self.options if options.present is None]
                self.installed = await self.engines.install(
                    {host: view.shell for host, view in self.views.items()},
                    {host: self.wanted[host] for host in names},
                    {host: view.engine for host, view in self.views.items()},
                )
            return self.installed

    async def _give_units(self, view: HostView, options: HostRequirements) -> None:
        topology = self.work.topology
        if options.unit:
            record = self.work.store.read_record()
            mine = [address for address in topology.addresses if address.host == view.shell.host]
            here = [folder_of(record, address) for address in mine]
            await SystemdSupervisor(view.shell, topology.name).install(unit_spec(topology, self.place), here)

    async def refreshed(self) -> RemoteHosts:
        """Looked at again after its steps: what was done to engines, links and units. What was done to a firewall was
        read back by the step itself, and a host does not change its nature meanwhile."""
        views = dict(zip(self.views, await asyncio.gather(*map(self._look_again, self.views.values())), strict=True))
        wanted, findings = await _wanted(self.work.topology, views, self.engines)
        options = tuple(
            self._ask_again(options, views, wanted) for options in self.options if options.site.host in wanted
        )
        return replace(self, views=views, wanted=wanted, options=options, findings=findings)

    async def _look_again(self, view: HostView) -> HostView:
        arguments = _site_arguments(self.work.topology, self.place)
        site, engine = await asyncio.gather(
            _read(view.shell, READ_SITE, lambda text: parse_site(text, view.shell.host), *arguments),
            self.engines.look(view.shell, self.work.topology.engine, self.place.engine_root),
        )
        return replace(view, site=site, engine=engine)

    def _ask_again(
        self, options: HostRequirements, views: dict[str, HostView], wanted: dict[str, WantedEngine]
    ) -> HostRequirements:
        host = options.site.host
        view, firewall = views[host], options.firewall
        if host in self.opened:
            firewall = FirewallPlan(host, ours=firewall.ours)
        present = self.engines.present(wanted[host], view.engine)
        return replace(options, site=view.site, wanted=wanted[host], present=present, firewall=firewall)


async def survey_remote_hosts(work: Work) -> RemoteHosts:
    """Look at every host that answers: facts, engine, firewall and our own things, side by side."""
    fleet = work.fleet
    assert isinstance(fleet, SshFleet)
    place = place_of(work.topology, fleet)
    engines = RemoteEngines(work.context.state_root / "engines", work.context.report)
    record = work.store.read_record()
    shells = fleet.shells
    text = f"facts of {len(shells)} host{'' if len(shells) == 1 else 's'}"
    work.context.report(Began("survey", text))
    result = await asyncio.gather(
        *(_view(shell, work, place, engines, record) for shell in shells.values()), return_exceptions=True
    )
    views: dict[str, HostView] = {}
    for host, outcome in zip(shells, result, strict=True):
        if isinstance(outcome, HostView):
            views[host] = outcome
        elif isinstance(outcome, HostError):
            # One that hangs must not keep the others from being looked at.
            work.context.report(Warned(f"{outcome.what}: {outcome.seen}" if outcome.seen else outcome.what, host))
            await fleet.give_up(host, outcome)
        else:
            raise outcome
    work.context.report(Ended("survey", text, is_ok=len(views) == len(shells)))
    wanted, findings = await _wanted(work.topology, views, engines)
    options = tuple(
        _options(work.topology, place, view, wanted[host], record, engines)
        for host, view in views.items()
        if host in wanted
    )
    wants = _wants(work.topology, place, views, wanted)
    findings += _check_hosts(views, wants, options)
    if work.topology.via is Via.DIRECT:
        speakers = {host: view.shell.own_address for host, view in views.items() if _has_firewalld(view)}
        findings += check_speakers(work.topology, speakers)
    findings += tuple(_unreachable(host, error) for host, error in fleet.errors.items())
    return RemoteHosts(work, fleet, place, views, wanted, options, wants, findings, engines)


def place_of(topology: Topology, fleet: SshFleet) -> Place:
    """Where things go: below /var/lib and /opt where we are root, else below the file's own ``data``."""
    is_root = all(shell.is_root for shell in fleet.shells.values())
    data = topology.data_directory
    tree = f"{data}/.slotwright/{topology.name}" if data else f"{ROOT}/clusters/{topology.name}"
    engines = ENGINE_ROOT if is_root else f"{data or ROOT}/.slotwright/engines"
    return Place(tree, data or f"{tree}/nodes", engines)


def unit_spec(topology: Topology, place: Place) -> UnitSpec:
    """What the cluster's unit is made from."""
    settings = effective_settings(topology.settings, topology.mode)
    return UnitSpec(topology.name, place.binary(topology.engine.kind.value), place.data_root, settings=settings)


async def clear_hosts(fleet: SshFleet, record: ClusterRecord, hosts: Collection[str] | None = None) -> None:
    """Take back what hosts (None: all) were given for this cluster alone: units, firewall rules, links. Engines and
    user stay."""
    place = place_of(record.topology, fleet)
    rules = {rule.host: tuple(map(FirewallRule.parse, rule.rules)) for rule in record.rules}

    async def clear(host: str, shell: SshShell) -> None:
        if shell.login.has_systemd and shell.is_root:
            await SystemdSupervisor(shell, record.name).remove()
        else:
            await DetachedSupervisor(shell, record.name).remove()
        ours = rules.get(host, ())
        if ours:
            facts = await read_firewall(shell, host, sorted({rule.zone for rule in ours}))
            await apply_firewall(shell, plan_firewall(FirewallNeed(host), facts, ours))
        result = await shell.run(REMOVE_SITE, place.tree, place.data_root)
        refused = refused_by(result, host, place.tree)
        if refused is not None:
            raise refused
        if result.status != 0:
            raise HostError(
                f"{host}: {EXIT_TEXTS.get(result.status, 'what is left of the cluster can not be removed')}",
                code="host-files",
                where=host,
                seen=result.complaint.strip()[-200:],
            )

    chosen = [(host, shell) for host, shell in fleet.shells.items() if hosts is None or host in hosts]
    await asyncio.gather(*(clear(host, shell) for host, shell in chosen))


async def _view(
    shell: SshShell, work: Work, place: Place, engines: RemoteEngines, record: ClusterRecord | None
) -> HostView:
    ours = [
        rule
        for host_rules in (record.rules if record else ())
        if host_rules.host == shell.host
        for rule in host_rules.rules
    ]
    zones = sorted({FirewallRule.parse(rule).zone for rule in ours})
    site, (profile, clock), engine, firewall = await asyncio.gather(
        _read(shell, READ_SITE, lambda text: parse_site(text, shell.host), *_site_arguments(work.topology, place)),
        read_profile(shell, place.binary(work.topology.engine.kind.value), place),
        engines.look(shell, work.topology.engine, place.engine_root),
        read_firewall(shell, shell.host, zones),
    )
    return HostView(shell, site, profile, engine, firewall, clock)


def _site_arguments(topology: Topology, place: Place) -> tuple[str, ...]:
    return place.tree, place.data_root, SERVICE_USER, template_name(topology.name)


async def read_profile(shell: Shell, binary: str, place: Place) -> tuple[HostProfile, ClockOffset | None]:
    """What the host is like, and how far its clock is off ours. Raises HostError."""
    arguments = profile_arguments(binary, (), (place.data_root, place.engine_root, "/tmp"))  # noqa: S108
    sent = time.time()
    profile = await _read(shell, PROFILE_SCRIPT, lambda text: parse_profile(text, shell.host), *arguments)
    return profile, clock_offset(profile, sent, time.time())


async def _read(shell: Shell, script: str, parse: Callable[[str], T], *arguments: str) -> T:
    result = await shell.run(script, *arguments, timeout_s=60)
    try:
        return parse(result.output)
    except ValueError as error:
        raise HostError(
            f"{shell.host} gave no whole answer",
            code="host-facts-incomplete",
            where=shell.host,
            seen=result.complaint.strip()[-200:] or str(error),
        ) from error


async def _wanted(
    topology: Topology, views: dict[str, HostView], engines: RemoteEngines
) -> tuple[dict[str, WantedEngine], tuple[Finding, ...]]:
    resolved = await engines.resolve(topology.engine, [view.engine for view in views.values()])
    wanted = {host: engine for host, engine in resolved.items() if isinstance(engine, WantedEngine)}
    missing = tuple(
        Finding(error.code, Severity.SERIOUS, host, error.what, error.hint, error.seen)
        for host, error in resolved.items()
        if isinstance(error, HostError)
    )
    return wanted, missing


def _options(
    topology: Topology,
    place: Place,
    view: HostView,
    wanted: WantedEngine,
    record: ClusterRecord | None,
    engines: RemoteEngines,
) -> HostRequirements:
    host = view.shell.host
    ours = [
        FirewallRule.parse(rule)
        for host_rules in (record.rules if record else ())
        if host_rules.host == host
        for rule in host_rules.rules
    ]
    has_units = view.shell.login.has_systemd and view.shell.is_root
    spec = unit_spec(topology, place)
    here = [address for address in topology.addresses if address.host == host]
    boots = has_units and spec.persistence.starts_at_boot
    need = firewall_need(topology, host)
    return HostRequirements(
        view.site,
        wanted,
        engines.present(wanted, view.engine),
        render_unit(spec) if has_units else "",
        frozenset(folder_of(record, address) for address in here) if boots else frozenset(),
        plan_firewall(need, view.firewall, ours) if view.shell.is_root else FirewallPlan(host),
        view.shell.is_root,
    )


def _wants(
    topology: Topology, place: Place, views: dict[str, HostView], wanted: dict[str, WantedEngine]
) -> Requirements:
    versions = [engine.version for engine in wanted.values() if engine.version]
    return Requirements(
        ports=tuple((host.address, host.ports) for host in topology.hosts),
        mode=topology.mode,
        replicas=topology.replicas,
        settings=topology.settings,
        engine_kind=topology.engine.kind,
        engine_version=str(versions[0]) if versions else "",
        data_root=place.data_root,
        engine_root=place.engine_root,
        service_user=SERVICE_USER,
        clients=topology.clients,
        clocks=tuple((host, view.clock) for host, view in views.items() if view.clock),
        without_root=tuple(
            host.address for host in topology.hosts if host.ssh is not None and host.ssh.sudo is SudoMode.NEVER
        ),
    )


def _check_hosts(
    views: dict[str, HostView], wants: Requirements, options: Sequence[HostRequirements]
) -> tuple[Finding, ...]:
    findings = check_fitness(tuple(view.profile for view in views.values()), wants)
    findings += tuple(finding for options in options for finding in options.firewall.findings)
    for host, view in views.items():
        findings += service_findings(view.engine, wants.ports_of(host))
    return findings


def _has_firewalld(view: HostView) -> bool:
    return view.firewall.state is FirewalldState.RUNNING


def _unreachable(host: str, error: HostError) -> Finding:
    return Finding(
        error.code,
        Severity.SERIOUS,
        host,
        error.what,
        error.hint or "bring it back, then run this again",
        error.seen,
    )


def _blocked(findings: tuple[Finding, ...]) -> ServerError:
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return ServerError(first.what + more, code=first.code, where=first.where, seen=first.seen, hint=first.remedy)
