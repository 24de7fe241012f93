"""CLUSTER SETSLOT, ADDSLOTS, DELSLOTS and BUMPEPOCH, and what the others make of it."""

from __future__ import annotations

from tests.conformance.cast import SLOT_A, SLOT_B, SLOT_C
from tests.conformance.play import Play, key_in
from tests.conformance.rules import Layout, rule

_NOBODY = "9" * 40
_KEPT = "there the keys stay in the replica, for good; in the simulation it is a copy of its primary"


@rule("clusterCommand, SETSLOT MIGRATING")
async def only_the_owner_gives_a_slot(play: Play) -> None:
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("a"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", _NOBODY)
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", _NOBODY)
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("b"))
    await play.open_slots("a", "b")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("c"))
    await play.open_slots("a")


@rule("clusterCommand, SETSLOT IMPORTING")
async def only_one_that_has_it_not_takes_a_slot(play: Play) -> None:
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("b"))
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", _NOBODY)
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", _NOBODY)
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("c"))
    await play.open_slots("a", "b")
    await play.owners(SLOT_A, "a", "b", "c")


@rule("clusterCommand, SETSLOT")
async def a_replica_opens_no_slot(play: Play) -> None:
    for words in (
        ("MIGRATING", play.id_of("b")),
        ("IMPORTING", play.id_of("b")),
        ("STABLE",),
        ("NODE", play.id_of("b")),
    ):
        await play.do("a1", "CLUSTER", "SETSLOT", SLOT_A, *words)


@rule("clusterCommand, SETSLOT (Valkey since 8.0); clusterSetMaster (clusterSetPrimary)", is_slow=True)
async def whether_replicas_have_the_open_slots_of_their_primary(play: Play) -> None:
    """In Valkey they do, and take over with them; in Redis a failover closes slots."""
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("b"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_B, "IMPORTING", play.id_of("b"))
    await play.stage.live_on()
    await play.open_slots("a", "a1")
    await play.do("a1", "CLUSTER", "FAILOVER")
    await play.until_role("a1", "primary", "a", "b", "a1")
    await play.until_role("a", "replica of a1", "a", "b", "a1")
    await play.until_linked("a")
    await play.stage.live_on()
    await play.open_slots("a", "a1")


@rule("clusterCommand, SETSLOT (Valkey since 8.0)", is_slow=True)
async def a_slot_is_opened_while_a_replica_hangs(play: Play) -> None:
    """Valkey waits for all replicas that are linked, and refuses where one does not say that it has heard."""
    await play.until_linked("a1", "b1", "c1")
    await play.stage.freeze("a1")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("b"))
    await play.open_slots("a")
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    await play.open_slots("b")
    await play.stage.thaw("a1")


@rule("clusterUpdateSlotsConfigWith (Valkey since 8.0)", is_slow=True)
async def whose_other_end_of_a_move_fails_over(play: Play) -> None:
    """In Valkey the slot is open to the one that took over; in Redis to the one that was there."""
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("b"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A + 1, "MIGRATING", play.id_of("c"))
    await play.do("c", "CLUSTER", "SETSLOT", SLOT_A + 1, "IMPORTING", play.id_of("a"))
    await play.stage.live_on()
    await play.do("a1", "CLUSTER", "FAILOVER")
    await play.until_role("a1", "primary", "a", "b", "c", "a1")
    await play.stage.live_on()
    await play.open_slots("b", "c")
    await play.do("b1", "CLUSTER", "FAILOVER")
    await play.until_role("b1", "primary", "a", "b", "c", "a1", "b1")
    await play.stage.live_on()
    await play.open_slots("a1", "b1")


@rule("clusterCommand, SETSLOT STABLE")
async def stable_closes_a_slot(play: Play) -> None:
    await play.put("a", SLOT_A, "x")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("b"))
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    for name in ("a", "b", "c"):
        await play.do(name, "CLUSTER", "SETSLOT", SLOT_A, "STABLE")
    await play.open_slots("a", "b", "c")
    await play.owners(SLOT_A, "a", "b", "c")


@rule("clusterCommand, SETSLOT NODE")
async def an_owner_with_keys_gives_no_slot_away(play: Play) -> None:
    await play.put("a", SLOT_A, "x")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "NODE", play.id_of("b"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "MIGRATING", play.id_of("b"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "NODE", play.id_of("b"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "NODE", _NOBODY)
    await play.owners(SLOT_A, "a", "b", "c")
    await play.open_slots("a")


@rule("clusterCommand, SETSLOT NODE")
async def an_owner_that_keeps_its_slot_leaves_it_open_while_it_has_keys(play: Play) -> None:
    await play.put("a", SLOT_A, "x")
    for slot in (SLOT_A, SLOT_A + 1):
        await play.do("a", "CLUSTER", "SETSLOT", slot, "MIGRATING", play.id_of("b"))
        await play.do("a", "CLUSTER", "SETSLOT", slot, "NODE", play.id_of("a"))
    await play.open_slots("a")
    await play.owners(SLOT_A, "a", "b")


@rule("clusterCommand, SETSLOT NODE; clusterBumpConfigEpochWithoutConsensus")
async def who_ends_an_import_has_the_highest_epoch(play: Play) -> None:
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_B, "IMPORTING", play.id_of("b"))
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_B, "MIGRATING", play.id_of("a"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_B, "NODE", play.id_of("a"))
    await play.owners(SLOT_B, "a")
    await play.epochs("a")
    await play.open_slots("a")
    await play.until_owned(SLOT_B, "a", "b", "c", "a1", "b1", "c1")
    await play.roles("c")
    await play.epochs("c")
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_B, "NODE", play.id_of("a"))
    await play.open_slots("a", "b")


@rule("clusterCommand, SETSLOT NODE; clusterBumpConfigEpochWithoutConsensus")
async def the_highest_epoch_is_not_raised_by_an_import(play: Play) -> None:
    before = await play.current_epoch("c")
    await play.do("c", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    await play.do("c", "CLUSTER", "SETSLOT", SLOT_A, "NODE", play.id_of("c"))
    play.note("raised", await play.current_epoch("c") - before)
    await play.until_owned(SLOT_A, "c", "a", "b")
    await play.epochs("a")


@rule("clusterCommand, SETSLOT NODE; clusterUpdateSlotsConfigWith")
async def a_slot_that_is_taken_without_an_import_goes_by_the_epoch(play: Play) -> None:
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "NODE", play.id_of("b"))
    await play.epochs("b")
    await play.until_owned(SLOT_A, "b", "a", "b", "c", "a1")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_B, "NODE", play.id_of("a"))
    await play.until_owned(SLOT_B, "b", "a", "b", "c", "b1")
    await play.epochs("c")


@rule("clusterCommand, SETSLOT NODE")
async def nobody_is_told_of_a_slot_that_is_given_away_for_another(play: Play) -> None:
    """Until the new owner knows of it, the others keep to the former one."""
    await play.do("c", "CLUSTER", "SETSLOT", SLOT_A, "NODE", play.id_of("b"))
    await play.owners(SLOT_A, "c")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_A, "NODE", play.id_of("b"))
    await play.owners(SLOT_A, "a", "b")
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "NODE", play.id_of("b"))
    await play.until_owned(SLOT_A, "b", "a", "b", "c", "a1", "b1", "c1")
    await play.epochs("b")


@rule("clusterCommand, SETSLOT NODE (since 7.0)", is_slow=True)
async def who_gives_its_last_slot_away(play: Play) -> None:
    """From 7.0 on it follows who is to have it; before it stays a primary. In Valkey its replicas are told first, and
    follow at once, so they never say that they have heard: it keeps the slot, until it is told again."""
    await play.do("c", "CLUSTER", "SETSLOT", SLOT_C, "NODE", play.id_of("a"))
    await play.roles("c", "c")
    await play.owners(SLOT_C, "c")
    await play.until_there("c1")
    await play.roles("c1", "c1")
    await play.do("c", "CLUSTER", "SETSLOT", SLOT_C, "NODE", play.id_of("a"))
    await play.roles("c", "c")


@rule("clusterUpdateSlotsConfigWith")
async def who_hears_that_its_last_slot_is_taken_follows(play: Play) -> None:
    await play.put("c", SLOT_C, "x")
    await play.put("a", SLOT_A, "y")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_C, "IMPORTING", play.id_of("c"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_C, "NODE", play.id_of("a"))
    await play.until_role("c", "replica of a", "a", "b", "c")
    await play.until_role("c1", "replica of a", "a", "b", "c", "c1")
    await play.do("c", "CLUSTER", "SETSLOT", SLOT_C, "NODE", play.id_of("a"))
    await play.until_linked("c", "c1")
    await play.until_keys(SLOT_A, "c", ["y"])
    await play.until_keys(SLOT_A, "c1", ["y"])
    await play.keys(SLOT_C, "a", "c", "c1")


@rule("clusterUpdateSlotsConfigWith, delKeysInSlot")
async def who_hears_that_a_slot_is_taken_deletes_its_keys(play: Play) -> None:
    await play.put("b", SLOT_B, "x")
    await play.put("b", SLOT_B + 1, "stays")
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_B, "IMPORTING", play.id_of("b"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_B, "NODE", play.id_of("a"))
    await play.until_owned(SLOT_B, "a", "b")
    await play.until_keys(SLOT_B, "b", [])
    await play.keys(SLOT_B + 1, "b")
    await play.roles("b", "a", "b", "b1")


@rule("delKeysInSlot (after 7.0)", but=dict.fromkeys(("redis-6.2", "redis-7.0"), _KEPT))
async def the_replicas_of_who_deletes_keys_delete_them_too(play: Play) -> None:
    await play.put("b", SLOT_B, "x")
    await play.until_keys(SLOT_B, "b1", ["x"])
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_B, "IMPORTING", play.id_of("b"))
    await play.do("a", "CLUSTER", "SETSLOT", SLOT_B, "NODE", play.id_of("a"))
    await play.until_keys(SLOT_B, "b", [])
    await play.until_keys(SLOT_B, "b1", [])


@rule("clusterUpdateSlotsConfigWith", is_slow=True)
async def who_imports_a_slot_and_another_takes_it(play: Play) -> None:
    """Redis keeps to the former owner until the slot is closed; Valkey hears of the new one."""
    await play.do("c", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    await play.do("b", "CLUSTER", "SETSLOT", SLOT_A, "NODE", play.id_of("b"))
    await play.until_owned(SLOT_A, "b", "a", "b", "a1", "c1")
    await play.stage.live_on()
    await play.owners(SLOT_A, "c")
    await play.open_slots("c")
    await play.do("c", "CLUSTER", "SETSLOT", SLOT_A, "STABLE")
    await play.until_owned(SLOT_A, "b", "c")


@rule("clusterCommand, ADDSLOTS and DELSLOTS")
async def a_slot_is_added_once_and_taken_off_once(play: Play) -> None:
    await play.do("b", "CLUSTER", "ADDSLOTS", SLOT_A)
    await play.do("b", "CLUSTER", "DELSLOTS", SLOT_B)
    await play.owners(SLOT_B, "b")
    await play.do("b", "CLUSTER", "DELSLOTS", SLOT_B)
    await play.do("b", "CLUSTER", "ADDSLOTS", SLOT_B)
    await play.owners(SLOT_B, "b")


@rule("clusterCommand, DELSLOTS; clusterUpdateState; getNodeByQuery")
async def a_slot_of_nobody_stops_everything(play: Play) -> None:
    for name in ("b", "a", "c", "a1", "b1", "c1"):
        await play.do(name, "CLUSTER", "DELSLOTS", SLOT_B)
    await play.until_state("fail", "a", "b", "c")
    await play.owners(SLOT_B, "a", "b", "c")
    for slot in (SLOT_A, SLOT_B):
        await play.do("a", "GET", key_in(slot, "x"))
        await play.do("a", "SET", key_in(slot, "x"), "value")
    await play.do("b", "CLUSTER", "ADDSLOTS", SLOT_B)
    await play.until_owned(SLOT_B, "b", "a", "b", "c")
    await play.until_state("ok", "a", "b", "c")
    await play.do("a", "GET", key_in(SLOT_A, "x"))


@rule("clusterCommand, DELSLOTS; clusterProcessPacket")
async def who_owns_a_slot_is_told_again_to_who_took_it_off(play: Play) -> None:
    await play.do("c", "CLUSTER", "DELSLOTS", SLOT_B)
    await play.until_owned(SLOT_B, "b", "a", "b", "c")


@rule("clusterCommand, BUMPEPOCH; clusterBumpConfigEpochWithoutConsensus")
async def an_epoch_is_raised_over_all_others_once(play: Play) -> None:
    await play.do("a", "CLUSTER", "BUMPEPOCH")
    await play.epochs("a")
    await play.do("a", "CLUSTER", "BUMPEPOCH")
    await play.epochs("a")


@rule("clusterHandleConfigEpochCollision", layout=Layout(epochs=(1, 3, 3)))
async def of_two_equal_epochs_the_one_with_the_smaller_id_is_raised(play: Play) -> None:
    async def differs() -> bool:
        views = [await play.view(name) for name in ("a", "b", "c")]
        return all(view["b"].epoch != view["c"].epoch for view in views)

    await play.stage.until("the epochs to differ", differs)
    await play.epochs("a", "a", "b", "c")
