"""Who is held for failed, and who takes over: by itself, by vote, or because it was told to."""

from __future__ import annotations

from tests.conformance.cast import SLOT_A, SLOT_B, SLOT_C
from tests.conformance.play import Play, key_in
from tests.conformance.rules import rule


@rule("clusterCommand, FAILOVER; clusterHandleManualFailover")
async def a_failover_on_purpose_swaps_primary_and_replica(play: Play) -> None:
    await play.put("a", SLOT_A, "x")
    await play.until_keys(SLOT_A, "a1", ["x"])
    await play.do("a", "CLUSTER", "FAILOVER")
    await play.do("a", "CLUSTER", "FAILOVER", "FORCE")
    await play.do("a1", "CLUSTER", "FAILOVER")
    await play.until_role("a1", "primary", "a", "b", "c", "a1", "b1")
    await play.until_role("a", "replica of a1", "a", "b", "c", "a1", "b1")
    await play.until_owned(SLOT_A, "a1", "a", "b", "c", "a1")
    await play.epochs("c", "a1", "b", "c")
    await play.until_linked("a")
    await play.keys(SLOT_A, "a", "a1")
    await play.until_state("ok", "a", "a1", "b", "c")
    await play.do("a", "GET", key_in(SLOT_A, "x"))
    await play.do("a1", "GET", key_in(SLOT_A, "x"))


@rule("clusterHandleSlaveFailover (clusterHandleReplicaFailover); markNodeAsFailingIfNeeded", is_slow=True)
async def a_replica_takes_over_for_a_primary_that_died(play: Play) -> None:
    await play.put("a", SLOT_A, "x")
    await play.until_keys(SLOT_A, "a1", ["x"])
    await play.kill("a")
    await play.until_role("a1", "primary", "a1", "b", "c", "b1", "c1")
    await play.until_owned(SLOT_A, "a1", "a1", "b", "c", "b1")
    await play.epochs("c", "a1", "b", "c")
    await play.until_state("ok", "a1", "b", "c")
    await play.do("a1", "GET", key_in(SLOT_A, "x"))
    await play.do("a1", "SET", key_in(SLOT_A, "y"), "later")
    play.note("a started", await play.stage.start("a"))
    await play.until_role("a", "replica of a1", "a", "a1", "b", "c")
    await play.until_linked("a")
    await play.keys(SLOT_A, "a", "a1")
    await play.until_flagged("fail", "a", "a1", "b", "c", is_set=False)


@rule("markNodeAsFailingIfNeeded; clusterSendUpdate", is_slow=True)
async def one_that_hangs_is_held_for_dead_and_told_when_it_is_back(play: Play) -> None:
    await play.put("a", SLOT_A, "x")
    await play.until_keys(SLOT_A, "a1", ["x"])
    await play.stage.freeze("a")
    await play.until_role("a1", "primary", "a1", "b", "c", "c1")
    await play.stage.thaw("a")
    await play.until_role("a", "replica of a1", "a", "a1", "b", "c")
    await play.until_linked("a")
    await play.keys(SLOT_A, "a", "a1")


@rule("clusterUpdateState; markNodeAsFailingIfNeeded; clearNodeFailureIfNeeded", is_slow=True)
async def a_primary_that_failed_stops_everything_until_it_is_back(play: Play) -> None:
    await play.hold_elections("a1")
    await play.put("a", SLOT_A, "x")
    await play.kill("a")
    await play.until_flagged("fail", "a", "b", "c", "a1", "b1")
    await play.until_state("fail", "b", "c")
    await play.do("b", "GET", key_in(SLOT_B, "x"))
    await play.do("b", "GET", key_in(SLOT_A, "x"))
    await play.do("a1", "CLUSTER", "FAILOVER")
    await play.owners(SLOT_A, "b", "c", "a1")
    play.note("a started", await play.stage.start("a"))
    await play.until_flagged("fail", "a", "b", "c", "a1", "b1", is_set=False)
    await play.until_state("ok", "a", "b", "c")
    await play.roles("b")
    await play.until_linked("a1")
    await play.do("a", "GET", key_in(SLOT_A, "x"))


@rule("clusterCommand, FAILOVER FORCE; clusterSendFailoverAuthIfNeeded", is_slow=True)
async def a_forced_failover_wants_the_votes_of_a_majority(play: Play) -> None:
    await play.hold_elections("a1", "b1")
    await play.kill("a")
    await play.until_flagged("fail", "a", "b", "c", "a1")
    await play.do("a1", "CLUSTER", "FAILOVER", "FORCE")
    await play.until_role("a1", "primary", "a1", "b", "c")
    await play.epochs("c", "a1", "b", "c")
    await play.owners(SLOT_A, "a1")
    play.note("a started", await play.stage.start("a"))
    await play.until_role("a", "replica of a1", "a", "a1", "b")


@rule("clusterCommand, FAILOVER FORCE and TAKEOVER; markNodeAsFailingIfNeeded", is_slow=True)
async def without_a_majority_only_a_takeover_makes_a_primary(play: Play) -> None:
    await play.put("b", SLOT_B, "x")
    await play.until_keys(SLOT_B, "b1", ["x"])
    await play.kill("a")
    await play.kill("b")
    await play.until_state("fail", "c")
    await play.until_flagged("fail?", "a", "c", "b1")
    await play.until_flagged("fail?", "b", "c", "b1")
    await play.do("c", "GET", key_in(SLOT_C, "x"))
    before = await play.current_epoch("b1")
    await play.do("b1", "CLUSTER", "FAILOVER", "FORCE")

    async def asked_for_votes() -> bool:
        return await play.current_epoch("b1") > before

    await play.stage.until("votes to be asked for", asked_for_votes)
    await play.stage.live_on()
    await play.roles("b1", "a1", "b1")
    await play.owners(SLOT_B, "b1", "c")
    await play.do("b1", "CLUSTER", "FAILOVER", "TAKEOVER")
    await play.until_role("b1", "primary", "b1", "c")
    await play.until_owned(SLOT_B, "b1", "b1", "c", "a1")
    await play.epochs("c", "b1", "a", "c")
    await play.until_role("a1", "primary", "a1", "b1", "c")
    await play.until_state("ok", "b1", "c", "a1")
    await play.do("b1", "GET", key_in(SLOT_B, "x"))


@rule("clusterHandleSlaveFailover (clusterHandleReplicaFailover), data_age", is_slow=True)
async def a_replica_that_never_was_linked_stands_only_when_it_is_told_to(play: Play) -> None:
    await play.kill("a1")
    await play.kill("a")
    play.note("a1 started", await play.stage.start("a1"))
    await play.until_flagged("fail", "a", "b", "c", "a1")
    await play.stage.live_on()
    await play.roles("b", "a1")
    await play.do("a1", "CLUSTER", "FAILOVER", "FORCE")
    await play.until_role("a1", "primary", "a1", "b", "c")
    await play.owners(SLOT_A, "a1")
