"""What is said of a server that does not start with the settings of the file."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from slotwright.ops.rehearse import _died
from tests.unit.server.test_server_conf import fatal

SCRIPT = cast("Any", SimpleNamespace(version=SimpleNamespace(title="Valkey 9.1.2"), binary="/usr/bin/valkey-server"))


@pytest.mark.parametrize(("reason", "is_said"), [("wrong number of arguments", True), ("Bad directive", False)])
def test_a_value_of_several_words_needs_quotes_inside_the_quotes(reason: str, is_said: bool) -> None:
    error = _died(SCRIPT, fatal("proc-title-template {title} {listen-addr}", reason))
    assert (error.code, "quotes of its own" in error.hint) == ("bad-setting", is_said)
