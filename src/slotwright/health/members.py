"""Who is a member, by whose word: ghosts, members that others look for in the wrong place, nodes under another id.

Membership is kept by node id, never by address: a node whose address changed is the same member, and one that came back
under a new id in the same place is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.observation import NodeView, Observation, PeerView, Role
from slotwright.cluster.survey import LIVES_UNREAD, Survey, SurveyNode
from slotwright.cluster.topology import Address, Mode
from slotwright.server.addresses import is_ip


@dataclass(frozen=True, slots=True)
class Ghost:
    """A member that is no more: ``known_to`` are the nodes that still have it in their tables."""

    id: str
    address: Address | None
    known_to: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Misdirection:
    """The node at ``via`` looks for the member ``node_id`` at ``wrong``, and it is at ``address``.

    ``wrong`` None: it has no address for it. ``is_known`` False: it has no line of it at all. ``bus_port``: what the
    member says of its cluster bus (None: nothing).
    """

    via: Address
    node_id: str
    address: Address
    wrong: Address | None
    is_known: bool = True
    bus_port: int | None = None


@dataclass(frozen=True, slots=True)
class ChangedId:
    """Where the file has the member ``planned``, a node answers under the id ``now``."""

    address: Address
    planned: str
    now: str
    view: NodeView


@dataclass(frozen=True, slots=True)
class Votes:
    """Primaries with slots: how many there are, and how many of them answer and are held alive."""

    total: int
    alive: int

    @property
    def is_enough(self) -> bool:
        """Whether a majority can vote a replica in."""
        return self.alive * 2 > self.total


def votes(survey: Survey) -> Votes:
    """Of the whole cluster, as it is believed. Who keeps only us out votes all the same, and who can't be read."""
    owners = [node for node in survey.nodes if node.role is Role.PRIMARY and node.slots]
    return Votes(len(owners), sum(node.serves or node.trouble in LIVES_UNREAD for node in owners))


FEWEST_OWNERS = 3
"""A Cluster has three primaries at the least: with fewer no replica could be voted in."""


def was_never_joined(survey: Survey, blueprint: Blueprint | None) -> bool:
    """Whether others may own what nobody owns here: no file says who they are, and too few owners are known for a
    cluster. So is each node of a ``create`` that gave the slots out and never got to the join."""
    return blueprint is None and votes(survey).total < FEWEST_OWNERS


def ghosts(observation: Observation, blueprint: Blueprint | None) -> Iterator[Ghost]:
    """Members that will never answer again: not planned, no slots, no view, and no place of their own any more.

    Without a file only those without an address, or whose address answers under another id: any other silent node may
    come back. So may one that announces as its address what is none.
    """
    answering = {view.id: view.address for view in observation.views}
    planned = {node.id for node in blueprint.nodes} if blueprint else set()
    places = {node.address for node in blueprint.nodes} if blueprint else set()
    values: dict[str, list[tuple[Address, PeerView]]] = {}
    for view in observation.views:
        for peer in view.peers:
            if peer.id not in answering and peer.id not in planned and "handshake" not in peer.flags:
                values.setdefault(peer.id, []).append((view.address, peer))
    taken = set(answering.values()) | places
    for node_id, lines in sorted(values.items()):
        has_slots = any(line.slots for _, line in lines)
        homeless = all(line.address is None or line.address in taken for _, line in lines)
        # Who announces nonsense lives, or did a moment ago: it has a place that nobody can be told of.
        announces = any(line.address_fault for _, line in lines)
        if homeless and not has_slots and not announces:
            address = next((line.address for _, line in lines if line.address), None)
            yield Ghost(node_id, address, tuple(place for place, _ in lines))


def misdirections(observation: Observation, blueprint: Blueprint | None) -> Iterator[Misdirection]:
    """Members that answer at one address while another member looks for them at a different one, or doesn't know them.

    Only members are meant: an id that is in the file, or in the looking node's own table. With a live bus link the
    address in the table is no matter.
    """
    planned = {node.id for node in blueprint.nodes} if blueprint else set()
    where = {view.id: view for view in observation.views if view.mode is Mode.CLUSTER}
    # Views share equal lines: one that knows everybody, with every link up, is passed over without a look at each.
    lines = {id(peer): peer for view in where.values() for peer in view.peers}
    unlinked = {key for key, peer in lines.items() if not peer.is_connected}
    for view in where.values():
        if where.keys() <= view.known_ids and unlinked.isdisjoint(map(id, view.peers)):
            continue
        for node_id, other in where.items():
            line = view.peer(node_id)
            if node_id == view.id or (line is None and not _may_join(view, other, planned)):
                continue
            if line is None:
                yield Misdirection(view.address, node_id, other.address, None, is_known=False, bus_port=_bus(other))
            elif not line.is_connected and line.address != other.address and not _is_named(line.address, other):
                yield Misdirection(view.address, node_id, other.address, line.address, bus_port=_bus(other))


@dataclass(frozen=True, slots=True)
class Misannounced:
    """The member ``node_id`` answers at ``address``, where the file has it, and tells ``announced`` of itself.

    Its clients and its peers go there: ``lost`` are the nodes that look for its bus, and have no link to it.
    """

    node_id: str
    address: Address
    announced: Address
    lost: tuple[Address, ...]


def misannounced(observation: Observation, blueprint: Blueprint | None) -> Iterator[Misannounced]:
    """Members that announce another address than the file's, at which they answer. Without a file nobody can say which
    of two is right; a name and a number may be the same place, so they are not compared."""
    for node in blueprint.nodes if blueprint else ():
        view = observation.view_of(node.address)
        mine = view.myself if view is not None and view.id == node.id else None
        if view is None or mine is None or mine.address is None or mine.address == node.address:
            continue
        if mine.address.port == node.address.port and is_ip(mine.address.host) is not is_ip(node.address.host):
            continue
        lost = (other.address for other in observation.views if other.id != node.id and _has_lost(other, node.id))
        yield Misannounced(node.id, node.address, mine.address, tuple(lost))


def _has_lost(view: NodeView, node_id: str) -> bool:
    line = view.peer(node_id)
    return line is not None and (not line.is_connected or line.is_failed or line.is_suspected)


def bus_place(observation: Observation, node: SurveyNode) -> str:
    """Where the others look for the cluster bus of a node: what they say of it counts, then its own word. Port + 10000
    is a guess where nobody tells."""
    lines = [line for view in observation.views if view.id != node.id and (line := view.peer(node.id)) is not None]
    own = observation.view_by_id(node.id)
    lines += [own.myself] if own is not None and own.myself is not None else []
    told = next((line for line in lines if line.address is not None and line.bus_port is not None), None)
    if told is not None and told.address is not None:
        return str(Address(told.address.host, told.bus_port or 0))
    return str(Address(node.address.host, node.address.bus_port)) if node.address else node.id


def _bus(other: NodeView) -> int | None:
    return other.myself.bus_port if other.myself else None


def _is_named(address: Address | None, other: NodeView) -> bool:
    """Whether the node itself announces that address: it may be dialled by another way than by its peers."""
    return other.myself is not None and address is not None and other.myself.address == address


def _may_join(view: NodeView, other: NodeView, planned: set[str]) -> bool:
    """A member of the file that this node has no line of: it may be met if neither side knows anybody else's nodes, and
    it claims no slot that is somebody's here."""
    if other.id not in planned or view.id not in planned:
        return False
    if any(peer.id not in planned for peer in other.peers if "handshake" not in peer.flags):
        return False
    mine = other.myself
    return mine is not None and not any(mine.slots & peer.slots for peer in view.peers)


def changed_ids(observation: Observation, blueprint: Blueprint | None) -> Iterator[ChangedId]:
    """Places of the file where a node answers under an id that the file's member did not have."""
    if blueprint is None or blueprint.mode is not Mode.CLUSTER:
        return
    ids = {node.id for node in blueprint.nodes}
    for node in blueprint.nodes:
        view = observation.view_of(node.address)
        if view is not None and view.mode is Mode.CLUSTER and view.id not in ids:
            yield ChangedId(node.address, node.id, view.id, view)


def with_reset_ids(blueprint: Blueprint, observation: Observation) -> Blueprint:
    """The same cluster with the ids that reset nodes (CLUSTER RESET HARD) have now; equal where there is none.

    One is taken for its place's member where it has no slots and knows nobody but members, and the former id answers
    nowhere. It is for nodes whose files are not ours: the others get their former id back.
    """
    answering = {view.id for view in observation.views}
    members = {node.id for node in blueprint.nodes} | answering
    ids = {
        changed.planned: changed.now
        for changed in changed_ids(observation, blueprint)
        if changed.planned not in answering
        and not (changed.view.myself is not None and changed.view.myself.slots)
        and all(peer.id in members for peer in changed.view.peers)
    }
    shards = tuple(
        replace(
            shard,
            primary=replace(shard.primary, id=ids.get(shard.primary.id, shard.primary.id)),
            replicas=tuple(replace(node, id=ids.get(node.id, node.id)) for node in shard.replicas),
        )
        for shard in blueprint.shards
    )
    return replace(blueprint, shards=shards) if ids else blueprint


def shard_owner(survey: Survey, blueprint: Blueprint, number: int) -> SurveyNode | None:
    """Who serves the file's shard ``number`` now: its member with most of its slots, else who owns most of them.

    A member of the shard that took over another one serves that one; where no slot is where the file has it, the member
    with most slots counts.
    """
    shard = blueprint.shards[number - 1]
    ids = {node.id for node in shard.nodes}
    owners = [node for node in survey.nodes if node.slots and node.role is Role.PRIMARY]
    mine = [node for node in owners if node.id in ids]
    if any(node.slots & shard.slots for node in mine):
        return max(mine, key=lambda node: len(node.slots & shard.slots))
    best = max(owners, key=lambda node: len(node.slots & shard.slots), default=None)
    if best is not None and best.slots & shard.slots:
        return best
    return max(mine, key=lambda node: len(node.slots), default=None)


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A replica that follows another primary than that of its own shard, whose ``owner`` is now this one.

    ``is_needed``: it is the only live copy of the shard that it serves, as after the servers' own replica migration.
    Taken away it would be moved back there by the servers.
    """

    node: SurveyNode
    owner: SurveyNode
    shard: int
    is_needed: bool = False


def misplaced_replicas(survey: Survey, blueprint: Blueprint | None) -> Iterator[Misplaced]:
    """Replicas of another shard than the file's, where their own has fewer of them than the file wants.

    Where roles have only moved within a shard, or two shards have swapped replicas, nothing is misplaced.
    """
    roles = {node.id: node for node in survey.nodes}
    for shard in blueprint.shards if blueprint else ():
        owner = shard_owner(survey, blueprint, shard.number) if blueprint else None
        followers = [node for node in survey.nodes if owner is not None and node.replica_of == owner.id]
        for planned in shard.nodes if len(followers) < len(shard.replicas) else ():
            node = roles.get(planned.id)
            if node is None or owner is None or node.id == owner.id or not node.is_reachable:
                continue
            if node.role is Role.REPLICA and node.replica_of != owner.id:
                assert blueprint is not None
                yield Misplaced(node, owner, shard.number, _is_needed(node, survey, blueprint))


def _is_needed(node: SurveyNode, survey: Survey, blueprint: Blueprint) -> bool:
    """Whether a primary that serves would be left without a live replica, and none of its own can be called back."""
    primary = survey.primary_of(node)
    if primary is None or primary.trouble or not primary.slots:
        return False
    others = [other for other in survey.nodes if other is not node and other.is_reachable and not other.trouble]
    if any(other.replica_of == primary.id for other in others):
        return False
    shards = (shard for shard in blueprint.shards if any(member.id == primary.id for member in shard.nodes))
    members = {member.id for shard in shards for member in shard.nodes} - {primary.id}
    return not any(other.id in members and other.role is Role.REPLICA for other in others)
