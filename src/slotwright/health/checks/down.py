"""Why a node does not answer, as its host tells it: one cause a node, in place of the bare ``node-down``."""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.cluster.survey import SurveyNode
from slotwright.cluster.topology import Mode
from slotwright.health.check_context import CheckContext
from slotwright.hosts.facts.exam import NodeExam, exam_of
from slotwright.hosts.facts.nodes import DirectoryState
from slotwright.server.nodes_conf import check_map
from slotwright.server.server_log import StartFault, failed_start, how_ended, start_fault

_WAITS = {"D": "waits for its disk", "R": "runs", "S": "sleeps"}


@dataclass(frozen=True, slots=True)
class Cause:
    """``what`` completes "the primary is down: ..."; ``remedy`` "" means the one of a node that is down."""

    code: str
    what: str
    seen: str = ""
    remedy: str = ""


def cause_of(case: CheckContext, node: SurveyNode) -> Cause | None:
    """None where its host was not asked, or knows no cause."""
    exam = exam_of(case.exams, node.address)
    if exam is None or node.is_reachable or node.trouble in ("wrong password", "loading"):
        return None
    if exam.is_stopped:
        return Cause("node-stopped", "its process is stopped (SIGSTOP)", f"state {exam.process_state}", _repair(case))
    if exam.directory is DirectoryState.UNSAFE:
        return Cause("folder-unsafe", f"what its folder says can't be believed: {exam.reason}", "", exam.remedy)
    if exam.directory is DirectoryState.NEWER:
        return Cause("directory-newer", f"its folder is left alone: {exam.reason}", "", exam.remedy)
    if exam.process is not None:
        return None
    return _lost(case, node, exam) or _killed(case, exam) or _not_started(case, node, exam)


def evidence(case: CheckContext, node: SurveyNode) -> str:
    """What the host adds where it knows no cause: the process lives, or how it ended; "" where nothing is known."""
    exam = exam_of(case.exams, node.address)
    if exam is None:
        host = next((host for host in case.exams if node.address and host.host == node.address.host), None)
        return f"its host can't be asked: {host.trouble}" if host and host.trouble else ""
    if exam.directory is DirectoryState.UNSAFE:
        return f"its folder can't be believed: {exam.reason}"
    if exam.directory is DirectoryState.NEWER:
        return f"its folder can't be read: {exam.reason}"
    if exam.process is not None:
        doing = _WAITS.get(exam.process_state)
        state = f" (state {exam.process_state}: {doing})" if doing else ""
        return f"its process is alive{state}"
    ended = how_ended(exam.log_tail)
    return f"its process is gone: it {ended or 'was killed, or its host went down'}".replace("it asked", "it was asked")


def _lost(case: CheckContext, node: SurveyNode, exam: NodeExam) -> Cause | None:
    if exam.directory in (DirectoryState.ABSENT, DirectoryState.EMPTY):
        state = "gone" if exam.directory is DirectoryState.ABSENT else "empty"
        return Cause("folder-lost", f"its folder is {state}, and its data with it", "", _repair(case))
    if exam.directory is not DirectoryState.OURS or case.survey.mode is Mode.SINGLE:
        return None
    if exam.map_text is None:
        return Cause("map-lost", "its map (nodes.conf) is gone: started, it would be another node", "", _repair(case))
    trouble = _map_trouble(case, node, exam.map_text)
    if trouble:
        return Cause(
            "map-broken", f"its map (nodes.conf) can't be used: {trouble}", _describe_process(exam), _repair(case)
        )
    return None


def _map_trouble(case: CheckContext, node: SurveyNode, text: str) -> str:
    """Why it could not be started with that map; that it has another id by now is another matter."""
    trouble = check_map(text, node.id)
    is_known = any(other.id in trouble for other in case.survey.nodes if other.id and other is not node)
    return "" if is_known else trouble


def _killed(case: CheckContext, exam: NodeExam) -> Cause | None:
    if exam.ended_by != "oom-kill":
        return None
    return Cause(
        "oom-killed",
        "the kernel killed it, for want of memory (OOM)",
        "the service manager says oom-kill",
        _repair(case) + "; then a lower maxmemory, or fewer nodes on its host",
    )


def _not_started(case: CheckContext, node: SurveyNode, exam: NodeExam) -> Cause | None:
    result = start_fault(exam.log_tail)
    if result is None:
        text = failed_start(exam.log_tail)
        return Cause("start-failed", "its last start failed", text, _read_log(case, node)) if text else None
    fault, line = result
    if fault is StartFault.ADDRESS:
        return Cause("start-failed", "it can't listen on its address", line, _read_log(case, node))
    code, what = {
        StartFault.MAP: ("map-broken", "its map (nodes.conf) is not readable"),
        StartFault.MAP_IN_USE: ("directory-shared", "another server uses its folder"),
        StartFault.APPEND_LOG: ("append-log-damaged", "its append-only file is damaged, and it does not start with it"),
        StartFault.SNAPSHOT: ("snapshot-damaged", "its snapshot (RDB) is damaged, and it does not start with it"),
    }[fault]
    if fault is StartFault.MAP_IN_USE:
        return Cause(code, what, line, "end that other server, or give each its own folder (dir)")
    return Cause(code, what, line, _repair(case))


def _describe_process(exam: NodeExam) -> str:
    result = start_fault(exam.log_tail)
    return result[1] if result and result[0] is StartFault.MAP else ""


def _repair(case: CheckContext) -> str:
    return case.repair("put it right on its host")


def _read_log(case: CheckContext, node: SurveyNode) -> str:
    return f"read its log (slotwright logs {node.place}), then slotwright start {case.survey.name} {node.place}"
