"""``hosts`` and ``ports``: which nodes there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slotwright.adapters.topology.addresses import AddressError, canonical_host
from slotwright.adapters.topology.lines import KeyPath
from slotwright.adapters.topology.schema import HostPart, Report, RootPart, read_part, shown
from slotwright.adapters.topology.ssh import SshReader, check_reached
from slotwright.cluster.topology import BUS_PORT_OFFSET, HIGHEST_PORT, HostSpec, SshSpec

_HOSTS_HINT = "hosts: [127.0.1.1, 127.0.1.2, 127.0.1.3]"
_PORTS_HINT = "ports: [7001, 7002]"


def read_hosts(root: RootPart, has_bus: bool, base: Path, report: Report) -> tuple[HostSpec, ...]:
    """The hosts with their ports; what is wrong goes to ``report`` and leaves an empty address or no port.

    ``has_bus`` says that every node listens on its port + 10000 too; ``base`` is the folder of relative paths.
    """
    if root.hosts is None:
        report.missing("hosts", _HOSTS_HINT)
    elif not root.hosts:
        report.problem("hosts is empty", "hosts", hint=_HOSTS_HINT)
    ssh = SshReader(base, report)
    shared = None if root.ssh is None else ssh.read(root.ssh, ("ssh",), SshSpec())
    ports = _read_ports(root.ports, ("ports",), has_bus, report)
    reader = _HostReader(ports, has_bus, ssh, shared)
    hosts = tuple(reader.host(raw, at) for at, raw in enumerate(root.hosts or ()))
    reader.report_portless(hosts)
    check_reached(hosts, report)
    return hosts


class _HostReader:
    """Reads the entries of ``hosts``; knows what all hosts share and which hosts were named already."""

    def __init__(self, shared: tuple[int, ...] | None, has_bus: bool, ssh: SshReader, reached: SshSpec | None) -> None:
        self._shared = shared
        self._has_bus = has_bus
        self._ssh = ssh
        self._reached = reached
        self._report = ssh.report
        self._seen: dict[str, str] = {}
        self._portless: list[int] = []

    def host(self, raw: object, at: int) -> HostSpec:
        part = self._part(raw, at)
        address = self._address(part, ("hosts", at, "address"))
        path: KeyPath = ("hosts", at, "ports")
        ports = _read_ports(part.ports, path, self._has_bus, self._report)
        if ports is None and self._shared is None and self._report.is_clean(*path):
            self._portless.append(at)
        ports = ports if ports is not None else self._shared or ()
        return HostSpec(address, ports, part.rack or "", part.zone or "", self._read_ssh(part.ssh, at))

    def _read_ssh(self, raw: object, at: int) -> SshSpec | None:
        if raw is None:
            return self._reached
        return self._ssh.read(raw, ("hosts", at, "ssh"), self._reached or SshSpec())

    def report_portless(self, hosts: Sequence[HostSpec]) -> None:
        """Hosts that have no ports, of their own or of the file: one problem if it is all of them."""
        if self._shared is not None or not self._report.is_clean("ports"):
            return
        if len(self._portless) == len(hosts):
            self._report.missing("ports", _PORTS_HINT)
            return
        for at in self._portless:
            hint = "give it `ports`, or give the file `ports` for all hosts"
            self._report.problem(f"the host {hosts[at].address} has no ports", "hosts", at, hint=hint)

    def _part(self, raw: object, at: int) -> HostPart:
        if isinstance(raw, str):
            raw = {"address": raw}
        if isinstance(raw, Mapping):
            return read_part(HostPart, raw, ("hosts", at), self._report)
        hint = "127.0.1.1, or {address: 127.0.1.1, ports: [7001], rack: r1, zone: a}"
        what = f"a host must be an address or a mapping, not {shown(raw)}"
        self._report.problem(what, "hosts", at, hint=hint)
        return HostPart()

    def _address(self, part: HostPart, path: KeyPath) -> str:
        if part.address is None:
            if self._report.is_clean(*path):
                self._report.problem("this host has no address", *path, hint="{address: 127.0.1.1, ...}")
            return ""
        try:
            address = canonical_host(part.address)
        except AddressError as error:
            self._report.problem(error.what, *path, hint=error.hint)
            return ""
        self._check_new(address, path)
        return address

    def _check_new(self, address: str, path: KeyPath) -> None:
        same = "127.0.0.1" if address == "localhost" else address
        before = self._seen.get(same)
        self._seen[same] = address
        if before is not None:
            what = f"{before} and {address} are the same host"
            what = f"the host {address} stands twice" if before == address else what
            self._report.problem(what, *path, hint="name it once, with all its ports")


def _read_ports(raw: Sequence[object] | None, path: KeyPath, has_bus: bool, report: Report) -> tuple[int, ...] | None:
    if raw is None:
        return None
    if not raw:
        report.problem("ports is empty", *path, hint=_PORTS_HINT)
    ports: list[int] = []
    for at, value in enumerate(raw):
        fault = _port_fault(value, ports, has_bus)
        if fault:
            report.problem(fault[0], *path, at, hint=fault[1])
        elif isinstance(value, int):
            ports.append(int(value))
    return tuple(ports)


def _port_fault(value: object, before: Sequence[int], has_bus: bool) -> tuple[str, str] | None:
    """What is wrong with a port that follows ``before``, and a hint."""
    if not isinstance(value, int) or isinstance(value, bool):
        return f"a port must be a whole number, not {shown(value)}", ""
    port = int(value)
    if not 1 <= port <= 65535:
        return f"{port} is not a port", "ports go from 1 to 65535"
    if port in before:
        return f"port {port} is listed twice", "remove one"
    if not has_bus:
        return None
    if port > HIGHEST_PORT:
        what = f"port {port} is too high for a cluster: the bus port would be {port + BUS_PORT_OFFSET}"
        return what, f"use ports up to {HIGHEST_PORT}"
    for other in before:
        if abs(port - other) == BUS_PORT_OFFSET:
            low, high = sorted((port, other))
            return f"port {high} is also the bus port of {low} on the same host", f"use another than {high}"
    return None
