"""Data that nothing keeps, that was lost already, or that two servers write into one folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import NodeView
from slotwright.cluster.survey import SurveyNode
from slotwright.cluster.topology import Mode
from slotwright.health.check_context import CheckContext
from slotwright.hosts.facts.exam import exam_of
from slotwright.hosts.facts.nodes import DirectoryState
from slotwright.server.integers import integer_in

FEW_KEYS = 10
"""With fewer keys on another primary it may be chance that this one has none."""


def unpersisted(case: CheckContext) -> Iterator[Finding]:
    """Nodes that keep nothing on disk: one finding for all. What differs from the file is told as that."""
    wanted = dict(case.expected.settings) if case.expected else {}
    bare = [
        node.place
        for node, view in case.views()
        if is_unpersisted(view) and not any(_differs(view, wanted, name) for name in ("appendonly", "save"))
    ]
    if not bare:
        return
    is_meant = wanted.get("appendonly") == "no" and wanted.get("save") == ""
    some = next(view for _, view in case.views() if is_unpersisted(view))
    yield Finding(
        "unpersisted",
        Severity.NOTE if is_meant else Severity.WARNING,
        bare[0] if len(bare) == 1 else case.survey.name,
        f"{'the node keeps' if len(bare) == 1 else f'{len(bare)} nodes keep'} nothing on disk"
        + (", as the file says" if is_meant else ""),
        "`appendonly: yes` in the file, then slotwright up"
        if case.expected
        else "CONFIG SET appendonly yes on each node, then CONFIG REWRITE",
        seen="append-only file off, no snapshots"
        + (
            f": {', '.join(bare[:6])}{' ...' if len(bare) > 6 else ''}"
            if 1 < len(bare) < len(tuple(case.views()))
            else ""
        ),
        risk="a restart loses all keys"
        if some.mode is Mode.SINGLE
        else f"a primary that restarts within cluster-node-timeout{_timeout(some)} comes back empty, and its replica "
        "follows it",
    )


def is_unpersisted(view: NodeView) -> bool:
    """Neither append-only file nor snapshots; False where it is not known."""
    return not view.health.has_append_log and view.setting("save") == "" and view.setting("appendonly") != "yes"


def _differs(view: NodeView, wanted: dict[str, str], name: str) -> bool:
    return name in wanted and view.setting(name) not in (None, wanted[name])


def _timeout(view: NodeView) -> str:
    timeout_ms = integer_in(view.setting("cluster-node-timeout"))
    return f" ({timeout_ms / 1000:g} s)" if timeout_ms is not None else ""


def came_back_empty(case: CheckContext) -> Iterator[Finding]:
    """Primaries that lost their keys at a restart: nothing kept them, and the replica copied the emptiness."""
    owners = [(node, view) for node, view in case.views() if node.slots and not node.trouble]
    longest = max((view.health.uptime_s for _, view in case.views()), default=0)
    lost = [(node, view) for node, view in owners if _is_fresh_and_empty(view, longest)]
    others = [view for node, view in owners if (node, view) not in lost]
    if not others or any(view.health.keys < FEW_KEYS for view in others):
        return
    for node, view in lost:
        yield _lost_all(case, node, view, others)


def _is_fresh_and_empty(view: NodeView, longest_s: int) -> bool:
    return is_unpersisted(view) and view.health.keys == 0 and view.health.uptime_s < longest_s / 2


def _lost_all(case: CheckContext, node: SurveyNode, view: NodeView, others: list[NodeView]) -> Finding:
    mean = sum(other.health.keys for other in others) / len(others)
    return Finding(
        "came-back-empty",
        Severity.SERIOUS,
        node.place,
        f"the primary of shard {node.shard} holds no key: it was restarted and had kept nothing",
        "load its data again from where it came; then "
        + ("`appendonly: yes` in the file and slotwright up" if case.expected else "CONFIG SET appendonly yes"),
        seen=f"up for {view.health.uptime_s} s; the other primaries hold {mean:,.0f} keys on average",
        risk=f"the keys of slots {node.slots} are gone; its replica has copied the emptiness",
    )


_LOST_SHARE = 10
_LOST_FROM_BYTES = 4096


def lost_files(case: CheckContext) -> Iterator[Finding]:
    """Nodes that run on while their folder, or their append-only file, was deleted: what the server has open no path
    leads to any more, and its next start finds nothing."""
    for node, view in case.views():
        exam = exam_of(case.exams, node.address)
        if exam is None:
            continue
        if exam.directory in (DirectoryState.ABSENT, DirectoryState.EMPTY):
            yield Finding(
                "folder-lost",
                Severity.SERIOUS,
                node.place,
                "its folder is gone, and its server runs on without it: its data is in memory alone",
                "let a replica take over, if it is a primary (slotwright failover REPLICA); then SHUTDOWN NOSAVE on it "
                f"by redis-cli, then slotwright repair {case.survey.name}, which makes the folder anew",
                seen="it answers, and its host has no such folder",
                risk="nothing that it is told is kept; stopped or killed, it is lost with all that no replica has",
            )
        elif view.health.has_append_log and _is_lost(exam.data_bytes, view.health.append_log_bytes):
            yield Finding(
                "append-log-lost",
                Severity.SERIOUS,
                node.place,
                "its append-only file was deleted under the running server",
                "BGREWRITEAOF on it writes it anew from memory; don't stop it before",
                seen=f"it counts {view.health.append_log_bytes:,} bytes of it, and its folder has {exam.data_bytes:,} "
                "bytes of data in all",
                risk="started again, it would be empty, and with it its replica",
            )


def _is_lost(there: int, told: int) -> bool:
    """Far from each other: the two are read at different moments, and a rewrite makes the file smaller."""
    return told >= _LOST_FROM_BYTES and there * _LOST_SHARE < told


def shared_directories(case: CheckContext) -> Iterator[Finding]:
    """Two servers of one machine that write the same files.

    One address may stand for several containers, each with a folder of its own under one name.
    """
    values: dict[tuple[str, str, str], list[NodeView]] = {}
    # Not by the survey: with one map two servers are one node.
    for view in case.observation.views:
        directory = view.setting("dir")
        if not directory:
            continue
        machine = "loopback" if view.address.is_loopback else view.address.host
        names: dict[str, tuple[str, ...]] = {"snapshot": (view.setting("dbfilename") or "dump.rdb",)}
        if view.health.has_append_log:
            names["log"] = (view.setting("appenddirname") or "", view.setting("appendfilename") or "appendonly.aof")
        for kind, name in names.items():
            values.setdefault((machine, f"{directory}/", f"{kind} {'/'.join(name)}"), []).append(view)
    result: set[tuple[str, ...]] = set()
    for (_, directory, _), nodes in values.items():
        places = tuple(str(view.address) for view in nodes)
        if len(places) > 1 and places not in result and not _are_kept_apart(nodes):
            result.add(places)
            yield Finding(
                "directory-shared",
                Severity.SERIOUS,
                " and ".join(places),
                f"{len(places)} nodes write their data into one folder",
                "give each its own folder (dir): stop one with SHUTDOWN NOSAVE, move it to an empty folder, and let it "
                "copy its primary's data",
                seen=directory,
                risk="each overwrites the other's files; a restart loads the wrong data",
            )


def _are_kept_apart(views: Sequence[NodeView]) -> bool:
    """Whether some of them lock a file of one name: in one folder the second would not have started (cluster.c,
    clusterLockConfig)."""
    names = [name for view in views if view.mode is Mode.CLUSTER and (name := view.setting("cluster-config-file"))]
    return len(set(names)) < len(names)
