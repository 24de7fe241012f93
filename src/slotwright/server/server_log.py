"""The end of a server's log -> what it says went wrong. Only the last start counts.

The sentences are those of Redis 6.2 to 8 and Valkey 8 to 9.1 (server.c, aof.c, rdb.c, cluster.c, replication.c).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from slotwright.server.server_conf import last_words

_START = "oO0OoO0OoO0Oo"
_STAMP = re.compile(r"^\d+:[A-Z] \d+ \w+ \d+ (\d+):(\d+):([\d.]+) ([.*#-]) (.*)$")


class StartFault(StrEnum):
    """Why a server did not come up."""

    MAP = "map"
    MAP_IN_USE = "map-in-use"
    APPEND_LOG = "append-log"
    SNAPSHOT = "snapshot"
    ADDRESS = "address"


_START_FAULTS: tuple[tuple[StartFault, re.Pattern[str]], ...] = (
    (StartFault.MAP, re.compile(r"Unrecoverable error: corrupted cluster config file")),
    (StartFault.MAP_IN_USE, re.compile(r"cluster configuration file \S+ is already used by a different")),
    (
        StartFault.APPEND_LOG,
        re.compile(
            r"Bad file format reading the append only file|Unexpected end of file reading the append only file|"
            r"Unable to obtain the AOF file|The AOF format error|AOF file .* (?:doesn't|does not) exist|"
            r"Unrecoverable error reading the append only file|Fatal error: can't open the append log file"
        ),
    ),
    (
        StartFault.SNAPSHOT,
        re.compile(
            r"Short read or OOM loading DB|Wrong signature trying to load DB|Internal error in RDB reading|"
            r"Can't handle RDB format version|Wrong RDB checksum|Fatal error loading the DB|"
            r"Terminating server after rdb"
        ),
    ),
    (StartFault.ADDRESS, re.compile(r"Could not create server TCP listening socket|Failed listening on port")),
)


class SaveFault(StrEnum):
    """Why something could not be written."""

    DISK_FULL = "disk-full"
    MODE = "mode"
    READ_ONLY = "read-only"
    FORK = "fork"


_SAVE_FAULTS: tuple[tuple[SaveFault, re.Pattern[str]], ...] = (
    (
        SaveFault.DISK_FULL,
        re.compile(r"No space left on device|Disk quota exceeded|Short write while writing to the AOF file"),
    ),
    (SaveFault.MODE, re.compile(r"Permission denied|Operation not permitted")),
    (SaveFault.READ_ONLY, re.compile(r"Read-only file system")),
    (SaveFault.FORK, re.compile(r"Can't (?:save|rewrite append only file) in background: fork: .*")),
)
_WRITING = re.compile(r"AOF|RDB|append only file|saving|save|\bDB\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TruncatedLog:
    """An append-only file that was loaded without its torn end: its name, and the byte that it was cut at."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class LogRate:
    """How fast a log grows."""

    bytes_per_s: float
    lines_per_s: float


def last_run(tail: str) -> str:
    """What the server wrote since its last start, as far as that is there."""
    return tail.rpartition(_START)[2]


def came_up(tail: str) -> bool:
    """Whether the last start ended with a server that took connections; also where its beginning is not there."""
    return _START not in tail or "eady to accept connections" in last_run(tail)


def start_fault(tail: str) -> tuple[StartFault, str] | None:
    """Why the last start failed, and the server's sentence; None where it came up or says nothing that is known."""
    run = last_run(tail)
    if "eady to accept connections" in run:
        return None
    for fault, pattern in _START_FAULTS:
        line = next((line for line in run.splitlines() if pattern.search(line)), None)
        if line is not None:
            return fault, _sentence(line)
    return None


def failed_start(tail: str) -> str:
    """The last words of a start that failed, whatever they are; "" where it came up."""
    return "" if came_up(tail) else last_words(tail)


def how_ended(tail: str) -> str:
    """``asked to shut down`` or ``crashed``, as the log ends; "" where it just stops: killed, or the host went down."""
    run = last_run(tail)
    if "BUG REPORT END" in run or "BUG REPORT START" in run:
        return "crashed"
    return "asked to shut down" if "ready to exit, bye bye" in run or "User requested shutdown" in run else ""


def save_fault(text: str) -> tuple[SaveFault, str] | None:
    """The last cause of a failed save, append or rewrite in a log, or in an error reply; with the server's sentence."""
    for line in reversed(last_run(text).splitlines()):
        for fault, pattern in _SAVE_FAULTS:
            if pattern.search(line) and _WRITING.search(line):
                return fault, _sentence(line)
    return None


def truncated_log(tail: str) -> TruncatedLog | None:
    """That the last start dropped the torn end of an append-only file."""
    run = last_run(tail)
    if "loaded anyway because aof-load-truncated is enabled" not in run:
        return None
    match = re.search(r"Truncating the AOF (\S*) ?at offset (\d+)", run)
    return TruncatedLog(match[1], int(match[2])) if match else TruncatedLog("", 0)


def reconnect_rate(tail: str) -> LogRate | None:
    """How fast a log grows in which a replica reconnects again and again; None where it doesn't."""
    stamped = [(_seconds(line), line) for line in last_run(tail).splitlines()]
    tries = [
        place for place, (at, line) in enumerate(stamped) if at is not None and re.search(r"onnecting to [MP]", line)
    ]
    if len(tries) < 3:
        return None
    first, last = stamped[tries[0]][0], stamped[tries[-1]][0]
    if first is None or last is None:
        return None
    between = [line for _, line in stamped[tries[0] : tries[-1]]]
    took_s = max((last - first) % 86400, 0.001)
    return LogRate(sum(len(line.encode()) + 1 for line in between) / took_s, len(between) / took_s)


def _seconds(line: str) -> float | None:
    match = _STAMP.match(line)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None


def _sentence(line: str) -> str:
    match = _STAMP.match(line)
    text = match[5] if match else line
    return text.partition(": make a backup")[0].partition(" You can: 1)")[0].strip()[:200]
