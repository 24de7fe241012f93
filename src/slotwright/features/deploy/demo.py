"""The first try: a cluster on this machine without any file to write."""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.adapters.engines import locate
from slotwright.adapters.files import write_atomically
from slotwright.adapters.local.processes import bind_error
from slotwright.adapters.topology.file import render_topology
from slotwright.app.context import Context
from slotwright.cluster.topology import (
    HIGHEST_PORT,
    Address,
    Engine,
    EngineKind,
    EngineOrigin,
    HostSpec,
    PasswordRef,
    PasswordSource,
    Topology,
)
from slotwright.errors import HostError, InputError, RefusedError
from slotwright.features.deploy.api import up
from slotwright.features.deploy.outcome import UpResult

NAME = "demo"
_LOOPBACK_HOSTS = ("127.0.1.1", "127.0.1.2", "127.0.1.3")
_FIRST_PORT = 7001


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the user asked for; None: whatever there is, or the default (6 nodes, 1 replica a primary)."""

    nodes: int | None = None
    replicas: int | None = None
    engine: Engine | None = None
    first_port: int | None = None


async def demo(context: Context, options: DemoOptions) -> UpResult:
    """Make the demo cluster, or find it again and start what is down. It stays up.

    Raises InputError for numbers that make no cluster, RefusedError when another demo is there, and what ``up`` raises.
    """
    store = context.store(NAME)
    store.demand_known_formats()
    record = store.read_record()
    if record is not None:
        _refuse_other(options, record.topology)
        if not store.has_topology():
            write_atomically(store.topology_path, render_topology(record.topology))
    else:
        text = render_topology(design(options))
        store.prepare()
        write_atomically(store.topology_path, text)
    try:
        return await up(context, store.topology_path)
    except BaseException:
        if store.read_record() is None:
            store.remove()
        raise


def design(options: DemoOptions) -> Topology:
    """The topology of a demo on free ports of this machine. Raises InputError, HostError."""
    replicas = 1 if options.replicas is None else options.replicas
    nodes = options.nodes or max(6, 3 * (1 + replicas))
    _check_numbers(nodes, replicas)
    engine = options.engine or _any_engine()
    hosts = _LOOPBACK_HOSTS if all(not bind_error(Address(host, 0), 0) for host in _LOOPBACK_HOSTS) else ("127.0.0.1",)
    per_host = [nodes // len(hosts) + (index < nodes % len(hosts)) for index in range(len(hosts))]
    ports = _free_ports(hosts, max(per_host), options.first_port or _FIRST_PORT)
    return Topology(
        name=NAME,
        engine=engine,
        hosts=tuple(HostSpec(host, ports[:count]) for host, count in zip(hosts, per_host, strict=True)),
        replicas=replicas,
        password=PasswordRef(PasswordSource.NONE),
        allow_colocated_replicas=len(hosts) == 1,
    )


def _check_numbers(nodes: int, replicas: int) -> None:
    if replicas < 0:
        raise InputError("--replicas can't be negative", code="bad-number", where="--replicas")
    least = 3 * (1 + replicas)
    if nodes < least:
        raise InputError(
            f"{nodes} nodes are too few: 3 primaries with {replicas} replica{'s' if replicas != 1 else ''} each "
            f"are {least}",
            code="too-few-nodes",
            where="--nodes",
            hint=f"slotwright demo --nodes {least} --replicas {replicas}",
        )


def _any_engine() -> Engine:
    """The embedded Valkey; without it, what is on the PATH."""
    choices = (
        Engine(EngineKind.VALKEY, EngineOrigin.EMBEDDED),
        Engine(EngineKind.VALKEY, EngineOrigin.PATH),
        Engine(EngineKind.REDIS, EngineOrigin.PATH),
        Engine(EngineKind.REDIS, EngineOrigin.EMBEDDED),
    )
    first: HostError | None = None
    for engine in choices:
        try:
            locate(engine)
        except HostError as error:
            first = first or error
        else:
            return engine
    assert first is not None
    raise first


def _free_ports(hosts: tuple[str, ...], count: int, first: int) -> tuple[int, ...]:
    """The first ``count`` ports from ``first`` on that are free on every host, with their bus ports."""
    results: list[int] = []
    for port in range(first, HIGHEST_PORT + 1):
        if all(not bind_error(Address(host, port), number) for host in hosts for number in (port, port + 10000)):
            results.append(port)
            if len(results) == count:
                return tuple(results)
    raise HostError(f"there are no {count} free ports from {first} on", code="no-free-ports")


def _refuse_other(options: DemoOptions, topology: Topology) -> None:
    have = len(topology.addresses)
    other = (options.nodes not in (None, have)) or (options.replicas not in (None, topology.replicas))
    other = other or (options.engine is not None and options.engine != topology.engine)
    if other:
        raise RefusedError(
            f"another demo is there: {have} nodes with {topology.replicas} replicas a primary on "
            f"{topology.engine.kind} ({topology.engine.origin})",
            code="other-demo",
            where=NAME,
            left="nothing was changed",
            hint="slotwright destroy demo takes it away; slotwright demo without options finds it again",
        )
