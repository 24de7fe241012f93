"""Which failover is planned, and which is refused: nothing is forced over a primary that somebody sees alive."""

from __future__ import annotations

from typing import Any

from slotwright.cluster.findings import Finding
from slotwright.cluster.take_survey import is_held_failed, is_seen_alive
from slotwright.features.failover.plan import FailoverStep, plan_failover
from tests.fakes.build import at
from tests.fakes.pictures import picture

SILENT = {"h1:7001": "timeout"}
HELD_FAILED = {"*": {"h1:7001": {"flags": "master,fail", "connected": False}}}


def planned(force: bool = False, **given: Any) -> FailoverStep | Finding | None:
    case = picture(given)
    return plan_failover(case.survey, at("h2:7002"), may_force=force, exams=case.exams)


def test_a_primary_that_answers_hands_over() -> None:
    step = planned()
    assert isinstance(step, FailoverStep)
    assert not step.is_forced


def test_one_that_only_we_do_not_reach_hands_over_as_well() -> None:
    for force in (False, True):
        step = planned(force, silent=SILENT, reached=["h1:7001"])
        assert isinstance(step, FailoverStep)
        assert not step.is_forced, "what its replica has not got yet would be lost"


def test_it_can_not_hand_over_to_a_replica_without_a_link() -> None:
    step = planned(True, silent=SILENT, reached=["h1:7001"], says={"h2:7002": {"link": "down"}})
    assert isinstance(step, Finding)
    assert "its copy is old" in step.what


def test_silence_is_forced_only_by_the_word_of_others() -> None:
    refused = planned(True, silent=SILENT)
    assert isinstance(refused, Finding)
    assert "nobody says that it is dead" in refused.what
    for given in ({"sees": HELD_FAILED}, {"exams": {"h1:7001": {}}}):
        step = planned(True, silent=SILENT, **given)
        assert isinstance(step, FailoverStep), step
        assert step.is_forced
        unforced = planned(False, silent=SILENT, **given)
        assert isinstance(unforced, Finding)
    alive = planned(True, silent=SILENT, exams={"h1:7001": {"state": "S"}})
    assert isinstance(alive, Finding), "its process is there"
    for folder in ("unsafe", "newer"):
        hidden = planned(True, silent=SILENT, exams={"h1:7001": {"folder": folder}})
        assert isinstance(hidden, Finding), "whether its process is there is unknown"


def test_the_majority_may_be_out_of_our_reach() -> None:
    silent = {"h1:7001": "maxclients", "h2:7001": "maxclients"}
    step = planned(silent=silent, reached=list(silent))
    assert isinstance(step, FailoverStep)
    assert isinstance(planned(silent=silent), Finding)


def test_one_witness_is_enough_and_a_suspicion_is_none() -> None:
    node = picture({}).survey.nodes[0].id
    seen = picture({"silent": SILENT, "sees": {"h3:7001": {"h1:7001": {"connected": True}}}}).observation
    assert is_seen_alive(node, seen)
    flagged = {"h3:7001": {"h1:7001": {"connected": True, "flags": "master,fail?"}}}
    assert not is_seen_alive(node, picture({"silent": SILENT, "sees": flagged}).observation)
    both = {**HELD_FAILED, "h3:7001": {"h1:7001": {"connected": True, "flags": "master"}}}
    assert not is_held_failed(node, picture({"silent": SILENT, "sees": both}).observation)
    assert is_held_failed(node, picture({"silent": SILENT, "sees": HELD_FAILED}).observation)
