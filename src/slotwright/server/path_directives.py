"""Server directives that name a path or a program, and what a server does with it.

One table for both who must know: a topology file may not name a path that several nodes would share and take from each
other, and a rehearsal (``ops/rehearse.py``) must not touch anything outside of its own folder.

Gathered from ``config.c`` and the commented ``redis.conf`` and ``valkey.conf`` of Redis 6.2 to 8.2 and Valkey 7.2 to
9.1; a test holds it against ``CONFIG GET *`` of the servers that are there. A server takes some of them from its
configuration file alone (``include``, ``loadmodule``), and shows others only in builds for its own tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from slotwright.cluster.node_files import (
    ASIDE,
    MAP_ASIDE,
    MARKER,
    NODES_CONF,
    PID_FILE,
    PROCESS,
    SERVER_CONF,
    SERVER_LOG,
)

Directive = tuple[str, str]


class Touch(StrEnum):
    """What a server does with what the directive names.

    PLACE: it writes there, or removes what is there. NAME: it writes a file or folder of that name in its own folder.
    READ: it only reads it. CODE: it runs it. LOG: it writes into the log of the system. OPTION: it belongs to another
    directive of the table, and does nothing without that.
    """

    PLACE = "place"
    NAME = "name"
    READ = "read"
    CODE = "code"
    LOG = "log"
    OPTION = "option"


TOUCHES: Mapping[str, Touch] = {
    "dir": Touch.PLACE,
    "logfile": Touch.PLACE,
    "req-res-logfile": Touch.PLACE,
    "pidfile": Touch.PLACE,
    # Unlinked before it is bound, whatever it is (unix.c and anet.c; networking.c before 7.2).
    "unixsocket": Touch.PLACE,
    "unixsocketperm": Touch.OPTION,
    "unixsocketgroup": Touch.OPTION,
    # ACL SAVE replaces it.
    "aclfile": Touch.PLACE,
    # Locked and rewritten; a path is taken as well as a name.
    "cluster-config-file": Touch.PLACE,
    "dbfilename": Touch.NAME,
    "appendfilename": Touch.NAME,
    "appenddirname": Touch.NAME,
    # What it reads are directives, of any kind.
    "include": Touch.PLACE,
    "tls-cert-file": Touch.READ,
    "tls-key-file": Touch.READ,
    "tls-client-cert-file": Touch.READ,
    "tls-client-key-file": Touch.READ,
    "tls-dh-params-file": Touch.READ,
    "tls-ca-cert-file": Touch.READ,
    "tls-ca-cert-dir": Touch.READ,
    "loadmodule": Touch.CODE,
    # Of Redis 8's own search module: a library that it loads, and a dictionary that it reads.
    "search-ext-load": Touch.CODE,
    "search-friso-ini": Touch.READ,
    "syslog-enabled": Touch.LOG,
    "syslog-ident": Touch.OPTION,
    "syslog-facility": Touch.OPTION,
}

NOT_REHEARSED = frozenset(name for name, touch in TOUCHES.items() if touch in (Touch.PLACE, Touch.LOG, Touch.OPTION))
"""Directives that no rehearsal is given."""

_OF_MODULES = re.compile(r".+\..+|(?:search|ts|bf|cf)-.+")
"""Directives of modules: ``module.name``, but for those of Redis 8's own (module.c, moduleRegisterConfig)."""

OWN_NAMES = (SERVER_CONF, SERVER_LOG, PID_FILE, PROCESS, MARKER, NODES_CONF, MAP_ASIDE, ASIDE)
"""How the names of files begin that slotwright and the server have in a node's folder beside the data."""


@dataclass(frozen=True, slots=True)
class RehearsedSettings:
    """``kept`` is what a rehearsal runs with. ``modules`` are the paths of modules that it does not load, because they
    are told of other paths; the directives of modules are left out with them."""

    kept: tuple[Directive, ...]
    modules: tuple[str, ...] = ()


def for_rehearsal(settings: Sequence[Directive]) -> RehearsedSettings:
    """The settings without those that would touch anything outside of the rehearsal's own folder.

    A module is loaded as the engine itself is run: both are programs that the file names, and a start refuses what
    others may write to. What it does with a path that it is told can't be known, nodes that run may be using it, and so
    it is not loaded then.
    """
    kept = [pair for pair in settings if _stays_inside(*pair)]
    modules = [pair for pair in kept if pair[0] == "loadmodule" or _OF_MODULES.fullmatch(pair[0])]
    if not any(_tells_a_path(*pair) for pair in modules):
        return RehearsedSettings(tuple(kept))
    paths = tuple(path for name, value in modules if name == "loadmodule" and (path := program_of(name, value)))
    return RehearsedSettings(tuple(pair for pair in kept if pair not in modules), paths)


def program_of(name: str, value: str) -> str:
    """The file of code that a directive makes a server load, "" for another directive, and for a value that the server
    itself can't read."""
    fields = split_words(value)
    return fields[0] if TOUCHES.get(name.lower()) is Touch.CODE and fields else ""


def programs_of(conf: str) -> tuple[str, ...]:
    """All files of code that a server with this configuration loads."""
    lines = (split_words(line) or () for line in conf.splitlines())
    return tuple(line[1] for line in lines if len(line) > 1 and TOUCHES.get(line[0].lower()) is Touch.CODE)


def why_no_name(value: str) -> str:
    """Why ``value`` can't be the name of a file of data in a node's folder, "" when it can.

    The server refuses a name with a slash and takes any other, also ``..`` and the name of its own configuration.
    """
    fields = split_words(value)
    if fields is None or len(fields) != 1 or re.search(r"[\"'\\]", value.strip("\"'")):
        return "it is not one plain name"
    name = fields[0]
    if name in (".", "..") or "/" in name:
        return "it is not the name of a file"
    if name.startswith(OWN_NAMES):
        return "slotwright or the server keeps something else under such a name"
    return "such names are those of drafts" if name.startswith(".") and name.endswith(".tmp") else ""


def split_words(text: str) -> tuple[str, ...] | None:
    r"""Words as the server splits a line of its configuration (sds.c, sdssplitargs); None where it refuses the line.

    Quotes may begin inside a word and end only before a blank; ``\xHH`` and the escapes of C count in double quotes.
    """
    fields, rest = [], text.lstrip(_BLANKS)
    while rest:
        match = _WORD.match(rest)
        if match is None:
            return None
        fields.append(_plain(match[0]))
        rest = rest[match.end() :].lstrip(_BLANKS)
    return tuple(fields)


_BLANKS = " \t\n\r\v\f"
_DOUBLE = r'"(?:\\.|[^"\\])*"(?=\s|$)'
_SINGLE = r"'(?:\\'|[^'])*'(?=\s|$)"
_WORD = re.compile(rf"(?:[^\s\"'])*(?:{_DOUBLE}|{_SINGLE})?(?=\s|$)", re.DOTALL | re.ASCII)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}


def _plain(word: str) -> str:
    """One word without its quotes."""
    quote = next((sign for sign in word if sign in "\"'"), "")
    before, _, inside = word.partition(quote) if quote else (word, "", "")
    if quote == '"':
        return before + re.sub(r"\\(?:x([0-9a-fA-F]{2})|(.))", _unescaped, inside[:-1], flags=re.DOTALL)
    return before + inside[:-1].replace("\\'", "'") if quote else word


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _ESCAPES.get(match[2], match[2])


def _stays_inside(name: str, value: str) -> bool:
    is_name = TOUCHES.get(name) is Touch.NAME
    return name not in NOT_REHEARSED and not (is_name and value and why_no_name(value))


def _tells_a_path(name: str, value: str) -> bool:
    """Whether a module is told of a path: among its arguments, or by one of its directives."""
    fields = split_words(value)
    if fields is None:
        return True
    return any("/" in word or word in (".", "..") for word in (fields[1:] if name == "loadmodule" else fields))
