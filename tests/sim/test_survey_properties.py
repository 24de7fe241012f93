"""The survey and the comparison of views by law: what the quick ways find is what the plain ones do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from slotwright.cluster.observation import Link, NodeView, Observation, PeerView, Replication, Role, SilentNode
from slotwright.cluster.slots import SlotRange, SlotSet
from slotwright.cluster.take_survey import _believed_lines, take_survey
from slotwright.cluster.topology import Address, Mode
from slotwright.health import CheckContext
from slotwright.health.checks.bus import cut_off
from slotwright.health.checks.views import disagreements_covered, views_disagree
from tests.fakes.build import VERSION
from tests.fakes.pictures import HEALTH

IDS = [letter * 40 for letter in "abcd"]
SLOTS = [SlotSet(), SlotSet((SlotRange(0, 8191),)), SlotSet((SlotRange(8192, 16383),)), SlotSet((SlotRange(0, 16383),))]
FLAGS = st.frozensets(st.sampled_from(["myself", "master", "slave", "fail", "fail?", "handshake", "noaddr"]))


@st.composite
def lines(draw: st.DrawFn) -> PeerView:
    """Any line on one of four nodes; few values, so that lines often agree."""
    return PeerView(
        id=draw(st.sampled_from(IDS)),
        address=draw(st.sampled_from([None, Address("h1", 1), Address("h2", 1)])),
        flags=draw(FLAGS),
        role=draw(st.sampled_from(Role)),
        replica_of=draw(st.sampled_from([None, *IDS])),
        epoch=draw(st.integers(1, 2)),
        is_connected=True,
        slots=draw(st.sampled_from(SLOTS)),
    )


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    """Views that take their lines from one small heap: some are the same objects, some equal copies."""
    heap = draw(st.lists(lines(), min_size=1, max_size=6))
    views = []
    for number, node_id in enumerate(draw(st.lists(st.sampled_from(IDS), max_size=5))):
        chosen = draw(st.lists(st.sampled_from(heap), max_size=6))
        copies = draw(st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen)))
        peers = tuple(replace(line) if copied else line for line, copied in zip(chosen, copies, strict=True))
        place = Address(f"h{number % 3 + 1}", draw(st.integers(1, 2)))
        link = draw(st.sampled_from([None, *Link]))
        role = draw(st.sampled_from(Role))
        views.append(
            NodeView(place, node_id, Mode.CLUSTER, VERSION, True, 2, Replication(role, 5, link), HEALTH, peers)
        )
    silent = draw(st.lists(st.sampled_from([SilentNode(Address("h2", 1), "refused", "")]), max_size=1))
    return Observation(tuple(views), tuple(silent))


@given(observations())
def test_the_lines_that_are_believed(observation: Observation) -> None:
    assert list(_believed_lines(observation).items()) == list(_plainly_believed(observation).items())


@given(observations())
def test_the_views_that_disagree(observation: Observation) -> None:
    case = CheckContext(take_survey("any", observation, None), observation)
    told = [(found.where, found.what.split()[3]) for found in views_disagree(case)]
    assert told == _plainly_disagreeing(case)


@given(observations())
def test_what_is_looked_up_is_what_a_search_finds_first(observation: Observation) -> None:
    for address in (Address(f"h{host}", port) for host in (1, 2, 3, 4) for port in (1, 2)):
        assert observation.view_of(address) is next((v for v in observation.views if v.address == address), None)
    survey = take_survey("any", observation, None)
    for node_id in IDS:
        assert observation.view_by_id(node_id) is next((v for v in observation.views if v.id == node_id), None)
        assert survey.node(node_id) is next((node for node in survey.nodes if node.id == node_id), None)
        for view in observation.views:
            assert view.peer(node_id) is next((peer for peer in view.peers if peer.id == node_id), None)
    for node in survey.nodes:
        assert survey.primary_of(node) is next((o for o in survey.nodes if o.id == node.replica_of), None)
    for number in range(4):
        assert survey.shard(number) == tuple(node for node in survey.nodes if node.shard == number)


def _plainly_believed(observation: Observation) -> dict[str, PeerView]:
    """Every line of every view, one after the other."""
    believed: dict[str, PeerView] = {}
    heard: dict[str, list[PeerView]] = {}
    for view in observation.views:
        for peer in view.peers:
            if "handshake" not in peer.flags:
                heard.setdefault(peer.id, []).append(peer)
    for node_id, said in heard.items():
        counted = Counter((line.role, line.replica_of, line.slots, line.epoch) for line in said)
        most = max(counted.items(), key=lambda item: (item[1], item[0][3]))[0]
        best = next(line for line in said if (line.role, line.replica_of, line.slots, line.epoch) == most)
        flags = best.flags | {"fail"} if any(line.is_failed for line in said) else best.flags
        address = best.address or next((line.address for line in said if line.address), None)
        believed[node_id] = replace(best, flags=flags, address=address)
    for view in observation.views:
        mine = next((peer for peer in view.peers if peer.id == view.id), None)
        if mine is not None:
            held = believed[view.id].flags & {"fail"} if view.id in believed else frozenset()
            believed[view.id] = replace(mine, address=mine.address or view.address, flags=mine.flags | held)
    return believed


def _plainly_disagreeing(case: CheckContext) -> list[tuple[str, str]]:
    """Place and number of wrong lines, every view held against every node's own word."""
    own = {view.id: view.myself for _, view in case.views()}
    apart, explained = cut_off(case), disagreements_covered(case)
    truth = {
        node.id: (node.role, node.slots, node.replica_of, _epoch(own.get(node.id)))
        for node in case.survey.nodes
        if node.is_reachable and node.id not in apart
    }
    found = []
    for node, view in case.views():
        if node.id in apart:
            continue
        seen = {peer.id: (peer.role, peer.slots, peer.replica_of, _epoch(peer)) for peer in view.peers}
        wrong = [node_id for node_id in truth if seen.get(node_id) != truth[node_id]]
        wrong = [node_id for node_id in wrong if (node.address, node_id) not in explained]
        if wrong:
            found.append((node.place, str(len(wrong))))
    return found


def _epoch(peer: PeerView | None) -> int | None:
    return peer.epoch if peer is not None and peer.role is Role.PRIMARY and peer.slots else None
