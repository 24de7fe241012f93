"""What the target's reply to a command of the stream says: was the same done there?

The source's command took effect, or it would not be in the stream. Where the target's reply says that nothing was done,
its key is not what it was in the source. Most likely it expired there, by the target's own clock, before the command
that prolonged it was applied; or the versions differ in what they do.

Some errors say nothing of the key, but that the node did not take the command at all: :func:`is_refusal`. Then the
command has to reach whoever does take it, in its place in the order.
"""

from __future__ import annotations

from slotwright.planning.replay_actions import Send
from slotwright.ports import Reply, ReplyError

TELLING = frozenset({b"HPERSIST", b"HPEXPIREAT", b"PERSIST", b"PEXPIREAT", b"XCLAIM"})
"""Commands (in capitals, as the Replayer says them) whose reply tells something beside an error."""

REFUSALS = frozenset(
    {
        *("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "READONLY", "LOADING", "MASTERDOWN", "BUSY"),
        *("OOM", "MISCONF", "NOREPLICAS", "NOAUTH", "NOPERM"),
    }
)
"""First words of errors that a node gives before it looks at a command's key (server.c, processCommand)."""

_NO_FIELD = -2


def is_refusal(reply: Reply | ReplyError) -> bool:
    """Whether the node did not take the command: it moved, is no primary any more, has no memory left, and so on."""
    return isinstance(reply, ReplyError) and reply.code in REFUSALS


def is_doubtful(send: Send, reply: Reply | ReplyError) -> bool:
    """Whether the keys of ``send`` have to be given the source's value. A refusal is no doubt."""
    if isinstance(reply, ReplyError):
        return reply.code not in REFUSALS
    name = send.arguments[0].upper()
    if name not in TELLING:
        return False
    if name == b"XCLAIM":
        # Since 7.0 it forgets an entry that was deleted meanwhile; before, that one stays pending (t_stream.c).
        return reply == [] and any(argument.upper() == b"JUSTID" for argument in send.arguments)
    return _NO_FIELD in reply if isinstance(reply, list) else reply == 0
