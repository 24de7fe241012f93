"""What a server that starts has of what it was."""

from __future__ import annotations

from slotwright.hosts.scripts.systemd_unit import Persistence
from tests.conformance.cast import SLOT_A, SLOT_B
from tests.conformance.play import Play, key_in
from tests.conformance.rules import Layout, rule


async def _restart(play: Play, name: str) -> None:
    """At once: nobody holds it for failed."""
    await play.kill(name)
    play.note(f"{name} started", await play.stage.start(name))
    play.note(f"{name} is", await play.do(name, "CLUSTER", "MYID"))


@rule("clusterLoadConfig, clusterSaveConfig")
async def roles_slots_and_epochs_outlast_a_restart(play: Play) -> None:
    await play.hold_elections("a1")
    await play.put("a", SLOT_A, "x")
    await play.do("a", "CLUSTER", "BUMPEPOCH")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("b"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_B, "IMPORTING", play.id_of("b"))
    await play.open_slots("a")
    await _restart(play, "a")
    await play.open_slots("a")
    await play.epochs("a")
    await play.roles("a")
    await play.owners(SLOT_A, "a")
    await play.keys(SLOT_A, "a")
    await play.until_state("ok", "a", "b", "c")
    await _restart(play, "a1")
    await play.roles("a1", "a", "a1")
    await play.until_linked("a1")


@rule("replication.c; server.c, loadDataFromDisk", layout=Layout(Persistence.NONE))
async def a_primary_that_keeps_nothing_empties_its_replica(play: Play) -> None:
    await play.hold_elections("a1")
    await play.put("a", SLOT_A, "x")
    await play.until_keys(SLOT_A, "a1", ["x"])
    await _restart(play, "a")
    await play.until_keys(SLOT_A, "a1", [])
    await play.until_linked("a1")
    await play.keys(SLOT_A, "a", "a1")


@rule("rdb.c; server.c, prepareForShutdown", layout=Layout(Persistence.SNAPSHOTS))
async def a_snapshot_has_what_was_there_when_it_was_made(play: Play) -> None:
    await play.hold_elections("a1")
    await play.put("a", SLOT_A, "x")
    await play.do("a", "BGSAVE")

    async def is_saved() -> bool:
        reply = await play.ask("a", "INFO", "persistence")
        return b"rdb_bgsave_in_progress:0" in reply and b"rdb_changes_since_last_save:0" in reply  # type: ignore[operator]

    await play.stage.until("the snapshot", is_saved)
    await play.put("a", SLOT_A, "y")
    await _restart(play, "a")
    await play.keys(SLOT_A, "a")
    await play.put_when_ok("a", SLOT_A, "z")
    await play.shut_down("a")
    play.note("a started", await play.stage.start("a"))
    await play.keys(SLOT_A, "a")


@rule("verifyClusterConfigWithData")
async def who_starts_with_keys_of_others_slots(play: Play) -> None:
    await play.hold_elections("b1", "a1")
    await play.put("a", SLOT_A, "x")
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    await play.bring("b", SLOT_A, "stray")
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "STABLE")
    await play.keys(SLOT_A, "a", "b")
    await _restart(play, "b")
    await play.open_slots("b")
    await play.keys(SLOT_A, "a", "b")
    await play.owners(SLOT_A, "a", "b")


@rule("verifyClusterConfigWithData")
async def who_starts_with_keys_of_nobodys_slots_takes_them(play: Play) -> None:
    await play.hold_elections("b1")
    await play.put("b", SLOT_B, "x")
    for name in ("b", "a", "c", "a1", "b1", "c1"):
        await play.do(name, "CLUSTER", "DELSLOTS", SLOT_B)
    await play.until_state("fail", "a", "b", "c")
    await play.keys(SLOT_B, "b", "b1")
    await _restart(play, "b")
    await play.owners(SLOT_B, "b")
    await play.keys(SLOT_B, "b")
    await play.until_owned(SLOT_B, "b", "a", "b", "c")
    await play.until_state("ok", "a", "b", "c")
    await play.do("b", "GET", key_in(SLOT_B, "x"))


async def _start_without_map(play: Play, name: str) -> None:
    await play.kill(name)
    await play.stage.rewrite_map(name, lambda text: None)
    play.note(f"{name} started", await play.stage.start(name))
    former = play.id_of(name)
    await play.learn(name, "new")
    play.note("another id", former != play.id_of("new"))
    play.note("it knows", sorted(await play.view(name)))


@rule("clusterLoadConfig; clusterProcessPacket", is_slow=True)
async def who_starts_without_a_map_is_somebody_else(play: Play) -> None:
    """Whom the others knew there has no address now. In Valkey it has failed, too; in Redis it never does."""
    await _start_without_map(play, "a1")
    await play.until_flagged("noaddr", "a1", "a", "b", "c")
    await play.stage.live_on()
    for name in ("a", "b", "c"):
        play.note(f"{name} says a1 has", sorted((await play.view(name))["a1"].flags - {"myself"}))


@rule("clusterLoadConfig; clusterProcessPacket", is_slow=True)
async def a_primary_that_starts_without_its_map(play: Play) -> None:
    """In Valkey its replica takes over; in Redis its slots have an owner that is nowhere, and nobody sees it."""
    await play.put("a", SLOT_A, "x")
    await play.until_keys(SLOT_A, "a1", ["x"])
    await _start_without_map(play, "a")
    await play.until_flagged("noaddr", "a", "b", "c", "a1")
    await play.stage.live_on()
    await play.stage.live_on()
    await play.roles("b", "a", "a1")
    await play.owners(SLOT_A, "b", "c", "a1")
    for name in ("b", "c"):
        play.note(f"{name} is", await play.state(name))
        play.note(f"{name} says a has", sorted((await play.view(name))["a"].flags))
    await play.keys(SLOT_A, "a1")


@rule("clusterLoadConfig")
async def half_a_map_starts_no_server(play: Play) -> None:
    await play.kill("a1")
    await play.stage.rewrite_map("a1", lambda text: text[: len(text) // 2])
    play.note("a1 started", await play.stage.start("a1"))
