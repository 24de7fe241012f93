"""What nodes can't write, why, and where a disk is about to be full."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import NodeView, Role
from slotwright.cluster.sizes import shown_bytes
from slotwright.cluster.survey import SurveyNode
from slotwright.health.check_context import CheckContext
from slotwright.hosts.facts.exam import HostExam, NodeExam, exam_of
from slotwright.server.server_log import SaveFault, save_fault, truncated_log

ROOM_PER_NODE_BYTES = 32 * 2**20
"""Less than this for each node is little, whatever its data: an empty append-only file, a log, a map."""

SAME_DISK_BYTES = 4 * 2**20
"""Folders of one host whose free room differs by less than this lie on one disk: they are not asked at one moment."""

_CAUSES = {
    SaveFault.DISK_FULL: ("its disk is full", "free some room on its disk; it then writes again by itself"),
    SaveFault.MODE: (
        "it may not write its folder",
        "give the folder back to the user that runs the server (owner, mode 0700); it then saves again by itself",
    ),
    SaveFault.READ_ONLY: (
        "its file system is read-only",
        "look in the kernel's log (dmesg) why, and remount it writable",
    ),
    SaveFault.FORK: (
        "the kernel refuses to fork it",
        "slotwright preflight --fix (vm.overcommit_memory=1), or more memory and processes for it",
    ),
}


def persistence(case: CheckContext) -> Iterator[Finding]:
    """Saves or appends that fail, with the cause where the node or its log tells one."""
    for node, view in case.views():
        for is_ok, what in ((view.health.last_save_ok, "save"), (view.health.last_append_ok, "append to its log")):
            if not is_ok:
                yield _failing(case, node, view, what)


def _failing(case: CheckContext, node: SurveyNode, view: NodeView, what: str) -> Finding:
    fault, text = _fault(case, view)
    why, remedy = _CAUSES[fault] if fault else ("", "look at its disk; " + log_remedy(case, node))
    if fault is SaveFault.DISK_FULL and what != "save":
        # Seen with Redis 7.0.15 on the replica of before: what it takes back of a short write is not what it wrote.
        remedy += ", and then BGREWRITEAOF on it: what was half written can leave a file that it can't load"
    goes_on = what == "save" and view.setting("stop-writes-on-bgsave-error") == "no"
    refuses = "writes go on (stop-writes-on-bgsave-error no)" if goes_on else "it refuses writes (MISCONF)"
    return Finding(
        "persistence-failing",
        Severity.SERIOUS,
        node.place,
        f"the node could not {what} the last time" + (f": {why}" if why else ""),
        remedy,
        seen=_describe_disk(text, exam_of(case.exams, node.address) if fault is SaveFault.DISK_FULL else None),
        risk=f"{refuses}, and a restart loses what was not saved",
    )


def _fault(case: CheckContext, view: NodeView) -> tuple[SaveFault | None, str]:
    exam = exam_of(case.exams, view.address)
    result = save_fault(view.misconf) or (save_fault(exam.log_tail) if exam else None)
    return result or (None, "")


def _describe_disk(text: str, exam: NodeExam | None) -> str:
    free = f"{shown_bytes(exam.free_bytes)} free" if exam is not None and exam.free_bytes is not None else ""
    return "; ".join(part for part in (text, free) if part)


def log_remedy(case: CheckContext, node: SurveyNode) -> str:
    """Where its log is read."""
    return f"read its log (slotwright logs {node.place})" if case.expected else "read its log"


def rewrites(case: CheckContext) -> Iterator[Finding]:
    """Rewrites of the append-only file that fail; not where appending itself fails, which is told."""
    for node, view in case.views():
        if view.health.last_rewrite_ok or not view.health.last_append_ok or not view.health.last_save_ok:
            continue
        fault, text = _fault(case, view)
        why, remedy = _CAUSES[fault] if fault else ("", log_remedy(case, node))
        size = shown_bytes(view.health.append_log_bytes)
        yield Finding(
            "aof-rewrite-failing",
            Severity.WARNING,
            node.place,
            "the append-only file could not be rewritten the last time" + (f": {why}" if why else ""),
            remedy,
            seen="; ".join(
                part for part in (text, f"it has {size} now" if view.health.append_log_bytes else "") if part
            ),
            risk="it grows until the disk is full, and is slow to load",
        )


def filling_disks(case: CheckContext) -> Iterator[Finding]:
    """Disks without room for one more copy of the data of all nodes on them; not where one is full and told."""
    views = {view.address: view for _, view in case.views()}
    for host in case.exams:
        for nodes in _disks(host):
            result = [views[node.address] for node in nodes if node.address in views]
            writing = [view for view in result if _writes(view)]
            if not writing or any(_is_fault_reported(case, view) for view in result):
                continue
            copies = sum(view.health.used_bytes for view in writing)
            wanted = max(copies, ROOM_PER_NODE_BYTES * len(writing))
            free = min(node.free_bytes for node in nodes if node.free_bytes is not None)
            if free < wanted:
                yield _filling(host, nodes, free, copies)


def _writes(view: NodeView) -> bool:
    return view.health.has_append_log or view.setting("save") != ""


def _is_fault_reported(case: CheckContext, view: NodeView) -> bool:
    health = view.health
    is_well = health.last_save_ok and health.last_append_ok and health.last_rewrite_ok
    return not is_well and _fault(case, view)[0] is SaveFault.DISK_FULL


def _disks(host: HostExam) -> Iterator[list[NodeExam]]:
    known = sorted(
        ((node.free_bytes, number, node) for number, node in enumerate(host.nodes) if node.free_bytes is not None)
    )
    group: list[NodeExam] = []
    last = 0
    for free, _, node in known:
        if group and free - last > SAME_DISK_BYTES:
            yield group
            group = []
        group.append(node)
        last = free
    if group:
        yield group


def _filling(host: HostExam, nodes: list[NodeExam], free: int, copies: int) -> Finding:
    is_one = len(nodes) == 1
    return Finding(
        "disk-filling",
        Severity.WARNING,
        str(nodes[0].address) if is_one else host.host,
        f"only {shown_bytes(free)} are free on the disk of {'the node' if is_one else f'{len(nodes)} nodes'}",
        "free some room there, or move the data to a larger disk",
        seen=f"one more copy of the data takes {shown_bytes(copies)}; "
        f"data files have {shown_bytes(sum(node.data_bytes for node in nodes))} now",
        risk="a save or a rewrite fills it; then writes are refused (MISCONF)",
    )


def torn_logs(case: CheckContext) -> Iterator[Finding]:
    """Append-only files that were loaded without their torn end."""
    for node, _ in case.views():
        exam = exam_of(case.exams, node.address)
        torn = truncated_log(exam.log_tail) if exam else None
        if torn is None:
            continue
        is_owner = node.role is Role.PRIMARY
        yield Finding(
            "append-log-cut",
            Severity.WARNING if is_owner else Severity.NOTE,
            node.place,
            "its append-only file was torn, and was loaded without its end",
            "compare with what clients wrote last; the next start from a whole file ends this finding"
            if is_owner
            else "none: it has its primary's data again",
            seen=f"{torn.name or 'the file'} was cut at byte {torn.offset}, at its last start",
            risk="the last writes before it went down are gone" if is_owner else "",
        )
