"""The hosts of a cluster over SSH: connected side by side, each named at once when it can't be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from slotwright.adapters.hosts.shell_host import RemoteHost
from slotwright.adapters.hosts.unreachable import UnreachableHost
from slotwright.adapters.servers.resp import RespDialer
from slotwright.adapters.servers.streams import SocketStreamDialer
from slotwright.adapters.servers.tls_probe import Opener, Streams
from slotwright.adapters.ssh.host_keys import NewKey, believe, unknown_keys
from slotwright.adapters.ssh.library import asyncssh
from slotwright.adapters.ssh.login import NewKeyError, Passwords, hang_up, log_in
from slotwright.adapters.ssh.shell import SshShell, open_shell
from slotwright.adapters.ssh.streams import open_stream, relay_stream
from slotwright.adapters.supervisors.supervisors import DetachedSupervisor, SystemdSupervisor
from slotwright.cluster.events import Began, Ended, Report, Warned
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, HostSpec, SshSpec, Topology, Via
from slotwright.errors import HostError
from slotwright.hosts.facts.installation import SERVICE_USER
from slotwright.ports import Dialer, Host, LoginDialer, StreamDialer

_STRAIGHT_S = 1.0


@dataclass(frozen=True, slots=True)
class Reached:
    """A host and the shell on it, or why there is none."""

    host: HostSpec
    shell: SshShell | None
    error: HostError | None = None


class SshFleet:
    """Implements :class:`slotwright.ports.Fleet`. Made by :func:`connect_fleet`."""

    def __init__(
        self,
        topology: Topology,
        reached: tuple[Reached, ...],
        secrets: Mapping[str, Secret | None],
        programs: Sequence[str] = (),
    ) -> None:
        self._via = topology.via
        self._secrets = secrets
        self._renewed: dict[str, asyncssh.SSHClientConnection] = {}
        self._renewing: dict[str, asyncio.Task[asyncssh.SSHClientConnection]] = {}
        self._reached = {other.host.address: other for other in reached}
        self._hosts: dict[str, Host] = {}
        self._no_forwarding: set[str] = set()
        for candidate in reached:
            if candidate.shell is None:
                assert candidate.error is not None
                self._hosts[candidate.host.address] = UnreachableHost(candidate.error)
            else:
                self._hosts[candidate.host.address] = _host(candidate.shell, topology.name, next(iter(programs), ""))

    @property
    def shells(self) -> dict[str, SshShell]:
        """The hosts that answer, by address."""
        return {address: reached.shell for address, reached in self._reached.items() if reached.shell is not None}

    @property
    def errors(self) -> dict[str, HostError]:
        """Why the others don't."""
        return {address: reached.error for address, reached in self._reached.items() if reached.error is not None}

    async def give_up(self, host: str, error: HostError) -> None:
        """A host that answers SSH and nothing else: from now on it is one that can't be reached."""
        reached = self._reached[host]
        if reached.shell is not None:
            await hang_up(reached.shell.connection)
        self._reached[host] = Reached(reached.host, None, error)
        self._hosts[host] = UnreachableHost(error)

    def at(self, host: str) -> Host:
        """See the port."""
        return self._hosts[host]

    def login(self, password: Secret | None, username: str) -> Dialer:
        """Through each node's own host, or straight where the file says ``via: direct``."""
        if self._via is Via.DIRECT:
            return RespDialer(password, username)
        return RespDialer(password, username, self._through_own_host)

    def login_on(self, host: str) -> LoginDialer:
        """Everything is dialled from ``host``."""
        open_there = self.opener_on(host)
        return lambda password, username: RespDialer(password, username, open_there)

    def opener_on(self, host: str) -> Opener:
        """Plain streams from ``host``; raises OSError, or HostError where it was lost."""

        async def open_there(address: Address) -> Streams:
            return await self._open(host, address)

        return open_there

    def streams(self, password: Secret | None, username: str) -> StreamDialer:
        """See :meth:`login`."""
        if self._via is Via.DIRECT:
            return SocketStreamDialer(password, username)
        return SocketStreamDialer(password, username, self._through_own_host)

    async def reach(self, source: str, goal: Address, port: int, timeout_s: float) -> None:
        """Connect from ``source`` to ``port`` of ``goal`` and hang up. Raises OSError, TimeoutError or HostError."""
        async with asyncio.timeout(timeout_s):
            _, writer = await open_stream(self._shell(source).connection, goal.host, port)
        writer.close()

    async def close(self) -> None:
        """All at once."""
        for task in self._renewing.values():
            task.cancel()
        connections = [*(shell.connection for shell in self.shells.values()), *self._renewed.values()]
        await asyncio.gather(*(hang_up(connection) for connection in connections))

    def _shell(self, host: str) -> SshShell:
        reached = self._reached[host]
        if reached.shell is None:
            assert reached.error is not None
            raise reached.error
        return reached.shell

    async def _through_own_host(self, address: Address) -> Streams:
        if address.host not in self._reached:
            return await asyncio.open_connection(address.host, address.port)
        try:
            connection = await self._connection(address.host)
            if address.host in self._no_forwarding:
                return await self._round_forwarding(address, connection)
            return await open_stream(connection, address.host, address.port)
        except HostError as error:
            if error.code != "ssh-forwarding-forbidden":
                raise ConnectionError(error.what) from error
            self._no_forwarding.add(address.host)
            return await self._round_forwarding(address, connection)

    async def _connection(self, host: str) -> asyncssh.SSHClientConnection:
        """To the host; one that was lost is made again, as a network that was cut comes back. Raises HostError."""
        connection = self._renewed.get(host, self._shell(host).connection)
        if not connection.is_closed():
            return connection
        if host not in self._renewing:
            # Whoever asks may have less patience than a login needs.
            task = self._renewing[host] = asyncio.create_task(self._log_in_again(host))
            task.add_done_callback(lambda done: self._has_renewed(host, done))
        return await asyncio.shield(self._renewing[host])

    async def _log_in_again(self, host: str) -> asyncssh.SSHClientConnection:
        try:
            return await log_in(self._reached[host].host, self._secrets.get(host))
        except NewKeyError as error:
            raise HostError(f"{host} has another key than before", code="host-key-unknown", where=host) from error

    def _has_renewed(self, host: str, task: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
        del self._renewing[host]
        if not task.cancelled() and task.exception() is None:
            self._renewed[host] = task.result()

    async def _round_forwarding(self, address: Address, connection: asyncssh.SSHClientConnection) -> Streams:
        """Straight, which costs none of the sessions that sshd counts, but only to the very address that has just
        proved to be that host by its key: seen from here, a private address may be somebody else's."""
        shell = self._shell(address.host)
        if shell.peer_address == address.host:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_STRAIGHT_S):
                    return await asyncio.open_connection(address.host, address.port)
        return await relay_stream(connection, address.host, address.port)

    async def _open(self, host: str, address: Address) -> Streams:
        connection = self._shell(host).connection
        if host not in self._no_forwarding:
            try:
                return await open_stream(connection, address.host, address.port)
            except HostError as error:
                if error.code != "ssh-forwarding-forbidden":
                    raise
                self._no_forwarding.add(host)
        return await relay_stream(connection, address.host, address.port)


def _host(shell: SshShell, name: str, program: str) -> RemoteHost:
    """With systemd and root's rights, nodes are services; otherwise they are started detached, as they are here."""
    owner = SERVICE_USER if shell.is_root else ""
    detached = DetachedSupervisor(shell, name, owner or shell.login.user, owner, program)
    service = SystemdSupervisor(shell, name, program) if shell.is_root and shell.login.has_systemd else detached
    return RemoteHost(shell, owner, service, detached, program)


async def connect_fleet(
    topology: Topology,
    report: Report,
    ask_secret: Callable[[str], Secret | None],
    agree: Callable[[str], bool],
    programs: Sequence[str] = (),
) -> SshFleet:
    """Connect to every host of ``topology``, side by side. One that can't be reached is part of the fleet, and says so.
    ``programs`` are what its servers were started by the last time.

    Raises InputError for a missing password, RefusedError (host-key-unknown) when nobody agrees to new host keys, and
    HostError (host-key-changed) at once for a changed one.
    """
    passwords = Passwords(ask_secret)
    secrets = {host.address: passwords.of(host.ssh or SshSpec(), host.address) for host in topology.hosts}
    text = f"connect to {len(topology.hosts)} host{'s' if len(topology.hosts) > 1 else ''} by SSH"
    report(Began("ssh", text))
    is_ok = False
    try:
        reached = await _all_of(topology.hosts, secrets, report, agree)
        is_ok = all(candidate.shell is not None for candidate in reached)
    finally:
        report(Ended("ssh", text, is_ok))
    return SshFleet(topology, reached, secrets, programs)


async def _all_of(
    hosts: tuple[HostSpec, ...],
    secrets: dict[str, Secret | None],
    report: Report,
    agree: Callable[[str], bool],
    believed: frozenset[str] | set[str] = frozenset(),
) -> tuple[Reached, ...]:
    result = await asyncio.gather(*(_one(host, secrets[host.address], report) for host in hosts))
    # A changed key ends everything, before anybody is asked about a new one.
    await _refuse_changed(result)
    new = {candidate.pattern: candidate for candidate in result if isinstance(candidate, NewKey)}
    for pattern in believed & set(new):
        raise HostError(
            f"the key of {pattern} was just written to known_hosts, and SSH does not find it there",
            code="known-hosts-unread",
            where=pattern,
            hint="look at UserKnownHostsFile and HostKeyAlias in ~/.ssh/config",
        )
    if new:
        # Over a jump host the second new key shows only when the first is believed: hence again, until all are known.
        try:
            _ask_about(list(new.values()), agree)
        except BaseException:
            shells = [
                candidate.shell
                for candidate in result
                if isinstance(candidate, Reached) and candidate.shell is not None
            ]
            await asyncio.gather(*(hang_up(shell.connection) for shell in shells))
            raise
        late = {
            reached.host.address: reached
            for reached in await _all_of(
                tuple(host for host, candidate in zip(hosts, result, strict=True) if isinstance(candidate, NewKey)),
                secrets,
                report,
                agree,
                believed | set(new),
            )
        }
        result = [
            late[host.address] if isinstance(candidate, NewKey) else candidate
            for host, candidate in zip(hosts, result, strict=True)
        ]
    return tuple(candidate for candidate in result if isinstance(candidate, Reached))


async def _refuse_changed(result: Sequence[Reached | NewKey]) -> None:
    reached = [candidate for candidate in result if isinstance(candidate, Reached)]
    changed = [
        candidate.error
        for candidate in reached
        if candidate.error is not None and candidate.error.code == "host-key-changed"
    ]
    if changed:
        await asyncio.gather(
            *(hang_up(candidate.shell.connection) for candidate in reached if candidate.shell is not None)
        )
        raise changed[0]


def _ask_about(keys: list[NewKey], agree: Callable[[str], bool]) -> None:
    lines = [f"  {key.pattern:<22} {key.algorithm}  {key.fingerprint}" for key in keys]
    question = "\n".join(["these hosts' SSH keys are not known yet:", *lines, "trust them from now on?"])
    if not agree(question):
        raise unknown_keys(keys)
    believe(keys)


async def _one(host: HostSpec, password: Secret | None, report: Report) -> Reached | NewKey:
    try:
        connection = await log_in(host, password)
    except NewKeyError as error:
        return error.key
    except HostError as error:
        report(Warned(f"{error.what}: {error.seen}" if error.seen else error.what, host.address))
        return Reached(host, None, error)
    try:
        sudo = (host.ssh or SshSpec()).sudo
        return Reached(host, await open_shell(host.address, connection, sudo, password))
    except HostError as error:
        await hang_up(connection)
        report(Warned(f"{error.what}: {error.seen}" if error.seen else error.what, host.address))
        return Reached(host, None, error)
