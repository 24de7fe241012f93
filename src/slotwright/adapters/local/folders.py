"""A node's folder on this machine: whose it is, and what in it is data."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from slotwright.adapters.files import OTHER_DATA, is_draft
from slotwright.adapters.path_ownership import distrust, distrust_entries, link_found, refusal, user_name
from slotwright.cluster.formats import tag_of
from slotwright.cluster.node_files import MARKER, NODES_CONF, PID_FILE, PROCESS, SERVER_CONF, SERVER_LOG
from slotwright.errors import HostError
from slotwright.hosts.facts.nodes import DirectoryFact, DirectoryState
from slotwright.hosts.facts.path_ownership import Distrust
from slotwright.hosts.node_formats import FORMATTED, UnknownFormat

BESIDE_THE_DATA = (SERVER_CONF, SERVER_LOG, PID_FILE, PROCESS)
_ACTED_UPON = (MARKER, SERVER_CONF, PROCESS, PID_FILE, NODES_CONF)
NOT_DATA = (*BESIDE_THE_DATA, MARKER, NODES_CONF)
"""How the names of files begin that are neither RDB nor AOF, whatever these are called."""


def directory_fact(folder: Path, cluster_id: str) -> DirectoryFact:
    """What was found where the folder should be."""
    path = str(folder)
    result = distrust_node(folder)
    if result is not None:
        remedy = result.remedy(user_name(os.geteuid()))
        reason = f"{result.what} ({result.seen})"
        return DirectoryFact(path, DirectoryState.UNSAFE, reason=reason, remedy=remedy, doubtful=result.path)
    unknown = unknown_format(folder)
    if unknown is not None:
        return DirectoryFact(path, DirectoryState.NEWER, reason=unknown.reason, remedy=unknown.remedy)
    try:
        if not folder.exists():
            reason = _why_not_writable(folder)
            state = DirectoryState.UNWRITABLE if reason else DirectoryState.ABSENT
            return DirectoryFact(path, state, reason=reason)
        entries = {entry.name for entry in folder.iterdir() if not is_draft(entry.name)}
    except OSError as error:
        return DirectoryFact(path, DirectoryState.UNWRITABLE, reason=error.strerror or str(error))
    marker = read_marker(folder)
    if not entries:
        state = DirectoryState.EMPTY if os.access(folder, os.W_OK | os.X_OK) else DirectoryState.UNWRITABLE
        return DirectoryFact(path, state, reason="" if state is DirectoryState.EMPTY else "Permission denied")
    if not marker:
        return DirectoryFact(path, DirectoryState.FOREIGN)
    state = DirectoryState.OURS if marker.get("cluster_id") == cluster_id else DirectoryState.OTHER_CLUSTER
    return DirectoryFact(
        path,
        state,
        owner=marker.get("name", ""),
        has_nodes_conf=NODES_CONF in entries,
        conf_digest=_digest(folder / SERVER_CONF),
    )


def read_marker(folder: Path) -> dict[str, str]:
    """What the folder says of itself; empty for one that is not a node's."""
    result = _json(folder / MARKER)
    return result if isinstance(result, dict) else {}


def marker_of(folder: Path) -> str:
    """The marker's text, "" where it has none."""
    try:
        return (folder / MARKER).read_text()
    except (OSError, ValueError):
        return ""


def _json(path: Path) -> object:
    """None for what can't be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None


def distrust_node(folder: Path) -> Distrust | None:
    """Why the folder, what leads to it or what we act upon in it can't be believed, None where it can."""
    return distrust(folder) or distrust_entries(folder, _ACTED_UPON)


def demand_node(folder: Path) -> None:
    """Raises RefusedError for a node's folder that can't be believed (folder-unsafe), or that a later release wrote in
    a format that this one doesn't know (directory-newer)."""
    result = distrust_node(folder)
    if result is not None:
        raise refusal(result, instead=OTHER_DATA)
    unknown = unknown_format(folder)
    if unknown is not None:
        raise unknown.refusal(str(folder))


def unknown_format(folder: Path) -> UnknownFormat | None:
    """The first file of the folder whose format this release doesn't know; asked of a folder that can be believed."""
    for name, kind in FORMATTED.items():
        tag = tag_of(_json(folder / name))
        if not tag.is_known(kind):
            return UnknownFormat(name, tag)
    return None


def refuse_link(folder: Path) -> None:
    """Raises RefusedError (folder-unsafe) for a folder that is a link: what it leads to would be taken away."""
    if folder.is_symlink():
        raise refusal(link_found(folder))


def refuse_foreign(folder: Path, cluster_id: str) -> None:
    """Raises HostError (directory-foreign) where something lies in it that is not of this cluster."""
    is_ours = read_marker(folder).get("cluster_id") == cluster_id
    if not is_ours and any(not is_draft(entry.name) for entry in folder.iterdir()):
        raise HostError(f"{folder} is not of this cluster: left alone", code="directory-foreign", where=str(folder))


def _why_not_writable(folder: Path) -> str:
    nearest = next(parent for parent in folder.parents if parent.exists())
    if not nearest.is_dir():
        return f"{nearest} is not a folder"
    return "" if os.access(nearest, os.W_OK | os.X_OK) else f"{nearest} can't be written by this user"


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
