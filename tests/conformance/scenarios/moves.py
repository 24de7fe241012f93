"""MIGRATE, with KEYS as the product says it."""

from __future__ import annotations

from tests.conformance.cast import SLOT_A, SLOT_B
from tests.conformance.play import Play, key_in
from tests.conformance.rules import rule


async def _open(play: Play) -> None:
    """A move of the slot from ``a`` to ``b``."""
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("b"))


@rule("migrateCommand; cluster.c, restoreCommand")
async def keys_go_to_who_imports_their_slot(play: Play) -> None:
    await play.put("a", SLOT_A, "x", "y", "z")
    await _open(play)
    await play.migrate("a", "b", SLOT_A, "x", "gone", "y")
    await play.keys(SLOT_A, "a", "b")
    await play.migrate("a", "b", SLOT_A, "gone", "x")
    await play.do("b", "ASKING")
    await play.do("b", "GET", key_in(SLOT_A, "x"))
    await play.do("a", "GET", key_in(SLOT_A, "x"))
    await play.until_keys(SLOT_A, "b1", ["x", "y"])
    await play.until_keys(SLOT_A, "a1", ["z"])
    await play.migrate("a", "b", SLOT_A, "z")
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "NODE", play.id_of("b"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "NODE", play.id_of("b"))
    await play.until_owned(SLOT_A, "b", "a", "b", "c")
    await play.keys(SLOT_A, "a", "b")
    await play.open_slots("a", "b")


@rule("migrateCommand; cluster.c, restoreCommand")
async def a_key_that_is_there_already_stays_where_it_is_and_the_others_go(play: Play) -> None:
    await play.put("a", SLOT_A, "x", "y", "z")
    await _open(play)
    await play.bring("b", SLOT_A, "y", value="other")
    await play.migrate("a", "b", SLOT_A, "x", "y", "z")
    await play.keys(SLOT_A, "a", "b")
    await play.do("b", "ASKING")
    await play.do("b", "GET", key_in(SLOT_A, "y"))
    await play.do("a", "GET", key_in(SLOT_A, "y"))


@rule("migrateCommand")
async def copy_keeps_a_key_and_replace_takes_the_place_of_one(play: Play) -> None:
    await play.put("a", SLOT_A, "x", "y")
    await _open(play)
    await play.bring("b", SLOT_A, "y", value="other")
    await play.migrate("a", "b", SLOT_A, "x", options=("COPY",))
    await play.keys(SLOT_A, "a", "b")
    await play.migrate("a", "b", SLOT_A, "x", options=("COPY",))
    await play.migrate("a", "b", SLOT_A, "x", "y", options=("COPY", "REPLACE"))
    await play.keys(SLOT_A, "a", "b")
    await play.do("b", "ASKING")
    await play.do("b", "GET", key_in(SLOT_A, "y"))
    await play.migrate("a", "b", SLOT_A, "x", "y", options=("REPLACE",))
    await play.keys(SLOT_A, "a", "b")


@rule("getNodeByQuery; migrateCommand")
async def who_does_not_import_a_slot_takes_no_key_of_it(play: Play) -> None:
    await play.put("a", SLOT_A, "x")
    await play.migrate("a", "b", SLOT_A, "x")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("b"))
    await play.migrate("a", "b", SLOT_A, "x")
    await play.migrate("a", "b", SLOT_A, "gone")
    await play.migrate("a", "b1", SLOT_A, "x")
    await play.keys(SLOT_A, "a", "b")


@rule("getNodeByQuery, MIGRATE")
async def keys_of_a_closed_slot_go_from_its_owner_alone(play: Play) -> None:
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    await play.put("a", SLOT_A, "x")
    await play.migrate("c", "b", SLOT_A, "x")
    await play.migrate("a1", "b", SLOT_A, "x")
    await play.migrate("a", "b", SLOT_A, "gone")
    await play.migrate("a", "b", SLOT_A, "x")
    await play.keys(SLOT_A, "a", "b")
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "STABLE")
    await play.migrate("b", "a", SLOT_A, "x")
    await play.keys(SLOT_A, "a", "b")


@rule("getNodeByQuery, MIGRATE")
async def who_says_it_imports_can_give_back_what_it_has(play: Play) -> None:
    """So strays go home; but an owner that gives the slot away lacks their keys, and asks elsewhere."""
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    await play.bring("b", SLOT_A, "x")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("b"))
    await play.migrate("b", "a", SLOT_A, "x")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "STABLE")
    await play.migrate("b", "a", SLOT_A, "x")
    await play.keys(SLOT_A, "a", "b")


@rule("migrateCommand, migrateGetSocket")
async def who_is_not_there_takes_no_key(play: Play) -> None:
    await play.put("a", SLOT_A, "x")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("b"))
    await play.migrate("a", "d", SLOT_A, "x")
    await play.keys(SLOT_A, "a")


@rule("getNodeByQuery")
async def no_key_moves_while_the_cluster_is_down(play: Play) -> None:
    await play.put("a", SLOT_A, "x")
    await _open(play)
    for name in ("b", "a", "c", "a1", "b1", "c1"):
        await play.do(name, "CLUSTER", "DELSLOTS", SLOT_B)
    await play.until_state("fail", "a", "b", "c")
    await play.migrate("a", "b", SLOT_A, "x")
    await play.migrate("a", "b", SLOT_A, "gone")
    await play.migrate("b", "a", SLOT_A, "x")
    await play.do("b", "ASKING")
    await play.do("b", "GET", key_in(SLOT_A, "x"))
    await play.keys(SLOT_A, "a", "b")
