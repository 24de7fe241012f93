"""POSIX shell scripts that examine the nodes of a host and mend their folders, and what their output says.

They need what those of ``nodes`` need. A text of a file comes as lines with a bar in front, so that nothing in
it can be taken for a fact; a NUL, which shells can't keep, comes as another character that no text of a server has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from slotwright.hosts.facts.exam import HostExam, NodeExam
from slotwright.hosts.facts.nodes import DirectoryState, NodeQuery, ProcessId
from slotwright.hosts.scripts.files import read_script
from slotwright.hosts.scripts.nodes import directory_state, explain_newer
from slotwright.hosts.scripts.trust import claim_remedy, explain_misfit, explain_unsafe

EXAMINE = read_script("exam/examine.sh")
AT_REST = read_script("exam/at_rest.sh")
WRITE_MAP = read_script("exam/write_map.sh")
READ_MAP = read_script("exam/read_map.sh")
SET_DATA_ASIDE = read_script("exam/set_data_aside.sh")
CUT_APPEND_LOG = read_script("exam/cut_append_log.sh")


def parse_exam(text: str, host: str, cluster_id: str, queries: Sequence[NodeQuery], units: Sequence[str]) -> HostExam:
    """The exam in the output of :data:`EXAMINE`. Raises ValueError for a cut output."""
    # Not splitlines: what a log has inside a line must not end it.
    lines = text.split("\n")
    if "@host" not in lines or lines[-2:] != ["@end", ""]:
        raise ValueError("the output ends too early")
    middle = lines.index("@host")
    values = dict(zip((query.directory for query in queries), _endings(lines[middle:], units), strict=False))
    mapping = dict(_blocks(lines[:middle]))
    nodes = tuple(
        _node(query, mapping[query.directory], cluster_id, values.get(query.directory, "")) for query in queries
    )
    memory = [int(line.split()[1]) * 1024 for line in lines[middle:] if re.fullmatch(r"@memory \d+", line)]
    return HostExam(host, nodes, memory[0] if memory else None)


def _blocks(lines: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each folder with its facts; the text that follows a fact is the fact's."""
    facts: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    word = ""
    for line in [*lines, "@node "]:
        if line.startswith("@node "):
            if "@node" in facts:
                yield facts["@node"], facts | {name: "\n".join(rows) for name, rows in texts.items()}
            facts, texts = {"@node": line.removeprefix("@node ")}, {}
        elif line.startswith("|"):
            texts.setdefault(word, []).append(line[1:])
        else:
            word, _, rest = line.partition(" ")
            facts[word] = rest


def _node(query: NodeQuery, facts: dict[str, str], cluster_id: str, ended_by: str) -> NodeExam:
    room = facts.get("@room", "").split()
    free_bytes = int(room[3]) * 1024 if len(room) > 3 and room[3].isdigit() else None
    if "@unsafe" in facts or "@misfit" in facts:
        return _unbelieved(query, facts, free_bytes)
    if "@newer" in facts:
        reason, remedy = explain_newer(facts["@newer"])
        return NodeExam(query.address, DirectoryState.NEWER, free_bytes=free_bytes, reason=reason, remedy=remedy)
    state = _state(facts, cluster_id)
    if state is not DirectoryState.OURS:
        return NodeExam(query.address, state, free_bytes=free_bytes)
    pid, _, started = facts.get("@process", "").partition(" ")
    nofile, data = facts.get("@nofile", ""), facts.get("@data", "")
    return NodeExam(
        query.address,
        state,
        process=ProcessId(int(pid), started) if pid else None,
        process_state=facts.get("@state", ""),
        nofile=int(nofile) if nofile.isdigit() else None,
        map_text=facts.get("@map"),
        log_tail=facts.get("@log", ""),
        free_bytes=free_bytes,
        data_bytes=int(data) if data.isdigit() else 0,
        ended_by=ended_by,
    )


def _unbelieved(query: NodeQuery, facts: dict[str, str], free_bytes: int | None) -> NodeExam:
    if "@unsafe" in facts:
        reason, remedy = explain_unsafe(facts["@unsafe"])
    else:
        reason, remedy = explain_misfit(facts["@misfit"]), claim_remedy(query.directory)
    return NodeExam(query.address, DirectoryState.UNSAFE, free_bytes=free_bytes, reason=reason, remedy=remedy)


def _state(facts: dict[str, str], cluster_id: str) -> DirectoryState:
    if "@absent" in facts:
        return DirectoryState.ABSENT
    if "@blocked" in facts:
        return DirectoryState.UNWRITABLE
    return DirectoryState.EMPTY if "@empty" in facts else directory_state(facts.get("@marker", ""), cluster_id)


def _endings(lines: Sequence[str], units: Sequence[str]) -> list[str]:
    """How each unit's last run ended; "" for well, and for what is not known."""
    results: dict[str, str] = {}
    unit = result = ""
    # Properties come in an order of systemd's own, with an empty line between two units.
    for line in [*lines, "@unit "]:
        if not line.startswith("@unit "):
            continue
        name, _, value = line.removeprefix("@unit ").partition("=")
        if name == "Id":
            unit = value
        elif name == "Result":
            result = value
        else:
            results[unit] = result
            unit = result = ""
    return [results.get(text, "").replace("success", "") for text in units]
