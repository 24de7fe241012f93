"""What each node held is kept when the cluster is proved, beside the good copies of the nodes' maps."""

from __future__ import annotations

from slotwright.cluster.observation import Observation
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.topology import Mode
from slotwright.ports import ClusterStore


def keep_copies(store: ClusterStore, record: ClusterRecord, observation: Observation) -> None:
    """Those of the nodes that answered; the others keep their older ones. Raises what
    :meth:`~slotwright.ports.ClusterStore.write_copies` raises."""
    if record.blueprint.mode is not Mode.CLUSTER:
        return
    before = store.read_copies()
    after = before.renewed(observation, record.blueprint)
    if after != before:
        store.write_copies(after)
