"""Stand-alone servers for the tests of snapshots: each in a folder of its own, reached by a socket in it."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.engines import TestEngine


@contextmanager
def server(engine: TestEngine, *settings: str) -> Iterator[Redis]:
    """A client of a fresh server that answers; the server ends with the block."""
    with tempfile.TemporaryDirectory(prefix="sw-rdb-") as folder:
        path = f"{folder}/s"
        words = ["--port", "0", "--unixsocket", path, "--dir", folder, "--save", "", "--databases", "16", *settings]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen([str(engine.binary), *words], stdout=log, stderr=log)
        try:
            client = Redis(unix_socket_path=path, protocol=2)
            _wait(client, process, Path(folder, "log"))
            with client:
                yield client
        finally:
            process.kill()
            process.wait(60)


def _wait(client: Redis, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(RedisError):
            client.ping()
            return
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)


def snapshot(client: Redis) -> bytes:
    """The bytes of the server's snapshot as of now."""
    client.save()
    folder = client.config_get("dir")["dir"]
    return Path(folder, client.config_get("dbfilename")["dbfilename"]).read_bytes()


def full_sync(client: Redis, announced: str = "") -> tuple[bytes, Iterator[bytes]]:
    """The mark that ends the snapshot of a full sync, and the stream, in the pieces that the socket gives.

    ``announced`` is the version that the replica says it has. Redis does not know what to do with it, and says so.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(client.connection_pool.connection_kwargs["path"])
    lines = connection.makefile("rb", buffering=0)
    for words in (
        b"REPLCONF capa eof capa psync2",
        *([b"REPLCONF version " + announced.encode()] if announced else ()),
    ):
        connection.sendall(words + b"\r\n")
        lines.readline()
    connection.sendall(b"PSYNC ? -1\r\n")
    assert lines.readline().startswith(b"+FULLRESYNC")
    head = b"\n"
    while head == b"\n":
        head = lines.readline()
    assert head.startswith(b"$EOF:") or not head, head  # nothing: the server gave up at once

    def pieces() -> Iterator[bytes]:
        with connection, lines:
            while piece := connection.recv(65536):
                yield piece

    return head.strip().removeprefix(b"$EOF:"), pieces()
