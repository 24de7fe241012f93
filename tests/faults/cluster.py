"""A real cluster under test, looked at by its servers' own words: nothing here is read through slotwright."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import redis.exceptions
from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry

from tests.engines import TestEngine
from tests.faults import data
from tests.integration.conftest import Lab, Outcome

QUICK = "cluster-node-timeout: 2500"
PATIENT = "cluster-node-timeout: 6000"
LOOK_S = 2
AWAY = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, redis.exceptions.BusyLoadingError)


@dataclass(frozen=True)
class Line:
    """A line of CLUSTER NODES."""

    id: str
    address: str
    flags: frozenset[str]
    primary: str
    epoch: int
    slots: frozenset[int]
    open: tuple[str, ...]

    @property
    def is_primary(self) -> bool:
        return "master" in self.flags

    @property
    def is_failed(self) -> bool:
        return "fail" in self.flags


def parse(text: str) -> dict[str, Line]:
    """CLUSTER NODES -> id -> line."""
    found = {}
    for row in text.splitlines():
        node, place, flags, primary, _, _, epoch, _, *slots = row.split()
        plain = [word for word in slots if not word.startswith("[")]
        owned = {
            slot
            for word in plain
            for slot in range(int(word.partition("-")[0]), int(word.partition("-")[2] or word.partition("-")[0]) + 1)
        }
        found[node] = Line(
            node,
            place.partition("@")[0],
            frozenset(flags.split(",")),
            primary,
            int(epoch),
            frozenset(owned),
            tuple(word.strip("[]") for word in slots if word.startswith("[")),
        )
    return found


@dataclass
class Cluster:
    """What `slotwright up` made, or somebody by hand (``target`` is an address then)."""

    lab: Lab
    engine: TestEngine
    addresses: tuple[str, ...]
    password: str | None
    target: str = "cache"
    environment: dict[str, str] = field(default_factory=dict)
    known: data.Data = field(default_factory=dict)
    extra: set[bytes] = field(default_factory=set)
    mounts: list[Path] = field(default_factory=list)

    # Asking the servers.

    def connect(self, address: str, timeout_s: float = 5) -> Redis:
        """One try and no more: a node that is away is away."""
        host, port = _split(address)
        once = Retry(NoBackoff(), 0)
        return Redis(host, port, password=self.password, socket_timeout=timeout_s, retry=once)

    def execute(self, address: str, *words: object) -> object:
        """One command on one node, as it answers; no redirection is followed."""
        with self.connect(address) as client:
            return client.execute_command(*words)

    def asking(self, address: str, *words: object) -> object:
        """A command as a client sends it that was sent to ``address`` by an ASK."""
        with self.connect(address) as client:
            client.execute_command("ASKING")
            return client.execute_command(*words)

    def view(self, address: str) -> dict[str, Line]:
        """CLUSTER NODES of one node; AWAY is raised when it does not answer."""
        with self.connect(address, LOOK_S) as client:
            text = client.execute_command("CLUSTER", "NODES", NEVER_DECODE=True)
        return parse(text.decode() if isinstance(text, bytes) else str(text))

    def views(self) -> dict[str, dict[str, Line]]:
        """Of all nodes that answer."""
        found = {}
        for address in self.addresses:
            try:
                found[address] = self.view(address)
            except AWAY:
                continue
        return found

    def line(self, address: str) -> Line:
        """A node's word on itself."""
        return next(line for line in self.view(address).values() if "myself" in line.flags)

    def id(self, address: str) -> str:
        return self.line(address).id

    def info(self, address: str, section: str) -> dict:
        with self.connect(address) as client:
            return client.info(section)

    # Who is who.

    def primaries(self) -> list[str]:
        """Addresses of the primaries with slots that answer, by their first slot."""
        mine = [self.line(address) for address in self.views()]
        owners = [line for line in mine if line.is_primary and line.slots]
        return [line.address for line in sorted(owners, key=lambda line: min(line.slots))]

    def replica_of(self, primary: str) -> str:
        wanted = self.id(primary)
        return next(line.address for line in self.view(primary).values() if line.primary == wanted)

    def folder(self, address: str) -> Path:
        """The node's own folder."""
        found = [path for path in self.lab.folder.rglob(address.replace(":", "-")) if path.is_dir()]
        return found[0] if found else self.lab.folder / f"foreign-{address.replace(':', '-')}"

    def slot_with_keys(self, primary: str, nth: int = 0) -> tuple[int, list[bytes]]:
        """A slot of ``primary`` that a tag filled, and its keys."""
        owned = self.line(primary).slots
        by_tag: dict[int, list[bytes]] = {}
        for key in self.known:
            if key.startswith(b"{") and data.slot_of(key) in owned:
                by_tag.setdefault(data.slot_of(key), []).append(key)
        return sorted(by_tag.items())[nth]

    def empty_slot(self, primary: str) -> int:
        used = {data.slot_of(key) for key in self.known}
        return min(self.line(primary).slots - used)

    # What it holds.

    def client(self) -> RedisCluster:
        nodes = [ClusterNode(*_split(address)) for address in self.views()]
        return RedisCluster(startup_nodes=nodes, password=self.password, socket_timeout=5)

    def fill(self, count: int = 150, *, is_copied: bool = True) -> None:
        """Keys of all types over all slots, known by their content, and (``is_copied``) on the replicas as well."""
        with self.client() as client:
            keys = list(data.names(count))
            data.write(client, keys)
            self.known = data.read_all(client, keys)
        assert len(self.known) == len(keys)
        for primary in self.primaries() if is_copied else ():
            self.execute(primary, "WAIT", len(self._replicas(primary)), 5000)

    def _replicas(self, primary: str) -> list[str]:
        wanted = self.id(primary)
        return [line.address for line in self.view(primary).values() if line.primary == wanted]

    def remember(self, address: str, keys: Iterable[bytes]) -> None:
        """Keys that were written past the owner, as their node holds them: they count from now on."""
        with self.connect(address) as client:
            for key in keys:
                client.execute_command("ASKING")
                kind = client.execute_command("TYPE", key)
                assert kind == b"string", "only strings are written past the owner here"
                client.execute_command("ASKING")
                self.known[key] = data.Content("string", client.execute_command("GET", key))

    def counted(self) -> int:
        """Keys on all primaries that answer: a key that is held twice counts twice."""
        return sum(self.execute(address, "DBSIZE") for address in self.primaries())

    def strays(self) -> dict[str, int]:
        """Keys on each node, replicas and all, that lie in slots which its shard does not own."""
        found = {}
        for address in self.addresses:
            mine = self.line(address)
            owned = mine.slots if mine.is_primary else self.view(address)[mine.primary].slots
            with self.connect(address) as client:
                outside = [key for key in client.scan_iter(count=1000) if data.slot_of(key) not in owned]
            if outside:
                found[address] = len(outside)
        return found

    def differing(self) -> dict[bytes, data.Content | None]:
        """Known keys that a client does not read as they were written."""
        with self.client() as client:
            return {key: found for key, wanted in self.known.items() if (found := data.read(client, key)) != wanted}

    # What happens to it.

    def kill(self, *addresses: str) -> None:
        """`kill -9`, and gone for sure."""
        pids = self.lab.processes()
        for address in addresses:
            os.kill(pids[address.replace(":", "-")], signal.SIGKILL)
        names = {address.replace(":", "-") for address in addresses}
        self.lab.wait(lambda: not names & set(self.lab.processes()), f"{addresses} to be gone")

    def freeze(self, *addresses: str) -> Callable[[], None]:
        """SIGSTOP; what is returned lets them go on."""
        pids = [self.lab.processes()[address.replace(":", "-")] for address in addresses]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

        def thaw() -> None:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

        return thaw

    def start_by_hand(self, address: str, *options: str, place: Path | None = None) -> int:
        """The server with its own configuration, as somebody with a shell starts it; its pid."""
        folder = place or self.folder(address)
        words = [str(self.engine.binary), str(folder / "server.conf"), *options]
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=folder, start_new_session=True
        )
        return process.pid

    @staticmethod
    def has_ended(pid: int) -> bool:
        """Also one that nobody has waited for yet."""
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        return state == "Z"

    def wait_until_answers(self, address: str) -> None:
        def answers() -> bool:
            try:
                return self.execute(address, "PING") in (True, b"PONG")
            except AWAY:
                return False

        self.lab.wait(answers, f"{address} to answer")

    def wait_for_takeover(self, replica: str) -> None:
        """Until ``replica`` is a primary, everybody says so, and the cluster serves again."""

        def has_happened() -> bool:
            views = self.views()
            return bool(views) and all(
                any(line.address == replica and line.is_primary and line.slots for line in view.values())
                for view in views.values()
            )

        self.lab.wait(has_happened, f"{replica} to take over")
        self.wait_until_ok()

    def wait_until_ok(self) -> None:
        """Every node that answers says cluster_state:ok."""
        self.lab.wait(self.is_ok, "the nodes to call the cluster ok")

    def is_ok(self) -> bool:
        return all(b"cluster_state:ok" in _raw(self, address) for address in self.views())

    def wait_until_failed(self, *addresses: str) -> None:
        """Until every node that answers holds these failed (or suspects them, where no majority is left)."""

        def is_seen() -> bool:
            views = self.views()
            return bool(views) and all(
                line.flags & {"fail", "fail?"}
                for view in views.values()
                for line in view.values()
                if line.address in addresses
            )

        self.lab.wait(is_seen, f"{addresses} to be held failed")

    def is_in_sync(self) -> bool:
        """Every replica's link is up."""
        for address in self.views():
            found = self.info(address, "replication")
            if found["role"] == "slave" and found["master_link_status"] != "up":
                return False
        return True

    # The command.

    def run(self, *words: str, timeout: float = 150) -> Outcome:
        return self.lab.run(*words, env=self.environment, timeout=timeout)

    def check(self, *options: str) -> Outcome:
        return self.run("check", self.target, "--json", *options)

    def repair(self, *words: str) -> Outcome:
        return self.run("repair", self.target, "--yes", "--json", *words)

    def codes(self) -> set[str]:
        """Of what `check` finds; notes count for nothing, but are told."""
        return codes_of(self.check().json)


def codes_of(told: dict) -> set[str]:
    """The codes in what `check --json` said."""
    return {finding["code"] for finding in told["findings"]}


def _raw(cluster: Cluster, address: str) -> bytes:
    with cluster.connect(address) as client:
        found = client.execute_command("CLUSTER", "INFO", NEVER_DECODE=True)
    return found if isinstance(found, bytes) else str(found).encode()


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def form(
    lab: Lab,
    engine: TestEngine,
    *,
    settings: str = QUICK,
    replicas: int = 1,
    per_host: int = 2,
    extra: str = "",
    name: str = "cache",
    file: str = "cluster.yaml",
    password: str = "generate",
) -> Cluster:
    """Three hosts, made by `slotwright up`, and filled."""
    ports = tuple(lab.free_port() for _ in range(per_host))
    shape = {"replicas": replicas, "ports": ports, "extra": extra, "name": name, "file": file, "password": password}
    lab.topology(engine, settings=f"{{{settings}}}", **shape)
    environment = {"CACHE_PASSWORD": "the first password"} if "env" in password else {}
    up = lab.run("up", file, "--yes", "--json", env=environment)
    assert up.code == 0, up
    addresses = tuple(f"{host}:{port}" for port in ports for host in lab.hosts)
    cluster = Cluster(lab, engine, addresses, lab.password(name), name, environment)
    cluster.fill()
    return cluster
