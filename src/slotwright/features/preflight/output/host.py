"""A host in `preflight --json`: the facts that findings are judged from. Few of them are promised (docs/json.md)."""

from __future__ import annotations

from slotwright.console.output import Output
from slotwright.features.preflight.output.host_system import (
    FileLimitsOutput,
    KernelOutput,
    LoginOutput,
    MemoryOutput,
    RoomOutput,
    SystemOutput,
    TimeOutput,
    file_limits_output,
    kernel_output,
    login_output,
    memory_output,
    room_output,
    system_output,
    time_output,
)
from slotwright.hosts.facts.profile import EngineTrial, Firewall, HostProfile, InputChain, Listener
from slotwright.hosts.fitness.requirements import ClockOffset


class InputChainOutput(Output, frozen=True, kw_only=True):
    """A chain of nftables that packets come in through."""

    family: str
    table: str
    name: str
    policy: str
    rules: int


class FirewallOutput(Output, frozen=True, kw_only=True):
    """Its packet filters."""

    firewalld: str
    is_ufw_active: bool
    chains: tuple[InputChainOutput, ...]
    iptables: tuple[str, ...]
    is_visible: bool


class PortOwnerOutput(Output, frozen=True, kw_only=True):
    """The process that listens."""

    pid: int
    command: str


class ListenerOutput(Output, frozen=True, kw_only=True):
    """A port that something listens on; ``owner`` is null where it can't be seen."""

    address: str
    port: int
    owner: PortOwnerOutput | None


class UserOutput(Output, frozen=True, kw_only=True):
    """A user that was asked about."""

    name: str
    uid: int
    home: str


class FoundServerOutput(Output, frozen=True, kw_only=True):
    """A server program that is there already."""

    path: str
    version: str


class EngineTrialOutput(Output, frozen=True, kw_only=True):
    """The server program, as it was tried."""

    path: str
    is_there: bool
    machine: str
    status: int | None
    output: str
    check_status: int | None
    check_output: str


class HostOutput(Output, frozen=True, kw_only=True):
    """One host; ``clock_ahead_s``: how far its clock is before this machine's, null where it could not be measured."""

    host: str
    system: SystemOutput
    memory: MemoryOutput
    kernel: KernelOutput
    files: FileLimitsOutput
    rooms: tuple[RoomOutput, ...]
    init: str
    init_version: str
    selinux: str
    time: TimeOutput | None
    time_service: str
    login: LoginOutput
    package_tool: str
    firewall: FirewallOutput
    listeners: tuple[ListenerOutput, ...]
    users: tuple[UserOutput, ...]
    tools: tuple[str, ...]
    servers: tuple[FoundServerOutput, ...]
    engine: EngineTrialOutput | None
    clock_ahead_s: float | None


def host_output(profile: HostProfile, clock: ClockOffset | None) -> HostOutput:
    """One host."""
    return HostOutput(
        host=profile.host,
        system=system_output(profile.system),
        memory=memory_output(profile.memory),
        kernel=kernel_output(profile.kernel),
        files=file_limits_output(profile.files),
        rooms=tuple(map(room_output, profile.rooms)),
        init=profile.init,
        init_version=profile.init_version,
        selinux=profile.selinux.value,
        time=time_output(profile.time) if profile.time else None,
        time_service=profile.time_service,
        login=login_output(profile.login),
        package_tool=profile.package_tool,
        firewall=_firewall_output(profile.firewall),
        listeners=tuple(map(_listener_output, profile.listeners)),
        users=tuple(UserOutput(name=user.name, uid=user.uid, home=user.home) for user in profile.users),
        tools=tuple(sorted(profile.tools)),
        servers=tuple(FoundServerOutput(path=server.path, version=server.version) for server in profile.servers),
        engine=_trial_output(profile.engine) if profile.engine else None,
        clock_ahead_s=None if clock is None else round(clock.ahead_s, 4),
    )


def _firewall_output(firewall: Firewall) -> FirewallOutput:
    return FirewallOutput(
        firewalld=firewall.firewalld.value,
        is_ufw_active=firewall.is_ufw_active,
        chains=tuple(map(_chain_output, firewall.chains)),
        iptables=firewall.iptables,
        is_visible=firewall.is_visible,
    )


def _chain_output(chain: InputChain) -> InputChainOutput:
    return InputChainOutput(
        family=chain.family, table=chain.table, name=chain.name, policy=chain.policy, rules=chain.rules
    )


def _listener_output(listener: Listener) -> ListenerOutput:
    owner = listener.owner
    return ListenerOutput(
        address=listener.address,
        port=listener.port,
        owner=PortOwnerOutput(pid=owner.pid, command=owner.command) if owner else None,
    )


def _trial_output(trial: EngineTrial) -> EngineTrialOutput:
    return EngineTrialOutput(
        path=trial.path,
        is_there=trial.is_there,
        machine=trial.machine,
        status=trial.status,
        output=trial.output,
        check_status=trial.check_status,
        check_output=trial.check_output,
    )
