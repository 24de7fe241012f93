"""``ssh``: how hosts are reached. No message quotes what may be a password written in the wrong place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slotwright.adapters.topology.addresses import AddressError, canonical_host
from slotwright.adapters.topology.lines import KeyPath
from slotwright.adapters.topology.password import is_variable
from slotwright.adapters.topology.paths import absolute_path
from slotwright.adapters.topology.schema import Report, SshPart, SshPasswordPart, nearest, read_part, shown
from slotwright.cluster.topology import HostSpec, SshSpec, SudoMode

_EXAMPLE = "ssh: {user: root, key: ~/.ssh/id_ed25519}, or ssh: true for what ~/.ssh/config says"
_WAYS = "password: {env: NAME}, password: ask, or a key"
_SHORT = re.compile(r"(?:(?P<user>[\w.-]+)@)?(?P<host>[\w.-]*)(?::(?P<port>\d+))?")
_JUMP = re.compile(r"(?:[^\s@:,/]+@)?(?:(?P<name>[^\s@:,/\[\]]+)|\[(?P<v6>[^\s\]]+)\])(?::(?P<port>\d+))?")


@dataclass(frozen=True, slots=True)
class SshReader:
    """Reads ``ssh`` of the file and of its hosts; ``base`` is the folder of relative paths."""

    base: Path
    report: Report

    def read(self, raw: object, path: KeyPath, default: SshSpec) -> SshSpec:
        """What stands at ``path``, and ``default`` for every key that does not; problems go to the report."""
        match raw:
            case True:
                return default
            case Mapping():
                return self._over(default, read_part(SshPart, raw, path, self.report), path)
            case False:
                what, hint = (
                    "ssh can't be false",
                    "hosts without ssh are this machine; ssh is for all hosts or for none",
                )
            case str():
                what, hint = "ssh must be true or a mapping, not a text", _short_hint(raw)
            case _:
                what, hint = f"ssh must be true or a mapping, not {shown(raw)}", _EXAMPLE
        self.report.problem(what, *path, hint=hint)
        return default

    def _over(self, default: SshSpec, part: SshPart, path: KeyPath) -> SshSpec:
        login = self._password(part.password, (*path, "password"))
        variable, asks = login or (default.password_variable, default.ask_password)
        return SshSpec(
            user=self._user(part.user, (*path, "user")) or default.user,
            port=self._port(part.port, (*path, "port")) or default.port,
            key=self._key(part.key, (*path, "key")) or default.key,
            jump=self._jump(part.jump, (*path, "jump")) or default.jump,
            address=self._address(part.address, (*path, "address")) or default.address,
            password_variable=variable,
            ask_password=asks,
            sudo=self._sudo(part.sudo, (*path, "sudo")) or default.sudo,
        )

    def _user(self, text: str | None, path: KeyPath) -> str:
        if text is None or not re.search(r"[\s\0-\x1f\x7f]", text):
            return text or ""
        self.report.problem("user holds a space or a control character", *path, hint="it is a login name, as root")
        return ""

    def _port(self, port: int | None, path: KeyPath) -> int:
        if port is None or 1 <= port <= 65535:
            return int(port or 0)
        self.report.problem(f"{port} is not a port", *path, hint="ports go from 1 to 65535; SSH's own is 22")
        return 0

    def _key(self, text: str | None, path: KeyPath) -> str:
        if text is None:
            return ""
        if text.endswith(".pub"):
            hint = f"name the private one: {text.removesuffix('.pub')}"
            self.report.problem("key names a public key", *path, hint=hint)
            return ""
        return absolute_path(text, self.base, path, self.report)

    def _jump(self, text: str | None, path: KeyPath) -> str:
        if text is None or _is_jump(text):
            return text or ""
        hint = "for example admin@gate.example.org:2222"
        more = "several hops are for ~/.ssh/config (ProxyJump)"
        self.report.problem("jump must be [user@]host[:port]", *path, hint=more if "," in text else hint)
        return ""

    def _address(self, text: str | None, path: KeyPath) -> str:
        """An IP address in its usual spelling; a name as it is written, since ~/.ssh/config may know it so."""
        if text is None:
            return ""
        try:
            canonical = canonical_host(text)
        except AddressError as error:
            has_port = error.hint.startswith("ports go")
            self.report.problem(error.what, *path, hint="write port: beside it" if has_port else error.hint)
            return ""
        is_name = ":" not in canonical and canonical == text.lower()
        return text if is_name else canonical

    def _password(self, raw: object, path: KeyPath) -> tuple[str, bool] | None:
        """The variable's name or that it is asked for; None when there is no such key, or no good one."""
        match raw:
            case None:
                return None
            case "ask":
                return "", True
            case Mapping():
                return self._variable(raw, path)
            case str() | int() | float() if not isinstance(raw, bool):
                what = "an SSH password can't be written in the file, which is read, copied and kept by many"
            case _:
                what = "password can't be used as it is"
        self.report.problem(what, *path, hint=f"write {_WAYS}")
        return None

    def _variable(self, raw: Mapping[str, object], path: KeyPath) -> tuple[str, bool] | None:
        part = read_part(SshPasswordPart, raw, path, self.report)
        if part.env is None:
            if self.report.is_clean(*path):
                self.report.problem("password needs env", *path, hint=f"write {_WAYS}")
            return None
        if not is_variable(part.env):
            hint = "it is the name of an environment variable, such as SSH_PASSWORD, and not the password"
            self.report.problem("env must be letters, digits and '_'", *path, "env", hint=hint)
        return part.env, False

    def _sudo(self, raw: object, path: KeyPath) -> SudoMode | None:
        match raw:
            case None:
                return None
            case True | "auto":
                return SudoMode.AUTO
            case False | "never":
                return SudoMode.NEVER
        hint = nearest(raw, ("auto", "never")) if isinstance(raw, str) else ""
        self.report.problem("sudo must be auto or never", *path, hint=hint or "its password is that of the login")
        return None


def check_reached(hosts: Sequence[HostSpec], report: Report) -> None:
    """Every host is reached by SSH or none is; no two are reached at the same place."""
    without = [at for at, host in enumerate(hosts) if host.ssh is None and report.is_clean("hosts", at, "ssh")]
    if without and any(host.ssh is not None for host in hosts):
        names = _listed([hosts[at].address for at in without])
        what = f"{names} {'has' if len(without) == 1 else 'have'} no ssh, while other hosts have"
        hint = "write ssh once for all hosts, beside `hosts`; this machine can be reached by ssh, too"
        report.problem(what, "hosts", without[0], hint=hint)
    _warn_same_place(hosts, report)


def _warn_same_place(hosts: Sequence[HostSpec], report: Report) -> None:
    values: dict[tuple[str, int, str], str] = {}
    for at, host in enumerate(hosts):
        if host.ssh is None or not host.ssh.address:
            continue
        before = values.setdefault((host.ssh.address, host.ssh.port, host.ssh.jump), host.address)
        if before != host.address:
            what = f"{before} and {host.address} are reached at the same place: {host.ssh.address}"
            report.warning(what, "hosts", at, hint="if they are two hosts, give each its own ssh address or port")


def _listed(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more hosts"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _is_jump(text: str) -> bool:
    match = _JUMP.fullmatch(text)
    if match is None or not 1 <= int(match["port"] or 22) <= 65535:
        return False
    try:
        canonical_host(match["name"] or match["v6"])
    except AddressError:
        return False
    return not match["v6"] or ":" in match["v6"]


def _short_hint(text: str) -> str:
    """The mapping that ``user@host:port`` means; the usual example for anything else."""
    match = _SHORT.fullmatch(text) if "@" in text else None
    if match is None:
        return _EXAMPLE
    pairs = (("user", match["user"]), ("address", match["host"]), ("port", match["port"]))
    return "ssh: {" + ", ".join(f"{key}: {value}" for key, value in pairs if value) + "}"
