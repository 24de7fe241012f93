"""Errors as they are shown, from which golden files are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slotwright.console.errors import error_fields
from slotwright.errors import HostError, InputError, Problem
from slotwright.features.deploy.outcome import PlanRefusedError
from tests.unit.output import results

_PROBLEM = Problem("unknown key 'replica'", "cluster.yaml:5", "did you mean 'replicas'?")

ERRORS: dict[str, Callable[[], Mapping[str, Any]]] = {
    "error-refused": lambda: error_fields(PlanRefusedError(results.plan())),
    "error-file": lambda: error_fields(
        InputError("cluster.yaml has 1 problem", code="bad-topology", where="cluster.yaml", problems=[_PROBLEM])
    ),
    "error-host": lambda: error_fields(
        HostError(
            "a disk is full", code="disk-full", where="h1", seen="No space left", left="2 nodes run", hint="make room"
        )
    ),
    "error-usage": lambda: {"code": "usage", "what": "no such option", "hint": "slotwright --help"},
    "error-internal": lambda: {
        "where": "a.py:1",
        "seen": "ValueError: x",
        "left": "nothing was changed",
        "code": "internal-error",
        "what": "it failed",
        "hint": "report it",
        "report": "/state/crashes/1.txt",
    },
}
"""By the name of the golden file."""
