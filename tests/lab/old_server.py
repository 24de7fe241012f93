"""The single instance of the origin story, on the control machine's end of the lab's network: a plain process with a
configuration file, a password, an append-only file and an address of its own."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.engines import TestEngine, engine
from tests.lab.operator import eventually
from tests.migration.ledger import connect

PORT = 6379
WORD = "Amsel5527"
PASSWORD = f"% {WORD}\"' $HOME \\n ü"
STILL = 50_000
"""Keys that nobody changes."""

CONFIGURATION = """
bind {host}
port {port}
protected-mode yes
daemonize no
dir {folder}
appendonly yes
appendfsync everysec
save ""
requirepass {password}
maxmemory 256mb
"""


@dataclass
class OldServer:
    """Redis 6.2 under load, as it has run for years."""

    engine: TestEngine
    host: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"{self.host}:{PORT}"

    def client(self) -> Redis:
        return connect(self.address, PASSWORD, 0, timeout_s=30)

    def is_read_only(self) -> bool:
        """For commands, deletions and scripts; and reads are answered."""
        client, refused = self.client(), 0
        script = ("EVAL", "return redis.call('set', KEYS[1], 1)", 1, "probe")
        for words in (("SET", "probe", 1), ("DEL", "still:string:0"), script):
            try:
                client.execute_command(*words)
            except RedisError:
                refused += 1
        return refused == 3 and client.execute_command("EXISTS", "still:string:0") == 1

    def fill(self, count: int = STILL) -> None:
        """So many keys of all types, some with a deadline; the first are of the types in turn."""
        dice = random.Random(7)
        pipe = self.client().pipeline(transaction=False)
        for number in range(count):
            for words in _made(number, dice):
                pipe.execute_command(*words)
            if number % 1000 == 999:
                pipe.execute()
        pipe.execute()


def _made(number: int, dice: random.Random) -> list[tuple[object, ...]]:
    """One key; bytes of any kind, values of one and of many elements."""
    some = [dice.randbytes(dice.randrange(1, 60)) for _ in range(dice.choice((1, 3, 20)))]
    kind = ("string", "string", "string", "hash", "list", "set", "zset", "stream")[number % 8]
    key = b"still:%b:%d" % (kind.encode(), number)
    words: list[tuple[object, ...]]
    match kind:
        case "string":
            words = [("SET", key, dice.randbytes(100))]
        case "hash":
            words = [("HSET", key, *(part for at, value in enumerate(some) for part in (b"f%d" % at, value)))]
        case "list":
            words = [("RPUSH", key, *some)]
        case "set":
            words = [("SADD", key, *some)]
        case "zset":
            words = [("ZADD", key, *(part for value in some for part in (dice.uniform(-9, 9), value)))]
        case _:
            words = [("XADD", key, f"1-{at + 1}", "value", value) for at, value in enumerate(some)]
            words += [("XGROUP", "CREATE", key, "group", "0"), ("XREADGROUP", "GROUP", "group", "one", "COUNT", 1,
                      "STREAMS", key, ">")]  # fmt: skip
    return words + ([("PEXPIRE", key, 86_400_000 + number)] if number % 5 == 0 else [])


@contextmanager
def old_server(host: str, folder: Path) -> Iterator[OldServer]:
    """It runs within the context."""
    binary = engine("redis-6.2").binary
    folder.mkdir(parents=True, mode=0o700)
    file = folder / "redis.conf"
    quoted = '"' + PASSWORD.replace("\\", "\\\\").replace('"', '\\"') + '"'
    file.touch(mode=0o600)
    file.write_text(CONFIGURATION.format(host=host, port=PORT, folder=folder, password=quoted))
    with (folder / "redis.log").open("w") as log:
        process = subprocess.Popen([binary, file], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    try:
        server = OldServer(engine("redis-6.2"), host, folder, process)
        eventually(lambda: server.client().execute_command("PING"), f"{server.address} to answer")
        yield server
    finally:
        process.kill()
        process.wait()
