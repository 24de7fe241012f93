"""What one server can do: as it answered itself, and for the rest as its version is known to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slotwright.cluster.observation import ServerVersion
from slotwright.server.capabilities.table import ROWS, AskCommand, AskSetting, Capability

_COMMANDS = tuple((row.capability, row.trial) for row in ROWS if isinstance(row.trial, AskCommand))
_SETTINGS = tuple((row.capability, row.trial) for row in ROWS if isinstance(row.trial, AskSetting))

WHICH_COMMANDS: tuple[str, ...] = ("COMMAND", "INFO", *(trial.name for _, trial in _COMMANDS))
"""For a user who may only read: CONFIG would be denied, and each denial stands in the server's ACL LOG."""

QUESTIONS: tuple[tuple[str, ...], ...] = (
    WHICH_COMMANDS,
    *(("CONFIG", "GET", trial.name) for _, trial in _SETTINGS),
)
"""Commands for one round trip, which change nothing; :func:`capabilities_from` takes the replies."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Of one server."""

    version: ServerVersion
    present: frozenset[Capability]

    def has(self, capability: Capability) -> bool:
        """Whether it can be used there."""
        return capability in self.present

    def may_have(self, capability: Capability) -> bool:
        """Also where the server hides it: a command that was renamed is not told, and is there."""
        return self.has(capability) or capability in _of_version(self.version)


def capabilities_of(version: ServerVersion) -> Capabilities:
    """By the table alone: for what is not running, and for what was not asked."""
    return Capabilities(version, _of_version(version))


def capabilities_from(version: ServerVersion, replies: Sequence[object]) -> Capabilities:
    """By the replies to :data:`QUESTIONS`, or to the first of them alone. What was not asked, was refused, or can't be
    understood, the table says."""
    present = dict.fromkeys(_of_version(version), True)
    present |= dict(_answers(replies))
    return Capabilities(version, frozenset(capability for capability, is_there in present.items() if is_there))


def _of_version(version: ServerVersion) -> frozenset[Capability]:
    return frozenset(row.capability for row in ROWS if row.is_in(version))


def _answers(replies: Sequence[object]) -> Iterator[tuple[Capability, bool]]:
    entries, *settings = replies
    if isinstance(entries, list) and len(entries) == len(_COMMANDS):
        for (capability, trial), entry in zip(_COMMANDS, entries, strict=True):
            yield capability, _is_told(entry, trial)
    for (capability, _), reply in zip(_SETTINGS, settings, strict=False):
        if isinstance(reply, list):
            yield capability, len(reply) == 2


def _is_told(entry: object, trial: AskCommand) -> bool:
    """Whether a line of COMMAND is there, with the flag that is asked for."""
    if not isinstance(entry, list) or len(entry) < 3:
        return False
    flags = entry[2] if isinstance(entry[2], list) else []
    return not trial.flag or trial.flag.encode() in flags
