"""The POSIX shell script that reads what a node's append-only file would bring back, and what its output says."""

from __future__ import annotations

from slotwright.hosts.facts.disk import AppendLog, NodeDisk
from slotwright.hosts.scripts.files import read_script
from slotwright.server.append_log import AppendPart, parse_manifest

READ_DISK = read_script("disk/read_disk.sh")
READ_APPEND_LOG = read_script("disk/read_append_log.sh")


_DOUBT_S = 1.0
"""``stat`` and ``date`` tell whole seconds."""


def parse_disk(text: str) -> NodeDisk:
    """The disk in the output of :data:`READ_APPEND_LOG`. Raises ValueError for one that was cut."""
    lines = text.split("\n")
    if "@end" not in lines:
        raise ValueError("the output ends too early")
    if lines[0] == "@end":
        return NodeDisk(AppendLog.ABSENT)
    texts = _texts(lines)
    rows = [line.split(" ", 2) for line in lines if line.startswith("@part ")]
    values = {name: int(changed) for _, changed, name in rows}
    try:
        wanted = parse_manifest(texts["@manifest"]) if "@manifest" in texts else _single(values)
    except ValueError:
        return NodeDisk(AppendLog.UNREAD)
    now = next(int(line.split()[1]) for line in lines if line.startswith("@now "))
    have = [values[part.name] for part in wanted if part.name in values]
    written_at = float(max(have) - now) if have else None
    tool = next((line.split()[1] for line in lines if line.startswith("@tool ")), "0")
    is_incomplete = len(have) < len(wanted)
    state = AppendLog.INCOMPLETE if is_incomplete else AppendLog.CUT if tool != "0" else AppendLog.WHOLE
    return NodeDisk(state, written_at, _DOUBT_S)


def _single(values: dict[str, int]) -> tuple[AppendPart, ...]:
    return tuple(AppendPart(name, 0, True) for name in values)


def _texts(lines: list[str]) -> dict[str, str]:
    """The lines with a bar, under the word that they follow."""
    texts: dict[str, list[str]] = {}
    word = ""
    for line in lines:
        if line.startswith("|"):
            texts.setdefault(word, []).append(line[1:])
        else:
            word = line.partition(" ")[0]
            if word in ("@manifest", "@tool"):
                texts[word] = []
    return {word: "\n".join(rows) for word, rows in texts.items()}
