"""Server configuration: directives -> text, and the server's complaint about a text -> which directive it was.

Two directives that belong together are always made together here: ``requirepass`` with ``masterauth`` (a replica that
can't log in to its primary reconnects for ever while ``redis-cli --cluster check`` calls the cluster sound).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, Mode
from slotwright.server.path_directives import split_words

Directive = tuple[str, str]

DEFAULTS: tuple[Directive, ...] = (("appendonly", "yes"),)
CLUSTER_DEFAULTS: tuple[Directive, ...] = (("cluster-node-timeout", "15000"),)
SECRET_DIRECTIVES = frozenset(
    {"requirepass", "masterauth", "primaryauth", "tls-key-file-pass", "tls-client-key-file-pass"}
)

SECRET_SHOWN = "***"

_SECRET_WORD = re.compile("pass|secret|token", re.IGNORECASE)
_ALIASES = {"primaryauth": "masterauth", "primaryuser": "masteruser"}
_HEADER = "# Written by slotwright from the topology file. What is changed here by hand is lost: change that file.\n"


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What one node's configuration is made from. ``directory`` is absolute; ``password`` None: no password."""

    address: Address
    directory: str
    mode: Mode
    password: Secret | None
    settings: tuple[Directive, ...] = ()


def is_secret(name: str) -> bool:
    """Whether the value of the directive ``name`` is never shown: modules have secrets of their own, known by their
    names alone. A harmless value may be hidden by it, so what is set and compared must not depend on this."""
    return name.lower() in SECRET_DIRECTIVES or _SECRET_WORD.search(name) is not None


def shown_value(name: str, value: str) -> str:
    """``value`` as it may be shown: a secret as ``***``, and of a module its path, as its arguments may be secret."""
    if is_secret(name):
        return SECRET_SHOWN
    if name.lower() != "loadmodule":
        return value
    words = split_words(value)
    if words is None:
        return SECRET_SHOWN
    return f"{words[0]} with arguments" if len(words) > 1 else value


def effective_settings(settings: Sequence[Directive], mode: Mode) -> tuple[Directive, ...]:
    """The file's settings over our defaults, under the names that every version knows."""
    own = [(_ALIASES.get(name, name), value) for name, value in settings]
    given = {name for name, _ in own}
    defaults = DEFAULTS + (CLUSTER_DEFAULTS if mode is Mode.CLUSTER else ())
    return tuple(pair for pair in defaults if pair[0] not in given) + tuple(own)


def render_server_conf(config: NodeConfig) -> str:
    """The whole file; it holds the password, so it must be written 0600."""
    settings = effective_settings(config.settings, config.mode)
    given = {name for name, _ in settings}
    lines = [f"{name} {_quoted(value)}" for name, value in _identity(config) if name not in given]
    lines += [f"{name} {value}" if value else f'{name} ""' for name, value in settings]
    return _HEADER + "\n".join(lines) + "\n"


_OF_DATA = frozenset({"dbfilename", "appendfilename", "appenddirname", "loadmodule", "aof-load-truncated"})


def render_reader_conf(config: NodeConfig, *, append_log: bool) -> str:
    """A stand-alone server that reads an old node's data, on loopback, and never writes any: ``config`` has the address
    and the folder to read, and the settings that the old node ran with."""
    databases = dict(config.settings).get("cluster-databases", "16")
    own = [pair for pair in config.settings if pair[0] in _OF_DATA]
    reading = (
        *(("appendonly", "yes" if append_log else "no"), ("auto-aof-rewrite-percentage", "0"), ("save", "")),
        *(("slowlog-log-slower-than", "-1"), ("databases", databases), *own),
    )
    return render_server_conf(NodeConfig(config.address, config.directory, Mode.SINGLE, config.password, reading))


NOTHING_TO_RUN = "# The data of a cluster that was rebuilt. It may be removed with the folder.\n"
"""The configuration of a kept folder that nobody reads any more: the password is in it no longer."""


def _identity(config: NodeConfig) -> Iterable[Directive]:
    host, directory = config.address.host, config.directory
    is_open = config.password is None and not config.address.is_loopback
    yield "bind", host
    # Without a password, protected mode would shut the peers out as well (networking.c, since 7.0 with bind, too).
    yield "protected-mode", "no" if is_open else "yes"
    yield "port", str(config.address.port)
    yield "daemonize", "no"
    yield "dir", directory
    yield "pidfile", f"{directory}/server.pid"
    yield "logfile", f"{directory}/server.log"
    if config.password is not None:
        yield "requirepass", config.password.reveal()
        yield "masterauth", config.password.reveal()
    # Outgoing connections may start from another address (all of 127/8 speaks from 127.0.0.1).
    yield "replica-announce-ip", host
    if config.mode is Mode.CLUSTER:
        yield "cluster-enabled", "yes"
        yield "cluster-config-file", "nodes.conf"
        yield "cluster-announce-ip", host


def _quoted(text: str) -> str:
    """As sds.c (sdssplitargs) reads it: bytes that are not plain stand in double quotes, escaped."""
    if re.fullmatch(r"[A-Za-z0-9_./:@%+,=-]+", text):
        return text
    escaped = "".join(_escaped(byte) for byte in text.encode(errors="surrogateescape"))
    return f'"{escaped}"'


def _escaped(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"


@dataclass(frozen=True, slots=True)
class ConfigComplaint:
    """The server refused a directive: its name, and the reason in the server's words. The value is left out."""

    directive: str
    reason: str


def find_complaint(log_text: str) -> ConfigComplaint | None:
    """What a server that died over its configuration said; None when it said nothing of the kind.

    Redis >= 8 keeps unknown directives for modules and stops later ("Unresolved Configuration(s) Detected").
    """
    fatal = re.search(r"FATAL CONFIG FILE ERROR.*?\n.*?\n>>> '([^\s']+).*?'\n([^\n]+)", log_text, re.DOTALL)
    if fatal:
        return ConfigComplaint(fatal[1].strip("\"'"), fatal[2].strip())
    unresolved = re.search(r"Unresolved Configuration\(s\) Detected:.*?>>> '([^\s']+)", log_text, re.DOTALL)
    if unresolved:
        return ConfigComplaint(unresolved[1].strip("\"'"), "unknown to this server")
    return None


def last_words(log_text: str, lines: int = 3) -> str:
    """The last lines of a server's log that carry its reason: warnings before anything else.

    Only its last start counts; of a panic or a failed assertion (debug.c: _serverPanic, _serverAssert) its own words,
    of another crash what came before the report of stack and registers.
    """
    last_start = log_text.rpartition("oO0OoO0OoO0Oo")[2]
    panic = re.search(r"Guru Meditation: (.+)|==> (.+ is not true)", last_start)
    if panic:
        return panic[1] or panic[2]
    before_report = re.split(r"=== \w+ BUG REPORT START", last_start, maxsplit=1)[0]
    kept = [_message(line) for line in before_report.splitlines() if line.strip()]
    if not kept:
        return ""
    serious = [text for is_warning, text in kept if is_warning and "WARNING Memory overcommit" not in text]
    chosen = serious or [text for _, text in kept]
    return " / ".join(chosen[-lines:])


def _message(line: str) -> tuple[bool, str]:
    match = re.match(r"\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ ([.*#-]) (.*)", line)
    return (match[1] == "#", match[2]) if match else (line.startswith("***"), line.strip())


FORMATION_OVERRIDES: tuple[tuple[str, str], ...] = (("repl-diskless-sync-delay", "0"),)
"""What a formation lowers: a first full sync needs no wait for further replicas (replication.c, syncCommand)."""
