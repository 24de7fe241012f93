"""CLUSTER MEET, FORGET and REPLICATE, and what gossip makes of them."""

from __future__ import annotations

from contextlib import suppress

from slotwright.ports import ReplyError
from tests.conformance.cast import MEMBERS, REPLICAS, SLOT_A, SLOT_B
from tests.conformance.play import Play, key_in
from tests.conformance.rules import rule

_NOBODY = "9" * 40


async def _join(play: Play, name: str) -> None:
    """A new server, made known to ``a``."""
    play.note(f"{name} started", await play.stage.start(name))
    await play.learn(name)
    place = play.stage.cast.addresses[name]
    await play.do("a", "CLUSTER", "MEET", place.host, place.port)
    await _until_known(play, name, *MEMBERS)


async def _until_known(play: Play, name: str, *by: str, is_known: bool = True) -> None:
    async def is_so() -> bool:
        return all([(name in await play.view(one)) == is_known for one in by])

    await play.stage.until(f"{name} to be known: {is_known}", is_so)


async def _until_it_knows(play: Play, name: str, others: set[str]) -> None:
    async def is_so() -> bool:
        return set(await play.view(name)) == others

    await play.stage.until(f"{name} to know {others}", is_so)


@rule("clusterStartHandshake; clusterProcessGossipSection")
async def who_is_met_is_known_to_all(play: Play) -> None:
    await _join(play, "d")
    await _until_it_knows(play, "d", {*MEMBERS, "d"})
    await play.until_owned(SLOT_A, "a", "d")
    for name in REPLICAS:
        await play.until_role(name, f"replica of {name[0]}", "d")
    await play.roles("d", *MEMBERS, "d")
    await play.roles("c", "d")
    await play.until_state("ok", "d")
    await play.do("d", "GET", key_in(SLOT_A, "x"))


@rule("clusterStartHandshake")
async def who_is_not_there_is_not_met(play: Play) -> None:
    place = play.stage.cast.addresses["d"]
    await play.do("a", "CLUSTER", "MEET", place.host, place.port)
    play.note("a knows", sorted(await play.view("a")))


@rule("clusterCommand, REPLICATE")
async def whom_a_node_can_not_follow(play: Play) -> None:
    for name in ("a", "a1"):
        for other in ("a", "b", "a1", "b1"):
            if (name, other) != ("a1", "b"):
                await play.do(name, "CLUSTER", "REPLICATE", play.id_of(other))
        await play.do(name, "CLUSTER", "REPLICATE", _NOBODY)
    await play.roles("a", "a", "a1")


@rule("clusterCommand, REPLICATE; clusterSetMaster (clusterSetPrimary)")
async def a_replica_can_be_told_to_follow_another(play: Play) -> None:
    await play.put("b", SLOT_B, "x")
    await play.put("a", SLOT_A, "y")
    await play.until_keys(SLOT_A, "a1", ["y"])
    await play.do("a1", "CLUSTER", "REPLICATE", play.id_of("b"))
    await play.roles("a1", "a1")
    await play.until_role("a1", "replica of b", "a", "b", "c", "a1", "b1")
    await play.until_linked("a1")
    await play.until_keys(SLOT_B, "a1", ["x"])
    await play.keys(SLOT_A, "a1")


@rule("clusterCommand, REPLICATE")
async def an_empty_primary_can_be_told_to_follow(play: Play) -> None:
    await _join(play, "d")
    await play.until_owned(SLOT_A, "a", "d")
    await play.put("a", SLOT_A, "x")
    await play.do("d", "CLUSTER", "REPLICATE", play.id_of("a1"))
    await play.do("d", "CLUSTER", "REPLICATE", play.id_of("d"))
    await play.do("d", "CLUSTER", "REPLICATE", play.id_of("a"))
    await play.until_role("d", "replica of a", "a", "b", "d")
    await play.until_linked("d")
    await play.until_keys(SLOT_A, "d", ["x"])


@rule("clusterCommand, REPLICATE")
async def an_empty_primary_with_keys_can_not_follow(play: Play) -> None:
    await _join(play, "d")
    await play.until_owned(SLOT_A, "a", "d")
    await play.until_state("ok", "d")
    await play.do("d", "CLUSTER", "SETSLOT", SLOT_A, "IMPORTING", play.id_of("a"))
    await play.bring("d", SLOT_A, "x")
    await play.do("d", "CLUSTER", "REPLICATE", play.id_of("a"))
    await play.roles("d", "d")


@rule("clusterProcessPacket; clusterSetMaster (clusterSetPrimary)", is_slow=True)
async def who_follows_a_replica_follows_its_primary(play: Play) -> None:
    for name in ("d", "e"):
        await _join(play, name)
        await play.until_owned(SLOT_A, "a", name)
    await _until_known(play, "d", "e")
    await play.do("e", "CLUSTER", "REPLICATE", play.id_of("d"))
    await play.until_role("e", "replica of d", "a", "d", "e")
    await play.do("d", "CLUSTER", "REPLICATE", play.id_of("a"))
    await play.until_role("d", "replica of a", "a", "d", "e")
    await play.stage.live_on()
    await play.roles("e", "d", "e")
    await play.roles("a", "d", "e")


@rule("clusterCommand, FORGET")
async def whom_a_node_can_not_forget(play: Play) -> None:
    for name, other in (("a", "a"), ("a1", "a"), ("a1", "a1")):
        await play.do(name, "CLUSTER", "FORGET", play.id_of(other))
    await play.do("a", "CLUSTER", "FORGET", _NOBODY)
    play.note("a knows", sorted(await play.view("a")))


async def _forget_everywhere(play: Play, forgotten: str) -> None:
    for name in MEMBERS:
        if name != forgotten and forgotten in await play.view(name):
            # Another one may have told it to already.
            with suppress(ReplyError):
                await play.ask(name, "CLUSTER", "FORGET", play.id_of(forgotten))


@rule("clusterCommand, FORGET; clusterBlacklistExists; clusterStartHandshake", is_slow=True)
async def who_is_forgotten_can_be_met_again_and_is_not_told_of(play: Play) -> None:
    """For a minute gossip does not bring it back; and from 7.2 on it goes again, as the others tell of it."""
    await _forget_everywhere(play, "a1")
    for name in ("a", "b", "c"):
        play.note(f"{name} knows a1", "a1" in await play.view(name))
    place = play.stage.cast.addresses["a1"]
    await play.do("a", "CLUSTER", "MEET", place.host, place.port)
    await play.stage.live_on()
    for name in ("a", "b", "c"):
        play.note(f"{name} knows a1", "a1" in await play.view(name))
    await play.roles("a1", "a1", "a")


@rule("clusterCommand, FORGET; clusterBlacklistAddNode", is_slow=True)
async def who_is_forgotten_by_all_stays_forgotten(play: Play) -> None:
    await play.kill("a1")
    await play.until_flagged("fail", "a1", "a", "b", "c", "b1", "c1")
    await _forget_everywhere(play, "a1")
    await play.stage.live_on()
    for name in MEMBERS:
        if name != "a1":
            play.note(f"{name} knows a1", "a1" in await play.view(name))


@rule("clusterCommand, FORGET; clusterProcessPingExtensions (since 7.2)", is_slow=True)
async def who_is_forgotten_by_one(play: Play) -> None:
    """From 7.2 on the others are told to forget it, too."""
    await play.kill("a1")
    await play.until_flagged("fail", "a1", "a", "b", "c", "b1", "c1")
    await play.do("b", "CLUSTER", "FORGET", play.id_of("a1"))
    play.note("b knows a1", "a1" in await play.view("b"))
    await play.stage.live_on()
    for name in ("a", "b", "c"):
        play.note(f"{name} knows a1", "a1" in await play.view(name))
