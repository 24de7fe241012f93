"""``password``: where it comes from. Nothing here quotes what stands there: it may be the password itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from slotwright.adapters.topology.paths import absolute_path
from slotwright.adapters.topology.schema import PasswordPart, Report, read_part
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, HostSpec, PasswordRef, PasswordSource

Found = tuple[PasswordRef, Secret | None]

NO_PASSWORD: Found = (PasswordRef(PasswordSource.NONE), None)

_WAYS = "password: generate, password: {env: NAME}, password: {file: PATH} or password: none"
_LOOKS_LIKE_A_WORD = {
    "generate",
    "generated",
    "none",
    "env",
    "file",
    "inline",
    "null",
    "no",
    "off",
    "false",
    "true",
}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_password(raw: object, hosts: Sequence[HostSpec], base: Path, report: Report) -> Found:
    """The reference, and the text when the file itself holds it; problems go to ``report``.

    ``raw`` is None when there is no key. To run without a password is normal only where nobody else reaches
    ``hosts``.
    """
    exposed, at = next(((host, at) for at, host in enumerate(hosts) if _is_exposed(host)), (None, 0))
    match raw:
        case None:
            _check_missing(exposed, at, report)
        case "none":
            _warn_open(exposed, report)
        case "generate":
            return PasswordRef(PasswordSource.GENERATED), None
        case str():
            return _inline(raw, report)
        case Mapping():
            return _referenced(raw, base, report)
        case int() | float() if not isinstance(raw, bool):
            report.problem("password is a number; a password is a text", "password", hint="put it in quotes")
        case _:
            report.problem("password can't be used as it is", "password", hint=f"write {_WAYS}")
    return NO_PASSWORD


def is_variable(name: str) -> bool:
    """Whether an environment variable can be called so."""
    return _VARIABLE.fullmatch(name) is not None


def _is_exposed(host: HostSpec) -> bool:
    return bool(host.address) and not Address(host.address, 1).is_loopback


def _check_missing(host: HostSpec | None, at: int, report: Report) -> None:
    if host is not None and report.is_clean("password"):
        what = f"password is missing: others can reach {host.address} and could read and change the data"
        report.problem(what, "hosts", at, hint="password: generate, or password: none to run open")


def _warn_open(host: HostSpec | None, report: Report) -> None:
    if host is not None:
        what = f"there is no password: anyone who reaches {host.address} can read and change the data"
        report.warning(what, "password", hint="password: generate")


def _inline(text: str, report: Report, *path: str) -> Found:
    if not path and text.lower() in _LOOKS_LIKE_A_WORD:
        hint = f"write {_WAYS}; a password that is this very word goes into {{inline: ...}}"
        report.problem("password is a word that is easily mistaken for something else", "password", hint=hint)
        return NO_PASSWORD
    if not text or re.search(r"[\0-\x1f\x7f]", text):
        fault = "is empty" if not text else "holds a line break or another control character"
        report.problem(f"password {fault}", "password", *path, hint=f"write {_WAYS}")
        return NO_PASSWORD
    what = "the password is written in the file, where everyone who reads the file sees it"
    report.warning(what, "password", *path, hint="use generate, {env: NAME} or {file: PATH}")
    return PasswordRef(PasswordSource.INLINE), Secret(text)


def _referenced(raw: Mapping[str, object], base: Path, report: Report) -> Found:
    part = read_part(PasswordPart, raw, ("password",), report)
    given = [name for name, value in part if value is not None]
    if len(given) != 1:
        if report.is_clean("password"):
            what = "password needs exactly one of env, file and inline" + (
                ", not " + " and ".join(given) if given else ""
            )
            report.problem(what, "password", hint=f"write {_WAYS}")
        return NO_PASSWORD
    if part.inline is not None:
        return _inline(part.inline, report, "inline")
    if part.env is not None:
        return _variable(part.env, report)
    path = absolute_path(part.file or "", base, ("password", "file"), report)
    return PasswordRef(PasswordSource.FILE, path), None


def _variable(name: str, report: Report) -> Found:
    if not is_variable(name):
        hint = "it is the name of an environment variable, such as CACHE_PASSWORD, and not the password"
        report.problem("env must be letters, digits and '_'", "password", "env", hint=hint)
    return PasswordRef(PasswordSource.ENVIRONMENT, name), None
