"""What our user may do on a source, found without doing it.

``ACL DRYRUN`` tells (7.0 and later) where we may ask it. Else each command is queued in a transaction that is
discarded: the server says whether the user may when it queues, and nothing is run. PSYNC can't be queued since 7.0:
there it stays unknown, unless REPLCONF, which is of the same categories, is denied.
"""

from __future__ import annotations

from collections.abc import Sequence

from slotwright.features.migrate.model.surveys import Right, Rights
from slotwright.features.migrate.survey.source_info import has_every_key, right_of
from slotwright.ports import Argument, Connection, Reply, ReplyError
from slotwright.server.capabilities import Capabilities, Capability

Trial = tuple[str, tuple[Argument, ...]]

TRIALS: tuple[Trial, ...] = (
    ("psync", ("PSYNC", "?", "-1")),
    ("replconf", ("REPLCONF", "capa", "eof")),
    ("info", ("INFO",)),
    ("scan", ("SCAN", "0")),
    ("type", ("TYPE", "slotwright")),
    ("pttl", ("PTTL", "slotwright")),
    ("dump", ("DUMP", "slotwright")),
    ("client|pause", ("CLIENT", "PAUSE", "1", "WRITE")),
    ("client|unpause", ("CLIENT", "UNPAUSE")),
    ("config|get", ("CONFIG", "GET", "save")),
    ("config|set", ("CONFIG", "SET", "min-replicas-to-write", "0")),
    ("acl|setuser", ("ACL", "SETUSER", "slotwright")),
    ("memory|usage", ("MEMORY", "USAGE", "slotwright")),
    ("monitor", ("MONITOR",)),
)
"""Everything that a migration may want, with arguments that the server takes (it counts them before it looks at
rights)."""

_NOT_QUEUED_EVERYWHERE = frozenset({"psync", "monitor"})


async def find_rights(connection: Connection, capabilities: Capabilities, user: str = "default") -> Rights:
    """``user``: for where the server doesn't tell who we are.

    Changes nothing; a denial leaves a line in the server's ACL LOG where DRYRUN can't be asked.
    """
    told_user = await _asked(connection, "ACL", "WHOAMI")
    name = told_user.decode(errors="replace") if isinstance(told_user, bytes) else user
    answers = await _dry_run(connection, capabilities, name) or await _queue(connection, capabilities)
    result = [(trial, *right_of(answer)) for trial, answer in answers]
    rights = {trial: right for trial, right, _ in result}
    if rights.get("psync", Right.UNKNOWN) is Right.UNKNOWN and rights.get("replconf") is Right.DENIED:
        rights["psync"] = Right.DENIED
    all_keys = has_every_key(await _asked(connection, "ACL", "GETUSER", name))
    if any(is_of_key for _, _, is_of_key in result):
        all_keys = False
    denials = (answer for trial, answer in answers if rights[trial] is Right.DENIED and answer)
    return Rights(
        name,
        tuple((trial, rights.get(trial, Right.UNKNOWN)) for trial, _ in TRIALS),
        all_keys,
        next(denials, ""),
    )


async def _asked(connection: Connection, *arguments: Argument) -> Reply:
    """None for an error reply."""
    try:
        return await connection.call(*arguments)
    except ReplyError:
        return None


async def _dry_run(connection: Connection, capabilities: Capabilities, user: str) -> list[tuple[str, str]]:
    """Answers by name; none where the server has no DRYRUN, or doesn't let us ask."""
    if not capabilities.has(Capability.ACL_DRYRUN):
        return []
    replies = await connection.pipeline([("ACL", "DRYRUN", user, *arguments) for _, arguments in TRIALS])
    if isinstance(replies[0], ReplyError) and replies[0].code == "NOPERM":
        return []
    return _named(TRIALS, replies)


async def _queue(connection: Connection, capabilities: Capabilities) -> list[tuple[str, str]]:
    """The same by a transaction. Nothing is sent before the server has said that it is in one."""
    refused = _NOT_QUEUED_EVERYWHERE if capabilities.has(Capability.REFUSES_TO_QUEUE_PSYNC) else frozenset[str]()
    trials = [trial for trial in TRIALS if trial[0] not in refused]
    if await _asked(connection, "MULTI") != b"OK":
        return []
    try:
        replies = await connection.pipeline([arguments for _, arguments in trials])
    finally:
        # Whoever may not DISCARD hangs up soon, and with that nothing is run either.
        await _asked(connection, "DISCARD")
    return _named(trials, replies)


def _named(trials: Sequence[Trial], replies: Sequence[Reply | ReplyError]) -> list[tuple[str, str]]:
    return [(name, _text(reply)) for (name, _), reply in zip(trials, replies, strict=True)]


def _text(reply: Reply | ReplyError) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
