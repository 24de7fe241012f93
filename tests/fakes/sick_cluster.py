"""A cluster as a value of memory: nodes with tables, keys, processes and folders, and the servers' own rules.

One tick is one second. The rules are those of cluster.c: a header with a higher epoch takes slots; who loses a slot to
it deletes its keys; a primary that lost its last slot follows who took it; a majority of primaries holds a node failed
and votes its replica in; a replica is a copy of its primary. The same calls give the same cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from zlib import crc32

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.observation import Role, ServerVersion
from slotwright.cluster.slots import SlotRange, SlotSet
from slotwright.cluster.topology import Address, EngineKind
from slotwright.errors import ServerError
from slotwright.hosts.facts.nodes import DirectoryState
from slotwright.hosts.scripts.systemd_unit import Persistence
from slotwright.server.cluster_nodes import parse_cluster_nodes
from slotwright.server.nodes_conf import check_map

ALL = SlotSet((SlotRange(0, 16383),))
TIMEOUT_S = 3
FORGET_S = 60
REPL_TIMEOUT_S = 60
NEVER = -100000

Key = tuple[int, bytes]
Data = dict[Key, str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the versions of servers; each of these is tried on real ones (`make conformance`).

    ``spreads_forgetting``: who is forgotten by one is forgotten by all, for a minute again and again. ``frees_givers``:
    one that gives its last slot away by SETSLOT follows who gets it. ``climbs_chains``: who follows a replica follows
    its primary instead. ``drops_strays``: keys of others' slots are deleted at a start; else these slots are imported.
    ``imports_deaf``: who imports a slot does not hear who takes it; else the slot is closed, or imported from who took
    over from its source. ``shares_open_slots``: replicas have the open slots of their primary, also when they take
    over, and SETSLOT waits for all of them. ``fails_lost``: a node at whose place another one answers has failed.
    """

    spreads_forgetting: bool = False
    frees_givers: bool = True
    climbs_chains: bool = True
    drops_strays: bool = False
    imports_deaf: bool = True
    shares_open_slots: bool = False
    fails_lost: bool = True


def dialect_of(version: ServerVersion) -> Dialect:
    """Of a real server."""
    is_valkey, line = version.kind is EngineKind.VALKEY, version.numbers[:2]
    return Dialect(
        spreads_forgetting=is_valkey or line >= (7, 2),
        frees_givers=is_valkey or line >= (7, 0),
        climbs_chains=is_valkey,
        drops_strays=is_valkey,
        imports_deaf=not is_valkey,
        shares_open_slots=is_valkey,
        fails_lost=is_valkey,
    )


class Life(StrEnum):
    """AWAY: it lives, where neither we nor the others can see it; one that ``keeps_us_out`` runs for all but us."""

    RUNNING = "running"
    STOPPED = "stopped"
    DEAD = "dead"
    AWAY = "away"


@dataclass(slots=True)
class Line:
    """What one node knows of another, or of itself."""

    id: str
    address: Address | None
    role: Role
    primary: str | None
    epoch: int
    slots: SlotSet
    failed_at: int | None = None


@dataclass(slots=True)
class Folder:
    """``has_lost_end``: the end of its append-only file is gone, or all of it. ``aside`` is kept, and not loaded.
    ``written_at`` is when the append-only file was written to."""

    state: DirectoryState = DirectoryState.OURS
    map: str | None = None
    data: Data = field(default_factory=dict)
    is_damaged: bool = False
    has_lost_end: bool = False
    aside: list[Data] = field(default_factory=list)
    written_at: int = 0
    log: str = ""
    conf: str = ""


@dataclass(slots=True)
class Node:
    """``snapshot`` is what is on its disk beside the memory, where it keeps snapshots or nothing.

    A replica whose link was ``NEVER`` up since it started does not stand for election; nor does
    one that is told not to (``stands``, until it starts again). ``overrides`` are settings that its process was started
    with, and not by its file.
    """

    place: Address
    id: str
    table: dict[str, Line]
    data: Data
    snapshot: Data
    life: Life = Life.RUNNING
    folder: Folder = field(default_factory=Folder)
    migrating: dict[int, str] = field(default_factory=dict)
    importing: dict[int, str] = field(default_factory=dict)
    epoch: int = 0
    voted: int = 0
    offset: int = 1000
    is_linked: bool = True
    unlinked_at: int = 0
    has_password: bool = True
    stands: bool = True
    keeps_us_out: bool = False
    started_at: int = -1000
    starts: int = 1
    history: str = ""
    former_history: str = ""
    former_until: int = -1
    heard: dict[str, int] = field(default_factory=dict)
    forgotten: dict[str, int] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)

    @property
    def me(self) -> Line:
        return self.table[self.id]

    @property
    def is_primary(self) -> bool:
        return self.me.role is Role.PRIMARY

    def owner_of(self, slot: int) -> str | None:
        return next((line.id for line in self.table.values() if slot in line.slots), None)

    def keys_of(self, slot: int) -> list[bytes]:
        return sorted(name for at, name in self.data if at == slot)


@dataclass(slots=True)
class Cluster:
    """``kept``: what a repair wrote to files; values survive there. ``deleted``: what clients deleted, on every node
    that ran. ``good_maps`` are those of its sound days."""

    blueprint: Blueprint
    persistence: Persistence
    has_shard_ids: bool
    nodes: dict[Address, Node]
    now: int = 0
    kept: set[tuple[Key, str]] = field(default_factory=set)
    deleted: set[tuple[Key, str]] = field(default_factory=set)
    good_maps: dict[Address, str] = field(default_factory=dict)
    dialect: Dialect = Dialect()
    news: int = 0

    def by_id(self, node_id: str) -> Node | None:
        return next((node for node in self.nodes.values() if node.id == node_id), None)

    def running(self) -> Iterator[Node]:
        return (node for node in self.nodes.values() if node.life is Life.RUNNING)

    def values(self) -> set[tuple[Key, str]]:
        """Every value that is somewhere: in a memory, on a disk, set aside, or kept by a repair."""
        found = set(self.kept)
        for node in self.nodes.values():
            if node.life is not Life.DEAD:
                found |= set(node.data.items())
            else:
                found |= set(node.folder.data.items())
            for aside in node.folder.aside:
                found |= set(aside.items())
        return found

    def counting_values(self) -> set[tuple[Key, str]]:
        """Those that a repair must keep: not what lies with a node that lost the slot, or will when both are back, and
        not what a replica has beyond its primary that runs."""
        found = set()
        for node in self.nodes.values():
            data = node.folder.data if node.life is Life.DEAD else node.data
            found |= {(key, value) for key, value in data.items() if self._counts(node, key[0])}
        return found

    def _counts(self, node: Node, slot: int) -> bool:
        leader = self.by_id(node.id if node.is_primary else node.me.primary or "")
        if leader is not None and leader is not node and leader.life is Life.RUNNING:
            return False
        if leader is None or slot not in leader.me.slots:
            return node.life is not Life.DEAD or slot in node.importing
        rivals = [other for other in self.nodes.values() if other.is_primary and other is not leader]
        rivals = [other for other in rivals if slot in other.me.slots and other.me.epoch > leader.me.epoch]
        return all(leader.life is rival.life is Life.RUNNING for rival in rivals)

    # The processes.

    def kill(self, node: Node, *, saves: bool = False) -> None:
        """What is on its disk afterwards is what it kept there."""
        if node.life is Life.DEAD:
            return
        node.folder.map = render_map(self, node)
        node.folder.data = (
            dict(node.data) if saves or self.persistence is Persistence.APPEND_ONLY else dict(node.snapshot)
        )
        node.data = {}
        node.life = Life.DEAD
        node.folder.has_lost_end = False
        node.keeps_us_out = False
        # The others see its sockets close at once; that it is dead they believe only with time.
        for other in self.running():
            if node.id in other.heard:
                other.heard[node.id] = min(other.heard[node.id], self.now - 1)
            if other.me.primary == node.id and other.is_linked:
                other.is_linked, other.unlinked_at = False, self.now

    def start(self, node: Node) -> None:
        """From its folder; a server that has no map is a new node. Raises ServerError where it would not start."""
        folder = node.folder
        if node.life is not Life.DEAD:
            return
        if folder.state is not DirectoryState.OURS:
            raise ServerError("there is no folder", code="start-failed", where=str(node.place))
        if folder.is_damaged:
            is_log = self.persistence is Persistence.APPEND_ONLY
            folder.log = (
                "1:M 1 Jan 2026 00:00:00.000 # Bad file format reading the append only file: make a backup\n"
                if is_log
                else "1:M 1 Jan 2026 00:00:00.000 # Short read or OOM loading DB. Unrecoverable error, aborting now.\n"
            )
            raise ServerError("its data is damaged", code="start-failed", where=str(node.place))
        if folder.map is not None and check_map(folder.map, node.id):
            folder.log = "1:M 1 Jan 2026 00:00:00.000 # Unrecoverable error: corrupted cluster config file.\n"
            raise ServerError("its map is broken", code="start-failed", where=str(node.place))
        folder.log = ""
        self._load(node)

    def _load(self, node: Node) -> None:
        text = node.folder.map
        if text is None:
            self.news += 1
            node.id = f"{self.news:0>8}".replace("0", "e") + "f" * 32
            node.table = {node.id: Line(node.id, node.place, Role.PRIMARY, None, 0, SlotSet())}
            node.migrating, node.importing, node.epoch, node.voted = {}, {}, 0, 0
        else:
            read_map(node, text)
        node.me.address = node.place
        node.life, node.started_at, node.offset = Life.RUNNING, self.now, 0
        node.starts += 1
        _write_own_history(node)
        node.stands = True
        node.is_linked, node.unlinked_at = False, NEVER
        # It has no link to anybody yet.
        node.heard = dict.fromkeys(node.table, self.now - 1)
        node.forgotten = {}
        node.data = dict(node.folder.data)
        node.snapshot = dict(node.folder.data)
        if node.is_primary:
            _square_with_data(node, drops_strays=self.dialect.drops_strays)

    # The bus.

    def tick(self) -> None:
        """A second passes."""
        self.now += 1
        for one in list(self.running()):
            for line in list(one.table.values()):
                if line.id != one.id and line.address is not None:
                    self._ping(one, line)
        self._judge()
        self._elect()
        self._replicate()

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.tick()

    def _ping(self, one: Node, line: Line) -> None:
        other = self.nodes.get(line.address) if line.address else None
        if other is None or other.life is not Life.RUNNING:
            return
        if other.id != line.id:
            line.address = None
            if self.dialect.fails_lost and line.failed_at is None:
                line.failed_at = self.now
            return
        if one.id in other.table:
            self._hear(other, one)
        if other.id in one.table:
            self._hear(one, other)

    def is_linked_to(self, one: Node, other_id: str) -> bool:
        return one.heard.get(other_id, -1000) >= self.now

    def _hear(self, one: Node, sender: Node) -> None:
        """``one`` reads a header of ``sender``, which it knows."""
        line, own = one.table[sender.id], sender.me
        one.heard[sender.id] = self.now
        line.address = sender.place
        one.epoch = max(one.epoch, sender.epoch)
        self._meet_unknown(one, sender)
        if self.dialect.spreads_forgetting:
            self._forget_too(one, sender)
        if own.role is Role.REPLICA:
            line.role, line.primary, line.slots = Role.REPLICA, own.primary, SlotSet()
            if not self.dialect.climbs_chains:
                return
            if one.me.primary == sender.id and own.primary and own.primary in one.table and own.primary != one.id:
                self.follow(one, own.primary)
            return
        if line.role is Role.REPLICA and line.primary and not self.dialect.imports_deaf:
            _reopen(one, line.primary, sender.id)
        line.role, line.primary = Role.PRIMARY, None
        line.epoch = max(line.epoch, own.epoch)
        if own.slots - line.slots:
            self.claim(one, sender.id, own.epoch, own.slots)
        for rival in list(one.table.values()):
            if rival.id != sender.id and rival.epoch > own.epoch and rival.slots & sender.me.slots:
                self._update(sender, rival)
        if one.is_primary and sender.is_primary and one.me.epoch == own.epoch and one.id < sender.id:
            one.epoch += 1
            one.me.epoch = one.epoch

    def _meet_unknown(self, one: Node, sender: Node) -> None:
        """Gossip: nodes that ``one`` does not know are met, those that it does not find are looked for elsewhere."""
        for told in sender.table.values():
            if told.id == one.id or (one.heard.get(told.id, NEVER) >= self.now - 1 and told.id in one.table):
                continue
            other = self.nodes.get(told.address) if told.address else None
            if told.id in one.table:
                if told.address and self._hears(sender, told.id):
                    one.table[told.id].address = told.address
                continue
            is_there = other is not None and other.life is Life.RUNNING and other.id == told.id
            if other is not None and is_there and one.forgotten.get(told.id, NEVER) + FORGET_S < self.now:
                self.meet(one, other)

    def _forget_too(self, one: Node, sender: Node) -> None:
        """clusterProcessPingExtensions: for a minute, also who was met again meanwhile."""
        for node_id, at in sender.forgotten.items():
            if at + FORGET_S >= self.now and node_id in one.table and node_id not in (one.id, one.me.primary):
                del one.table[node_id]
                one.forgotten[node_id] = at

    def _hears(self, one: Node, other_id: str) -> bool:
        return other_id == one.id or one.heard.get(other_id, -1000) >= self.now - 1

    def meet(self, one: Node, other: Node) -> None:
        """Both know each other afterwards."""
        for here, there in ((one, other), (other, one)):
            if there.id not in here.table:
                here.table[there.id] = Line(there.id, there.place, Role.PRIMARY, None, 0, SlotSet())
            here.table[there.id].address = there.place
            here.heard[there.id] = self.now

    def _update(self, node: Node, news: Line) -> None:
        line = node.table.get(news.id)
        if line is None or line.epoch >= news.epoch or news.id == node.id:
            return
        line.role, line.primary, line.epoch = Role.PRIMARY, None, news.epoch
        self.claim(node, news.id, news.epoch, news.slots)

    def claim(self, node: Node, claimant: str, epoch: int, slots: SlotSet) -> None:
        """clusterUpdateSlotsConfigWith."""
        if claimant == node.id:
            return
        if self.dialect.imports_deaf:
            slots = slots - SlotSet.from_slots(node.importing)
        leader = node.id if node.is_primary else node.me.primary
        owned, dirty, is_moved = SlotSet(), SlotSet(), False
        for line in node.table.values():
            contested = line.slots & slots
            if line.id == claimant or not contested:
                continue
            if line.epoch >= epoch:
                owned = owned | contested
                continue
            line.slots = line.slots - contested
            dirty = dirty | contested if line.id == node.id else dirty
            for slot in [slot for slot, source in node.importing.items() if slot in contested and source != claimant]:
                del node.importing[slot]
            is_moved = is_moved or line.id == leader
        node.table[claimant].slots = node.table[claimant].slots | (slots - owned)
        if is_moved and leader and not node.table[leader].slots:
            self.follow(node, claimant)
        elif dirty:
            node.data = {key: value for key, value in node.data.items() if key[0] not in dirty}

    def follow(self, node: Node, primary: str) -> None:
        """clusterSetMaster."""
        me = node.me
        me.role, me.primary, me.slots = Role.REPLICA, primary, SlotSet()
        node.migrating, node.importing = {}, {}
        node.is_linked, node.unlinked_at = False, self.now

    # Failures and votes.

    def suspects(self, node: Node, other_id: str) -> bool:
        line = node.table.get(other_id)
        if line is not None and line.address is None and not self.dialect.fails_lost:
            return False
        return other_id != node.id and self.now - node.heard.get(other_id, node.started_at) > TIMEOUT_S

    def _judge(self) -> None:
        for node in self.running():
            voters = [line.id for line in node.table.values() if line.role is Role.PRIMARY and line.slots]
            for line in node.table.values():
                if line.id == node.id:
                    continue
                if self.is_linked_to(node, line.id):
                    is_over = line.failed_at is not None and self.now - line.failed_at > 2 * TIMEOUT_S
                    if not line.slots or line.role is Role.REPLICA or is_over:
                        line.failed_at = None
                elif line.failed_at is None and self.suspects(node, line.id):
                    said = [each for each in map(self.by_id, voters) if each and self._agrees(node, each, line.id)]
                    if 2 * len(said) > len(voters):
                        line.failed_at = self.now

    def _agrees(self, node: Node, voter: Node, subject: str) -> bool:
        is_heard = voter is node or self.is_linked_to(node, voter.id)
        return voter.life is Life.RUNNING and is_heard and self.suspects(voter, subject)

    def _elect(self) -> None:
        candidates = [node for node in self.running() if self._may_stand(node)]
        for node in sorted(candidates, key=lambda each: (-each.offset, each.id)):
            if self._may_stand(node):
                self.elect(node, is_forced=False)

    def _may_stand(self, node: Node) -> bool:
        if node.is_primary or not node.stands:
            return False
        primary = node.table.get(node.me.primary or "")
        is_failed = primary is not None and primary.failed_at is not None and primary.failed_at < self.now
        return bool(is_failed and primary and primary.slots and self.now - node.unlinked_at <= 12 * TIMEOUT_S)

    def elect(self, node: Node, *, is_forced: bool) -> bool:
        """Whether enough primaries voted for the replica."""
        primary = node.table[node.me.primary or ""]
        voters = [line for line in node.table.values() if line.role is Role.PRIMARY and line.slots]
        epoch = node.epoch + 1
        granted = []
        for line in voters:
            voter = self.by_id(line.id)
            if voter is None or voter.life is not Life.RUNNING or not self._hears(node, voter.id):
                continue
            seen = voter.table.get(primary.id)
            if (
                seen is None
                or voter.voted >= epoch
                or voter.epoch > epoch
                or not (is_forced or seen.failed_at is not None)
            ):
                continue
            if all(other.epoch <= primary.epoch for other in voter.table.values() if other.slots & primary.slots):
                granted.append(voter)
        node.epoch = epoch
        if 2 * len(granted) <= len(voters):
            return False
        for voter in granted:
            voter.voted = epoch
        self.lead(node, epoch)
        return True

    def lead(self, node: Node, epoch: int) -> None:
        """It takes what its primary had."""
        primary = node.table.get(node.me.primary or "")
        me = node.me
        if primary is not None:
            me.slots, primary.slots = primary.slots, SlotSet()
        me.role, me.primary, me.epoch = Role.PRIMARY, None, epoch
        node.epoch = max(node.epoch, epoch)
        # shiftReplicationId: it goes on with the history of its primary, under a name of its own.
        former, until = node.history, node.offset + 1
        _write_own_history(node, epoch)
        node.former_history, node.former_until = former, until

    # Replication.

    def _replicate(self) -> None:
        for node in self.running():
            if node.is_primary:
                continue
            line = node.table.get(node.me.primary or "")
            primary = self.nodes.get(line.address) if line is not None and line.address else None
            is_there = primary is not None and primary.life is Life.RUNNING and primary.id == node.me.primary
            if is_there and primary is not None and primary.is_primary and (node.has_password or node.is_linked):
                if node.data != primary.data:
                    node.folder.written_at = self.now
                node.data, node.offset, node.is_linked = dict(primary.data), max(primary.offset, 1), True
                node.history, node.former_history, node.former_until = primary.history, "", -1
                node.snapshot = {key: value for key, value in node.snapshot.items() if node.data.get(key) == value}
                node.unlinked_at = self.now
                if self.dialect.shares_open_slots:
                    node.migrating, node.importing = dict(primary.migrating), dict(primary.importing)
            elif node.is_linked:
                node.is_linked, node.unlinked_at = False, self.now

    # What commands do.

    def forget(self, node: Node, node_id: str) -> None:
        """CLUSTER FORGET."""
        del node.table[node_id]
        node.forgotten[node_id] = self.now

    def bump(self, node: Node) -> None:
        """CLUSTER BUMPEPOCH."""
        highest = max([node.epoch, *(line.epoch for line in node.table.values())])
        if node.me.epoch == 0 or node.me.epoch != highest:
            node.epoch = highest + 1
            node.me.epoch = node.epoch

    def followers(self, node: Node) -> list[Node]:
        """Replicas that it has a link to, whether they answer or not."""
        linked = [each for each in self.nodes.values() if each.life is not Life.DEAD and each.is_linked]
        return [each for each in linked if each.me.primary == node.id and self.now - each.unlinked_at <= REPL_TIMEOUT_S]

    def lose_last(self, node: Node, slot: int, owner: str) -> None:
        """A replica hears from its primary that it gives its only slot away."""
        one, former = SlotSet((SlotRange(slot, slot),)), node.me.primary or ""
        node.table[former].slots = node.table[former].slots - one
        node.table[owner].slots = node.table[owner].slots | one
        self.follow(node, owner)

    def assign(self, node: Node, slot: int, owner: str) -> None:
        """CLUSTER SETSLOT NODE; refused where the node would lose keys, or is no primary."""
        if not node.is_primary or owner not in node.table:
            raise ServerError(f"{node.place} refuses SETSLOT NODE", code="settling-refused", where=str(node.place))
        was = node.owner_of(slot)
        if was == node.id and owner != node.id and node.keys_of(slot):
            raise ServerError(
                f"Can't assign hashslot {slot} to a different node while I still hold keys for this hash slot.",
                code="settling-refused",
                where=str(node.place),
            )
        if not node.keys_of(slot):
            node.migrating.pop(slot, None)
        one = SlotSet((SlotRange(slot, slot),))
        if owner == node.id and slot in node.importing:
            self.bump(node)
            del node.importing[slot]
        if was is not None:
            node.table[was].slots = node.table[was].slots - one
        node.table[owner].slots = node.table[owner].slots | one
        if was == node.id and owner != node.id and not node.me.slots and self.dialect.frees_givers:
            self.follow(node, owner)


def _write_own_history(node: Node, epoch: int = 0) -> None:
    """changeReplicationId: a name that no other history has."""
    node.history = f"{crc32(str(node.place).encode()):08x}{epoch:016x}{node.starts:016x}"
    node.former_history, node.former_until = "", -1


def _reopen(node: Node, former: str, heir: str) -> None:
    """Moves from and to a node whose replica took over go on with that one."""
    for ends in (node.migrating, node.importing):
        ends.update({slot: heir for slot, other in ends.items() if other == former})


def _square_with_data(node: Node, *, drops_strays: bool) -> None:
    """verifyClusterConfigWithData: keys of slots that are not its own make it take or import them, or go."""
    for slot in sorted({slot for slot, _ in node.data}):
        owner = node.owner_of(slot)
        if owner is None:
            node.me.slots = node.me.slots | SlotSet((SlotRange(slot, slot),))
        elif owner != node.id and slot not in node.importing and drops_strays:
            node.data = {key: value for key, value in node.data.items() if key[0] != slot}
        elif owner != node.id:
            node.importing.setdefault(slot, owner)


def sound_cluster(blueprint: Blueprint, persistence: Persistence, data: Data, *, has_shard_ids: bool) -> Cluster:
    """Every node knows every other; every replica is a copy."""
    highest = max(node.epoch for node in blueprint.nodes)
    nodes = {}
    for shard in blueprint.shards:
        mine = {key: value for key, value in data.items() if key[0] in shard.slots}
        for node in shard.nodes:
            made_node = Node(node.address, node.id, _sound_table(blueprint), dict(mine), {}, epoch=highest)
            _write_own_history(made_node)
            nodes[node.address] = made_node
    for node in nodes.values():
        if persistence is not Persistence.NONE:
            node.snapshot = dict(node.data)
        node.heard = dict.fromkeys(node.table, 0)
    made = Cluster(blueprint, persistence, has_shard_ids, nodes)
    made.ticks(2)
    made.good_maps = {node.place: render_map(made, node) for node in made.nodes.values()}
    return made


def _sound_table(blueprint: Blueprint) -> dict[str, Line]:
    return {
        node.id: Line(
            node.id,
            node.address,
            node.role,
            None if node.role is Role.PRIMARY else shard.primary.id,
            node.epoch,
            shard.slots if node.role is Role.PRIMARY else SlotSet(),
        )
        for shard in blueprint.shards
        for node in shard.nodes
    }


def render_map(cluster: Cluster, node: Node) -> str:
    """The node's nodes.conf."""
    shard_ids = {each.id: shard.id for shard in cluster.blueprint.shards for each in shard.nodes}
    lines = []
    for line in node.table.values():
        shard = shard_ids.get(line.primary or line.id, "f" * 40)
        aux = f",,tls-port=0,shard-id={shard}" if cluster.has_shard_ids else ""
        place = f"{line.address.host}:{line.address.port}@{line.address.bus_port}" if line.address else ":0@0"
        flags = ["myself"] if line.id == node.id else []
        flags.append("master" if line.role is Role.PRIMARY else "slave")
        flags += ["fail"] if line.failed_at is not None else ["noaddr"] if line.address is None else []
        words = [line.id, f"{place}{aux}", ",".join(flags), line.primary or "-", "0", "0", str(line.epoch), "connected"]
        words += line.slots.texts()
        if line.id == node.id:
            words += [f"[{slot}->-{to}]" for slot, to in sorted(node.migrating.items())]
            words += [f"[{slot}-<-{source}]" for slot, source in sorted(node.importing.items())]
        lines.append(" ".join(words))
    return "\n".join([*lines, f"vars currentEpoch {node.epoch} lastVoteEpoch {node.voted}", ""])


def read_map(node: Node, text: str) -> None:
    """What a server knows that starts with ``text``."""
    *lines, last = [line for line in text.split("\n") if line]
    peers = parse_cluster_nodes("\n".join(lines), node.place)
    node.table = {
        peer.id: Line(
            peer.id, peer.address, peer.role, peer.replica_of, peer.epoch, peer.slots, 0 if peer.is_failed else None
        )
        for peer in peers
    }
    mine = next(peer for peer in peers if "myself" in peer.flags)
    node.id = mine.id
    node.migrating = {each.slot: each.peer for each in mine.migrating}
    node.importing = {each.slot: each.peer for each in mine.importing}
    words = last.split()
    node.epoch, node.voted = int(words[2]), int(words[4])


def holders(cluster: Cluster, key: Key) -> Iterable[Node]:
    """Primaries that run and hold the key."""
    return (node for node in cluster.running() if node.is_primary and key in node.data)
