"""Each capability tried on a server of its own: not whether it is told, but whether it is done.

A trial returns "" where the server does it, else what it said or did instead.
"""

from __future__ import annotations

import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from slotwright.cluster.observation import ServerVersion
from slotwright.server.capabilities import (
    QUESTIONS,
    Capabilities,
    Capability,
    capabilities_from,
    version_from_info,
)
from slotwright.server.info import parse_info
from slotwright.server.rdb.dump import dump_payload
from tests.engines import TestEngine
from tests.integration.conftest import PORTS
from tests.integration.rdb_servers import server, snapshot

FORMATS = (*range(9, 16), *range(79, 82))
"""RDB versions that RESTORE is tried with."""

_DISKLESS = ("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")

_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Measured:
    """Of one server: what it says it can do, what it said where it could not, and its snapshots' formats."""

    told: Capabilities
    failures: dict[Capability, str]
    writes: int
    takes: tuple[int, ...]

    @property
    def version(self) -> ServerVersion:
        return self.told.version

    def does(self, capability: Capability) -> bool:
        return not self.failures[capability]


def measure(engine: TestEngine) -> Measured:
    """Everything, in about a second."""
    with server(engine, *_DISKLESS) as client:
        writes = int(snapshot(client)[6:9])
        client.response_callbacks.clear()
        told, takes = _told(client), tuple(_taken(client))
        failures = {capability: trial(client) for capability, trial in TRIALS.items()}
    with server(engine, "--cluster-enabled", "yes", "--bind", _HOST, "--port", str(_free_port())) as client:
        failures[Capability.SHARD_IDS] = _shard_ids(client)
    return Measured(told, failures, writes, takes)


def _told(client: Redis) -> Capabilities:
    info = parse_info(client.execute_command("INFO", "server").decode())
    return capabilities_from(version_from_info(info), [_reply(client, *question) for question in QUESTIONS])


def _taken(client: Redis) -> Iterator[int]:
    for number in FORMATS:
        client.delete("key")
        payload = dump_payload(0, b"\x05value", number)
        if not _refusal(client, "RESTORE", "key", 0, payload):
            yield number


def _free_port() -> int:
    """With its bus port: a member of a cluster has one, also where it is reached by a socket."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as one, socket.socket() as other, suppress(OSError):
            one.bind((_HOST, port))
            other.bind((_HOST, port + 10_000))
            return port


def _reply(client: Redis, *words: object) -> object:
    """An error as a value."""
    try:
        return client.execute_command(*words)
    except ResponseError as error:
        return error


def _refusal(client: Redis, *words: object) -> str:
    reply = _reply(client, *words)
    return str(reply) if isinstance(reply, RedisError) else ""


def _command(*words: object) -> Callable[[Redis], str]:
    return lambda client: _refusal(client, *words)


def _absolute_deadlines(client: Redis) -> str:
    """As a replica: a server sends the stream once it was told (ACK) that the snapshot came, and has seen its end."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(client.connection_pool.connection_kwargs["path"])
        connection.sendall(b"REPLCONF capa eof capa psync2\r\n")
        _until(connection, b"", rb"OK\r\n")
        connection.sendall(b"PSYNC ? -1\r\n")
        received = _until(connection, b"", rb"\$EOF:(.{40})\r\n.*\1")
        client.execute_command("SET", "deadline", "value", "PX", 100_000)
        received = _until(connection, received, rb"deadline.*(PXAT|100000\r\n)", b"REPLCONF ACK 0\r\n")
    return "" if b"PXAT" in received else "the stream says PX"


def _until(connection: socket.socket, received: bytes, pattern: bytes, prompt: bytes = b"") -> bytes:
    """What came, once it has the pattern; ``prompt`` is said as long as nothing comes."""
    deadline = time.monotonic() + 60
    connection.settimeout(0.1)
    while not re.search(pattern, received, re.DOTALL):
        assert time.monotonic() < deadline, received
        connection.sendall(prompt)
        with suppress(TimeoutError):
            received += connection.recv(65536)
    return received


def _expire_time(client: Redis) -> str:
    client.execute_command("SET", "key", "value", "PXAT", 4_000_000_000_000)
    reply = _reply(client, "PEXPIRETIME", "key")
    return "" if reply == 4_000_000_000_000 else str(reply)


def _field_expiry(client: Redis) -> str:
    client.execute_command("HSET", "hash", "field", "value")
    words = ("hash", 4_000_000_000_000, "FIELDS", 1, "field")
    refusal = _refusal(client, "HPEXPIREAT", *words)
    return refusal or _refusal(client, "HPEXPIRETIME", "hash", "FIELDS", 1, "field")


def _disables_huge_pages(client: Redis) -> str:
    return "" if _reply(client, "CONFIG", "GET", "disable-thp") else "no such setting"


def _import_mode(client: Redis) -> str:
    refusal = _refusal(client, "CONFIG", "SET", "import-mode", "yes")
    if not refusal:
        refusal = _refusal(client, "CLIENT", "IMPORT-SOURCE", "ON")
        client.execute_command("CONFIG", "SET", "import-mode", "no")
    return refusal


def _refuses_to_queue_psync(client: Redis) -> str:
    with client.client() as one:
        one.execute_command("MULTI")
        refusal = _refusal(one, "PSYNC", "?", "-1")
        one.execute_command("DISCARD")
    return "" if refusal else "QUEUED"


def _script_replica_check(client: Redis) -> str:
    client.execute_command("CONFIG", "SET", "min-replicas-to-write", 5)
    reply = _reply(client, "EVAL", "return redis.call('SET', KEYS[1], 'x')", 1, "scripted")
    client.execute_command("CONFIG", "SET", "min-replicas-to-write", 0)
    return "" if isinstance(reply, RedisError) and "NOREPLICAS" in str(reply) else "the script writes"


def _shard_ids(client: Redis) -> str:
    folder = client.config_get("dir")["dir"]
    return "" if "shard-id=" in Path(folder, "nodes.conf").read_text() else "not in nodes.conf"


TRIALS: dict[Capability, Callable[[Redis], str]] = {
    Capability.ABSOLUTE_DEADLINES: _absolute_deadlines,
    Capability.ACL_DRYRUN: _command("ACL", "DRYRUN", "default", "GET", "key"),
    Capability.DISABLES_HUGE_PAGES: _disables_huge_pages,
    Capability.EXPIRE_TIME: _expire_time,
    Capability.FIELD_EXPIRY: _field_expiry,
    Capability.FUNCTIONS: _command("FUNCTION", "LIST"),
    Capability.IMPORT_MODE: _import_mode,
    Capability.NO_TOUCH: _command("CLIENT", "NO-TOUCH", "ON"),
    Capability.REFUSES_TO_QUEUE_PSYNC: _refuses_to_queue_psync,
    Capability.SCRIPT_REPLICA_CHECK: _script_replica_check,
    Capability.WRITE_PAUSE: _command("CLIENT", "PAUSE", 1, "WRITE"),
}
"""All but SHARD_IDS, which wants a member of a cluster."""
