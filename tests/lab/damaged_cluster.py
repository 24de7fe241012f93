"""A cluster on the lab's hosts that is hurt and mended; what it is like is asked of its servers, not of slotwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry

from tests.faults import data
from tests.faults.cluster import AWAY, Line, parse
from tests.lab.looks import folder
from tests.lab.machine import Host
from tests.lab.machines import Lab
from tests.lab.operator import Operator, Outcome, eventually

PORTS = (6379, 6380)
QUICK = {"maxmemory": "64mb", "cluster-node-timeout": "2500", "repl-diskless-sync-delay": "0"}
KEYS = 120
LOOK_S = 1.0
NOTES = frozenset({"role-moved"})
"""What stays of the rows before: who leads a shard is nobody's fault."""


class Node(NamedTuple):
    """A node by its host's letter."""

    host: str
    port: int


@dataclass
class DamagedCluster:
    """``known`` are acknowledged keys, by content. ``is_proved``: nothing was done to it since it was last proved."""

    operator: Operator
    known: data.Data = field(default_factory=dict)
    is_proved: bool = False

    @property
    def lab(self) -> Lab:
        return self.operator.lab

    # Who is who.

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(Node(name, port) for port in PORTS for name in self.lab.hosts)

    def host(self, node: Node) -> Host:
        return self.lab.hosts[node.host]

    def address(self, node: Node) -> str:
        return f"{self.host(node).address}:{node.port}"

    def unit(self, node: Node) -> str:
        return f"slotwright-cache@{self.host(node).address}-{node.port}.service"

    def folder(self, node: Node) -> str:
        return folder(self.host(node), node.port)

    def at(self, address: str) -> Node:
        return next(node for node in self.nodes if self.address(node) == address)

    def connect(self, node: Node, timeout_s: float = 5) -> Redis:
        """One try and no more: a node that is away is away."""
        return Redis(
            self.host(node).address,
            node.port,
            password=self.operator.environment["CACHE_PASSWORD"],
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )

    def view(self, node: Node) -> dict[str, Line]:
        """CLUSTER NODES of one node; AWAY is raised when it does not answer."""
        with self.connect(node, LOOK_S) as client:
            text = client.execute_command("CLUSTER", "NODES", NEVER_DECODE=True)
        return parse(text.decode() if isinstance(text, bytes) else str(text))

    def views(self, but: Iterable[Node] = ()) -> dict[Node, dict[str, Line]]:
        """Of all nodes that answer."""
        found = {}
        for node in set(self.nodes) - set(but):
            try:
                found[node] = self.view(node)
            except AWAY:
                continue
        return found

    def primaries(self) -> list[Node]:
        """Those with slots that answer, by their first slot."""
        mine = [line for view in self.views().values() for line in view.values() if "myself" in line.flags]
        owners = [line for line in mine if line.is_primary and line.slots]
        return [self.at(line.address) for line in sorted(owners, key=lambda line: min(line.slots))]

    def replica_of(self, primary: Node) -> Node:
        wanted = self.id(primary)
        return self.at(next(line.address for line in self.view(primary).values() if line.primary == wanted))

    def pair(self) -> tuple[Node, Node]:
        """A primary and its replica."""
        primary = self.primaries()[0]
        return primary, self.replica_of(primary)

    def id(self, node: Node) -> str:
        return self.line(node).id

    def pid(self, node: Node) -> int:
        """The unit's main process; 0 where it does not run."""
        return int(self.host(node).run("systemctl show -p MainPID --value $1", self.unit(node)).stdout)

    def line(self, node: Node) -> Line:
        """A node's word on itself."""
        return next(line for line in self.view(node).values() if "myself" in line.flags)

    # What it holds.

    def client(self, but: Iterable[Node] = ()) -> RedisCluster:
        """As an application has it; it asks all that answer ``but`` these who is who."""
        nodes = [ClusterNode(self.host(node).address, node.port) for node in self.views(but)]
        password = self.operator.environment["CACHE_PASSWORD"]
        return RedisCluster(startup_nodes=nodes, password=password, socket_timeout=5, socket_connect_timeout=1)

    def fill(self) -> None:
        """Keys of all types, acknowledged by the replicas as well."""
        with self.client() as client:
            keys = list(data.names(KEYS))
            data.write(client, keys)
            self.known = data.read_all(client, keys)
        assert len(self.known) == len(keys)
        self.wait_until_copied()

    def keys_of(self, primary: Node) -> list[bytes]:
        """Known keys of its slots."""
        slots = self.line(primary).slots
        return [key for key in self.known if data.slot_of(key) in slots]

    def wait_until_copied(self) -> None:
        """Until every replica has what its primary acknowledged."""
        for primary in self.primaries():
            with self.connect(primary) as client:
                assert client.wait(1, 5000) == 1

    def differing(self) -> dict[bytes, data.Content | None]:
        """Known keys that a client does not read as they were written."""
        with self.client() as client:
            return {key: found for key, wanted in self.known.items() if (found := data.read(client, key)) != wanted}

    def write(self, keys: Iterable[bytes], but: Iterable[Node] = ()) -> None:
        """More keys, that are known from now on."""
        with self.client(but) as client:
            wanted = list(keys)
            data.write(client, wanted)
            self.known |= data.read_all(client, wanted)

    # What happens to it.

    def take_down(self, *nodes: Node) -> None:
        """`kill -9`, and their units start them no more."""
        for node in nodes:
            self.host(node).run("systemctl kill -s KILL $1; systemctl stop $1", self.unit(node))
        assert not any(self.pid(node) for node in nodes)

    def start(self, node: Node) -> None:
        """By its unit, as an administrator does it."""
        self.host(node).run("systemctl reset-failed $1; systemctl start $1", self.unit(node))

    def freeze(self, node: Node) -> None:
        self.host(node).run("kill -STOP $1", str(self.pid(node)))

    def wait_for_takeover(self, replica: Node, but: Iterable[Node] = ()) -> None:
        """Until ``replica`` leads its shard in the scanner of all, and the cluster serves again."""
        place = self.address(replica)

        def has_happened() -> bool:
            views = self.views(but)
            return bool(views) and all(
                any(line.address == place and line.is_primary and line.slots for line in view.values())
                for view in views.values()
            )

        eventually(has_happened, f"{place} to take over")
        self.wait_until_ok(but)

    def wait_until_ok(self, but: Iterable[Node] = ()) -> None:
        eventually(
            lambda: all(self.cluster_info(node)["cluster_state"] == "ok" for node in self.views(but)), "a state of ok"
        )

    def cluster_info(self, node: Node) -> dict[str, str]:
        with self.connect(node, LOOK_S) as client:
            text = client.execute_command("CLUSTER", "INFO", NEVER_DECODE=True)
        lines = text.decode().splitlines() if isinstance(text, bytes) else str(text).splitlines()
        return {name: value for name, _, value in (line.partition(":") for line in lines)}

    def wait_until_failed(self, *nodes: Node) -> None:
        """Until all others hold these failed (or suspect them, where no majority is left)."""
        places = {self.address(node) for node in nodes}

        def is_seen() -> bool:
            views = self.views(but=nodes)
            lines = [line for view in views.values() for line in view.values() if line.address in places]
            return bool(lines) and all(line.flags & {"fail", "fail?"} for line in lines)

        eventually(is_seen, f"{places} to be held failed")

    def is_whole(self) -> bool:
        """Six nodes answer, three replicas are in sync, and nobody holds anybody failed."""
        views = self.views()
        links = [self.connect(node).info("replication") for node in views]
        followers = [link for link in links if link["role"] == "slave"]
        return (
            len(views) == len(self.nodes)
            and len(followers) == len(self.nodes) // 2
            and all(link["master_link_status"] == "up" for link in followers)
            and all(self.cluster_info(node)["cluster_state"] == "ok" for node in views)
            and not any(line.flags & {"fail", "fail?"} for view in views.values() for line in view.values())
        )

    def waits_for(self, node: Node, other: Node) -> float:
        """For how many seconds a ping of the one to the other has been without an answer, as the one says."""
        with self.connect(node, LOOK_S) as client:
            text = client.execute_command("CLUSTER", "NODES", NEVER_DECODE=True)
            seconds, microseconds = client.time()
        row = next(row for row in text.decode().splitlines() if f" {self.address(other)}@" in row)
        sent_ms = int(row.split()[4])
        return seconds + microseconds / 1e6 - sent_ms / 1000 if sent_ms else 0.0

    def as_planned(self) -> None:
        """Each host has one primary, as the file wants it."""
        if {node.port for node in self.primaries()} != {PORTS[0]}:
            self.operator.run("failover", "--restore-plan", "cache", "--yes", "--json").succeeded()
            self.wait_until_whole()

    def wait_until_whole(self) -> None:
        eventually(self.is_whole, "six sound nodes")

    # The command.

    def tells(self, must: str, may: str = "", *, one_of: str = "") -> Outcome:
        """`check` finds something: all codes of ``must``, one of ``one_of``, and no other but those of ``may``."""
        told = self.operator.check().ended_with(3)
        codes = {finding["code"] for finding in told.json["findings"]}
        assert set(must.split()) <= codes, told.text
        assert not one_of or set(one_of.split()) & codes, told.text
        invented = codes - set(f"{must} {may} {one_of}".split()) - NOTES
        assert not invented, f"invented: {invented}\n{told.text}"
        return told

    def repair(self, *words: str) -> Outcome:
        return self.operator.run("repair", "cache", "--yes", "--json", *words)

    def is_mended(self, *words: str) -> Outcome:
        """`repair` mends it, and it is proved by itself and by the servers."""
        told = self.repair(*words).succeeded()
        assert told.json["check"]["ok"], told.text
        self.prove()
        return told

    def prove(self) -> None:
        """Every key is there as it was written, every replica in sync, and `check` has nothing to say."""
        assert self.differing() == {}
        self.wait_until_whole()
        self.operator.check().succeeded()
        self.is_proved = True


def steps(told: Outcome) -> list[str]:
    """What a repair did."""
    return [step["step"] for step in told.json["done"]]


def form(lab: Lab, folder: Path) -> DamagedCluster:
    """The origin story's cluster with quick time-outs, filled."""
    operator = Operator(lab, folder)
    damaged = DamagedCluster(operator)
    operator.topology(settings=QUICK)
    operator.up().succeeded()
    damaged.fill()
    damaged.is_proved = True
    return damaged


def make_anew(damaged: DamagedCluster) -> None:
    """After a test that left it broken: hosts as new, another cluster."""
    operator = damaged.operator
    damaged.lab.renew()
    shutil.rmtree(operator.state, ignore_errors=True)
    operator.topology(settings=QUICK)
    operator.up().succeeded()
    damaged.fill()
    damaged.is_proved = True
