"""Facts of the hosts -> findings that forbid going on: a SERIOUS one stops `up` before anything changes."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity, by_gravity
from slotwright.cluster.topology import Mode
from slotwright.hosts.facts.nodes import DirectoryState, HostFacts, NodeFacts, PortOwner

NODE_ROOM_BYTES = 16 * 1024 * 1024


def check_hosts(hosts: tuple[HostFacts, ...], mode: Mode, *, is_remote: bool = False) -> tuple[Finding, ...]:
    """What stands in the way of the nodes that don't run yet. ``is_remote``: hosts that are reached by SSH."""
    findings = [finding for host in hosts for node in host.nodes for finding in _check_node(node, mode, is_remote)]
    findings += _check_room(hosts)
    return by_gravity(tuple(_without_repeats(findings)))


def _without_repeats(findings: list[Finding]) -> Iterator[Finding]:
    """One finding a host where all its addresses are foreign, not one a port."""
    results: set[tuple[str, str]] = set()
    for finding in findings:
        key = (finding.code, finding.where)
        if key not in results:
            results.add(key)
            yield finding


def _check_node(node: NodeFacts, mode: Mode, is_remote: bool) -> Iterator[Finding]:
    yield from _check_directory(node, is_remote=is_remote)
    if node.process is not None:
        return
    if node.port_error == "not-local":
        yield _not_local(node.address.host, is_remote=is_remote)
        return
    yield from _check_port(node, node.address.port, "port", node.port_error, node.port_owner)
    # One server that is in the way takes both ports: it is told once.
    is_same = node.port_owner is not None and node.port_owner == node.bus_owner
    if mode is Mode.CLUSTER and not is_same:
        yield from _check_port(node, node.address.bus_port, "bus-port", node.bus_error, node.bus_owner)


def _check_port(node: NodeFacts, port: int, name: str, error: str, owner: PortOwner | None) -> Iterator[Finding]:
    called = "the cluster bus port" if name == "bus-port" else "port"
    if error == "in-use":
        yield Finding(
            f"{name}-taken",
            Severity.SERIOUS,
            str(node.address),
            f"{called} {port} is taken by {owner}",
            "stop that process, or choose another port in the file",
        )
    elif error == "denied":
        yield Finding(
            f"{name}-denied",
            Severity.SERIOUS,
            str(node.address),
            f"who runs the nodes may not listen on {called} {port}",
            "choose a port above 1023",
        )


def _not_local(host: str, *, is_remote: bool) -> Finding:
    if is_remote:
        return Finding(
            "address-not-local",
            Severity.SERIOUS,
            host,
            f"the host that SSH reaches has no address {host}",
            "write the address that the host itself has; where SSH needs another one: `ssh: {address: ...}`",
        )
    return Finding(
        "address-not-local",
        Severity.SERIOUS,
        host,
        f"{host} is not an address of this machine",
        "use an address of this machine (127.0.x.x on Linux), or reach the host by SSH: `ssh: {user: root}`",
    )


def _unbelieved(node: NodeFacts, *, is_remote: bool) -> Finding:
    """One finding for all nodes below the same entry."""
    fact = node.directory
    risk = "who put that there decides what is started and what is ended"
    if fact.is_misfit:
        what = f"its folder {fact.path} can't be believed: {fact.reason}"
        return Finding("process-foreign", Severity.SERIOUS, str(node.address), what, fact.remedy, risk=risk)
    return Finding(
        "folder-unsafe",
        Severity.SERIOUS,
        f"{node.address.host}:{fact.doubtful}" if is_remote else fact.doubtful,
        f"what is there can't be believed: {fact.reason}",
        f"{fact.remedy}; or choose another place with `data:` in the file",
        seen=f"on the way to {fact.path}",
        risk=risk,
    )


def _check_directory(node: NodeFacts, *, is_remote: bool) -> Iterator[Finding]:
    fact = node.directory
    if fact.state is DirectoryState.UNWRITABLE:
        yield Finding(
            "directory-not-writable",
            Severity.SERIOUS,
            str(node.address),
            f"its folder {fact.path} can't be made or written: {fact.reason}",
            "make it writable for this user, or choose another place with `data:` in the file",
        )
    elif fact.state is DirectoryState.UNSAFE:
        yield _unbelieved(node, is_remote=is_remote)
    elif fact.state is DirectoryState.NEWER:
        yield Finding(
            "directory-newer",
            Severity.SERIOUS,
            str(node.address),
            f"its folder {fact.path} is left alone: {fact.reason}",
            fact.remedy,
        )
    elif fact.state is DirectoryState.OTHER_CLUSTER:
        yield Finding(
            "directory-of-another-cluster",
            Severity.SERIOUS,
            str(node.address),
            f"its folder {fact.path} belongs to another cluster{f' ({fact.owner})' if fact.owner else ''}",
            "choose another place with `data:` in the file, or destroy that cluster first",
        )
    elif fact.state is DirectoryState.FOREIGN:
        yield Finding(
            "directory-not-empty",
            Severity.SERIOUS,
            str(node.address),
            f"its folder {fact.path} holds files that slotwright did not make",
            "choose another place with `data:` in the file, or move those files away",
        )


def _check_room(hosts: tuple[HostFacts, ...]) -> Iterator[Finding]:
    """Every disk is judged once, for all the nodes that are to lie on it."""
    disks: dict[str, list[HostFacts]] = {}
    for host in hosts:
        disks.setdefault(host.disk or host.host, []).append(host)
    for sharing in disks.values():
        idle = [node for host in sharing for node in host.nodes if node.process is None]
        needed, free = NODE_ROOM_BYTES * len(idle), min(host.free_bytes for host in sharing)
        if idle and free < needed and idle[0].directory.state is not DirectoryState.UNWRITABLE:
            yield Finding(
                "disk-full",
                Severity.SERIOUS,
                ", ".join(host.host for host in sharing),
                f"only {free / 1048576:.0f} MB are free where {idle[0].directory.path} would be",
                "free some room there, or choose another place with `data:` in the file",
                seen=f"{len(idle)} nodes need {needed / 1048576:.0f} MB to start with",
            )
