"""What is made of what a rehearsed server says, and of what it dies of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from slotwright.ops.rehearse import _died, _lowered_by_the_host
from tests.unit.server.test_server_conf import fatal

SCRIPT = cast("Any", SimpleNamespace(version=SimpleNamespace(title="Valkey 9.1.2"), binary="/usr/bin/valkey-server"))


@pytest.mark.parametrize(("reason", "is_said"), [("wrong number of arguments", True), ("Bad directive", False)])
def test_a_value_of_several_words_needs_quotes_inside_the_quotes(reason: str, is_said: bool) -> None:
    error = _died(SCRIPT, fatal("proc-title-template {title} {listen-addr}", reason))
    assert (error.code, "quotes of its own" in error.hint) == ("bad-setting", is_said)


@pytest.mark.parametrize(
    ("settings", "seen", "wanted"),
    [
        ((("maxclients", "5000"),), "2968", {"maxclients": "5000"}),
        ((("maxclients", "5000"),), "5000", {}),
        ((), "2968", {}),
        ((("maxclients", "many"),), "2968", {}),
    ],
)
def test_what_the_host_lowers_is_no_wish_of_the_file(
    settings: tuple[tuple[str, str], ...], seen: str, wanted: dict[str, str]
) -> None:
    script = cast("Any", SimpleNamespace(settings=settings))
    assert _lowered_by_the_host(script, {"maxclients": seen}) == wanted
