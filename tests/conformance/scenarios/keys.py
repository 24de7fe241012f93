"""Where a key is served: getNodeByQuery, for commands of one key."""

from __future__ import annotations

from tests.conformance.cast import SLOT_A, SLOT_B, SLOT_C
from tests.conformance.play import Play, key_in
from tests.conformance.rules import rule
from tests.fakes.operator import PASSWORD

X_A = key_in(SLOT_A, "x")


async def _read_and_write(play: Play, name: str, *, asking: bool = False) -> None:
    for words in (("GET", X_A), ("SET", X_A, "new"), ("EXISTS", X_A), ("DEL", X_A)):
        if asking:
            await play.do(name, "ASKING")
        await play.do(name, *words)


@rule("getNodeByQuery")
async def the_owner_serves_and_the_others_lead_there(play: Play) -> None:
    await play.put("a", SLOT_A, "x")
    for name in ("a", "b", "c", "a1"):
        await _read_and_write(play, name)
    await play.keys(SLOT_A, "a")


@rule("getNodeByQuery")
async def a_slot_that_is_given_away_asks_elsewhere_for_what_is_gone(play: Play) -> None:
    await play.put("a", SLOT_A, "x")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("b"))
    await _read_and_write(play, "a")
    await _read_and_write(play, "a")
    await _read_and_write(play, "a", asking=True)
    await play.do("b", "GET", X_A)


@rule("getNodeByQuery")
async def who_imports_a_slot_serves_who_asks_once(play: Play) -> None:
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    await _read_and_write(play, "b", asking=True)
    await play.do("b", "ASKING")
    await play.do("b", "PING")
    await _read_and_write(play, "b")
    await play.do("c", "ASKING")
    await play.do("c", "GET", X_A)


@rule("t_string.c, setGenericCommand; db.c, delCommand, typeCommand; object.c, memoryCommand")
async def what_is_read_of_a_key(play: Play) -> None:
    gone = key_in(SLOT_A, "gone")
    await play.do("a", "SET", X_A, "value", "NX", "PX", 60_000)
    await play.do("a", "SET", X_A, "other", "NX", "PX", 60_000)
    await play.do("a", "SET", X_A, "other")
    for key in (X_A, gone):
        for words in (
            ("TYPE", key),
            ("EXISTS", key),
            ("GET", key),
            ("PTTL", key),
            ("LLEN", key),
            ("GETRANGE", key, 1, 3),
        ):
            await play.do("a", *words)
    await play.do("a", "LRANGE", gone, 0, -1)
    await play.do("a", "DUMP", gone)
    play.note("DUMP", type(await play.ask("a", "DUMP", X_A)).__name__)
    play.note("MEMORY", type(await play.ask("a", "MEMORY", "USAGE", X_A)).__name__)
    await play.do("a", "DEL", gone)
    await play.do("a", "DEL", X_A)
    await play.do("a", "DEL", X_A)


@rule("t_string.c, mgetCommand; db.c, unlinkCommand")
async def keys_of_one_slot_at_once(play: Play) -> None:
    both = (X_A, key_in(SLOT_A, "y"))
    await play.do("a", "SET", X_A, "value", "EX", 60)
    for name in ("a", "b"):
        await play.do(name, "MGET", *both)
        await play.do(name, "UNLINK", *both)
    await play.do("a", "MGET", *both)


@rule("expire.c, pexpiretimeCommand (since 7.0)", but={"redis-6.2": "it does not know the command"})
async def the_moment_at_which_a_key_expires(play: Play) -> None:
    await play.do("a", "PEXPIRETIME", X_A)
    await play.put("a", SLOT_A, "x")
    await play.do("a", "PEXPIRETIME", X_A)


@rule("clusterCommand, COUNTKEYSINSLOT and GETKEYSINSLOT")
async def keys_are_told_by_who_has_them_whoever_owns_the_slot(play: Play) -> None:
    await play.put("a", SLOT_A, "x", "y")
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    await play.bring("b", SLOT_A, "z")
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "STABLE")
    await play.until_keys(SLOT_A, "a1", ["x", "y"])
    await play.until_keys(SLOT_A, "b1", ["z"])
    await play.keys(SLOT_A, "a", "b", "c", "a1", "b1")
    await play.do("a", "CLUSTER", "GETKEYSINSLOT", SLOT_A, 0)
    for name in ("a", "b", "c", "a1", "b1"):
        await play.do(name, "CLUSTER", "COUNTKEYSINSLOT", SLOT_A)
    await play.do("b", "ASKING")
    await play.do("b", "GET", key_in(SLOT_A, "z"))


@rule("replication.c, syncWithMaster (syncWithPrimary)", is_slow=True)
async def a_replica_without_the_password_keeps_its_link_and_gets_no_other(play: Play) -> None:
    await play.hold_elections("a1")
    await play.do("a1", "CONFIG", "SET", "masterauth", "wrong")
    await play.stage.live_on()
    play.note("linked", await play.is_linked("a1"))
    await play.kill("a")
    play.note("a started", await play.stage.start("a"))
    await play.stage.live_on()
    play.note("linked", await play.is_linked("a1"))
    await play.do("a1", "CONFIG", "SET", "masterauth", PASSWORD.reveal())
    await play.until_linked("a1")


@rule("replication.c")
async def a_replica_is_a_copy_of_its_primary(play: Play) -> None:
    await play.put("c", SLOT_C, "x", "y")
    await play.until_keys(SLOT_C, "c1", ["x", "y"])
    await play.do("c", "DEL", key_in(SLOT_C, "x"))
    await play.until_keys(SLOT_C, "c1", ["y"])
    await play.do("c1", "GET", key_in(SLOT_C, "y"))
    await play.keys(SLOT_B, "c1")
