"""Faults as values: done to a sick cluster they make it sick. One that does not fit to what it finds does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from slotwright.cluster.observation import Role
from slotwright.cluster.slots import SlotRange, SlotSet
from slotwright.cluster.topology import Address
from slotwright.hosts.facts.nodes import DirectoryState
from slotwright.hosts.scripts.systemd_unit import Persistence
from tests.fakes.sick_cluster import Cluster, Key, Life, Line, Node


@dataclass(frozen=True, slots=True)
class Fault:
    """``node`` and ``other`` count the nodes of the blueprint, ``slot`` the slots that have keys, ``keys`` some of
    them; ``then_s`` is how long the cluster lives with it."""

    name: str
    node: int = 0
    other: int = 1
    slot: int = 0
    keys: int = 1
    then_s: int = 0

    def strike(self, cluster: Cluster, slots: tuple[int, ...]) -> None:
        places = [node.address for node in cluster.blueprint.nodes]
        hit = _Hit(
            cluster,
            cluster.nodes[places[self.node % len(places)]],
            cluster.nodes[places[self.other % len(places)]],
            slots[self.slot % len(slots)],
            self.keys,
        )
        FAULTS[self.name](hit)
        cluster.ticks(self.then_s)


@dataclass(frozen=True, slots=True)
class _Hit:
    cluster: Cluster
    node: Node
    other: Node
    slot: int
    keys: int

    @property
    def one(self) -> SlotSet:
        return SlotSet((SlotRange(self.slot, self.slot),))

    @property
    def owner(self) -> Node | None:
        """Of the slot, if it runs."""
        return next((node for node in self.cluster.running() if node.is_primary and self.slot in node.me.slots), None)

    @property
    def rival(self) -> Node | None:
        """Another primary with slots that runs."""
        found = [
            node for node in self.cluster.running() if node.is_primary and node.me.slots and node is not self.owner
        ]
        found = [node for node in found if self.owner is not None and self.owner.id in node.table]
        return found[self.keys % len(found)] if found else None

    def copies_of(self, node: Node) -> list[Node]:
        """Where a write to it arrives: they have the same offset afterwards, at the same time."""
        found = [each for each in self.cluster.running() if each is node or self._is_in_sync(each, node)]
        offset = node.offset + 10
        for each in found:
            each.offset, each.folder.written_at = offset, self.cluster.now
        return found

    def _is_in_sync(self, replica: Node, primary: Node) -> bool:
        return replica.is_linked and replica.me.primary == primary.id

    def write(self, node: Node, name: bytes, value: str | None) -> None:
        """As a client does: replicas have it as well."""
        if value is not None:
            self.cluster.deleted.discard(((self.slot, name), value))
        for each in self.copies_of(node):
            if value is None:
                each.data.pop((self.slot, name), None)
            else:
                each.data[(self.slot, name)] = value


def kill(hit: _Hit) -> None:
    if hit.node.life in (Life.RUNNING, Life.STOPPED):
        hit.cluster.kill(hit.node)


def freeze(hit: _Hit) -> None:
    if hit.node.life is Life.RUNNING:
        hit.node.life = Life.STOPPED


def kill_shard(hit: _Hit) -> None:
    shards = hit.cluster.blueprint.shards
    for node in shards[hit.slot % len(shards)].nodes:
        mine = hit.cluster.nodes[node.address]
        if mine.life is Life.RUNNING:
            hit.cluster.kill(mine)


def kill_majority(hit: _Hit) -> None:
    owners = [node for node in hit.cluster.running() if node.is_primary and node.me.slots]
    for node in owners[: len(owners) // 2 + 1]:
        hit.cluster.kill(node)


def lose_host(hit: _Hit) -> None:
    """Only one at a time: what is away stays away."""
    nodes = hit.cluster.nodes.values()
    if any(node.life is Life.AWAY for node in nodes):
        return
    for node in nodes:
        if node.place.host == hit.node.place.host and node.life is Life.RUNNING:
            node.life = Life.AWAY


def break_map(hit: _Hit) -> None:
    kill(hit)
    if hit.node.life is Life.DEAD and hit.node.folder.map:
        text = hit.node.folder.map
        hit.node.folder.map = (None, "", text[: len(text) // 2])[hit.keys % 3]


def remove_folder(hit: _Hit) -> None:
    kill(hit)
    if hit.node.life is Life.DEAD:
        hit.node.folder.state = (DirectoryState.ABSENT, DirectoryState.EMPTY)[hit.keys % 2]
        hit.node.folder.map, hit.node.folder.data, hit.node.folder.is_damaged = None, {}, False


def damage_data(hit: _Hit) -> None:
    kill(hit)
    is_there = hit.node.life is Life.DEAD and hit.node.folder.state is DirectoryState.OURS
    if is_there and hit.cluster.persistence is not Persistence.NONE:
        hit.node.folder.is_damaged = True


def lose_log(hit: _Hit) -> None:
    """Its append-only file is gone, and its folder is not."""
    kill(hit)
    if _keeps_a_log(hit):
        hit.node.folder.data, hit.node.folder.has_lost_end = {}, True


def cut_log(hit: _Hit) -> None:
    """The end of its append-only file is gone; the server would start with the rest."""
    kill(hit)
    if _keeps_a_log(hit):
        kept = sorted(hit.node.folder.data.items())[: -1 - hit.keys]
        hit.node.folder.data, hit.node.folder.has_lost_end = dict(kept), True


def _keeps_a_log(hit: _Hit) -> bool:
    is_there = hit.node.life is Life.DEAD and hit.node.folder.state is DirectoryState.OURS
    return is_there and hit.cluster.persistence is Persistence.APPEND_ONLY


def keep_us_out(hit: _Hit) -> None:
    """Its client port takes nobody in, and its host neither: to its peers it is as it was."""
    if hit.node.life is Life.RUNNING and not any(node.keeps_us_out for node in hit.cluster.nodes.values()):
        hit.node.keeps_us_out = True


def unown_shard(hit: _Hit) -> None:
    """CLUSTER DELSLOTS of all that one has, on every node."""
    slots = hit.node.me.slots
    for node in hit.cluster.running() if slots else ():
        for line in node.table.values():
            line.slots = line.slots - slots


def change_id(hit: _Hit) -> None:
    """Somebody started it without its map."""
    kill(hit)
    folder = hit.node.folder
    if hit.node.life is Life.DEAD and folder.state is DirectoryState.OURS and not folder.is_damaged:
        folder.map = None
        hit.cluster.start(hit.node)


def open_slot(hit: _Hit) -> None:
    """A move that was cut: at one end or both, with some keys arrived."""
    owner, rival = hit.owner, hit.rival
    if owner is None or rival is None or rival.id not in owner.table:
        return
    how = hit.node.place.port % 3
    if how != 1:
        owner.migrating[hit.slot] = rival.id
    if how != 0:
        rival.importing[hit.slot] = owner.id
        for name in owner.keys_of(hit.slot)[: hit.keys]:
            hit.write(rival, name, owner.data[(hit.slot, name)])
            hit.write(owner, name, None)


def own_twice(hit: _Hit) -> None:
    """It lasts only where the two don't hear of each other."""
    owner, rival = hit.owner, hit.rival
    if owner is None or rival is None:
        return
    rival.table[owner.id].slots = rival.table[owner.id].slots - hit.one
    rival.me.slots = rival.me.slots | hit.one
    for number in range(hit.keys):
        hit.write(rival, b"twice-%d" % number, "new")
    hit.cluster.tick()


def unown(hit: _Hit) -> None:
    """CLUSTER DELSLOTS on every node."""
    for node in hit.cluster.running():
        for line in node.table.values():
            line.slots = line.slots - hit.one
    if hit.keys % 2:
        for node in hit.cluster.nodes.values():
            node.data = {key: value for key, value in node.data.items() if key[0] != hit.slot}


def stray(hit: _Hit) -> None:
    """Keys in a primary that neither owns nor imports their slot: equal ones, different ones, new ones."""
    owner, rival = hit.owner, hit.rival
    if owner is None or rival is None:
        return
    for name in owner.keys_of(hit.slot)[: hit.keys]:
        hit.write(rival, name, owner.data[(hit.slot, name)] if hit.node.place.port % 2 else "differs")
    hit.write(rival, b"stray", "stray")


def add_ghost(hit: _Hit) -> None:
    ghost = "9" * 40
    for node in hit.cluster.running():
        address = (None, hit.node.place)[hit.keys % 2]
        node.table[ghost] = Line(ghost, address, Role.PRIMARY, None, 0, SlotSet(), hit.cluster.now)


def misdirect(hit: _Hit) -> None:
    """It is looked for where it is not, and so are the others by it."""
    for node in hit.cluster.running():
        for line in node.table.values():
            if (line.id == hit.node.id) != (node is hit.node):
                line.address = Address("h9", line.address.port if line.address else 1)


def drop_password(hit: _Hit) -> None:
    """Its link broke since: one that is there stays."""
    hit.node.has_password, hit.node.is_linked = False, False


def misplace(hit: _Hit) -> None:
    rival = hit.rival
    if rival is not None and hit.node.life is Life.RUNNING and not hit.node.is_primary and rival.id in hit.node.table:
        hit.cluster.follow(hit.node, rival.id)
        hit.cluster.tick()


def mislead(hit: _Hit) -> None:
    """A replica follows another primary than the one that it copied, and can't log in there: what it has is the other
    shard's, with an offset that is higher than anybody's."""
    primary = hit.node.table.get(hit.node.me.primary or "")
    other = hit.other
    is_able = hit.node.life is Life.RUNNING and not hit.node.is_primary and other.is_primary and other.me.slots
    if is_able and primary is not None and primary.id != other.id and other.id in hit.node.table:
        hit.node.has_password, hit.node.offset = False, hit.node.offset + 5000
        source = hit.cluster.by_id(primary.id)
        if source is not None:
            source.offset = hit.node.offset
        hit.cluster.follow(hit.node, other.id)
        hit.cluster.tick()


def write_more(hit: _Hit) -> None:
    """A client writes keys to the slot's owner, and its replicas in sync take them."""
    owner = hit.owner
    for number in range(hit.keys if owner is not None else 0):
        assert owner is not None
        hit.write(owner, b"later-%d" % number, f"{hit.slot}-later-{number}")


def write_and_die(hit: _Hit) -> None:
    """What its primary acknowledges last never reaches a replica."""
    owner = hit.owner
    if owner is None:
        return
    for number in range(hit.keys):
        owner.data[(hit.slot, b"last-%d" % number)] = f"{hit.slot}-last-{number}"
    owner.offset, owner.folder.written_at = owner.offset + 10, hit.cluster.now
    hit.cluster.kill(owner)


def flush(hit: _Hit) -> None:
    """FLUSHALL on the slot's owner, with its replicas in sync."""
    owner = hit.owner
    if owner is None:
        return
    gone = set(owner.data.items())
    for node in hit.copies_of(owner):
        node.data = {}
    _deleted(hit, gone)


def expire(hit: _Hit) -> None:
    """Keys of one slot are deleted, or expire."""
    owner = hit.owner
    if owner is None:
        return
    gone = {((hit.slot, name), owner.data[(hit.slot, name)]) for name in owner.keys_of(hit.slot)[hit.keys % 2 :]}
    for node in hit.copies_of(owner):
        node.data = {key: value for key, value in node.data.items() if (key, value) not in gone}
    _deleted(hit, gone)


def _deleted(hit: _Hit, gone: set[tuple[Key, str]]) -> None:
    """What another primary holds as well, nobody can tell from what was never deleted."""
    held = {item for node in hit.cluster.running() for item in node.data.items()}
    hit.cluster.deleted |= gone - held


def roll_back(hit: _Hit) -> None:
    """Its disk is that of an earlier day, as a snapshot of a machine is; its append-only file is whole."""
    kill(hit)
    folder = hit.node.folder
    if _keeps_a_log(hit) and not folder.has_lost_end:
        folder.data = dict(sorted(folder.data.items())[hit.keys :])
        folder.written_at -= 1000


def share_epoch(hit: _Hit) -> None:
    one, other = hit.node, hit.other
    both = one.life is Life.RUNNING and other.life is Life.RUNNING and one.is_primary and other.is_primary
    if both and one.me.slots and other.me.slots:
        one.me.epoch = other.me.epoch = max(one.me.epoch, other.me.epoch)


def forget_snapshot(hit: _Hit) -> None:
    """Its snapshot, and that of all of its shard, is older than some keys. Whose would be newer can't be known."""
    if hit.cluster.persistence is Persistence.SNAPSHOTS:
        number = hit.cluster.blueprint.node_at(hit.node.place).shard
        for node in hit.cluster.blueprint.shards[number - 1].nodes:
            mine = hit.cluster.nodes[node.address]
            mine.snapshot = dict(sorted(mine.snapshot.items())[hit.keys :])


FAULTS: dict[str, Callable[[_Hit], None]] = {
    fault.__name__: fault
    for fault in (
        kill,
        freeze,
        kill_shard,
        kill_majority,
        lose_host,
        break_map,
        remove_folder,
        damage_data,
        lose_log,
        cut_log,
        keep_us_out,
        unown_shard,
        change_id,
        open_slot,
        own_twice,
        unown,
        stray,
        add_ghost,
        misdirect,
        drop_password,
        misplace,
        mislead,
        write_more,
        write_and_die,
        flush,
        expire,
        roll_back,
        share_epoch,
        forget_snapshot,
    )
}
