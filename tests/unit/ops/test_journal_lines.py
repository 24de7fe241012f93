"""What the journal remembers of work that was cut: the verb, its steps, and where slots were going."""

from __future__ import annotations

import json

from slotwright.keys.model.slot_moves import MoveIntent
from slotwright.ops.journal_read import Tally, move_intents, parse_journal, tally, unfinished

BEGIN = {"at": "t1", "phase": "begin", "verb": "repair"}
END = {"phase": "end", "verb": "repair"}
ABORT = {"phase": "abort", "verb": "abort"}


def settle(phase: str, owner: str, *slots: str) -> dict[str, object]:
    return {"phase": phase, "step": "settle", "where": "h1:7001", "owner": owner, "slots": list(slots)}


def test_a_line_that_a_crash_cut_is_left_out() -> None:
    text = json.dumps(BEGIN) + "\n" + json.dumps(END)[:-4] + "\n[1, 2]\n\n" + json.dumps(ABORT) + "\n"
    assert parse_journal(text) == (BEGIN, ABORT)


def test_what_ended_was_not_cut() -> None:
    assert unfinished([]) is None
    assert unfinished([BEGIN, settle("intent", "a", "7"), settle("done", "a", "7"), END]) is None
    assert unfinished([BEGIN, ABORT]) is None


def test_what_was_cut_has_its_steps() -> None:
    start = {"phase": "done", "step": "start", "where": "h2:7001"}
    cut = unfinished([BEGIN, END, BEGIN, start, settle("intent", "a", "7")])
    assert cut is not None
    assert (cut.verb, cut.at, cut.done, cut.cut) == ("repair", "t1", ("start h2:7001",), ("settle h1:7001",))


def test_slots_on_their_way_keep_their_direction() -> None:
    entries = [BEGIN, settle("intent", "a", "7", "9-10"), settle("intent", "b", "20"), settle("done", "b", "20")]
    assert move_intents(entries) == (MoveIntent(7, "a"), MoveIntent(9, "a"), MoveIntent(10, "a"))


def test_the_last_direction_counts() -> None:
    assert move_intents([settle("intent", "a", "7"), settle("intent", "b", "7")]) == (MoveIntent(7, "b"),)


def test_a_failed_move_is_still_on_its_way() -> None:
    assert move_intents([settle("intent", "a", "7"), settle("failed", "a", "7")]) == (MoveIntent(7, "a"),)


def test_after_an_abort_or_an_end_nothing_is_on_its_way() -> None:
    assert move_intents([settle("intent", "a", "7"), ABORT]) == ()
    assert move_intents([settle("intent", "a", "7"), END]) == ()


def test_slots_that_are_none_are_no_intent() -> None:
    assert move_intents([settle("intent", "a", "x"), settle("intent", "b", "7"), settle("intent", "c", "99999")]) == (
        MoveIntent(7, "b"),
    )


def step(phase: str, where: str = "h1:7001") -> dict[str, object]:
    return {"phase": phase, "step": "start", "where": where}


def test_how_far_work_came() -> None:
    assert tally([]) is None
    assert tally([{"phase": "note"}]) is None
    assert tally([BEGIN]) == Tally()
    cut = [
        BEGIN,
        step("intent"),
        step("done"),
        step("intent", "h2:7001"),
        step("intent", "h3:7001"),
        step("failed", "h3:7001"),
    ]
    assert tally(cut) == Tally(("start h1:7001",), ("start h3:7001",), ("start h2:7001",))
    assert tally([*cut, END]) == Tally(("start h1:7001",), ("start h3:7001",), ("start h2:7001",), has_ended=True)
    # The same step once more, after the first try failed.
    assert tally([BEGIN, step("intent"), step("failed"), step("intent"), step("done")]) == Tally(("start h1:7001",))


def test_a_verb_of_one_step_ends_with_it() -> None:
    assert tally([step("intent")]) == Tally(cut=("start h1:7001",))
    assert tally([step("intent"), step("done")]) == Tally(("start h1:7001",), has_ended=True)
    assert tally([step("intent"), step("failed")]) == Tally(failed=("start h1:7001",))
