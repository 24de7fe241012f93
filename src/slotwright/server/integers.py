"""Whole numbers in what servers say: 64 bits, as theirs are; anything else is no number of theirs."""

from __future__ import annotations

import re

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_LEAST, _MOST = -(2**63), 2**64 - 1


def parse_integer(text: str) -> int:
    """The number. Raises ValueError for what no server can mean: a million digits, another script's digits, nothing."""
    if not _INTEGER.fullmatch(text) or not _LEAST <= int(text) <= _MOST:
        raise ValueError(f"not a number of 64 bits: {text[:40]!r}")
    return int(text)


def integer_in(text: str | None) -> int | None:
    """The number that a setting is; None for one that is none, or that is not there."""
    try:
        return None if text is None else parse_integer(text)
    except ValueError:
        return None
