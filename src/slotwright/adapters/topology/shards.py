"""``shards``: who is primary and who replicates whom, where the author decides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slotwright.adapters.topology.addresses import canonical_host
from slotwright.adapters.topology.lines import KeyPath
from slotwright.adapters.topology.schema import Report, RootPart, ShardPart, read_part, shown
from slotwright.cluster.topology import Address, HostSpec, ShardSpec


def read_shards(root: RootPart, hosts: Sequence[HostSpec], report: Report) -> tuple[ShardSpec, ...]:
    """The explicit shards; every address must be a node of ``hosts``, and none may stand twice."""
    known = {address for host in hosts for address in host.node_addresses}
    reader = _ShardReader(hosts, known if report.is_clean("hosts") and report.is_clean("ports") else None, report)
    return tuple(reader.shard(raw, at) for at, raw in enumerate(root.shards or ()))


class _ShardReader:
    """Reads explicit shards; knows which addresses there are (None: not known) and which are used already."""

    def __init__(self, hosts: Sequence[HostSpec], known: set[Address] | None, report: Report) -> None:
        self._hosts = hosts
        self._known = known
        self._report = report
        self._used: dict[Address, int] = {}

    def shard(self, raw: object, at: int) -> ShardSpec:
        path: KeyPath = ("shards", at)
        if not isinstance(raw, Mapping):
            what = f"a shard must be a mapping, not {shown(raw)}"
            self._report.problem(what, *path, hint='{primary: "127.0.1.1:7001", replicas: ["127.0.1.2:7002"]}')
            return ShardSpec(_NOWHERE)
        part = read_part(ShardPart, raw, path, self._report)
        if part.primary is None and self._report.is_clean(*path, "primary"):
            self._report.problem("this shard has no primary", *path, hint='primary: "127.0.1.1:7001"')
        primary = _NOWHERE if part.primary is None else self._address(part.primary, (*path, "primary"))
        replicas = enumerate(part.replicas or ())
        return ShardSpec(primary, tuple(self._address(one, (*path, "replicas", n)) for n, one in replicas))

    def _address(self, raw: object, path: KeyPath) -> Address:
        try:
            written = Address.parse(str(raw))
            address = Address(canonical_host(written.host), written.port)
        except ValueError:
            self._report.problem(f"an address in a shard is host:port, not {shown(raw)}", *path)
            return _NOWHERE
        shard = int(path[1]) + 1
        if address in self._used:
            where = f"shard {self._used[address]}" if self._used[address] != shard else "this shard"
            self._report.problem(f"{address} stands in {where} already", *path)
        elif self._known is not None and address not in self._known:
            self._report.problem(f"{address} is not one of the nodes of this file", *path, hint=self._hint(address))
        self._used.setdefault(address, shard)
        return address

    def _hint(self, address: Address) -> str:
        for host in self._hosts:
            if host.address == address.host:
                return f"{host.address} has the ports {', '.join(map(str, host.ports))}"
        return f"add {address.host} to hosts"


_NOWHERE = Address("", 0)
