"""SCAN: the one walk over a server's keys, page by page; SSCAN and HSCAN give a value's elements the same way.

SCAN gives each key that is there all the time at least once, and may give it twice (dict.c, dictScan). It gives them in
the order of a hash with a seed of the server's own, so that its first ones are a fair sample.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from slotwright.ports import Argument, Reply, ReplyError

FIRST = b"0"
"""The cursor of the first page; as an answer: there is no further one."""

Command = Sequence[Argument]
Ask = Callable[[bytes], Awaitable[Reply | ReplyError]]
"""Sends SCAN, SSCAN or HSCAN with this cursor."""

Pipeline = Callable[[Sequence[Command]], Awaitable[list[Reply | ReplyError]]]
"""Sends commands in one round trip."""

Questions = Callable[[bytes], Sequence[Command]]
"""What is asked about a key: any commands."""


@dataclass(frozen=True, slots=True)
class Page:
    """Keys, each with the replies to its questions. ``is_last``: there are no more."""

    keys: list[tuple[bytes, list[Reply | ReplyError]]]
    is_last: bool


async def scan(ask: Ask) -> AsyncIterator[list[bytes]]:
    """All of it, in the pages that the server makes; a page may be empty. Raises ReplyError, and what ``ask`` does."""
    cursor = FIRST
    while True:
        cursor, results = _page(await ask(cursor))
        yield results
        if cursor == FIRST:
            return


async def walk(pipeline: Pipeline, questions: Questions, count: int) -> AsyncGenerator[Page, None]:
    """All keys, about ``count`` a page, with what is asked about each: the SCAN for the next page goes with it.

    So a page costs one round trip. A server takes such a pipeline from its socket 16 KiB at a time, and serves others
    in between. ``questions`` is called anew for each page. Raises ReplyError where SCAN is refused.
    """
    cursor, keys = _page((await pipeline([_scan(FIRST, count)]))[0])
    while True:
        is_last = cursor == FIRST
        asked = [questions(key) for key in keys]
        commands = [command for candidate in asked for command in candidate]
        if not is_last:
            commands.append(_scan(cursor, count))
        replies = await pipeline(commands) if commands else []
        following = None if is_last else replies.pop()
        result = iter(replies)
        yield Page(
            [(key, [next(result) for _ in candidate]) for key, candidate in zip(keys, asked, strict=True)], is_last
        )
        if is_last:
            return
        cursor, keys = _page(following)


def texts(reply: Reply | ReplyError) -> list[bytes]:
    """The texts of a list; none of what is no list."""
    return [item for item in reply if isinstance(item, bytes)] if isinstance(reply, list) else []


def _scan(cursor: bytes, count: int) -> Command:
    return "SCAN", cursor, "COUNT", count


def _page(reply: Reply | ReplyError) -> tuple[bytes, list[bytes]]:
    """Where to go on, and what was found."""
    if isinstance(reply, ReplyError):
        raise reply
    if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[0], bytes):
        raise ReplyError("ERR not a reply to SCAN")
    return reply[0], texts(reply[1])
