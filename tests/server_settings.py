"""A server's configuration file, read by what it means.

A server that rewrites its file (CONFIG REWRITE) spells a setting in its own way: Valkey 9.1 says ``primaryauth`` where
the file said ``masterauth``, and 128mb where it was told 134217728. So tests compare `settings_of`, never a line.
Written apart from the program, which is tested with it.
"""

from __future__ import annotations

import re
from pathlib import Path

_OTHER_NAMES = {"primaryauth": "masterauth", "primaryuser": "masteruser", "lua-time-limit": "busy-reply-threshold"}
_UNITS = {"b": 1, "k": 1000, "kb": 1024, "m": 1000**2, "mb": 1024**2, "g": 1000**3, "gb": 1024**3}


def settings_of(file: Path) -> dict[str, list[str]]:
    """Directive -> words, under one name for all names of a directive; those of repeated lines one after the other."""
    found: dict[str, list[str]] = {}
    for name, words in rows(file.read_text()).items():
        found.setdefault(one_name(name), []).extend(word.decode() for word in words)
    return found


def one_name(name: str) -> str:
    """As every version since 6.2 takes it: the names that differ between versions are aliases (config.c)."""
    plain = name.lower().replace("slave", "replica").replace("ziplist", "listpack")
    return _OTHER_NAMES.get(plain, plain)


def byte_count(word: str) -> int:
    """As util.c (memtoull) reads a size: ``128mb``, ``128MB`` and ``134217728`` are the same."""
    match = re.fullmatch(r"(\d+)([a-z]*)", word.lower())
    assert match and (not match[2] or match[2] in _UNITS), f"{word!r} is no size"
    return int(match[1]) * _UNITS.get(match[2], 1)


def rows(text: str) -> dict[str, list[bytes]]:
    """As config.c (loadServerConfigFromString) reads it: trimmed lines, comments and blank ones left out."""
    found: dict[str, list[bytes]] = {}
    for line in text.encode().split(b"\n"):
        line = line.strip(b" \t\r\n")
        if line and not line.startswith(b"#"):
            words = split_arguments(line)
            assert words, line
            found.setdefault(words[0].decode(), []).extend(words[1:])
    return found


def split_arguments(line: bytes) -> list[bytes] | None:
    """sds.c, sdssplitargs: None for unbalanced quotes, or for a closing quote that something sticks to."""
    words, at = [], 0
    escapes = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
    blanks = b" \t\n\v\f\r"
    while True:
        while at < len(line) and line[at : at + 1] in blanks and line[at : at + 1]:
            at += 1
        if at >= len(line):
            return words
        word, quote = b"", b""
        while True:
            char = line[at : at + 1]
            if quote == b'"':
                if not char:
                    return None
                if re.match(rb"\\x[0-9a-fA-F]{2}", line[at : at + 4]):
                    word += bytes([int(line[at + 2 : at + 4], 16)])
                    at += 3
                elif char == b"\\" and line[at + 1 : at + 2]:
                    at += 1
                    word += escapes.get(line[at : at + 1], line[at : at + 1])
                elif char == b'"':
                    if line[at + 1 : at + 2] and line[at + 1 : at + 2] not in blanks:
                        return None
                    at += 1
                    break
                else:
                    word += char
            elif quote == b"'":
                if not char:
                    return None
                if char == b"\\" and line[at + 1 : at + 2] == b"'":
                    at += 1
                    word += b"'"
                elif char == b"'":
                    if line[at + 1 : at + 2] and line[at + 1 : at + 2] not in blanks:
                        return None
                    at += 1
                    break
                else:
                    word += char
            elif not char or char in blanks:
                break
            elif char in (b'"', b"'"):
                quote = char
            else:
                word += char
            at += 1
        words.append(word)
