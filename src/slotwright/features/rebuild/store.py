"""The note of a rebuild under way: ``rebuild.json`` in the cluster's state folder, there until it is done."""

from __future__ import annotations

from slotwright.features.rebuild.model import Rebuild
from slotwright.ports import ClusterStore


def read_rebuild(store: ClusterStore) -> Rebuild | None:
    """None when no rebuild is under way. Raises HostError for a note that can't be read, and RefusedError
    (format-newer) for one of a later release."""
    return store.read_rebuild(Rebuild)


def write_rebuild(store: ClusterStore, rebuild: Rebuild) -> None:
    """Keep what was decided and how far it is, durably."""
    store.write_rebuild(rebuild)


def forget_rebuild(store: ClusterStore) -> None:
    """It is done, or was never begun."""
    store.forget_rebuild()
