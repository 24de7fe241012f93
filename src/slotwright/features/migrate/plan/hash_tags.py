"""Keys that are used together -> the hash tag that would bring them into one slot.

A tag must be the same for all keys of a group, and should differ from group to group: a part that is common to
all of them (``user`` in ``user:1`` and ``user:2``) would put everything into one slot.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slotwright.features.migrate.model.command_sample import Crosser, TagAdvice

Group = tuple[bytes, ...]

_PARTS = re.compile(rb"[^:./|_#-]+|[:./|_#-]")
_SEPARATORS = frozenset(b":./|_#-")
_ENOUGH = 0.8
"""A rule that fits fewer of the groups is no advice."""


@dataclass(frozen=True, slots=True, order=True)
class _Rule:
    """The first ``count`` parts of the keys, or the part at ``count`` of the first key wherever it is in the others."""

    is_anywhere: bool
    count: int


def advise_tag(kind: Crosser, crosser: str, groups: Sequence[Group], all_keys: int) -> TagAdvice | None:
    """The tag that fits ``groups`` best; None where none fits most of them, or where tags are in use already.

    ``all_keys`` is how many different keys were heard in all.
    """
    if not groups or any(b"{" in key for group in groups for key in group):
        return None
    values: dict[_Rule, list[tuple[bytes, Group]]] = defaultdict(list)
    for group in groups:
        for rule, value in _values(group):
            values[rule].append((value, group))
    fitting = {rule: pairs for rule, pairs in values.items() if len(pairs) >= _ENOUGH * len(groups)}
    if not fitting:
        return None
    rule = max(fitting, key=lambda rule: _worth(rule, fitting[rule]))
    gathered: dict[bytes, set[bytes]] = defaultdict(set)
    for value, group in fitting[rule]:
        gathered[value].update(group)
    largest = max(len(keys) for keys in gathered.values())
    value, group = fitting[rule][0]
    return TagAdvice(
        kind,
        crosser,
        shown_key(group[0]),
        shown_key(_tagged(group[0], value, rule)),
        len(groups),
        len(gathered),
        min(1.0, largest / all_keys) if all_keys else 0.0,
    )


def _values(group: Group) -> Iterator[tuple[_Rule, bytes]]:
    """Every rule that gives all keys of the group one value, with that value."""
    parts = [_PARTS.findall(key) for key in group]
    common = 0
    while all(len(mine) > common for mine in parts) and len({mine[common] for mine in parts}) == 1:
        common += 1
    for count in range(1, common + 1):
        if not _is_separator(parts[0][count - 1]):
            yield _Rule(False, count), b"".join(parts[0][:count])
    for at, part in enumerate(parts[0]):
        if at and not _is_separator(part) and all(part in mine for mine in parts[1:]):
            yield _Rule(True, at), part


def _is_separator(part: bytes) -> bool:
    return len(part) == 1 and part[0] in _SEPARATORS


def _worth(rule: _Rule, pairs: Sequence[tuple[bytes, Group]]) -> tuple[int, bool, bool, int]:
    """Many different tags first; else something with a number in it; a beginning rather than a part; short rather than
    long, but the longest where nothing tells the parts apart."""
    values = {value for value, _ in pairs}
    has_number = any(byte in b"0123456789" for byte in pairs[0][0])
    length = rule.count if len(values) == 1 and not has_number else -rule.count
    return len(values), has_number, not rule.is_anywhere, length


def _tagged(key: bytes, value: bytes, rule: _Rule) -> bytes:
    if not rule.is_anywhere:
        return b"{" + value + b"}" + key[len(value) :]
    parts: list[bytes] = _PARTS.findall(key)
    at = parts.index(value)
    return b"".join((*parts[:at], b"{" + value + b"}", *parts[at + 1 :]))


def shown_key(key: bytes, most: int = 40) -> str:
    """For people: printable, and cut in the middle where it is long."""
    text = "".join(
        sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in key.decode("utf-8", "backslashreplace")
    )
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2 - 1) :]}"
