"""Clusters that somebody made without slotwright: servers with files of their own, ``redis-cli --cluster create``."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.engines import TestEngine, redis_cli
from tests.integration.conftest import Lab
from tests.server_settings import settings_of

PASSWORD = 'by "hand"'
ENV = {"SLOTWRIGHT_PASSWORD": PASSWORD}
SIX = 6


@dataclass(frozen=True)
class ByHand:
    """Six servers, each with a configuration file that somebody edited."""

    lab: Lab
    engine: TestEngine
    addresses: tuple[str, ...]

    @property
    def seed(self) -> str:
        return self.addresses[0]

    def folder(self, address: str) -> Path:
        return self.lab.folder / f"foreign-{address.replace(':', '-')}"

    def config(self, address: str, name: str) -> str:
        with self.lab.client(address, PASSWORD) as client:
            return client.config_get(name)[name]

    def settings(self, address: str) -> dict[str, list[str]]:
        """What is in its file."""
        return settings_of(self.folder(address) / "redis.conf")

    def nodes(self, address: str) -> str:
        """CLUSTER NODES without its times of pings."""
        with self.lab.client(address, PASSWORD) as client:
            lines = client.execute_command("CLUSTER", "NODES", NEVER_DECODE=True)
        return without_times(lines.decode() if isinstance(lines, bytes) else str(lines))

    def is_quiet(self) -> bool:
        """No node is writing its files anew, as a replica does after its first copy."""
        busy = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")
        for address in self.addresses:
            with self.lab.client(address, PASSWORD) as client:
                found = client.info("persistence")
            if any(found[name] for name in busy):
                return False
        return True

    def snapshot(self) -> dict[str, object]:
        """All that adopting must leave as it is: what the servers say, and every file but logs and half copies."""
        self.lab.wait(self.is_quiet, "the nodes to be done with their files")
        found: dict[str, object] = {}
        for address in self.addresses:
            with self.lab.client(address, PASSWORD) as client:
                found[f"{address} config"] = client.config_get("*")
                found[f"{address} keys"] = client.dbsize()
            found[f"{address} nodes"] = self.nodes(address)
            for path in sorted(self.folder(address).rglob("*")):
                if path.is_file() and path.suffix != ".log" and not path.name.startswith("temp-"):
                    is_map = path.name == "nodes.conf"
                    found[str(path)] = without_times(path.read_text()) if is_map else path.read_bytes()
        return found


def without_times(text: str) -> str:
    kept = [line.split() for line in text.splitlines() if line and not line.startswith("vars")]
    return "\n".join(sorted(" ".join((*words[:4], *words[6:])) for words in kept))


def start(lab: Lab, engine: TestEngine, address: str, *lines: str) -> None:
    host, port = address.split(":")
    folder = lab.folder / f"foreign-{host}-{port}"
    folder.mkdir()
    conf = folder / "redis.conf"
    own = (f"bind {host}", f"port {port}", f"dir {folder}", f"logfile {folder}/server.log", "daemonize no")
    conf.write_text("# edited by hand\n" + "\n".join((*own, *lines)) + "\n")
    words = [str(engine.binary), str(conf)]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=folder)

    def listens() -> bool:
        assert process.poll() is None, (folder / "server.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    lab.wait(listens, f"{address} to listen")


def make(lab: Lab, engine: TestEngine, *lines: str) -> ByHand:
    """``redis-cli --cluster create`` over six nodes with these ``lines`` in their files."""
    client = redis_cli()
    ports = (lab.free_port(), lab.free_port())
    addresses = tuple(f"{host}:{port}" for port in ports for host in lab.hosts)
    quoted = PASSWORD.replace('"', '\\"')
    for address in addresses:
        host = address.split(":")[0]
        start(
            lab,
            engine,
            address,
            *("cluster-enabled yes", f"cluster-announce-ip {host}", f"replica-announce-ip {host}"),
            *("cluster-node-timeout 5000", f'requirepass "{quoted}"', "appendonly yes", *lines),
        )
    made = subprocess.run(
        [client, "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"],
        env=lab.environment | {"REDISCLI_AUTH": PASSWORD},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "[OK] All 16384 slots covered." in made.stdout, "redis-cli calls it sound, also where it is not"
    cluster = ByHand(lab, engine, addresses)
    lab.wait(lambda: is_settled(cluster), "all nodes to know each other's roles")
    return cluster


def is_settled(cluster: ByHand) -> bool:
    """All nodes serve, and say the same of each other."""
    for address in cluster.addresses:
        with cluster.lab.client(address, PASSWORD) as client:
            if b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO", NEVER_DECODE=True):
                return False
    views = {cluster.nodes(address).replace("myself,", "") for address in cluster.addresses}
    return len(views) == 1 and next(iter(views)).count(" slave ") == 3


def with_masterauth() -> str:
    return 'masterauth "' + PASSWORD.replace('"', '\\"') + '"'


def links_are_up(cluster: ByHand) -> bool:
    found = []
    for address in cluster.addresses:
        with cluster.lab.client(address, PASSWORD) as client:
            found.append(client.info("replication").get("master_link_status"))
    return found.count("up") == 3
