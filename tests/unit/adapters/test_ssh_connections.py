"""SSH as hosts really speak it: a server of the same library on loopback, whose sessions are this machine's own shell.

What such a server can't show (a real sshd's limits, PAM, a firewall) is shown in the lab.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from slotwright.adapters.ssh.fleet import SshFleet, connect_fleet
from slotwright.adapters.ssh.shell import CHANNELS
from slotwright.cluster.events import Event, Warned
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, Engine, EngineKind, EngineOrigin, HostSpec, SshSpec, SudoMode, Topology
from slotwright.errors import HostError, InputError, RefusedError

SUDO_PASSWORD = "Sudo's %pass word"
HOST = "10.255.0.1"
"""Never dialled: SSH connects to the server's own address."""


class Front(asyncssh.SSHServer):
    """Who may log in, and whether connections are forwarded."""

    def __init__(self, server: LoopbackServer) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._server.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._server.believes_key

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == SUDO_PASSWORD

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        if not self._server.forwards:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        if dest_port == 1:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connection refused")  # sshd's words
        return True


@dataclass
class LoopbackServer:
    """``folder`` is before all others in the sessions' PATH: programs there are the host's."""

    folder: Path
    believes_key: bool = True
    forwards: bool = True
    chatter: str = ""
    running: int = 0
    most_running: int = 0
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    shells: list[int] = field(default_factory=list)
    port: int = 0

    async def serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.commands.append(process.command or "")
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            shell = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                f"{self.chatter}\n{process.command}",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={"PATH": f"{self.folder}:{os.environ['PATH']}", "HOME": str(self.folder)},
                start_new_session=True,
            )
            self.shells.append(shell.pid)
            assert shell.stdin is not None and shell.stdout is not None and shell.stderr is not None
            feeding = asyncio.ensure_future(feed(process, shell.stdin))
            output, complaint = await asyncio.gather(shell.stdout.read(), shell.stderr.read())
            feeding.cancel()
            process.stdout.write(output)
            process.stderr.write(complaint)
            process.exit(await shell.wait())
        finally:
            self.running -= 1

    def program(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def is_not_root(self, sudo: str) -> None:
        """The login's name is "ops"; ``sudo`` is the text of the host's sudo."""
        self.program("id", 'case $1 in -un) echo "${BECAME:-ops}";; -u) [ -n "$BECAME" ] && echo 0 || echo 1000;; esac')
        self.program("sudo", sudo)


async def feed(process: asyncssh.SSHServerProcess[bytes], into: asyncio.StreamWriter) -> None:
    """What the client sends; its end only when the client says so."""
    with suppress(ConnectionError, asyncssh.Error):
        while chunk := await process.stdin.read(65536):
            into.write(chunk)
            await into.drain()
        into.close()


ASKS = f"""
case $1 in -n) echo 'sudo: a password is required' >&2; exit 1;; esac
while [ "$1" != -- ]; do shift; done; shift
IFS= read -r given
[ "$given" = "{SUDO_PASSWORD}" ] || {{ echo 'sudo: 1 incorrect password attempt' >&2; exit 1; }}
BECAME=root exec "$@"
"""
FREE = 'while [ "$1" != -- ] && [ "$1" != true ]; do shift; done; [ "$1" != -- ] || shift; BECAME=root exec "$@"'


@dataclass
class Desk:
    """The control machine: a home of its own, and what it heard."""

    home: Path
    server: LoopbackServer
    keys: list[asyncssh.SSHKey]
    agrees: bool = True
    asked: list[str] = field(default_factory=list)
    heard: list[Event] = field(default_factory=list)

    @property
    def known_hosts(self) -> Path:
        return self.home / ".ssh" / "known_hosts"

    def spec(self, **more: object) -> SshSpec:
        words: dict[str, object] = {
            "user": "ops",
            "port": self.server.port,
            "key": str(self.home / "key"),
            "address": "127.0.0.1",
        }
        return SshSpec(**(words | more))  # type: ignore[arg-type]

    async def connect(self, *specs: SshSpec) -> SshFleet:
        hosts = tuple(
            HostSpec(f"10.255.0.{at}", (7001,), ssh=spec) for at, spec in enumerate(specs or (self.spec(),), 1)
        )
        topology = Topology("cache", Engine(EngineKind.REDIS, EngineOrigin.PACKAGE), hosts)

        def agree(question: str) -> bool:
            self.asked.append(question)
            return self.agrees

        return await connect_fleet(topology, self.heard.append, lambda _: None, agree)


def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: Callable[[Desk], Awaitable[None]]) -> None:
    """Run ``body`` with a server up, and a home that nobody else has."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    async def main() -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "home").mkdir()
        server = LoopbackServer(tmp_path / "bin")
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(tmp_path / "home" / "key")
        async with listening(server) as host_key:
            await body(Desk(tmp_path / "home", server, [host_key]))

    asyncio.run(asyncio.wait_for(main(), 30))


@asynccontextmanager
async def listening(server: LoopbackServer) -> AsyncIterator[asyncssh.SSHKey]:
    """The server on its port (a free one at first), with a new host key."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    acceptor = await asyncssh.create_server(
        lambda: Front(server),
        "127.0.0.1",
        server.port,
        server_host_keys=[key],
        process_factory=server.serve,
        encoding=None,
        allow_scp=False,
    )
    server.port = acceptor.get_port()
    try:
        yield key
    finally:
        for connection in server.connections:
            connection.abort()
        for shell in server.shells:
            with suppress(ProcessLookupError):
                os.killpg(shell, signal.SIGKILL)
        acceptor.close()
        await acceptor.wait_closed()


@pytest.fixture
def at_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Desk], Awaitable[None]]], None]:
    return lambda body: desk(tmp_path, monkeypatch, body)


AtDesk = Callable[[Callable[[Desk], Awaitable[None]]], None]


# --- host keys ---


def test_a_new_host_key_is_asked_about_once_and_kept(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        fleet = await desk.connect()
        assert (await fleet.shells[HOST].run("echo hello")).output == "hello\n"
        await fleet.close()
        assert len(desk.asked) == 1
        assert desk.keys[0].get_fingerprint() in desk.asked[0]
        assert f"[127.0.0.1]:{desk.server.port} ssh-ed25519 " in desk.known_hosts.read_text()
        assert stat.S_IMODE(desk.known_hosts.stat().st_mode) == 0o600
        await (await desk.connect()).close()
        assert len(desk.asked) == 1

    at_desk(body)


def test_a_host_key_that_nobody_agrees_to_is_refused_and_nothing_runs(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        desk.agrees = False
        with pytest.raises(RefusedError) as caught:
            await desk.connect()
        assert caught.value.code == "host-key-unknown"
        assert caught.value.exit_code == 4
        assert desk.keys[0].get_fingerprint() in caught.value.seen
        assert desk.server.commands == []
        assert not desk.known_hosts.exists()

    at_desk(body)


def test_a_line_without_an_end_in_known_hosts_is_not_run_together(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        desk.known_hosts.parent.mkdir()
        desk.known_hosts.write_text("# a comment of the user's")
        await (await desk.connect()).close()
        assert desk.known_hosts.read_text().startswith(f"# a comment of the user's\n[127.0.0.1]:{desk.server.port} ")

    at_desk(body)


def test_a_changed_host_key_aborts_whatever_anybody_agrees_to(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().split()
        desk.known_hosts.parent.mkdir()
        desk.known_hosts.write_text(f"[127.0.0.1]:{desk.server.port} {other[0]} {other[1]}\n")
        with pytest.raises(HostError) as caught:
            await desk.connect(desk.spec(password_variable=""))
        assert caught.value.code == "host-key-changed"
        assert desk.keys[0].get_fingerprint() in caught.value.seen
        assert f"ssh-keygen -R '[127.0.0.1]:{desk.server.port}'" in caught.value.hint, "as known_hosts has it"
        assert (desk.asked, desk.server.commands) == ([], [])

    at_desk(body)


def test_a_host_key_of_another_kind_is_a_changed_one(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key("openssh").decode().split()
        desk.known_hosts.parent.mkdir()
        desk.known_hosts.write_text(f"[127.0.0.1]:{desk.server.port} {other[0]} {other[1]}\n")
        with pytest.raises(HostError) as caught:
            await desk.connect()
        assert caught.value.code == "host-key-changed"
        assert (desk.asked, desk.server.commands) == ([], [])

    at_desk(body)


def test_a_revoked_host_key_is_refused_and_not_asked_about(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        words = desk.keys[0].export_public_key("openssh").decode().split()
        desk.known_hosts.parent.mkdir()
        desk.known_hosts.write_text(f"@revoked * {words[0]} {words[1]}\n")
        fleet = await desk.connect()
        assert "revoked" in fleet.errors[HOST].seen
        assert (desk.asked, desk.server.commands) == ([], [])

    at_desk(body)


def test_one_changed_key_among_new_ones_aborts_before_anybody_is_asked(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        second = LoopbackServer(desk.server.folder)
        async with listening(second):
            other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().split()
            desk.known_hosts.parent.mkdir()
            desk.known_hosts.write_text(f"[127.0.0.1]:{second.port} {other[0]} {other[1]}\n")
            with pytest.raises(HostError) as caught:
                await desk.connect(desk.spec(), desk.spec(port=second.port))
            assert caught.value.code == "host-key-changed"
            assert desk.known_hosts.read_text().count("\n") == 1, "nothing was believed beside a key that is wrong"

    at_desk(body)


# --- logins ---


def test_a_refused_login_is_part_of_the_fleet_and_others_go_on(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        second = LoopbackServer(desk.server.folder)
        async with listening(second):
            desk.server.believes_key = False
            fleet = await desk.connect(desk.spec(), desk.spec(port=second.port))
            assert fleet.errors[HOST].code == "ssh-login-refused"
            assert "ops@127.0.0.1" in fleet.errors[HOST].what
            assert list(fleet.shells) == ["10.255.0.2"]
            assert [event.where for event in desk.heard if isinstance(event, Warned)] == [HOST]
            with pytest.raises(HostError, match="refuses our SSH login"):
                await fleet.at(HOST).free_port(HOST)
            await fleet.close()

    at_desk(body)


def test_nothing_listens_there(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        fleet = await desk.connect(desk.spec(port=1))
        assert fleet.errors[HOST].code == "host-unreachable"
        assert "nothing listens on 127.0.0.1 port 1" in fleet.errors[HOST].seen

    at_desk(body)


def test_a_login_by_password_from_the_environment(at_desk: AtDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(desk: Desk) -> None:
        desk.server.believes_key = False
        spec = desk.spec(key="", password_variable="SSH_LOGIN")
        with pytest.raises(InputError) as caught:
            await desk.connect(spec)
        assert caught.value.code == "ssh-password-missing"
        assert "SSH_LOGIN" in caught.value.hint
        monkeypatch.setenv("SSH_LOGIN", "wrong")
        assert (await desk.connect(spec)).errors[HOST].code == "ssh-login-refused"
        monkeypatch.setenv("SSH_LOGIN", SUDO_PASSWORD)
        fleet = await desk.connect(spec)
        assert list(fleet.shells) == [HOST]
        await fleet.close()

    at_desk(body)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")
def test_a_key_that_is_not_there_or_locked_is_named(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        gone = (await desk.connect(desk.spec(key="/nowhere/key"))).errors[HOST]
        assert (gone.code, "/nowhere/key" in gone.what) == ("ssh-key-unusable", True)
        locked = desk.home / "locked"
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", str(locked)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        shut = (await desk.connect(desk.spec(key=str(locked)))).errors[HOST]
        assert (shut.code, f"ssh-add {locked}" in shut.hint) == ("ssh-key-unusable", True)

    at_desk(body)


# --- scripts ---


def test_arguments_input_and_status_come_whole(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        fleet = await desk.connect()
        shell = fleet.shells[HOST]
        words = ("a b", "c'd", "$HOME `x`", "", "ü\n*")
        done = await shell.run('printf "%s|" "$@"; cat; echo no >&2; exit 7', *words, stdin=b"given\0\xff")
        assert (done.status, done.complaint) == (7, "no\n")
        assert done.output == "".join(f"{word}|" for word in words) + "given\0\N{REPLACEMENT CHARACTER}"
        await fleet.close()

    at_desk(body)


def test_a_script_without_input_finds_its_end(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        fleet = await desk.connect()
        assert (await fleet.shells[HOST].run("cat; echo end", timeout_s=3)).output == "end\n"
        await fleet.close()

    at_desk(body)


def test_what_a_login_prints_is_not_taken_for_an_answer(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        desk.server.chatter = "echo Welcome; echo; echo 0; echo noise >&2; printf 'no end of line: '"
        fleet = await desk.connect()
        done = await fleet.shells[HOST].run("echo hello")
        assert (done.status, done.output) == (0, "hello\n")
        await fleet.close()

    at_desk(body)


def test_a_login_without_a_shell_is_said(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        desk.server.chatter = "echo 'This account is currently not available.'; exit 1"
        fleet = await desk.connect()
        assert fleet.errors[HOST].code == "host-shell-missing"
        assert "not available" in fleet.errors[HOST].seen

    at_desk(body)


def test_no_more_channels_than_a_host_allows(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        fleet = await desk.connect()
        await asyncio.gather(*(fleet.shells[HOST].run("sleep 0.02") for _ in range(3 * CHANNELS)))
        assert 1 < desk.server.most_running <= CHANNELS
        await fleet.close()

    at_desk(body)


def test_a_script_that_takes_too_long(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        fleet = await desk.connect()
        shell = fleet.shells[HOST]
        with pytest.raises(HostError) as caught:
            await shell.run("sleep 20", timeout_s=0.2)
        assert caught.value.code == "host-timeout"
        assert (await shell.run("echo on")).output == "on\n", "the connection goes on"
        await fleet.close()

    at_desk(body)


def test_a_connection_that_breaks_in_a_script_and_before_one(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        fleet = await desk.connect()
        running = asyncio.ensure_future(fleet.shells[HOST].run("echo begun; sleep 20"))
        while desk.server.running == 0:
            await asyncio.sleep(0.01)
        desk.server.connections[-1].abort()
        with pytest.raises(HostError) as caught:
            await running
        assert caught.value.code == "host-lost"
        with pytest.raises(HostError) as caught:
            await fleet.shells[HOST].run("true")
        assert caught.value.code == "host-lost"
        await fleet.close()

    at_desk(body)


# --- sudo ---


def test_sudo_with_a_password_gets_it_on_its_input_alone(at_desk: AtDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(desk: Desk) -> None:
        desk.server.is_not_root(ASKS)
        monkeypatch.setenv("SSH_LOGIN", SUDO_PASSWORD)
        fleet = await desk.connect(desk.spec(password_variable="SSH_LOGIN"))
        shell = fleet.shells[HOST]
        assert (shell.login.uid, shell.login.sudo, shell.is_root) == (1000, "asks", True)
        assert (await shell.run("id -un; cat", stdin=b"input")).output == "root\ninput"
        assert (await shell.run("id -un; cat", stdin=b"input", as_root=False)).output == "ops\ninput"
        assert not any(SUDO_PASSWORD in command for command in desk.server.commands)
        await fleet.close()

    at_desk(body)


def test_a_sudo_that_refuses_is_said_at_once(at_desk: AtDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(desk: Desk) -> None:
        desk.server.is_not_root(ASKS.replace(SUDO_PASSWORD, "another"))
        monkeypatch.setenv("SSH_LOGIN", SUDO_PASSWORD)
        error = (await desk.connect(desk.spec(password_variable="SSH_LOGIN"))).errors[HOST]
        assert (error.code, error.seen) == ("sudo-refused", "sudo: 1 incorrect password attempt")
        assert SUDO_PASSWORD not in f"{error.what}{error.seen}{error.hint}"

    at_desk(body)


def test_a_sudo_that_asks_nothing_and_one_that_we_may_not_use(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        desk.server.is_not_root(FREE)
        fleet = await desk.connect(desk.spec(), desk.spec(sudo=SudoMode.NEVER))
        free, never = fleet.shells.values()
        assert (await free.run("id -un")).output == "root\n"
        assert (await free.run("id -un", as_root=False)).output == "ops\n"
        assert (never.is_root, (await never.run("id -un")).output) == (False, "ops\n")
        await fleet.close()

    at_desk(body)


def test_sudo_without_a_password_to_give_is_of_no_use(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        desk.server.is_not_root(ASKS)
        fleet = await desk.connect()
        assert not fleet.shells[HOST].is_root
        assert (await fleet.shells[HOST].run("id -un")).output == "ops\n"
        await fleet.close()

    at_desk(body)


# --- ways to the servers ---


def test_servers_are_reached_through_their_host_or_straight_where_that_is_forbidden(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(
                b"from " + str(writer.get_extra_info("peername")[1]).encode() + b": " + await reader.readline()
            )
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(greet, "127.0.0.1", 0) as listener:
            goal = Address("127.0.0.1", listener.sockets[0].getsockname()[1])
            fleet = await desk.connect()
            await fleet.reach(HOST, goal, goal.port, 2)
            desk.server.forwards = False
            with pytest.raises(HostError) as caught:
                await fleet.reach(HOST, goal, goal.port, 2)
            assert caught.value.code == "ssh-forwarding-forbidden"
            await fleet.close()

    at_desk(body)


def test_a_port_that_nothing_listens_on_is_refused_as_by_a_plain_connection(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        fleet = await desk.connect()
        with pytest.raises(ConnectionRefusedError):
            await fleet.reach(HOST, Address("127.0.0.1", 1), 1, 2)
        await fleet.close()
        with pytest.raises((OSError, HostError)):
            await fleet.reach(HOST, Address("127.0.0.1", 1), 1, 2)

    at_desk(body)


# --- ~/.ssh/config and jumps ---


async def with_config(desk: Desk, gate: LoopbackServer, gate_key: asyncssh.SSHKey | None) -> SshFleet:
    """A host that ``~/.ssh/config`` alone knows how to reach: its name, port, user, key and jump host."""
    (desk.home / ".ssh").mkdir()
    (desk.home / ".ssh" / "config").write_text(
        f"Host gate\n  HostName 127.0.0.1\n  Port {gate.port}\n"
        f"Host inner\n  HostName 127.0.0.1\n  Port {desk.server.port}\n  ProxyJump gate\n"
        f"Host *\n  User ops\n  IdentityFile {desk.home}/key\n"
    )
    if gate_key is not None:
        words = gate_key.export_public_key("openssh").decode().split()
        desk.known_hosts.write_text(f"[127.0.0.1]:{gate.port} {words[0]} {words[1]}\n")
    return await desk.connect(SshSpec(address="inner"))


def test_the_users_own_configuration_names_hosts_keys_and_jumps(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        gate = LoopbackServer(desk.server.folder)
        async with listening(gate) as key:
            fleet = await with_config(desk, gate, key)
            assert fleet.errors == {}
            assert (await fleet.shells[HOST].run("echo there")).output == "there\n"
            assert len(gate.connections) >= 1
            assert len(desk.asked) == 1
            await fleet.close()

    at_desk(body)


def test_a_new_key_of_a_jump_host_of_the_users_configuration_is_asked_about(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        gate = LoopbackServer(desk.server.folder)
        async with listening(gate) as key:
            fleet = await with_config(desk, gate, None)
            assert fleet.errors == {}
            assert any(key.get_fingerprint() in question for question in desk.asked)
            await fleet.close()

    at_desk(body)


def test_a_jump_of_the_file_has_its_key_verified_too(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        gate = LoopbackServer(desk.server.folder)
        async with listening(gate):
            fleet = await desk.connect(desk.spec(jump=f"ops@127.0.0.1:{gate.port}"))
            assert (await fleet.shells[HOST].run("echo there")).output == "there\n"
            assert len(desk.asked) == 2
            assert f":{gate.port}" in desk.asked[0]
            assert f":{desk.server.port}" in desk.asked[1]
            await fleet.close()
        async with listening(gate):
            with pytest.raises(HostError) as caught:
                await desk.connect(desk.spec(jump=f"ops@127.0.0.1:{gate.port}"))
            assert caught.value.code == "host-key-changed"

    at_desk(body)


def test_verification_can_not_be_switched_off(at_desk: AtDesk) -> None:
    async def body(desk: Desk) -> None:
        (desk.home / ".ssh").mkdir()
        (desk.home / ".ssh" / "config").write_text(
            "Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  GlobalKnownHostsFile /dev/null\n"
        )
        desk.agrees = False
        with pytest.raises(RefusedError) as caught:
            await desk.connect()
        assert caught.value.code == "host-key-unknown"

    at_desk(body)


def test_no_password_is_in_any_text(at_desk: AtDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(desk: Desk) -> None:
        desk.server.believes_key = False
        monkeypatch.setenv("SSH_LOGIN", "wrong " + SUDO_PASSWORD)
        fleet = await desk.connect(desk.spec(password_variable="SSH_LOGIN"))
        error = fleet.errors[HOST]
        chain: BaseException | None = error
        while chain is not None:
            assert SUDO_PASSWORD not in f"{chain!r} {chain} {vars(chain) if hasattr(chain, '__dict__') else ''}"
            chain = chain.__cause__ or chain.__context__
        assert not any(SUDO_PASSWORD in repr(event) for event in desk.heard)
        assert SUDO_PASSWORD not in repr(Secret(SUDO_PASSWORD))

    at_desk(body)
