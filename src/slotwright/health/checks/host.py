"""What is wrong on hosts while everything still serves: clocks, open files, folders that can't be believed."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.health.check_context import CheckContext
from slotwright.hosts.facts.exam import exam_of
from slotwright.hosts.facts.nodes import DirectoryState
from slotwright.server.integers import integer_in

CLOCK_LIMIT_S = 1.0
OWN_FILES = 32
"""Descriptors that a server keeps for itself beside those of clients (server.h, CONFIG_MIN_RESERVED_FDS)."""

USUAL_CLIENTS = 10000


def clocks(case: CheckContext) -> Iterator[Finding]:
    """Every host's clock against the one in the middle; only what is certain counts, measuring errors taken off."""
    measured: dict[str, tuple[float, float]] = {}
    for node, view in case.views():
        if view.clock_skew_s is None or node.address is None:
            continue
        known = measured.get(node.address.host)
        if known is None or view.clock_doubt_s < known[1]:
            measured[node.address.host] = (view.clock_skew_s, view.clock_doubt_s)
    if len(measured) < 2:
        return
    ordered = sorted(measured.items(), key=lambda item: item[1][0])
    middle_host, (middle, middle_doubt) = ordered[(len(ordered) - 1) // 2]
    for host, (skew, doubt) in ordered:
        difference = skew - middle
        if abs(difference) - doubt - middle_doubt > CLOCK_LIMIT_S:
            side = "ahead of" if difference > 0 else "behind"
            yield Finding(
                "clocks-differ",
                Severity.WARNING,
                host,
                f"the clock of its nodes is {abs(difference):.1f} s {side} that of {middle_host}",
                "let a time service hold it (chronyc tracking, timedatectl timesync-status)"
                + ("; slotwright preflight says more" if case.expected else ""),
                seen=f"measured to {doubt + middle_doubt:.2f} s",
                risk="keys with a time to live expire too early or too late after a failover or a migration",
            )


def open_files(case: CheckContext) -> Iterator[Finding]:
    """Servers that may not open as many files as their clients need. One that finds this at its start lowers maxclients
    by itself (server.c, adjustOpenFilesLimit)."""
    wanted = (dict(case.expected.settings).get("maxclients") if case.expected else None) or str(USUAL_CLIENTS)
    for node, view in case.views():
        exam, clients = exam_of(case.exams, node.address), view.health.maxclients
        if exam is None or exam.nofile is None or clients is None:
            continue
        was_lowered = exam.nofile == clients + OWN_FILES and clients < (integer_in(wanted) or 0)
        if exam.nofile < clients + OWN_FILES or was_lowered:
            yield Finding(
                "nofile-low",
                Severity.WARNING,
                node.place,
                f"the server may open {exam.nofile} files: too few for "
                + (f"{wanted} clients, so it takes {clients}" if was_lowered else f"{clients} clients"),
                f"slotwright preflight --fix, then restart it: slotwright stop {node.place}, "
                f"slotwright start {case.survey.name} {node.place}",
                seen=f"open files {exam.nofile}, maxclients {clients}",
                risk="further clients are turned away",
            )


def unbelieved_folders(case: CheckContext) -> Iterator[Finding]:
    """Nodes that answer while others could have changed what their folders say; of one that is down it is the cause."""
    for node, _ in case.views():
        exam = exam_of(case.exams, node.address)
        if exam is not None and exam.directory is DirectoryState.UNSAFE:
            yield Finding(
                "folder-unsafe",
                Severity.WARNING,
                node.place,
                f"what its folder says can't be believed: {exam.reason}",
                exam.remedy,
                risk="who put that there decides what is started and ended; stop, start and destroy refuse until then",
            )


def newer_folders(case: CheckContext) -> Iterator[Finding]:
    """Nodes that answer while a later release wrote what their folders are known by; of one that is down it is the
    cause."""
    for node, _ in case.views():
        exam = exam_of(case.exams, node.address)
        if exam is not None and exam.directory is DirectoryState.NEWER:
            yield Finding(
                "directory-newer",
                Severity.WARNING,
                node.place,
                f"its folder is left alone: {exam.reason}",
                exam.remedy,
                risk="stop, start, repair and destroy refuse until then",
            )
