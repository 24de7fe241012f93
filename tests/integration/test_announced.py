"""A real node announces text for an address: it is told, and goes nowhere."""

from __future__ import annotations

import ast
import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from redis.exceptions import ResponseError

from slotwright.features.clients.configs.kinds import KINDS, kind_of
from tests.engines import TestEngine, engine_params
from tests.extent import share
from tests.integration.conftest import Lab

pytestmark = pytest.mark.servers

CODE = '"+str(__import__("os").system("id"))+"'
TEXTS = (CODE, "a\nb", "a b", "${x}", "\x1b[31m\u202e", "x:1@2 master - 0 0 1 connected\n", "é")
"""The last one is all that Valkey 9.1 takes."""


@pytest.mark.parametrize("engine", engine_params())
def test_what_a_node_announces_is_told_and_goes_nowhere(engine: TestEngine, lab: Lab) -> None:
    lab.topology(engine)
    assert lab.run("up", "--yes").code == 0
    nodes = lab.run("status", "--json").json["nodes"]
    bad = next(node["address"] for node in nodes if node["role"] == "replica")
    seed = next(node["address"] for node in nodes if node["role"] == "primary")
    elsewhere = {"SLOTWRIGHT_STATE": str(lab.folder / "other"), "SLOTWRIGHT_PASSWORD": lab.password() or ""}
    port = bad.rpartition(":")[2]

    tried = 0
    for text in (*share(TEXTS[:-1], 0), TEXTS[-1]):
        with lab.client(bad, lab.password()) as client:
            try:
                client.config_set("cluster-announce-ip", text)
            except ResponseError as error:
                assert engine.label == "valkey-9.1" and "invalid character" in str(error)
                continue
        tried += 1

        def is_told(text: str = text) -> bool:
            with lab.client(seed, lab.password()) as client:
                nodes: bytes = client.execute_command("CLUSTER", "NODES")
            return f" {text}:{port}@".encode() in nodes

        lab.wait(is_told, f"{text!r} to be gossiped")
        # One that knows the cluster, and one that has nothing but a node's address.
        known, foreign = lab.run("check", "--json"), lab.run("check", seed, "--json", env=elsewhere)
        for done, place in ((known, bad), (foreign, None)):
            assert (done.code, "Traceback" in done.err) == (3, False), done.out + done.err
            (found,) = [found for found in done.json["findings"] if found["code"] == "address-not-valid"]
            assert found["severity"] == "serious" and found["where"] == (place or found["where"])
            assert found["seen"].isascii() and found["seen"].isprintable()
        seen = lab.run("status", "--json").json["nodes"]
        assert {node["address"] for node in seen} == {node["address"] for node in nodes}
        assert not any(ord(letter) < 32 and letter != "\n" for letter in lab.run("check").out)

        for kind in KINDS if tried == 1 else (kind_of("spring-boot"), kind_of("redis-py")):
            done = lab.run("client", kind.name, seed, "--json", env=elsewhere)
            assert done.code == 0, done.out + done.err
            (left_out,) = done.json["left_out"]
            assert left_out.isascii() and left_out.isprintable()
            assert text not in done.json["files"][0]["text"]
            if kind.language == "python":
                assert "__import__" not in ast.dump(ast.parse(done.json["files"][0]["text"]))
        done = lab.run("client", "redis-py", seed, env=elsewhere)
        assert done.code == 0 and "address-not-valid" in done.err and text not in done.out
        assert done.err.rstrip("\n").isprintable() and done.err.isascii()
        assert lab.run("client", "redis-py").out.count("ClusterNode(") == 6, "one that is known needs no word of it"

        walked = lab.run("client", "test", "--json")
        assert walked.code == 3, walked.out + walked.err
        codes = {found["code"]: found["severity"] for found in walked.json["findings"]}
        assert codes == {"address-not-valid": "serious"}, walked.out
    assert tried >= 1


@contextmanager
def impostor(replies: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """A server of a few answers, by the first words of the command; what it was asked is kept."""
    heard: list[str] = []
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    place: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            words = []
            for _ in range(int(head[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2].decode())
            name = " ".join(words).upper()
            heard.append(name)
            found = next((reply for start, reply in replies.items() if name.startswith(start)), b"+OK\r\n")
            writer.write(found)

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        place.append(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        ready.set()
        await asyncio.Event().wait()

    task: list[asyncio.Task[None]] = []

    def live() -> None:
        asyncio.set_event_loop(loop)
        task.append(loop.create_task(run()))
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task[0])

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield place[0], heard
    finally:
        loop.call_soon_threadsafe(task[0].cancel)
        thread.join(60)


def bulk(text: str) -> bytes:
    data = text.encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize("text", share([CODE, "a\nb", "a b", "${x}", "\x1b]0;x\x07", "a" * 300], 0))
@pytest.mark.parametrize("as_name", [False, True])
def test_an_impostor_may_say_what_it_likes(text: str, as_name: bool, lab: Lab) -> None:
    """Also by names, which real servers look at more closely, and whatever the version."""
    me, other = "a" * 40, "b" * 40
    endpoint = f"127.0.0.1:7002@17002,{text}" if as_name else f"{text}:7002@17002"
    info = "redis_version:7.0.15\r\nredis_mode:cluster\r\ncluster_enabled:1\r\nrole:master\r\nprocess_id:1\r\n"
    names = b"*2\r\n" + bulk("hostname") + bulk(text) if as_name else b"*0\r\n"
    host = bulk("127.0.0.1" if as_name else text)
    replies = {
        "INFO": bulk(info),
        "CLUSTER MYID": bulk(me),
        "CLUSTER INFO": bulk("cluster_state:ok\r\ncluster_current_epoch:2\r\n"),
        "CLUSTER NODES": bulk(
            f"{me} :1@2 myself,master - 0 0 1 connected 0-8191\n"
            f"{other} {endpoint} master - 0 0 2 connected 8192-16383\n"
        ),
        "CLUSTER SLOTS": b"*2\r\n*3\r\n:0\r\n:8191\r\n*4\r\n" + b"$-1\r\n:1\r\n" + bulk(me) + b"*0\r\n"
        b"*3\r\n:8192\r\n:16383\r\n*4\r\n" + host + b":7002\r\n" + bulk(other) + names,
        "CONFIG GET CLUSTER-ANNOUNCE-HOSTNAME": b"*2\r\n" + bulk("cluster-announce-hostname") + bulk(text),
        "CONFIG GET CLUSTER-PREFERRED": b"*2\r\n" + bulk("cluster-preferred-endpoint-type") + bulk("hostname"),
        "CONFIG GET": b"*0\r\n",
        "PING": b"+PONG\r\n",
        "TIME": b"*2\r\n" + bulk("1800000000") + bulk("0"),
        "GET": b"-MOVED 16383 %b:7002\r\n" % text.replace("\n", " ").encode(),
        "SET": b"-MOVED 16383 %b:7002\r\n" % text.replace("\n", " ").encode(),
        "DEL": b"-MOVED 16383 %b:7002\r\n" % text.replace("\n", " ").encode(),
        "CLIENT": b"+OK\r\n",
    }
    with impostor(replies) as (seed, _):
        # A server that follows its own port: the walk asks at that.
        port = seed.rpartition(":")[2]
        replies["CLUSTER SLOTS"] = replies["CLUSTER SLOTS"].replace(b":1\r\n", b":%b\r\n" % port.encode(), 1)
        for words in (("check",), ("client", "test"), ("status",)):
            done = lab.run(*words, seed, "--json")
            assert done.code == (0 if words == ("status",) else 3) and "Traceback" not in done.err, done.out + done.err
            if words != ("status",):
                assert "address-not-valid" in {found["code"] for found in done.json["findings"]}, done.out
        for kind in KINDS:
            done = lab.run("client", kind.name, seed, "--json")
            assert done.code == 0, done.out + done.err
            assert text not in done.json["files"][0]["text"] and done.json["left_out"]
