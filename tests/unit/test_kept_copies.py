"""What each node held is kept where the cluster was proved; that it can't be kept is no failure."""

from __future__ import annotations

from dataclasses import replace

from slotwright.app.kept_copies import keep_copies
from slotwright.cluster.events import Event, Warned
from slotwright.cluster.kept_copies import KeptCopies
from slotwright.cluster.observation import Observation
from slotwright.errors import HostError
from tests.fakes import build
from tests.fakes.build import blueprint, topology
from tests.fakes.pictures import observation
from tests.fakes.state import MemoryClusterStore


class FullDisk(MemoryClusterStore):
    def write_copies(self, copies: KeptCopies) -> None:
        raise HostError("no space left", code="disk-full", where="copies.json")


def test_a_full_disk_is_a_warning() -> None:
    made = blueprint(topology())
    views = observation({}, made).views
    views = tuple(replace(view, replication=replace(view.replication, history="a" * 40)) for view in views)
    told = list[Event]()
    store = FullDisk("demo", lambda effect: None)
    keep_copies(told.append, store, build.record(topology(), made=made), Observation(views))
    assert told == [Warned("what the nodes hold is not kept: no space left", "demo")]
