"""Scripts on a remote host: one connection, a bounded number of channels, a time-out for each.

What a login's start-up files print is cut off: the script's own output begins after a line that only we know. Without
that line the script did not run at all, which is how a refused ``sudo`` is told from a failing script.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from slotwright.adapters.files import host_error
from slotwright.adapters.ssh.library import asyncssh
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import SudoMode
from slotwright.errors import HostError
from slotwright.hosts.scripts.files import read_script
from slotwright.ports import ShellResult

CHANNELS = 8
"""sshd allows ten sessions a connection (sshd_config(5), MaxSessions); two are left to others."""

_MOST_REFUSALS = 40

_WHO = read_script("ssh/who.sh")
_LOAD = read_script("ssh/load.sh")


_SUDO = {"free": ("sudo", "-n", "--"), "asks": ("sudo", "-S", "-k", "-p", "", "--")}


@dataclass(frozen=True, slots=True)
class ShellLogin:
    """Who we are on a host: ``sudo`` is "free", "asks" (for a password) or "none"."""

    uid: int
    user: str
    sudo: str
    has_systemd: bool = False


class SshShell:
    """Implements :class:`slotwright.ports.Shell`. Made by :func:`open_shell`."""

    def __init__(
        self, host: str, connection: asyncssh.SSHClientConnection, login: ShellLogin, password: Secret | None
    ) -> None:
        self._host = host
        self._connection = connection
        self._login = login
        self._password = password
        self._channels = asyncio.Semaphore(CHANNELS)
        self._running = 0
        self._freed = asyncio.Event()

    @property
    def host(self) -> str:
        """Its address in the file."""
        return self._host

    @property
    def connection(self) -> asyncssh.SSHClientConnection:
        """For what is no script: forwarded connections."""
        return self._connection

    @property
    def peer_address(self) -> str:
        """The address that answered and proved its host key, "" over a jump host."""
        name = self._connection.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) and name else ""

    @property
    def own_address(self) -> str:
        """This machine's address on the way there, "" over a jump host."""
        name = self._connection.get_extra_info("sockname")
        return str(name[0]) if isinstance(name, tuple) and name and ":" not in str(name[0]) else ""

    @property
    def login(self) -> ShellLogin:
        """Who we are there."""
        return self._login

    @property
    def is_root(self) -> bool:
        """Whether scripts can run as root."""
        return self._login.uid == 0 or self._login.sudo != "none"

    async def run(
        self, script: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0, as_root: bool = True
    ) -> ShellResult:
        """One channel; see the port."""
        mark = secrets.token_hex(8)
        command, given = self._command(f"echo {mark}\n{script}", arguments, stdin, mark, as_root=as_root)
        async with self._channels:
            status, output, complaint = await self._execute(command, given, timeout_s)
        before, text, after = output.partition(f"{mark}\n")
        if not text:
            raise self._not_run(before, complaint, status)
        return ShellResult(status, after, complaint)

    async def stream(self, script: str, *arguments: str, to: str, timeout_s: float) -> ShellResult:
        """The mark stands in what the script complains of: its output is not ours to read."""
        mark = secrets.token_hex(8)
        command, given = self._command(f"echo {mark} >&2\n{script}", arguments, b"", mark, as_root=True)
        try:
            handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                # The library closes the file that it is given, so it gets one of its own.
                with os.fdopen(os.dup(handle), "wb") as file:
                    async with self._channels:
                        status, _, complaint = await self._execute(command, given, timeout_s, file)
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise host_error("write", Path(to), error) from error
        before, text, after = complaint.partition(f"{mark}\n")
        if not text:
            raise self._not_run("", before, status)
        return ShellResult(status, "", after)

    def _command(
        self, script: str, arguments: Sequence[str], stdin: bytes, mark: str, *, as_root: bool
    ) -> tuple[str, bytes]:
        """The command line and its input."""
        # Started in /: a login's own folder may be closed to the user that a script works for.
        text = f"cd /\n{script}"
        if not as_root or self._login.uid == 0 or self._login.sudo == "none":
            return shlex.join(["sh", "-c", text, "sh", *arguments]), stdin
        argv = [*_SUDO[self._login.sudo], "sh", "-c", _LOAD, mark]
        given = f"set -- {shlex.join(arguments)}\n{text}\n{mark}\n".encode() + stdin
        if self._login.sudo == "asks":
            given = (self._password.reveal() if self._password else "").encode() + b"\n" + given
        return shlex.join(argv), given

    async def _execute(
        self, command: str, stdin: bytes, timeout_s: float, to: IO[bytes] | None = None
    ) -> tuple[int, str, str]:
        try:
            async with asyncio.timeout(timeout_s):
                process = await self._open(command, stdin, to)
                try:
                    output, complaint = await process.communicate(stdin or None)
                finally:
                    self._running -= 1
                    self._freed.set()
                    process.close()
        except TimeoutError as error:
            raise HostError(
                f"{self._host} did not finish within {timeout_s:g} s", code="host-timeout", where=self._host
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise HostError(
                f"the SSH connection to {self._host} was lost",
                code="host-lost",
                where=self._host,
                seen=str(error),
            ) from error
        if process.exit_status is None and process.exit_signal is None:
            raise HostError(
                f"the SSH connection to {self._host} ended in the middle of a script",
                code="host-lost",
                where=self._host,
            )
        status = process.exit_status if process.exit_status is not None and process.exit_status >= 0 else 128
        return status, _text(output), _text(complaint)

    async def _open(self, command: str, stdin: bytes, to: IO[bytes] | None) -> asyncssh.SSHClientProcess[bytes]:
        """A session. One that sshd refuses (MaxSessions) waits until one of ours has ended."""
        refusals = 0
        while True:
            self._freed.clear()
            try:
                process = await self._connection.create_process(
                    command,
                    # An empty input would not be an end of input to asyncssh.
                    stdin=asyncssh.PIPE if stdin else asyncssh.DEVNULL,
                    stdout=asyncssh.PIPE if to is None else to,
                    encoding=None,
                )
            except asyncssh.ChannelOpenError as error:
                if self._connection.is_closed():
                    raise
                # sshd counts a session for a moment longer than we do.
                refusals += 1
                if not self._running and refusals > _MOST_REFUSALS:
                    raise HostError(
                        f"the SSH server of {self._host} opens no session",
                        code="ssh-sessions-refused",
                        where=self._host,
                        seen=error.reason,
                        hint="look at MaxSessions and ForceCommand in its sshd_config",
                    ) from error
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self._freed.wait()
            else:
                self._running += 1
                return process

    def _not_run(self, output: str, complaint: str, status: int) -> HostError:
        results = (complaint.strip() or output.strip()).splitlines()
        if self._login.uid != 0 and self._login.sudo != "none":
            return HostError(
                f"sudo refuses {self._login.user} on {self._host}",
                code="sudo-refused",
                where=self._host,
                seen=results[-1] if results else f"it ended with status {status}",
                hint="give sudo's password with `ssh: {password: ...}`, allow it without one, or write `sudo: never`",
            )
        return HostError(
            f"{self._host} runs no POSIX shell for this login",
            code="host-shell-missing",
            where=self._host,
            seen=results[-1] if results else f"it ended with status {status}",
        )


async def open_shell(
    host: str, connection: asyncssh.SSHClientConnection, sudo: SudoMode, password: Secret | None
) -> SshShell:
    """Find out who we are there. Raises HostError; sudo is tried now, so that it can't fail half-way."""
    probe = SshShell(host, connection, ShellLogin(0, "", "none"), None)
    lines = (await probe.run(_WHO, as_root=False, timeout_s=15)).output.split()
    if len(lines) != 4:
        text = " ".join(lines)[:200]
        raise HostError(f"{host} has no usable shell", code="host-shell-missing", where=host, seen=text)
    way = lines[2] if sudo is SudoMode.AUTO else "none"
    if way == "asks" and password is None:
        # Without a password to give, sudo is of no use to us; what needs root will say so.
        way = "none"
    login = ShellLogin(int(lines[0]), lines[1], way, lines[3] == "systemd")
    shell = SshShell(host, connection, login, password)
    if login.sudo == "asks":
        await shell.run("true", timeout_s=15)
    return shell


def _text(data: bytes | str | None) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else data or ""
