"""What a server tells of itself."""

from __future__ import annotations

from slotwright.server.info import parse_info
from tests.conformance.play import Play
from tests.conformance.rules import rule


@rule("server.c, processCommand")
async def a_command_that_it_does_not_know_is_an_error(play: Play) -> None:
    for words in (("NOSUCHCOMMAND",), ("CLUSTER", "NOSUCHWORD")):
        said = await _said(play, *words)
        play.note(" ".join(words), said.partition(" ")[0])


async def _said(play: Play, *words: str) -> str:
    said = await play.do("a", *words)
    play.lines.pop()
    return said


@rule("server.c, pingCommand, timeCommand; rdb.c, bgsaveCommand, lastsaveCommand; networking.c, clientCommand")
async def what_is_asked_of_every_server(play: Play) -> None:
    await play.do("a", "PING")
    await play.do("a", "SELECT", 0)
    await play.do("a", "CLIENT", "SETNAME", "tester")
    await play.do("a", "REPLCONF", "capa", "eof")
    await play.do("a", "BGSAVE")
    for words in (("TIME",), ("LASTSAVE",)):
        play.note(words[0], type(await play.ask("a", *words)).__name__)
    await play.do("a", "CLUSTER", "MYID")
    await play.do("a", "CONFIG", "GET", "cluster-require-full-coverage")
    await play.do("a", "CONFIG", "GET", "maxmemory-policy")
    await play.do("a", "CONFIG", "GET", "appendonly")
    await play.do("a", "CONFIG", "GET", "no-such-setting")


@rule("server.c, genRedisInfoString (genValkeyInfoString)")
async def what_info_says_of_roles(play: Play) -> None:
    await play.put("a", 100, "x")
    await play.until_keys(100, "a1", ["x"])
    for name in ("a", "a1"):
        reply = await play.ask(name, "INFO")
        assert isinstance(reply, bytes)
        info = parse_info(reply.decode())
        kept = ("role", "master_link_status", "cluster_enabled", "aof_enabled", "rdb_last_bgsave_status")
        play.note(name, {word: info.get(word) for word in kept})
        play.note(f"{name} keys", info.get("db0", "").partition(",")[0])
