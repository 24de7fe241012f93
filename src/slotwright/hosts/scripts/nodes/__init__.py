"""POSIX shell scripts about the folders of nodes on a host, and what their output says.

They need sh, coreutils or busybox, and Linux's ``/proc``. Output is one fact a line: a word that starts with ``@``,
then the fact. File contents come on stdin, as lines up to a boundary that no content can hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from slotwright.cluster.node_files import PID_FILE, PROCESS, SERVER_CONF, SERVER_LOG
from slotwright.hosts.facts.nodes import (
    DirectoryFact,
    DirectoryState,
    HostFacts,
    NodeFacts,
    NodeQuery,
    PortOwner,
    ProcessId,
)
from slotwright.hosts.facts.profile import Listener
from slotwright.hosts.node_formats import parse_unknown_format
from slotwright.hosts.scripts.files import RUNS, read_script
from slotwright.hosts.scripts.listeners import listener_from_proc, listener_from_ss
from slotwright.hosts.scripts.trust import (
    claim_remedy,
    explain_misfit,
    explain_unsafe,
    parse_distrust,
)

BESIDE_THE_DATA = (SERVER_CONF, SERVER_LOG, PID_FILE, PROCESS)

INSPECT = read_script("nodes/inspect.sh")
FIND = read_script("nodes/find.sh")
IN_FOLDER = read_script("nodes/in_folder.sh")
MAKE_FOLDER = read_script("nodes/make_folder.sh")
FILL_FOLDER = read_script("nodes/fill_folder.sh")
REWRITE = read_script("nodes/rewrite.sh")
LOG_TAIL = read_script("nodes/log_tail.sh")
LOG_FROM = read_script("nodes/log_from.sh")
ROTATE = read_script("nodes/rotate.sh")
DATA_FILES = read_script("nodes/data_files.sh")
PACK = read_script("nodes/pack.sh")
REMOVE = read_script("nodes/remove.sh")
SET_ASIDE = read_script("nodes/set_aside.sh")
SIGNAL = read_script("nodes/signal.sh")
FREE_PORT = read_script("nodes/free_port.sh")
FORKS = read_script("nodes/forks.sh")


EXIT_TEXTS = {
    40: "can't make the folder",
    41: "can't write there (is the disk full?)",
    42: "the file came incomplete",
    43: "can't give it to the service user",
    44: "it is not of this cluster: left alone",
    45: "it is not there",
    46: "this login may not look into the folder above it (has it lost root's rights?)",
    RUNS: "its server runs",
    48: "it has no append-only file",
}
"""What the exit codes of these scripts mean."""


def parse_inspection(text: str, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostFacts:
    """The facts in the output of :data:`INSPECT`. Raises ValueError for a cut output."""
    lines = [tuple(line.split(" ", 1)) for line in text.splitlines() if line.startswith("@")]
    facts = [(line[0], line[1] if len(line) > 1 else "") for line in lines]
    if not facts or facts[-1][0] != "@end":
        raise ValueError("the output ends too early")
    folders = parse_folders(text, cluster_id)
    listeners = tuple(_listeners(facts))
    own = {value for word, value in facts if word == "@address"}
    room = next((value.split() for word, value in facts if word == "@room"), [])
    nodes = tuple(_node(query, folders, listeners, own) for query in queries)
    free = int(room[3]) * 1024 if len(room) > 3 and room[3].isdigit() else 0
    return HostFacts(host, nodes, free, f"{host}:{room[0] if room else ''}")


def parse_folders(text: str, cluster_id: str) -> dict[str, tuple[DirectoryFact, ProcessId | None]]:
    """Folders with their processes in the output of :data:`INSPECT` or :data:`FIND`."""
    values: dict[str, tuple[DirectoryFact, ProcessId | None]] = {}
    for block in re.split(r"^@folder ", text, flags=re.MULTILINE)[1:]:
        path, *lines = block.splitlines()
        facts = dict(_word_and_rest(line) for line in lines)
        values[path] = _folder(path, facts, cluster_id)
    return values


def _folder(path: str, facts: dict[str, str], cluster_id: str) -> tuple[DirectoryFact, ProcessId | None]:
    unsafe = _unsafe(path, facts) or _newer(path, facts)
    if unsafe is not None:
        return unsafe, None
    if "@blocked" in facts:
        return DirectoryFact(path, DirectoryState.UNWRITABLE, reason=facts["@blocked"]), None
    if "@there" not in facts:
        return DirectoryFact(path, DirectoryState.ABSENT), None
    if "@full" not in facts:
        return DirectoryFact(path, DirectoryState.EMPTY), None
    marker_text = facts.get("@marker", "")
    state, marker = directory_state(marker_text, cluster_id), _marker(marker_text)
    if state is DirectoryState.FOREIGN:
        return DirectoryFact(path, state), None
    fact = DirectoryFact(
        path,
        state,
        owner=marker.get("name", ""),
        has_nodes_conf="@map" in facts,
        conf_digest=facts.get("@conf", ""),
    )
    pid, _, started = facts.get("@process", "").partition(" ")
    return fact, ProcessId(int(pid), started) if state is DirectoryState.OURS and pid else None


def _unsafe(path: str, facts: dict[str, str]) -> DirectoryFact | None:
    """Where nothing of the folder is believed: others could have made it, or its note of a process is not true."""
    if "@unsafe" in facts:
        reason, remedy = explain_unsafe(facts["@unsafe"])
        distrust = parse_distrust(facts["@unsafe"])
        doubtful = distrust.path if distrust else path
        return DirectoryFact(path, DirectoryState.UNSAFE, reason=reason, remedy=remedy, doubtful=doubtful)
    if "@misfit" in facts:
        reason, remedy = explain_misfit(facts["@misfit"]), claim_remedy(path)
        return DirectoryFact(path, DirectoryState.UNSAFE, reason=reason, remedy=remedy)
    return None


def _newer(path: str, facts: dict[str, str]) -> DirectoryFact | None:
    """Where a later release wrote what the folder is known by."""
    if "@newer" not in facts:
        return None
    reason, remedy = explain_newer(facts["@newer"])
    return DirectoryFact(path, DirectoryState.NEWER, reason=reason, remedy=remedy)


def explain_newer(facts: str) -> tuple[str, str]:
    """Reason and remedy, in words, for what ``unknown_format`` printed."""
    unknown = parse_unknown_format(facts)
    if unknown is None:
        return "it was written by another slotwright, in a format that this one doesn't know", "use that slotwright"
    return unknown.reason, unknown.remedy


def directory_state(marker: str, cluster_id: str) -> DirectoryState:
    """Whose a folder with something in it is, by the text of its marker ("": it has none)."""
    values = _marker(marker)
    if not values:
        return DirectoryState.FOREIGN
    return DirectoryState.OURS if values.get("cluster_id") == cluster_id else DirectoryState.OTHER_CLUSTER


def _node(
    query: NodeQuery,
    folders: dict[str, tuple[DirectoryFact, ProcessId | None]],
    listeners: tuple[Listener, ...],
    own: set[str],
) -> NodeFacts:
    directory, process = folders[query.directory]
    address = query.address
    # Who holds the port is no news where it is unknown which process is the node's.
    if process is not None or directory.state.hides_process:
        return NodeFacts(address, directory, process)
    if own and address.host not in own:
        return NodeFacts(address, directory, port_error="not-local")
    owner = _owner(address.host, address.port, listeners)
    bus = _owner(address.host, address.bus_port, listeners) if query.with_bus else None
    denied = "denied" if address.port < 1024 else ""
    return NodeFacts(
        address,
        directory,
        port_error="in-use" if owner else denied,
        port_owner=owner,
        bus_error="in-use" if bus else "",
        bus_owner=bus,
    )


def _owner(host: str, port: int, listeners: tuple[Listener, ...]) -> PortOwner | None:
    everywhere = ("*", "0.0.0.0", "::", host)
    listener = next(
        (candidate for candidate in listeners if candidate.port == port and candidate.address in everywhere), None
    )
    return None if listener is None else listener.owner or PortOwner(0, "")


def _listeners(facts: Sequence[tuple[str, str]]) -> Iterator[Listener]:
    for word, line in facts:
        listener = listener_from_ss(line) if word == "@ss" else None
        if word == "@proc" and line.split()[3:4] == ["0A"]:
            listener = listener_from_proc(line)
        if listener is not None:
            yield listener


def _marker(text: str) -> dict[str, str]:
    try:
        result = json.loads(text)
    except ValueError:
        return {}
    return result if isinstance(result, dict) else {}


def _word_and_rest(line: str) -> tuple[str, str]:
    word, _, rest = line.partition(" ")
    return word, rest
