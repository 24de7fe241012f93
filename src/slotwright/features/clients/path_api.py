"""client test: from here or from a host, the way that a client goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from slotwright.adapters.servers.resp import RespDialer
from slotwright.adapters.servers.tls_probe import Opener, Streams, speaks_tls
from slotwright.app.context import Context
from slotwright.app.targets import Target
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.topology import Address, Engine, EngineKind, EngineOrigin, HostSpec, SshSpec, Topology
from slotwright.errors import ServerError
from slotwright.features.clients.path_model import ClientPath
from slotwright.features.clients.path_plan import check_walk
from slotwright.features.clients.path_run import ClientPathProbe
from slotwright.nodes.connections import ConnectionPool


@dataclass(frozen=True, slots=True)
class ClientPathResult:
    """The walk, and what is wrong on it."""

    name: str
    walk: ClientPath
    findings: tuple[Finding, ...]

    @property
    def is_ok(self) -> bool:
        """A client at that place finds every node."""
        return all(finding.severity is Severity.NOTE for finding in self.findings)


async def client_test(context: Context, target: Target, host: str = "", username: str = "") -> ClientPathResult:
    """``host`` "": from this machine, straight, whatever way slotwright itself takes to the servers; else from there,
    through SSH, as the file says for that host, or for its first one.

    Raises ServerError when no seed lets a client in, and HostError when the host can't be reached.
    """
    record = target.record
    seeds = (target.seed,) if record is None else tuple(node.address for node in record.blueprint.nodes)
    assert all(seeds)
    host = "" if _is_this_machine(target, host) else host
    async with _opener(context, target, host) as opener:

        async def probe(address: Address) -> bool:
            return await speaks_tls(opener, address)

        async with ConnectionPool(RespDialer(target.password, username, opener)) as pool:
            walker = ClientPathProbe(host, pool, context.clock, probe)
            try:
                walk = await walker.walk([seed for seed in seeds if seed is not None])
            except ServerError as error:
                if host:
                    error.hint = error.hint or f"seen from {host}; slotwright check tells how it looks from here"
                raise
    return ClientPathResult(target.name, walk, check_walk(walk))


@asynccontextmanager
async def _opener(context: Context, target: Target, host: str) -> AsyncIterator[Opener]:
    if not host:
        yield _straight
        return
    from slotwright.adapters.ssh.fleet import connect_fleet

    fleet = await connect_fleet(_only(target, host), context.report, context.ask_secret, context.agree)
    try:
        if host in fleet.errors:
            raise fleet.errors[host]
        yield fleet.opener_on(host)
    finally:
        await fleet.close()


async def _straight(address: Address) -> Streams:
    return await asyncio.open_connection(address.host, address.port)


def _is_this_machine(target: Target, host: str) -> bool:
    """A host of a file without ``ssh`` is."""
    hosts = target.topology.hosts if target.topology else ()
    return Address(host, 0).is_loopback or any(
        host_spec.address == host and host_spec.ssh is None for host_spec in hosts
    )


def _only(target: Target, host: str) -> Topology:
    """That one host: as the file has it, else reached as the file's first host is, else as ~/.ssh/config says."""
    topology = target.topology
    hosts = topology.hosts if topology else ()
    named = next((host_spec for host_spec in hosts if host_spec.address == host), None)
    first = next((host_spec.ssh for host_spec in hosts if host_spec.ssh is not None), SshSpec())
    spec = named or HostSpec(host, (), ssh=replace(first, address=""))
    if topology is not None:
        return replace(topology, hosts=(spec,))
    return Topology(target.name, Engine(EngineKind.VALKEY, EngineOrigin.PATH), (spec,))
