"""Reads the shell scripts of these folders: ``.sh`` files, so that shellcheck and editors know them.

A line ``. ./trust/trust.sh`` stands for that file, from the folder of this module, once in a script: on a host there is
but one text. What Python decides (names of files, limits, exit statuses) is in upper-case variables, which are
assigned in front. Nothing is ever put into the text of a script: what it works on comes as arguments, or is assigned.
"""

from __future__ import annotations

import re
import shlex
from functools import cache

from slotwright import __version__
from slotwright.cluster.formats import KNOWN, FileKind
from slotwright.cluster.node_files import (
    ASIDE,
    LOG_LIMIT_BYTES,
    LOGS_KEPT,
    MAP_ASIDE,
    MARKER,
    NODES_CONF,
    PID_FILE,
    PROCESS,
    SERVER_CONF,
    SERVER_LOG,
)
from slotwright.hosts.facts.exam import LOG_BYTES, MAP_BYTES
from slotwright.package_data import read_text

REFUSED = 60
RUNS = 47
"""Exit statuses of scripts that did nothing: for what they could not believe, and because a server runs there."""

_VALUES: dict[str, str | int] = {
    "ASIDE": ASIDE,
    "LOGS_KEPT": LOGS_KEPT,
    "LOG_BYTES": LOG_BYTES,
    "LOG_LIMIT_BYTES": LOG_LIMIT_BYTES,
    "MAP_ASIDE": MAP_ASIDE,
    "MAP_BYTES": MAP_BYTES,
    "MARKER": MARKER,
    "MARKER_FORMAT": KNOWN[FileKind.MARKER].current,
    "NODES_CONF": NODES_CONF,
    "PID_FILE": PID_FILE,
    "PROCESS": PROCESS,
    "PROCESS_FORMAT": KNOWN[FileKind.PROCESS].current,
    "REFUSED": REFUSED,
    "RUNS": RUNS,
    "SERVER_CONF": SERVER_CONF,
    "SERVER_LOG": SERVER_LOG,
    "SLOTWRIGHT": __version__,
}
_INCLUDE = re.compile(r"(?m)^\. \./(\S+\.sh)\n")
_HEAD = re.compile(r"\A(?:#.*\n|\n)*")
_NAME = re.compile(r"\$\{?([A-Z_]+)")


def read_script(name: str) -> str:
    """The script of the file ``name`` (``nodes/find.sh``) with all that it needs. Raises FileNotFoundError."""
    text = _text(name, {name})
    used = set(_NAME.findall(text))
    return assigned(**{name: value for name, value in _VALUES.items() if name in used}) + text


def assigned(**values: str | int) -> str:
    """Assignments to stand before a script. None of the values may be a secret: others see a command's text."""
    return " ".join(f"{name}={shlex.quote(str(value))}" for name, value in values.items()) + "\n" if values else ""


def given(*fields: str) -> str:
    """What gives a script these arguments, where it is handed on as a text alone. No word may be a secret."""
    return f"set -- {shlex.join(fields)}\n"


def _text(name: str, read: set[str]) -> str:
    """Without the comment that a file begins with: it is for who reads the file."""

    def included(match: re.Match[str]) -> str:
        if match[1] in read:
            return ""
        read.add(match[1])
        return _text(match[1], read)

    return _INCLUDE.sub(included, _body(name))


@cache
def _body(name: str) -> str:
    return _HEAD.sub("", read_text("slotwright.hosts.scripts", name), count=1)
