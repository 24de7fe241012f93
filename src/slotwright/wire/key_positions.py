"""Where commands have their keys, and what COMMAND says of it.

By position, as the server's own table tells (COMMAND: first key, last key, step). Some commands say themselves how many
keys follow, or where they begin; for these the rules are here, after the servers' getkeys functions (db.c, 6.2 to 9.1).
"""

from __future__ import annotations

from collections.abc import Sequence

from slotwright.model.source_survey import CommandShape, CommandTable

_NO_KEYS = CommandShape()

_COUNTED = {
    "eval": 2,
    "evalsha": 2,
    "eval_ro": 2,
    "evalsha_ro": 2,
    "fcall": 2,
    "fcall_ro": 2,
    "zunion": 1,
    "zinter": 1,
    "zdiff": 1,
    "zintercard": 1,
    "sintercard": 1,
    "lmpop": 1,
    "zmpop": 1,
    "blmpop": 2,
    "bzmpop": 2,
    "zunionstore": 2,
    "zinterstore": 2,
    "zdiffstore": 2,
    "msetex": 1,
}
"""Where the number of keys stands; they follow it."""

_STEP_OF_COUNTED = {"msetex": 2}

_STORES = frozenset({"zunionstore", "zinterstore", "zdiffstore"})
"""The destination is the first argument."""

SCRIPTS = frozenset({"eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro"})
"""Commands that run code with keys of their own."""


def keys_of(words: Sequence[bytes], table: CommandTable) -> tuple[bytes, ...]:
    """The keys of one command; none for one that is unknown or malformed."""
    name = command_name(words)
    if name in _COUNTED:
        return _counted(name, words)
    if name in ("xread", "xreadgroup"):
        return _streams(words)
    if name in ("sort", "georadius", "georadiusbymember"):
        return _stored(name, words)
    if name == "migrate":
        return _migrated(words)
    shape = _shape(name, words, table)
    if shape.first <= 0 or shape.step <= 0:
        return ()
    last = shape.last if shape.last >= 0 else len(words) + shape.last
    return tuple(words[shape.first : last + 1 : shape.step])


def may_have_several_keys(name: str, shape: CommandShape) -> bool:
    """A call of it may name more than one key. Not told of scripts, which are judged apart."""
    if name in SCRIPTS or name in _NOT_OF_CLIENTS:
        return False
    return shape.is_movable or (shape.first > 0 and (shape.last < 0 or shape.last > shape.first))


_NOT_OF_CLIENTS = frozenset({"debug", "memory", "migrate"})


def command_name(words: Sequence[bytes]) -> str:
    """Lower case; "" for no command."""
    return words[0].decode(errors="replace").lower() if words else ""


def parse_command_table(reply: object) -> dict[str, CommandShape]:
    """The reply to COMMAND, subcommands (7.0 and later) as ``config|get``."""
    found: dict[str, CommandShape] = {}
    for entry in reply if isinstance(reply, list) else ():
        if not isinstance(entry, list) or len(entry) < 6 or not isinstance(entry[0], bytes):
            continue
        flags = {flag for flag in entry[2] if isinstance(flag, bytes)} if isinstance(entry[2], list) else set()
        first, last, step = (part if isinstance(part, int) else 0 for part in entry[3:6])
        found[entry[0].decode(errors="replace").lower()] = CommandShape(
            first, last, step, is_movable=b"movablekeys" in flags, is_write=b"write" in flags
        )
        if len(entry) >= 10:
            found |= parse_command_table(entry[9])
    return found


def _shape(name: str, words: Sequence[bytes], table: CommandTable) -> CommandShape:
    """Since 7.0 a subcommand has an entry of its own, with positions in the whole command."""
    shape = table.get(name, _NO_KEYS)
    if shape.first or len(words) < 2:
        return shape
    return table.get(f"{name}|{words[1].decode(errors='replace').lower()}", shape)


def _counted(name: str, words: Sequence[bytes]) -> tuple[bytes, ...]:
    at = _COUNTED[name]
    count = _number(words[at]) if len(words) > at else 0
    step = _STEP_OF_COUNTED.get(name, 1)
    keys = tuple(words[at + 1 : at + 1 + count * step : step])
    return (words[1], *keys) if name in _STORES and len(words) > 1 else keys


def _streams(words: Sequence[bytes]) -> tuple[bytes, ...]:
    """``... STREAMS key key id id``."""
    at = next((place for place, word in enumerate(words) if word.lower() == b"streams"), None)
    if at is None:
        return ()
    rest = words[at + 1 :]
    return tuple(rest[: len(rest) // 2])


def _stored(name: str, words: Sequence[bytes]) -> tuple[bytes, ...]:
    """The key, and that after STORE or STOREDIST; the last one counts, as it does to the server."""
    options = (b"store",) if name == "sort" else (b"store", b"storedist")
    targets = [words[at + 1] for at, word in enumerate(words[2:-1], 2) if word.lower() in options]
    return (*words[1:2], *targets[-1:])


def _migrated(words: Sequence[bytes]) -> tuple[bytes, ...]:
    if len(words) > 3 and words[3]:
        return (words[3],)
    at = next((place for place, word in enumerate(words) if word.lower() == b"keys"), None)
    return () if at is None else tuple(words[at + 1 :])


def _number(word: bytes) -> int:
    return int(word) if word.isdigit() and len(word) < 10 else 0
