"""Where the keys stand in the commands that COMMAND's table alone can't tell of: numbers of keys, options, databases.

Redis 6.2 tells no more than first key, last key and step, and says ``movablekeys`` of the rest. From 7.0 on there are
key specifications, but a few of those are said to be incomplete (SORT, MIGRATE, EVAL's undeclared keys). So the rules
for all of them are here, taken from the commands' documented syntax (redis.io/docs/latest/commands), and count for
every version. Positions are indexes into the arguments, the command's name being 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Positions(NamedTuple):
    """Indexes of a command's keys. ``written`` is those that it may change or remove, ``every`` all of them."""

    every: tuple[int, ...]
    written: tuple[int, ...]


NO_KEYS = Positions((), ())
_MOST_DIGITS = 10

Rule = Callable[[Sequence[bytes]], Positions | None]
"""None: these arguments can't be understood."""


def _first_written(arguments: Sequence[bytes]) -> Positions:
    every = tuple(range(1, len(arguments)))
    return Positions(every, every[:1])


def _two_first_written(arguments: Sequence[bytes]) -> Positions:
    return Positions((1, 2), (1,))


def _two_second_written(arguments: Sequence[bytes]) -> Positions:
    return Positions((1, 2), (2,))


def _bit_operation(arguments: Sequence[bytes]) -> Positions:
    return Positions(tuple(range(2, len(arguments))), (2,))


def _second(arguments: Sequence[bytes]) -> Positions | None:
    return Positions((2,), (2,)) if len(arguments) > 2 else None


def _numbered(at: int, step: int = 1) -> Rule:
    """As many keys as argument ``at`` says, from the next one on, all of them written."""

    def rule(arguments: Sequence[bytes]) -> Positions | None:
        result = _counted(arguments, at, step)
        return None if result is None else Positions(result, result)

    return rule


def _stored(arguments: Sequence[bytes]) -> Positions | None:
    result = _counted(arguments, 2, 1)
    return None if result is None else Positions((1, *result), (1,))


def _counted(arguments: Sequence[bytes], at: int, step: int) -> tuple[int, ...] | None:
    count = number_at(arguments, at)
    if count is None:
        return None
    end = at + 1 + count * step
    return tuple(range(at + 1, end, step)) if end <= len(arguments) else None


def number_at(arguments: Sequence[bytes], at: int) -> int | None:
    """A number of keys; None where there is none that a server could take for one."""
    word = arguments[at] if at < len(arguments) else b""
    return int(word) if word.isdigit() and len(word) < _MOST_DIGITS else None


def _store_option(skip: int, *options: bytes) -> Rule:
    """A key at 1, and one after the last of ``options``, which stand after argument ``skip``; without one, none is
    written."""

    def rule(arguments: Sequence[bytes]) -> Positions | None:
        target = 0
        for index in range(skip + 1, len(arguments) - 1):
            if arguments[index].upper() in options:
                target = index + 1
        return Positions((1, target), (target,)) if target else Positions((1,), ())

    return rule


def _streams(arguments: Sequence[bytes]) -> Positions | None:
    """``... STREAMS key key id id``; a group or consumer may have that name too."""
    index = 1
    while index < len(arguments):
        word = arguments[index].upper()
        index += 3 if word == b"GROUP" else 1
        if word == b"STREAMS":
            result = tuple(range(index, index + (len(arguments) - index) // 2))
            return Positions(result, result)
    return None


def _migrated(arguments: Sequence[bytes]) -> Positions | None:
    if len(arguments) > 3 and arguments[3]:
        return Positions((3,), (3,))
    for index in range(6, len(arguments)):
        if arguments[index].upper() == b"KEYS":
            result = tuple(range(index + 1, len(arguments)))
            return Positions(result, result)
    return None


def _memory(arguments: Sequence[bytes]) -> Positions | None:
    return Positions((2,), ()) if len(arguments) > 2 and arguments[1].upper() == b"USAGE" else NO_KEYS


def _string_algorithm(arguments: Sequence[bytes]) -> Positions | None:
    """``LCS KEYS a b``, or ``LCS STRINGS a b`` without keys (6.2 only)."""
    for index in range(2, len(arguments) - 2):
        word = arguments[index].upper()
        if word in (b"KEYS", b"STRINGS"):
            return Positions((index + 1, index + 2), ()) if word == b"KEYS" else NO_KEYS
    return None


def _only_read(rule: Rule) -> Rule:
    """The same keys, none of them written."""

    def reading(arguments: Sequence[bytes]) -> Positions | None:
        result = rule(arguments)
        return None if result is None else Positions(result.every, ())

    return reading


RULES: Mapping[bytes, Rule] = {
    b"BITOP": _bit_operation,
    b"BLMPOP": _numbered(2),
    b"BZMPOP": _numbered(2),
    b"COPY": _two_second_written,
    b"EVAL": _numbered(2),
    b"EVALSHA": _numbered(2),
    b"EVALSHA_RO": _only_read(_numbered(2)),
    b"EVAL_RO": _only_read(_numbered(2)),
    b"FCALL": _numbered(2),
    b"FCALL_RO": _only_read(_numbered(2)),
    b"GEORADIUS": _store_option(5, b"STORE", b"STOREDIST"),
    b"GEORADIUSBYMEMBER": _store_option(4, b"STORE", b"STOREDIST"),
    b"GEOSEARCHSTORE": _two_first_written,
    b"LMPOP": _numbered(1),
    b"MEMORY": _memory,
    b"MIGRATE": _migrated,
    b"MSETEX": _numbered(1, 2),
    b"PFDEBUG": _second,
    b"PFMERGE": _first_written,
    b"SDIFFSTORE": _first_written,
    b"SINTERCARD": _only_read(_numbered(1)),
    b"SINTERSTORE": _first_written,
    b"SORT": _store_option(1, b"STORE"),
    b"SORT_RO": _store_option(1),
    b"STRALGO": _string_algorithm,
    b"SUNIONSTORE": _first_written,
    b"XGROUP": _second,
    b"XREAD": _only_read(_streams),
    b"XREADGROUP": _streams,
    b"ZDIFF": _only_read(_numbered(1)),
    b"ZDIFFSTORE": _stored,
    b"ZINTER": _only_read(_numbered(1)),
    b"ZINTERCARD": _only_read(_numbered(1)),
    b"ZINTERSTORE": _stored,
    b"ZMPOP": _numbered(1),
    b"ZRANGESTORE": _two_first_written,
    b"ZUNION": _only_read(_numbered(1)),
    b"ZUNIONSTORE": _stored,
}
"""By name in capitals."""
