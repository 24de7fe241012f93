"""Memory: nodes near their limit, hosts that promise more than they have, and nodes that the kernel killed."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import NodeView
from slotwright.cluster.sizes import COPY_SHARE, PROCESS_BYTES, shown_bytes
from slotwright.cluster.topology import Address
from slotwright.health.check_context import CheckContext
from slotwright.hosts.facts.exam import HostExam, exam_of

MEMORY_LIMIT = 0.9


def near_limits(case: CheckContext) -> Iterator[Finding]:
    """Memory near its limit, and what the node does there."""
    for node, view in case.views():
        used, most = view.health.used_bytes, view.health.maxmemory_bytes
        if most and used > MEMORY_LIMIT * most:
            evicted = view.health.evicted_keys
            yield Finding(
                "memory-near-limit",
                Severity.WARNING,
                node.place,
                f"{used / 1048576:.0f} MB used of maxmemory {most / 1048576:.0f} MB",
                "raise maxmemory in the file and run slotwright up, or add shards",
                seen=f"{evicted} keys evicted since its start" if evicted else "",
                risk=_at_the_limit(view),
            )


def _at_the_limit(view: NodeView) -> str:
    policy = view.health.maxmemory_policy or view.setting("maxmemory-policy") or ""
    if policy == "noeviction":
        return "at the limit writes are refused (OOM; maxmemory-policy noeviction)"
    if policy.startswith("volatile"):
        return f"keys with a time to live are evicted ({policy}); when none is left, writes are refused"
    if policy:
        return f"keys are evicted ({policy}), also such as have no time to live"
    return "keys are evicted, or writes refused, as maxmemory-policy says"


def overcommitted(case: CheckContext) -> Iterator[Finding]:
    """Hosts whose nodes may come to need more memory than there is: their limits, and what a save copies."""
    views = {view.address: view for _, view in case.views()}
    for name, hosts in _machines(case.exams):
        total = max((host.memory_bytes or 0 for host in hosts), default=0)
        result = [views[node.address] for host in hosts for node in host.nodes if node.address in views]
        data = sum(max(view.health.maxmemory_bytes, view.health.used_bytes) for view in result)
        needed = int(data * (1 + COPY_SHARE)) + PROCESS_BYTES * len(result)
        if total and data and needed > total:
            bounded = sum(bool(view.health.maxmemory_bytes) for view in result)
            kind = "maxmemory" if bounded == len(result) else "data" if not bounded else "maxmemory or data"
            yield Finding(
                "memory-overcommitted",
                Severity.WARNING,
                name,
                f"its {len(result)} nodes may need {shown_bytes(needed)}, and it has {shown_bytes(total)}",
                "lower maxmemory in the file and run slotwright up, or put fewer nodes on this host",
                seen=f"{kind} of all: {shown_bytes(data)}; "
                f"half of it again while saves copy what changes: {shown_bytes(int(data * COPY_SHARE))}",
                risk="the kernel kills a node (OOM) when memory runs out, usually during a save",
            )


def _machines(exams: tuple[HostExam, ...]) -> Iterator[tuple[str, list[HostExam]]]:
    """Loopback addresses are all one machine."""
    here = [host for host in exams if Address(host.host, 0).is_loopback]
    if here:
        yield ", ".join(host.host for host in here), here
    yield from ((host.host, [host]) for host in exams if host not in here)


def killed(case: CheckContext) -> Iterator[Finding]:
    """Nodes that run again after the kernel killed them; of those that are down it is the cause, told with them."""
    for node, _ in case.views():
        exam = exam_of(case.exams, node.address)
        if exam is not None and exam.ended_by == "oom-kill":
            yield Finding(
                "oom-killed",
                Severity.WARNING,
                node.place,
                "the kernel killed the node for want of memory (OOM); it runs again",
                "a lower maxmemory in the file and slotwright up, or fewer nodes on its host",
                seen="the service manager says oom-kill of its last run",
                risk="it happens again when memory runs out again, usually during a save",
            )
