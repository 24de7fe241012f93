"""Commands of a stream said in another way: with absolute times to live, and without what was only a condition.

A command is in the stream because it took effect. So NX, XX, GT, IFEQ and their like have been decided by the source,
and must not be decided again. Times to live that are relative (Redis before 7.0 sends EXPIRE and SET ... EX as the
client wrote them, expire.c and t_string.c of 6.2) count from when the command came in by the source's clock, which is
later than its execution by as long as it was under way.

Fields of hashes are told their own deadlines, never later ones: those of the snapshot's hashes are not touched either.

All functions give None where the arguments are not understood: then the key's value has to be carried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from slotwright.features.migrate.replay.deferred_expiry import later

Arguments = Sequence[bytes]


class When(NamedTuple):
    """``received_ms`` is the source's clock when a command was received, in milliseconds since 1970. Every deadline is
    said ``later_ms`` later than it is."""

    received_ms: int
    later_ms: int = 0


Rewrite = Callable[[Arguments, When], Arguments | None]

_SECOND_MS = 1000
_RELATIVE = {b"EX": _SECOND_MS, b"PX": 1}
_ABSOLUTE = {b"EXAT": _SECOND_MS, b"PXAT": 1}
_CONDITIONS = frozenset({b"NX", b"XX", b"GET"})
_STREAM_WORDS = frozenset({b"NOMKSTREAM", b"KEEPREF", b"DELREF", b"ACKED"})
_COMPARISONS = frozenset({b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE"})


def deadline_ms(unit: bytes, number: bytes, when: When) -> int | None:
    """Milliseconds since 1970 for ``EX 10`` and its like; None for another unit, or no number."""
    unit = unit.upper()
    try:
        if unit in _RELATIVE:
            return later(when.received_ms + int(number) * _RELATIVE[unit], when.later_ms)
        return later(int(number) * _ABSOLUTE[unit], when.later_ms) if unit in _ABSOLUTE else None
    except ValueError:
        return None


def _expire(unit: bytes) -> Rewrite:
    def rewrite(arguments: Arguments, when: When) -> Arguments | None:
        if len(arguments) < 3:
            return None
        deadline = deadline_ms(unit, arguments[2], when)
        # Older versions of Valkey that kept a negative one (import-mode) end at it later (expire.c,
        # activeExpireCycleTryExpire; pull request 2944).
        return None if deadline is None else [b"PEXPIREAT", arguments[1], b"%d" % max(deadline, 0)]

    return rewrite


def _set_with_time(unit: bytes) -> Rewrite:
    def rewrite(arguments: Arguments, when: When) -> Arguments | None:
        if len(arguments) != 4:
            return None
        deadline = deadline_ms(unit, arguments[2], when)
        return None if deadline is None else [b"SET", arguments[1], arguments[3], b"PXAT", b"%d" % deadline]

    return rewrite


def plain_set(arguments: Arguments, when: When) -> Arguments | None:
    """SET with nothing but a deadline or KEEPTTL."""
    if len(arguments) <= 3:
        return arguments
    plain = [b"SET", arguments[1], arguments[2]]
    options = iter(arguments[3:])
    for option in options:
        word = option.upper()
        if word == b"KEEPTTL":
            plain.append(word)
        elif word in _COMPARISONS:
            next(options, None)
        elif word not in _CONDITIONS:
            deadline = deadline_ms(word, next(options, b""), when)
            if deadline is None:
                return None
            plain += (b"PXAT", b"%d" % deadline)
    return plain


def _get_and_expire(arguments: Arguments, when: When) -> Arguments | None:
    if len(arguments) == 3 and arguments[2].upper() == b"PERSIST":
        return [b"PERSIST", arguments[1]]
    if len(arguments) != 4:
        return None
    deadline = deadline_ms(arguments[2], arguments[3], when)
    return None if deadline is None else [b"PEXPIREAT", arguments[1], b"%d" % deadline]


def _hash_expire(unit: bytes) -> Rewrite:
    """The condition stays: of several fields some may have met it, and the same ones meet it in the target."""

    def rewrite(arguments: Arguments, when: When) -> Arguments | None:
        if len(arguments) < 6:
            return None
        deadline = deadline_ms(unit, arguments[2], When(when.received_ms))
        return None if deadline is None else [b"HPEXPIREAT", arguments[1], b"%d" % deadline, *arguments[3:]]

    return rewrite


def _hash_get_and_delete(arguments: Arguments, _: When) -> Arguments | None:
    if len(arguments) < 5 or arguments[2].upper() != b"FIELDS":
        return None
    return [b"HDEL", arguments[1], *arguments[4:]]


def _hash_set_with_time(arguments: Arguments, when: When) -> Arguments | None:
    plain = [b"HSETEX", arguments[1]]
    options = iter(range(2, len(arguments)))
    for index in options:
        word = arguments[index].upper()
        if word == b"FIELDS":
            return [*plain, *arguments[index:]]
        if word == b"KEEPTTL":
            plain.append(word)
        elif word not in (b"FNX", b"FXX"):
            at = next(options, None)
            deadline = None if at is None else deadline_ms(word, arguments[at], When(when.received_ms))
            if deadline is None:
                return None
            plain += (b"PXAT", b"%d" % deadline)
    return None


def without_field_times(arguments: Arguments) -> Arguments | None:
    """HSETEX (as rewritten) for a server that has no times to live of fields: the same when it sets none. Redis 8 says
    HINCRBYFLOAT in this way."""
    command = [argument.upper() for argument in arguments[2:5]]
    at = 2 + command.index(b"FIELDS") if b"FIELDS" in command else 0
    if not at or (at == 3 and command[0] != b"KEEPTTL") or at > 3:
        return None
    return [b"HSET", arguments[1], *arguments[at + 2 :]]


def _restore(arguments: Arguments, when: When) -> Arguments | None:
    if len(arguments) < 4 or not arguments[2].isdigit():
        return None
    options = [option.upper() for option in arguments[4:]]
    unit = b"PXAT" if b"ABSTTL" in options else b"PX"
    deadline = deadline_ms(unit, arguments[2], when) if int(arguments[2]) else 0
    return [b"RESTORE", arguments[1], b"%d" % (deadline or 0), arguments[3], b"REPLACE", b"ABSTTL"]


def _added(arguments: Arguments, _: When) -> Arguments | None:
    """XADD is understood when its id is a whole one: with ``*`` each server would choose its own."""
    trimmed = _without_limit(arguments)
    if trimmed is None:
        return None
    index = 2
    while index < len(trimmed):
        word = trimmed[index].upper()
        if word in (b"MAXLEN", b"MINID"):
            index += 3 if trimmed[index + 1 : index + 2] == [b"="] else 2
        elif word in _STREAM_WORDS:
            index += 1
        else:
            time_ms, _dash, sequence = word.partition(b"-")
            return trimmed if time_ms.isdigit() and (not _dash or sequence.isdigit()) else None
    return None


def _trimmed(arguments: Arguments, _: When) -> Arguments | None:
    """XTRIM is understood when it is exact."""
    return _without_limit(arguments)


def _without_limit(arguments: Arguments) -> Arguments | None:
    """XADD or XTRIM without LIMIT, None where the trimming is not exact: where ``~`` ends depends on how a stream is
    stored.

    A source says in the stream where its ``~`` ended: it writes ``=`` in its place and that number, but leaves LIMIT,
    which clients (other than a primary) may only say beside ``~`` (t_stream.c, streamParseAddOrTrimArgsOrReply).
    """
    kept = list(arguments)
    for index in range(2, len(kept) - 1):
        word = kept[index].upper()
        if word in (b"MAXLEN", b"MINID"):
            if kept[index + 1] == b"~":
                return None
            at = index + (3 if kept[index + 1] == b"=" else 2)
            if at + 1 < len(kept) and kept[at].upper() == b"LIMIT":
                del kept[at : at + 2]
            return kept
        if word not in _STREAM_WORDS:
            break
    return kept


REWRITES: Mapping[bytes, Rewrite] = {
    b"EXPIRE": _expire(b"EX"),
    b"EXPIREAT": _expire(b"EXAT"),
    b"GETEX": _get_and_expire,
    b"HGETDEL": _hash_get_and_delete,
    b"HEXPIRE": _hash_expire(b"EX"),
    b"HEXPIREAT": _hash_expire(b"EXAT"),
    b"HPEXPIRE": _hash_expire(b"PX"),
    b"HPEXPIREAT": _hash_expire(b"PXAT"),
    b"HSETEX": _hash_set_with_time,
    b"PEXPIRE": _expire(b"PX"),
    b"PEXPIREAT": _expire(b"PXAT"),
    b"PSETEX": _set_with_time(b"PX"),
    b"RESTORE": _restore,
    b"RESTORE-ASKING": _restore,
    b"SET": plain_set,
    b"SETEX": _set_with_time(b"EX"),
    b"XADD": _added,
    b"XTRIM": _trimmed,
}
"""Of commands with one key, which stands at 1 before and after. By name in capitals."""


def one_by_one(name: bytes, arguments: Arguments, when: When) -> list[Arguments] | None:
    """A command of several keys (``name`` in :data:`SPLIT`) as commands of one key each, in its order; None where the
    arguments are not understood."""
    if name in (b"DEL", b"UNLINK"):
        return [[name, key] for key in arguments[1:]]
    if name == b"SMOVE":
        return [[b"SREM", arguments[1], arguments[3]], [b"SADD", *arguments[2:]]] if len(arguments) == 4 else None
    if name == b"MSETEX":
        return _set_each(arguments, when)
    pairs = arguments[1:]
    if len(pairs) % 2:
        return None
    return [[b"SET", pairs[i], pairs[i + 1]] for i in range(0, len(pairs), 2)]


def _set_each(arguments: Arguments, when: When) -> list[Arguments] | None:
    if len(arguments) < 2 or not arguments[1].isdigit():
        return None
    end = 2 + 2 * int(arguments[1])
    if end > len(arguments):
        return None
    candidate = [plain_set([b"SET", *arguments[i : i + 2], *arguments[end:]], when) for i in range(2, end, 2)]
    whole = [one for one in candidate if one is not None]
    return whole if len(whole) == len(candidate) else None


SPLIT = frozenset({b"DEL", b"MSET", b"MSETEX", b"MSETNX", b"SMOVE", b"UNLINK"})
"""Commands of several keys that are the same as one command for each of them, once they have taken effect."""
