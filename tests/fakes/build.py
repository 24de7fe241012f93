"""Small values for tests: topologies, blueprints, and the names that they carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import count

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.topology import Address, Engine, EngineKind, EngineOrigin, HostSpec, Mode, Topology
from slotwright.features.deploy.plan.blueprint import make_blueprint
from slotwright.features.deploy.plan.placement import place

ENGINE = Engine(EngineKind.VALKEY, EngineOrigin.EMBEDDED)
VERSION = ServerVersion(EngineKind.VALKEY, (9, 1, 2))
DATA_ROOT = "/data"


def at(text: str) -> Address:
    return Address.parse(text)


def ids() -> Callable[[], str]:
    """40 hexadecimal digits that count: the same ones in every test."""
    numbers = count(1)
    return lambda: f"{next(numbers):040x}"


def topology(
    hosts: int = 3,
    ports: int = 2,
    replicas: int = 1,
    *,
    settings: Mapping[str, str] | None = None,
    allow: bool = False,
    mode: Mode = Mode.CLUSTER,
    name: str = "demo",
) -> Topology:
    """Hosts h1, h2 ... with the ports 7001, 7002 ... each."""
    specs = tuple(HostSpec(f"h{number}", tuple(range(7001, 7001 + ports))) for number in range(1, hosts + 1))
    pairs = tuple((settings or {}).items())
    return Topology(name, ENGINE, specs, replicas, settings=pairs, mode=mode, allow_colocated_replicas=allow)


@cache
def blueprint(wanted: Topology) -> Blueprint:
    """The same for the same topology, and made once: a third of a simulated formation would be placing its nodes."""
    return make_blueprint(wanted, place(wanted), ids())


def record(wanted: Topology, stage: Stage = Stage.FORMED, made: Blueprint | None = None) -> ClusterRecord:
    return ClusterRecord(
        made or blueprint(wanted), wanted, stage, "/etc/demo.yaml", DATA_ROOT, "/usr/bin/valkey-server", VERSION.title
    )
