"""The rules of a cluster that the simulation has, each as a scenario that a real cluster plays, too.

A scenario is a coroutine that drives a cluster through a :class:`tests.conformance.play.Play`, which writes down what
came of it. What the simulated cluster and a real one write down must be the same, line for line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from slotwright.hosts.scripts.systemd_unit import Persistence

if TYPE_CHECKING:
    from tests.conformance.play import Play

Act = Callable[["Play"], Awaitable[None]]


@dataclass(frozen=True)
class Layout:
    """How the cluster is made: what its nodes keep on disk, and the epochs of the primaries ``a``, ``b`` and ``c``."""

    persistence: Persistence = Persistence.APPEND_ONLY
    epochs: tuple[int, int, int] = (1, 2, 3)


@dataclass(frozen=True)
class Rule:
    """``source`` is the function of the server that has it, in ``cluster.c`` or (Redis from 8.0, Valkey from 8.0)
    ``cluster_legacy.c`` where no file is named. ``is_slow``: the node timeout has to pass. ``but``: engines that do
    otherwise, and how; the simulation leaves that out."""

    name: str
    source: str
    act: Act
    is_slow: bool
    layout: Layout
    but: Mapping[str, str] = field(hash=False)


RULES: list[Rule] = []


def rule(
    source: str, *, is_slow: bool = False, layout: Layout = Layout(), but: Mapping[str, str] = MappingProxyType({})
) -> Callable[[Act], Act]:
    """Writes a scenario down as a rule of its own name."""

    def write_down(act: Act) -> Act:
        RULES.append(Rule(act.__name__.replace("_", "-"), source, act, is_slow, layout, but))
        return act

    return write_down
