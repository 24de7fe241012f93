"""Host keys: always verified; a changed one aborts, a new one is believed only after an explicit yes.

The keys are those of the user's own ``known_hosts``, where ``ssh`` keeps them too: what is trusted here is trusted
there, and the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slotwright.adapters.files import make_directory
from slotwright.adapters.homes import expand_home
from slotwright.adapters.ssh.library import asyncssh
from slotwright.errors import HostError, RefusedError

KnownHosts = list[str] | bytes
"""Paths of files; empty bytes where there is none (an empty list means something else to asyncssh)."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that no ``known_hosts`` file has; ``pattern`` is the host as such a file names it."""

    pattern: str
    fingerprint: str
    algorithm: str
    line: str


class KeyWatch(asyncssh.SSHClient):
    """Sees the key of one connection: it is never accepted here, only told apart as new or changed."""

    def __init__(self, known_hosts: KnownHosts) -> None:
        self._known_hosts = known_hosts
        self.new: NewKey | None = None
        self.changed = ""
        self.pattern = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Called for a key that is not among the known ones."""
        result = asyncssh.match_known_hosts(self._known_hosts, host, addr, None if port == 22 else port)
        fingerprint = key.get_fingerprint()
        self.pattern = pattern = known_as(host, port)
        if result[0]:
            self.changed = f"{key.get_algorithm()} {fingerprint}"
            return False
        exported = key.export_public_key("openssh").decode().split()
        self.new = NewKey(pattern, fingerprint, exported[0], f"{pattern} {exported[0]} {exported[1]}\n")
        return False


def known_hosts_files(options: asyncssh.SSHClientConnectionOptions) -> KnownHosts:
    """The files that are looked at: those of ``~/.ssh/config``, else SSH's own. Verification can't be switched off."""
    named = options.known_hosts if isinstance(options.known_hosts, list) else []
    wanted = [*(expand_home(str(name)) for name in named), _own_file(), Path("/etc/ssh/ssh_known_hosts")]
    return [str(path) for path in dict.fromkeys(wanted) if path.is_file()] or b""


def believe(keys: list[NewKey]) -> None:
    """Add new keys to the user's ``known_hosts``, as ``ssh`` does. Raises HostError."""
    path = _own_file()
    make_directory(path.parent)
    try:
        old = path.read_bytes() if path.exists() else b""
        with path.open("ab") as file:
            path.chmod(0o600)
            file.write(b"\n" if old and not old.endswith(b"\n") else b"")
            file.write("".join(key.line for key in keys).encode())
    except OSError as error:
        raise HostError(
            f"can't write {path}: {error.strerror}", code="known-hosts-unwritable", where=str(path)
        ) from error


def known_as(host: str, port: int) -> str:
    """A host as ``known_hosts`` names it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    return host if port == 22 else f"[{host}]:{port}"


def changed_key(host: str, pattern: str, seen: str) -> HostError:
    """Somebody else may be answering there: nothing is sent."""
    return HostError(
        f"the SSH host key of {pattern} is not the one that is known",
        code="host-key-changed",
        where=host,
        seen=seen,
        left="nothing was sent to it",
        hint=f"find out why; if the host was installed anew: ssh-keygen -R '{pattern}', then run this again",
    )


def unknown_keys(keys: list[NewKey]) -> RefusedError:
    """Nobody agreed to new keys."""
    named = "; ".join(f"{key.pattern} {key.algorithm} {key.fingerprint}" for key in keys)
    count = "the SSH host key is" if len(keys) == 1 else f"{len(keys)} SSH host keys are"
    return RefusedError(
        f"{count} not known yet",
        code="host-key-unknown",
        where=", ".join(key.pattern for key in keys),
        seen=named,
        left="nothing was changed",
        hint="compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host, then run this again with "
        "--accept-new-host-keys",
    )


def _own_file() -> Path:
    return expand_home("~/.ssh/known_hosts")
