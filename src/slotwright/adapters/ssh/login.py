"""One SSH connection to one host: options from the file and ``~/.ssh/config``, failures in plain words."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from slotwright.adapters.ssh.host_keys import KeyWatch, NewKey, changed_key, known_as, known_hosts_files
from slotwright.adapters.ssh.library import asyncssh
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import HostSpec, SshSpec
from slotwright.errors import HostError, InputError

CONNECT_TIMEOUT_S = 6.0
LOGIN_TIMEOUT_S = 15.0
_KEEPALIVE_S = 3.0
_KEEPALIVES_MISSED = 3
_UNTAKEN_MS = 12_000
_MOST_JUMPS = 4


class NewKeyError(Exception):
    """The host, or the one that is jumped over, has a key that nobody has agreed to yet."""

    def __init__(self, key: NewKey) -> None:
        super().__init__(key.pattern)
        self.key = key


@dataclass(slots=True)
class Passwords:
    """Passwords for logins, each asked for once. ``ask`` gives None when there is nobody to ask."""

    ask: Callable[[str], Secret | None]
    _asked: dict[str, Secret] = field(default_factory=dict, repr=False)

    def of(self, spec: SshSpec, host: str) -> Secret | None:
        """The login's password, where the file says that there is one. Raises InputError."""
        if spec.password_variable:
            text = os.environ.get(spec.password_variable, "")
            if not text:
                raise InputError(
                    f"the variable {spec.password_variable} with the SSH password is not set",
                    code="ssh-password-missing",
                    where=host,
                    left="nothing was changed",
                    hint=f"export {spec.password_variable}=... and run the command again",
                )
            return Secret(text)
        if not spec.ask_password:
            return None
        if spec.user not in self._asked:
            answer = self.ask(f"SSH password{f' of {spec.user}' if spec.user else ''}")
            if answer is None:
                raise InputError(
                    "the SSH password has to be asked for, and there is no terminal",
                    code="ssh-password-missing",
                    where=host,
                    left="nothing was changed",
                    hint="write `ssh: {password: {env: NAME}}` in the file and set that variable",
                )
            self._asked[spec.user] = answer
        return self._asked[spec.user]


async def log_in(host: HostSpec, password: Secret | None) -> asyncssh.SSHClientConnection:
    """A connection to ``host``. Raises NewKeyError, HostError (host-unreachable, host-key-changed, ssh-...)."""
    spec = host.ssh or SshSpec()
    return await _reach(spec.address or host.address, spec, password, host.address)


async def _reach(
    where: str, spec: SshSpec, password: Secret | None, host: str, depth: int = 0
) -> asyncssh.SSHClientConnection:
    """Over the jump hosts of the file, else over those of ``~/.ssh/config``: each one's key is verified as well."""
    hops: list[asyncssh.SSHClientConnection] = []
    try:
        options = await _options(where, spec, password)
        named = spec.jump or (options.tunnel if isinstance(options.tunnel, str) and options.tunnel != "none" else "")
        for text in named.split(",") if named and depth < _MOST_JUMPS else ():
            user, at, port = _jump(text.strip())
            step = SshSpec(user=user, port=port, key=spec.key if spec.jump else "")
            # A host's password is for that host; a jump host that is another user's gets none of it.
            theirs = password if user and user == spec.user else None
            if hops:
                hops.append(await _connect(at, step, await _options(at, step, theirs), hops[-1], host))
            else:
                hops.append(await _reach(at, step, theirs, host, depth + 1))
        return await _connect(where, spec, options, hops[-1] if hops else None, host)
    except BaseException:
        for hop in reversed(hops):
            hop.abort()
        raise


async def _connect(
    where: str,
    spec: SshSpec,
    options: asyncssh.SSHClientConnectionOptions,
    tunnel: asyncssh.SSHClientConnection | None,
    host: str,
) -> asyncssh.SSHClientConnection:
    watch: KeyWatch | None = None
    files = known_hosts_files(options)

    def new_watch() -> KeyWatch:
        nonlocal watch
        watch = KeyWatch(files)
        return watch

    try:
        async with asyncio.timeout(LOGIN_TIMEOUT_S + CONNECT_TIMEOUT_S):
            connection = await asyncssh.connect(
                where,
                spec.port or (),
                options=options,
                known_hosts=files,
                client_factory=new_watch,
                tunnel=tunnel,
                encryption_algs=_ciphers(options),
            )
            if tunnel is None:
                _forget_soon(connection)
            return connection
    except (OSError, ValueError, asyncssh.Error, asyncssh.KeyImportError, TimeoutError) as error:
        if watch is not None and watch.new is not None:
            raise NewKeyError(watch.new) from error
        if watch is not None and watch.changed:
            raise changed_key(host, watch.pattern, watch.changed) from error
        raise login_error(host, where, spec, error) from error


def _forget_soon(connection: asyncssh.SSHClientConnection) -> None:
    """What a host that was cut off has not taken for so long is dropped by the system. Else it would be done there
    minutes later, when the network is back and others have gone on without it (TCP_USER_TIMEOUT, tcp(7))."""
    own = connection.get_extra_info("socket")
    if own is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNTAKEN_MS)


def _ciphers(options: asyncssh.SSHClientConnectionOptions) -> Sequence[str]:
    """AES-GCM first, unless ``~/.ssh/config`` says which: with AES in hardware it costs both ends half of what
    ChaCha20 does, which asyncssh prefers, and a migration goes through here by the gigabyte."""
    if options.config.get("Ciphers"):
        return ()
    names = [name.decode() for name in options.encryption_algs]
    return sorted(names, key=lambda name: "-gcm@" not in name)


async def _options(where: str, spec: SshSpec, password: Secret | None) -> asyncssh.SSHClientConnectionOptions:
    """With what ``~/.ssh/config`` says of this host; the file wins."""
    more: dict[str, object] = {}
    if spec.user:
        more["username"] = spec.user
    if spec.key:
        more["client_keys"] = [spec.key]
    if password is not None:
        more["password"] = password.reveal()
    try:
        options: asyncssh.SSHClientConnectionOptions = await asyncssh.SSHClientConnectionOptions.construct(
            config=(),
            host=where,
            port=spec.port or (),
            connect_timeout=CONNECT_TIMEOUT_S,
            login_timeout=LOGIN_TIMEOUT_S,
            keepalive_interval=_KEEPALIVE_S,
            keepalive_count_max=_KEEPALIVES_MISSED,
            compression_algs=None,
            **more,
        )
        return options
    except (OSError, ValueError, asyncssh.Error, asyncssh.KeyImportError) as error:
        raise login_error(where, where, spec, error) from error


def _jump(text: str) -> tuple[str, str, int]:
    user, _, rest = text.rpartition("@")
    bracketed = re.fullmatch(r"\[(.+)\](?::(\d+))?", rest)
    if bracketed:
        return user, bracketed[1], int(bracketed[2] or 0)
    at, colon, port = rest.rpartition(":")
    return (user, at, int(port)) if colon and port.isdigit() else (user, rest, 0)


def login_error(host: str, where: str, spec: SshSpec, error: Exception) -> HostError:
    """Why there is no connection, and what to do about it."""
    port = spec.port or 22
    text = str(error)
    if isinstance(error, asyncssh.PermissionDenied):
        who = f"{spec.user}@{where}" if spec.user else where
        return HostError(
            f"{who} refuses our SSH login",
            code="ssh-login-refused",
            where=host,
            seen=text,
            hint="check `ssh: {user, key, password}` in the file; `password: ask` asks for the login's password",
        )
    if isinstance(error, asyncssh.KeyImportError | asyncssh.KeyEncryptionError):
        return HostError(
            f"the SSH key {spec.key or 'of this user'} can't be used",
            code="ssh-key-unusable",
            where=host,
            seen=text,
            hint="a key with a passphrase must be in the agent: ssh-add " + (spec.key or ""),
        )
    if isinstance(error, FileNotFoundError) and spec.key:
        return HostError(f"there is no SSH key {spec.key}", code="ssh-key-unusable", where=host)
    if isinstance(error, asyncssh.KeyExchangeFailed) and "host key" in text:
        return HostError(
            f"the SSH server of {where} offers no host key of a kind that is known for it",
            code="host-key-changed",
            where=host,
            seen=text,
            left="nothing was sent to it",
            hint=f"if the host was installed anew: ssh-keygen -R '{known_as(where, port)}', then run this again",
        )
    what = f"{host} can't be reached by SSH"
    if isinstance(error, TimeoutError | asyncssh.TimeoutError):
        text = f"no answer from {where} port {port} within {CONNECT_TIMEOUT_S:g} s"
    elif isinstance(error, ConnectionRefusedError):
        text = f"nothing listens on {where} port {port}"
    elif isinstance(error, socket.gaierror):
        text = f"there is no such name: {where}"
    elif isinstance(error, OSError):
        text = error.strerror or text
    return HostError(what, code="host-unreachable", where=host, seen=text)


async def hang_up(connection: asyncssh.SSHClientConnection) -> None:
    """Close, and wait a moment for it; never raises."""
    connection.close()
    with contextlib.suppress(Exception):
        async with asyncio.timeout(1.0):
            await connection.wait_closed()
