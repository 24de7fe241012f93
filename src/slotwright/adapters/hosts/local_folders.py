"""A node's folder on this machine: whose it is, and what in it is data."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from slotwright.adapters.files import is_draft
from slotwright.errors import HostError
from slotwright.model.facts import DirectoryFact, DirectoryState
from slotwright.model.files import MARKER, NODES_CONF, PID_FILE, PROCESS, SERVER_CONF, SERVER_LOG

BESIDE_THE_DATA = (SERVER_CONF, SERVER_LOG, PID_FILE, PROCESS)
NOT_DATA = (*BESIDE_THE_DATA, MARKER, NODES_CONF)
"""How the names of files begin that are neither RDB nor AOF, whatever these are called."""


def directory_fact(folder: Path, cluster_id: str) -> DirectoryFact:
    """What was found where the folder should be."""
    path = str(folder)
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
        node_id=marker.get("node_id", ""),
        has_nodes_conf=NODES_CONF in entries,
        conf_digest=_digest(folder / SERVER_CONF),
    )


def read_marker(folder: Path) -> dict[str, str]:
    """What the folder says of itself; empty for one that is not a node's."""
    try:
        found = json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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
