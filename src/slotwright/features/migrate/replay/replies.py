"""What the target's reply to a command of the stream says: was the same done there?

The source's command took effect, or it would not be in the stream. Where the target's reply says that nothing was done,
its key is not what it was in the source. Most likely it expired there, by the target's own clock, before the command
that prolonged it was applied; or the versions differ in what they do. An error says the same, whatever its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from slotwright.ports import Reply

_NO_FIELD = -2


def _is_nothing(_: Sequence[bytes], reply: Reply) -> bool:
    """A count of what was changed, or what was taken off a list."""
    return reply is None or reply == [] or (isinstance(reply, int) and reply <= 0)


def _is_without_field(_: Sequence[bytes], reply: Reply) -> bool:
    """A field's 0 is a condition that it did not meet in the source either."""
    return reply is None or (isinstance(reply, list) and (not reply or _NO_FIELD in reply))


def _is_unclaimed(arguments: Sequence[bytes], reply: Reply) -> bool:
    """Since 7.0 it forgets an entry that was deleted meanwhile; before, that one stays pending (t_stream.c)."""
    return reply == [] and any(argument.upper() == b"JUSTID" for argument in arguments)


TELLING: Final[Mapping[bytes, Callable[[Sequence[bytes], Reply], bool]]] = {
    b"HPERSIST": _is_without_field,
    b"HPEXPIREAT": _is_without_field,
    b"LINSERT": _is_nothing,
    b"LPOP": _is_nothing,
    b"LPUSHX": _is_nothing,
    b"LREM": _is_nothing,
    b"PERSIST": _is_nothing,
    b"PEXPIREAT": _is_nothing,
    b"RPOP": _is_nothing,
    b"RPUSHX": _is_nothing,
    b"SREM": _is_nothing,
    b"XCLAIM": _is_unclaimed,
    b"ZREM": _is_nothing,
}
"""Commands (in capitals, as the Replayer says them) whose reply tells something beside an error. DEL and HDEL are none
of them: what the source removes because its time has come may be gone in the target already."""

ELSEWHERE: Final = ("MOVED", "ASK", "CLUSTERDOWN", "READONLY", "MASTERDOWN", "LOADING", "TRYAGAIN")
"""First words of errors by which a node says that it does not serve the key's slot just now (server.c,
processCommand): who does has to be looked for."""


def is_telling(arguments: Sequence[bytes]) -> bool:
    """Whether the reply to this command has to be looked at."""
    return arguments[0].upper() in TELLING


def is_doubtful(arguments: Sequence[bytes], reply: Reply) -> bool:
    """Whether the keys of a command have to be given the source's value; ``reply`` is no error."""
    judge = TELLING.get(arguments[0].upper())
    return judge is not None and judge(arguments, reply)
