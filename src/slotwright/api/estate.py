"""Remote hosts as ground for nodes: looked at in one go, judged, and made ready step by step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from slotwright.adapters.engines import RemoteEngines
from slotwright.adapters.firewalld import apply_firewall, read_firewall
from slotwright.adapters.reach import Listening, Reach
from slotwright.adapters.ssh.fleet import SshFleet
from slotwright.adapters.ssh.shell import SshShell
from slotwright.adapters.supervisors.remote import DetachedSupervisor, SystemdSupervisor
from slotwright.api.work import Work
from slotwright.errors import HostError, ServerError
from slotwright.model.engine import ENGINE_ROOT, EngineHost, EngineOnHost, WantedEngine
from slotwright.model.events import Began, Ended, Warned
from slotwright.model.findings import Finding, Severity
from slotwright.model.firewall import FirewalldState, FirewallFacts, FirewallNeed, FirewallPlan, FirewallRule
from slotwright.model.plan import ChangeFirewall, HostStep, PrepareHost, ProveReach, Step
from slotwright.model.profile import HostProfile
from slotwright.model.record import ClusterRecord, HostRules, folder_of
from slotwright.model.site import ROOT, SERVICE_USER, Place, Site
from slotwright.model.topology import Mode, Sudo, Topology, Via
from slotwright.planning.estate import HostWish, plan_estate
from slotwright.planning.firewall import commands_for, firewall_need, plan_firewall
from slotwright.planning.fitness import judge_fitness
from slotwright.planning.fitness_wants import ClockOffset, Wants, clock_offset
from slotwright.planning.reach import judge_reach, judge_speakers
from slotwright.ports import Shell
from slotwright.wire.host_profile import parse_profile
from slotwright.wire.host_script import PROFILE_SCRIPT, profile_arguments
from slotwright.wire.packages import service_findings
from slotwright.wire.server_conf import effective_settings
from slotwright.wire.site_scripts import EXIT_TEXTS, MAKE_SITE, READ_SITE, REMOVE_SITE, parse_site
from slotwright.wire.systemd_unit import UnitSpec, render_unit, template_name

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
class Estate:
    """The hosts of a cluster. ``wishes`` are for those that answer; ``away`` says why the others don't."""

    work: Work
    fleet: SshFleet
    place: Place
    views: dict[str, HostView]
    wanted: dict[str, WantedEngine]
    wishes: tuple[HostWish, ...]
    wants: Wants
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
        return bool(self.wishes) and all(wish.is_ready for wish in self.wishes)

    def waves(self, *, must_prove: bool) -> tuple[tuple[Step, ...], ...]:
        """What the hosts lack, as the first waves of a plan."""
        topology = self.work.topology
        ports = tuple(sorted({address.port for address in topology.addresses}))
        return plan_estate(self.wishes, ports, must_prove=must_prove and topology.mode is Mode.CLUSTER)

    def rules(self) -> tuple[HostRules, ...]:
        """The firewall rules that are or may be ours from now on: to be remembered before any is added."""
        return tuple(
            HostRules(wish.site.host, tuple(map(str, wish.firewall.claims)))
            for wish in self.wishes
            if wish.firewall.claims
        )

    async def act(self, step: HostStep) -> None:
        """Do one step, and read it back. Raises HostError, ServerError (bus-blocked, port-blocked)."""
        match step:
            case PrepareHost():
                await self._prepare(step.host)
            case ChangeFirewall():
                wish = next(wish for wish in self.wishes if wish.site.host == step.host)
                await apply_firewall(self.views[step.host].shell, wish.firewall)
                self.opened.add(step.host)
            case ProveReach():
                shut = [found for found in await self.try_reach() if found.severity is Severity.SERIOUS]
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
        tried = await Reach(self.fleet.reach).try_all(listening)
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
        return judge_reach(tried, firewalls, closed, by_hand)

    async def _prepare(self, host: str) -> None:
        view = self.views[host]
        wish = next(wish for wish in self.wishes if wish.site.host == host)
        result = await view.shell.run(MAKE_SITE, self.place.tree, self.place.data_root, SERVICE_USER)
        if result.status != 0:
            raise HostError(
                f"{host}: {EXIT_TEXTS.get(result.status, 'its folders could not be made')}",
                code="host-not-prepared",
                where=host,
                seen=result.complaint.strip()[-200:],
            )
        await asyncio.gather(self._give_engine(view, wish), self._give_units(view, wish))

    async def _give_engine(self, view: HostView, wish: HostWish) -> None:
        host, on_host = view.shell.host, wish.present
        if on_host is None:
            found = (await self._installed())[host]
            if isinstance(found, HostError):
                raise found
            on_host = found
        if wish.site.link != on_host.folder:
            await self.engines.link(view.shell, on_host, self.place.tree)

    async def _installed(self) -> dict[str, EngineOnHost | HostError]:
        """Once for all hosts that lack one: a source is built on one of them, for its like."""
        async with self.turn:
            if self.installed is None:
                names = [wish.site.host for wish in self.wishes if wish.present is None]
                self.installed = await self.engines.install(
                    {host: view.shell for host, view in self.views.items()},
                    {host: self.wanted[host] for host in names},
                    {host: view.engine for host, view in self.views.items()},
                )
            return self.installed

    async def _give_units(self, view: HostView, wish: HostWish) -> None:
        topology = self.work.topology
        if wish.unit:
            record = self.work.store.read_record()
            mine = [address for address in topology.addresses if address.host == view.shell.host]
            here = [folder_of(record, address) for address in mine]
            await SystemdSupervisor(view.shell, topology.name).install(unit_spec(topology, self.place), here)

    async def refreshed(self) -> Estate:
        """Looked at again after its steps: what was done to engines, links and units. What was done to a firewall was
        read back by the step itself, and a host does not change its nature meanwhile."""
        views = dict(zip(self.views, await asyncio.gather(*map(self._look_again, self.views.values())), strict=True))
        wanted, findings = await _wanted(self.work.topology, views, self.engines)
        wishes = tuple(self._wish_again(wish, views, wanted) for wish in self.wishes if wish.site.host in wanted)
        return replace(self, views=views, wanted=wanted, wishes=wishes, findings=findings)

    async def _look_again(self, view: HostView) -> HostView:
        words = _site_words(self.work.topology, self.place)
        site, engine = await asyncio.gather(
            _read(view.shell, READ_SITE, lambda text: parse_site(text, view.shell.host), *words),
            self.engines.look(view.shell, self.work.topology.engine, self.place.engine_root),
        )
        return replace(view, site=site, engine=engine)

    def _wish_again(self, wish: HostWish, views: dict[str, HostView], wanted: dict[str, WantedEngine]) -> HostWish:
        host = wish.site.host
        view, firewall = views[host], wish.firewall
        if host in self.opened:
            firewall = FirewallPlan(host, ours=firewall.ours)
        present = self.engines.present(wanted[host], view.engine)
        return replace(wish, site=view.site, wanted=wanted[host], present=present, firewall=firewall)


async def survey_estate(work: Work) -> Estate:
    """Look at every host that answers: facts, engine, firewall and our own things, side by side."""
    fleet = work.fleet
    assert isinstance(fleet, SshFleet)
    place = place_of(work.topology, fleet)
    engines = RemoteEngines(work.context.state_root / "engines", work.context.report)
    record = work.store.read_record()
    shells = fleet.shells
    text = f"facts of {len(shells)} host{'' if len(shells) == 1 else 's'}"
    work.context.report(Began("survey", text))
    seen = await asyncio.gather(
        *(_view(shell, work, place, engines, record) for shell in shells.values()), return_exceptions=True
    )
    views: dict[str, HostView] = {}
    for host, each in zip(shells, seen, strict=True):
        if isinstance(each, HostView):
            views[host] = each
        elif isinstance(each, HostError):
            # One that hangs must not keep the others from being looked at.
            work.context.report(Warned(f"{each.what}: {each.seen}" if each.seen else each.what, host))
            await fleet.give_up(host, each)
        else:
            raise each
    work.context.report(Ended("survey", text, is_ok=len(views) == len(shells)))
    wanted, findings = await _wanted(work.topology, views, engines)
    wishes = tuple(
        _wish(work.topology, place, view, wanted[host], record, engines)
        for host, view in views.items()
        if host in wanted
    )
    wants = _wants(work.topology, place, views, wanted)
    findings += _judge(views, wants, wishes)
    if work.topology.via is Via.DIRECT:
        speakers = {host: view.shell.own_address for host, view in views.items() if _has_firewalld(view)}
        findings += judge_speakers(work.topology, speakers)
    findings += tuple(_unreachable(host, error) for host, error in fleet.errors.items())
    return Estate(work, fleet, place, views, wanted, wishes, wants, findings, engines)


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
    rules = {each.host: tuple(map(FirewallRule.parse, each.rules)) for each in record.rules}

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
    ours = [rule for each in (record.rules if record else ()) if each.host == shell.host for rule in each.rules]
    zones = sorted({FirewallRule.parse(rule).zone for rule in ours})
    site, (profile, clock), engine, firewall = await asyncio.gather(
        _read(shell, READ_SITE, lambda text: parse_site(text, shell.host), *_site_words(work.topology, place)),
        read_profile(shell, place.binary(work.topology.engine.kind.value), place),
        engines.look(shell, work.topology.engine, place.engine_root),
        read_firewall(shell, shell.host, zones),
    )
    return HostView(shell, site, profile, engine, firewall, clock)


def _site_words(topology: Topology, place: Place) -> tuple[str, ...]:
    return place.tree, place.data_root, SERVICE_USER, template_name(topology.name)


async def read_profile(shell: Shell, binary: str, place: Place) -> tuple[HostProfile, ClockOffset | None]:
    """What the host is like, and how far its clock is off ours. Raises HostError."""
    words = profile_arguments(binary, (), (place.data_root, place.engine_root, "/tmp"))  # noqa: S108
    sent = time.time()
    profile = await _read(shell, PROFILE_SCRIPT, lambda text: parse_profile(text, shell.host), *words)
    return profile, clock_offset(profile, sent, time.time())


async def _read(shell: Shell, script: str, parse: Callable[[str], T], *words: str) -> T:
    result = await shell.run(script, *words, timeout_s=60)
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
    wanted = {host: each for host, each in resolved.items() if isinstance(each, WantedEngine)}
    missing = tuple(
        Finding(error.code, Severity.SERIOUS, host, error.what, error.hint, error.seen)
        for host, error in resolved.items()
        if isinstance(error, HostError)
    )
    return wanted, missing


def _wish(
    topology: Topology,
    place: Place,
    view: HostView,
    wanted: WantedEngine,
    record: ClusterRecord | None,
    engines: RemoteEngines,
) -> HostWish:
    host = view.shell.host
    ours = [
        FirewallRule.parse(rule)
        for each in (record.rules if record else ())
        if each.host == host
        for rule in each.rules
    ]
    has_units = view.shell.login.has_systemd and view.shell.is_root
    spec = unit_spec(topology, place)
    here = [address for address in topology.addresses if address.host == host]
    boots = has_units and spec.persistence.starts_at_boot
    need = firewall_need(topology, host)
    return HostWish(
        view.site,
        wanted,
        engines.present(wanted, view.engine),
        render_unit(spec) if has_units else "",
        frozenset(folder_of(record, address) for address in here) if boots else frozenset(),
        plan_firewall(need, view.firewall, ours) if view.shell.is_root else FirewallPlan(host),
        view.shell.is_root,
    )


def _wants(topology: Topology, place: Place, views: dict[str, HostView], wanted: dict[str, WantedEngine]) -> Wants:
    versions = [each.version for each in wanted.values() if each.version]
    return Wants(
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
            host.address for host in topology.hosts if host.ssh is not None and host.ssh.sudo is Sudo.NEVER
        ),
    )


def _judge(views: dict[str, HostView], wants: Wants, wishes: Sequence[HostWish]) -> tuple[Finding, ...]:
    found = judge_fitness(tuple(view.profile for view in views.values()), wants)
    found += tuple(finding for wish in wishes for finding in wish.firewall.findings)
    for host, view in views.items():
        found += service_findings(view.engine, wants.ports_of(host))
    return found


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
