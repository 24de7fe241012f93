"""Nodes that are silent, that the others hold failed, or that read their data: what follows for their shard."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Link, Role
from slotwright.cluster.survey import LIVES_UNREAD, UNREADABLE, SurveyNode
from slotwright.cluster.take_survey import reaches
from slotwright.cluster.topology import Mode
from slotwright.health.check_context import CheckContext
from slotwright.health.checks.addresses import unasked_for_their_address
from slotwright.health.checks.coverage import what_still_serves
from slotwright.health.checks.down import cause_of, evidence
from slotwright.health.members import bus_place, changed_ids, misannounced


def silent_nodes(case: CheckContext) -> Iterator[Finding]:
    """Nodes that don't answer; what follows from that for their shard is said here too."""
    reasons = {silent.address: silent.reason for silent in case.observation.silent}
    results = set(_covered_by_members(case)) | unasked_for_their_address(case)
    results |= {node.node_id for node in misannounced(case.observation, case.blueprint)}
    for node in case.survey.nodes:
        if (node.is_reachable and node.trouble != "failed") or node.id in results:
            continue
        reason = reasons.get(node.address, "") if node.address else ""
        if node.is_seen_alive and cause_of(case, node) is None and node.trouble not in LIVES_UNREAD:
            yield _kept_from_us(case, node, reason)
            continue
        lost = case.survey.mode is Mode.SINGLE or (node.role is Role.PRIMARY and bool(node.slots))
        cause = cause_of(case, node)
        further = cause.seen if cause else evidence(case, node) if not node.is_reachable else ""
        yield Finding(
            cause.code if cause else _CODES.get(node.trouble, "node-down"),
            Severity.SERIOUS if lost or node.trouble in LIVES_UNREAD else Severity.WARNING,
            node.place,
            _silence(node, case) + (f": {cause.what}" if cause else ""),
            (cause.remedy if cause else "") or _silence_remedy(node, case),
            seen="; ".join(part for part in (reason, further) if part),
            risk=_silence_risk(node, case),
        )


def loading(case: CheckContext) -> Iterator[Finding]:
    """Nodes that are reading their data: some versions answer meanwhile."""
    for node in case.survey.nodes:
        if node.is_reachable and node.trouble == "loading":
            yield Finding(
                "loading",
                Severity.SERIOUS if node.slots or case.survey.mode is Mode.SINGLE else Severity.WARNING,
                node.place,
                "the node is loading its data",
                "wait until it has read its files",
                risk="until then it serves nothing",
            )


def _kept_from_us(case: CheckContext, node: SurveyNode, reason: str) -> Finding:
    """Silent towards us, and its peers reach it: nothing is said of its service but what they say."""
    others = [view.address for view in case.observation.views if reaches(view, node.id)]
    return Finding(
        "node-out-of-reach",
        Severity.WARNING,
        node.place,
        f"{_role_of(node)} can't be reached from here, and lives: {len(others)} of "
        f"{len(case.observation.views)} nodes that answer have live links to it",
        _WAYS_IN.get(
            node.trouble,
            "look at what is between this machine and its client port (firewall, bind, NAT); "
            f"slotwright client test {case.survey.name} tells how clients fare",
        ),
        seen="; ".join(part for part in (reason, evidence(case, node)) if part),
        risk="it can't be judged or mended from here; its clients may be kept out as well",
    )


_WAYS_IN = {
    "lets nobody in": "end idle connections, or raise maxclients: its limit of clients is reached",
    "speaks TLS": "give it a plain port beside its TLS port (port): slotwright does not speak TLS",
    "refuses our user": "give our user +info +config +cluster +client on it (ACL SETUSER)",
}


def _role_of(node: SurveyNode) -> str:
    role = f"{node.role} of shard {node.shard}" if node.shard else node.role.value
    is_former = node.role is Role.PRIMARY and not node.slots and node.shard
    return f"the {'former ' if is_former else ''}{role}"


def _covered_by_members(case: CheckContext) -> Iterator[str]:
    """Ids whose silence follows from what is told of who is a member: strangers are not asked, and a node that came
    back under another id is away under its own."""
    if case.expected is None:
        return
    yield from (node.id for node in case.survey.nodes if not node.is_planned and node.trouble == "not asked")
    away = {changed_node_id.planned for changed_node_id in changed_ids(case.observation, case.blueprint)}
    yield from (node.id for node in case.survey.nodes if node.id in away and not node.slots)


_CODES = {"wrong password": "wrong-password", UNREADABLE: "answers-unreadable"}


def _silence(node: SurveyNode, case: CheckContext) -> str:
    role = "the instance" if case.survey.mode is Mode.SINGLE else _role_of(node)
    values = {
        "hangs": f"{role} is there but does not answer",
        "loading": f"{role} is loading its data",
        "wrong password": f"{role} refuses our password",
        "refuses our user": f"{role} refuses our user",
        "lets nobody in": f"{role} lets nobody in: its limit of clients is reached",
        "speaks TLS": f"{role} speaks TLS, and slotwright does not",
        UNREADABLE: f"{role} answers, and what it says can't be read",
        "failed": f"{role} is held failed by the other nodes" + (", though it answers" if node.is_reachable else ""),
        "not asked": f"{role} was not asked: its address is unknown",
    }
    return values.get(node.trouble, f"{role} is down")


def _silence_risk(node: SurveyNode, case: CheckContext) -> str:
    if node.trouble == UNREADABLE:
        return "nothing of what it serves, and how, can be judged but by what the others see of it"
    if case.survey.mode is Mode.SINGLE:
        return "nothing is served"
    if node.slots and node.role is Role.PRIMARY:
        others = what_still_serves(case)
        until = ", until a replica takes over" if node.shard and _copies(case, node.shard) else ""
        return f"slots {node.slots} are not served{until}" + (f"; meanwhile {others}" if others else "")
    if node.shard and _copies(case, node.shard) == 0:
        return f"shard {node.shard} has no copy: one more death loses it"
    return "less redundancy than planned"


def _silence_remedy(node: SurveyNode, case: CheckContext) -> str:
    if node.trouble == "wrong password":
        return "give the password that the cluster was made with"
    if node.trouble == UNREADABLE:
        return "see what answers there (redis-cli -h HOST -p PORT INFO): a server that is broken, a proxy, or no server"
    if node.trouble == "loading":
        return "wait until it has read its files"
    if node.trouble in _WAYS_IN:
        return _WAYS_IN[node.trouble]
    if not node.is_planned:
        return "start it again, or have it forgotten with CLUSTER FORGET on every node"
    if node.trouble == "hangs":
        ours = f": slotwright stop --kill {node.place}, then slotwright start {node.place}" if case.expected else ""
        return "look at its host; if it stays so, end it and start it again" + ours
    if node.is_reachable and node.address is not None:
        tries = "; slotwright preflight tries every pair" if case.expected else ""
        return f"let the others through to its cluster bus, {bus_place(case.observation, node)}{tries}"
    return case.repair("start its server again")


def _copies(case: CheckContext, shard: int) -> int:
    return sum(
        node.role is Role.REPLICA and node.is_reachable and node.link is Link.UP for node in case.survey.shard(shard)
    )
