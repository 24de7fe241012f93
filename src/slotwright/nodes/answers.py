"""Reading what one server said: whatever is wrong with it is that server's, and never keeps others from being read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from slotwright.cluster.topology import Address
from slotwright.errors import AnswerError, SlotwrightError
from slotwright.ports import ReplyError

_SHOWN_CHARACTERS = 200


@contextmanager
def reading(address: Address, command: str) -> Iterator[None]:
    """Read the answer of ``address`` to ``command`` inside. Raises AnswerError in place of what a parser raises.

    A server can say anything, so any exception means it: a parser that trips over an answer has not read it.
    """
    try:
        yield
    except (SlotwrightError, ReplyError):
        raise
    except Exception as error:
        raise AnswerError(
            f"{address} gives an answer to {command} that can't be read",
            where=str(address),
            seen=excerpt_of(error),
        ) from error


def excerpt_of(error: BaseException) -> str:
    """What went wrong, in one line that can be shown: a parser's error quotes what the server said."""
    text = str(error) or type(error).__name__
    shown = text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
    return "".join(letter if letter.isprintable() else "?" for letter in shown[:_SHOWN_CHARACTERS])
