"""What each node held is kept when the cluster is proved, beside the good copies of the nodes' maps."""

from __future__ import annotations

from slotwright.cluster.events import Report, Warned
from slotwright.cluster.observation import Observation
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.topology import Mode
from slotwright.errors import HostError, RefusedError
from slotwright.ports import ClusterStore


def keep_copies(report: Report, store: ClusterStore, record: ClusterRecord, observation: Observation) -> None:
    """Those of the nodes that answered; the others keep their older ones. What can't be kept, as on a full disk, is a
    warning: the cluster is proved all the same."""
    if record.blueprint.mode is not Mode.CLUSTER:
        return
    try:
        before = store.read_copies()
        after = before.renewed(observation, record.blueprint)
        if after != before:
            store.write_copies(after)
    except (HostError, RefusedError) as error:
        report(Warned(f"what the nodes hold is not kept: {error.what}", record.name))
