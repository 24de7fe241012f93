"""A secret shows nowhere but where it is asked for by name."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass

import msgspec
import pytest

from slotwright.model.blueprint import Blueprint
from slotwright.model.expectation import Expectation
from slotwright.model.files import NodeFiles
from slotwright.model.secret import Secret
from slotwright.planning.diff import Desired
from slotwright.wire.server_conf import NodeConfig
from tests.fakes import build

TEXT = "hunter2-hunter2"
SECRET = Secret(TEXT)


@dataclass(frozen=True)
class Holder:
    password: Secret


def test_it_is_told_when_asked_for() -> None:
    assert SECRET.reveal() == TEXT


@pytest.mark.parametrize(
    "shown",
    [
        repr(SECRET),
        str(SECRET),
        f"{SECRET}",
        f"{SECRET!r}",
        f"{SECRET!a}",
        "{}".format(SECRET),  # noqa: UP032
        "%s %r" % (SECRET, SECRET),  # noqa: UP031
        repr([SECRET]),
        repr({"a": SECRET}),
        repr(Holder(SECRET)),
        ascii(SECRET),
        repr(NodeConfig(build.at("h1:7001"), "/d", build.Mode.CLUSTER, SECRET)),
    ],
)
def test_it_prints_as_stars(shown: str) -> None:
    assert TEXT not in shown
    assert "***" in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(SECRET, protocol)


def format_wide(secret: Secret) -> str:
    return f"{secret:>30}"


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode, vars, format_wide])
def test_other_ways_out_are_shut(way: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError) as caught:
        way(SECRET)
    assert TEXT not in "".join(traceback.format_exception(caught.value))


def test_a_dataclass_that_holds_one_does_not_become_a_dictionary() -> None:
    with pytest.raises(TypeError):
        asdict(Holder(SECRET))


def test_equality_is_that_of_the_texts() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert bool(Secret("a")) and not Secret("")


def test_what_carries_secrets_in_plain_text_does_not_show_them() -> None:
    made = Blueprint("c", "demo", build.Mode.CLUSTER, ())
    topology = build.topology()
    carriers = [
        NodeFiles(build.at("h1:7001"), "/d", "{}", f"requirepass {TEXT}\n", TEXT),
        Desired(topology, made, "Valkey 9.1.2", {"masterauth": TEXT}),
        Expectation(made, settings=(("masterauth", TEXT),)),
    ]
    assert [carrier for carrier in carriers if TEXT in repr(carrier)] == []
