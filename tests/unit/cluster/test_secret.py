"""A secret shows nowhere but where it is asked for by name."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import msgspec
import pytest

from slotwright.cluster import secret
from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.expectation import Expectation
from slotwright.cluster.node_files import NodeFiles
from slotwright.cluster.secret import Secret, redacted
from slotwright.features.deploy.plan.diff import Desired
from slotwright.server.server_conf import NodeConfig
from tests.fakes import build

TEXT = "hunter2-hunter2"
SECRET = Secret(TEXT)


@pytest.fixture(autouse=True)
def _no_other_secrets() -> Iterator[None]:
    """Other tests of this process have had secrets, too."""
    before = set(secret._texts)
    secret._texts.clear()
    yield
    secret._texts.update(before)


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
        NodeFiles("/d", "{}", f"requirepass {TEXT}\n", TEXT),
        Desired(topology, made, "Valkey 9.1.2", {"masterauth": TEXT}),
        Expectation(made, settings=(("masterauth", TEXT),)),
    ]
    assert [carrier for carrier in carriers if TEXT in repr(carrier)] == []


@pytest.mark.parametrize("text", ['tr0ub4dor & "3"', "line\nbreak\\", "pässword", "\udcff\udc00raw"])
def test_what_others_say_of_it_is_redacted(text: str) -> None:
    Secret(text)
    data = text.encode(errors="surrogatepass")
    said = [
        f"ERR unknown command, with args beginning with: `{text}`",
        repr(text),
        repr(data),
        f"{[text]}",
        f"{data!r}"[1:],
        text.encode("ascii", "backslashreplace").decode(),
    ]
    for each in said:
        assert "***" in redacted(each), each
        for form in (text, repr(text)[1:-1], repr(data)[2:-1]):
            assert form not in redacted(each)


def test_of_two_secrets_the_longer_is_found_first() -> None:
    Secret("correct-horse"), Secret("correct-horse-battery")
    assert redacted("x correct-horse-battery y correct-horse z") == "x *** y *** z"


def test_no_secret_is_nothing_to_hide() -> None:
    Secret("")
    assert redacted("plain") == "plain"
