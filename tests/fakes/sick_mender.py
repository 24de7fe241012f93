"""Does the steps of a repair to a sick cluster, effect by effect, as ``operations/mending.py`` does to a real one.

It can be cut before every effect, and what watches is called after every one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from slotwright.errors import NodeUnreachableError, PartialError, ServerError
from slotwright.model.cluster import Role
from slotwright.model.facts import DirectoryState
from slotwright.model.repair import (
    Action,
    Await,
    BumpEpoch,
    EndNode,
    Follow,
    Forget,
    Meet,
    MendAppendLog,
    Promote,
    SetDataAside,
    SetPassword,
    SettleSlots,
    StartServer,
    Thaw,
    Way,
    WriteMap,
)
from slotwright.model.topology import Address
from tests.fakes.sick_cluster import Cluster, Life, Node


class CutError(Exception):
    """The program ends here, in the middle of it."""


@dataclass(slots=True)
class SickClock:
    """Implements ``slotwright.ports.Clock``: every sleep is a tick of the cluster, or as many as it lasts."""

    cluster: Cluster
    watch: Callable[[], None]

    def now(self) -> float:
        return float(self.cluster.now)

    def wall(self) -> float:
        return float(self.cluster.now)

    async def sleep(self, seconds: float) -> None:
        for _ in range(max(1, int(seconds))):
            self.cluster.tick()
            self.watch()


@dataclass(slots=True)
class SickMender:
    """Stands for ``slotwright.operations.mending.Mender``. ``cut_at`` counts effects; None: it is never cut."""

    cluster: Cluster
    watch: Callable[[], None]
    cut_at: int | None = None
    effects: int = 0
    did: list[Action] = field(default_factory=list)

    async def act(self, action: Action, key: str = "") -> str:
        """``key`` names the step where its progress is told; nothing is told here."""
        self.did.append(action)
        self._act(action)
        return ""

    def _act(self, action: Action) -> None:
        match action:
            case Thaw(address):
                self._thaw(address)
            case EndNode(address, saves):
                self._effect(lambda: self.cluster.kill(self.cluster.nodes[address], saves=saves))
            case WriteMap(address, text, is_new):
                self._effect(lambda: self._write_map(self.cluster.nodes[address], text, is_new=is_new))
            case SetDataAside(address):
                self._effect(lambda: _set_aside(self.cluster.nodes[address]))
            case MendAppendLog(address):
                self._effect(lambda: _mend_log(self.cluster.nodes[address]))
            case StartServer(address):
                self._effect(lambda: self.cluster.start(self.cluster.nodes[address]))
            case Await():
                raise AssertionError("waiting is the repairer's matter")
            case SetPassword(address):
                self._set_password(self._node(address))
            case Meet(via, node_id, address):
                self._meet(self._node(via), node_id, address)
            case Forget(node_id, on):
                self._forget(node_id, on)
            case Promote():
                self._promote(action)
            case Follow(address, _, primary_id):
                self._follow(self._node(address), primary_id)
            case BumpEpoch(address):
                self._effect(lambda: self.cluster.bump(self._node(address)))
            case SettleSlots():
                self._settle(action)
            case _:
                assert_never(action)

    def _effect(self, do: Callable[[], None]) -> None:
        self.effects += 1
        if self.cut_at is not None and self.effects > self.cut_at:
            raise CutError
        do()
        self.watch()

    def _node(self, address: Address) -> Node:
        node = self.cluster.nodes[address]
        if node.life is not Life.RUNNING:
            raise NodeUnreachableError(f"{address} does not answer", where=str(address))
        return node

    def _until(self, is_so: Callable[[], bool], patience_s: int, otherwise: str) -> None:
        for _ in range(patience_s):
            if is_so():
                return
            self.cluster.tick()
            self.watch()
        if not is_so():
            raise ServerError(otherwise, code="repair-without-effect")

    def _thaw(self, address: Address) -> None:
        node = self.cluster.nodes[address]
        if node.life is Life.STOPPED:
            self._effect(lambda: setattr(node, "life", Life.RUNNING))

    def _write_map(self, node: Node, text: str, *, is_new: bool) -> None:
        """The folder's name in the cluster's map is the node's, whatever id it had in between."""
        folder = node.folder
        if is_new:
            assert folder.state is not DirectoryState.OURS, "a folder with data is made anew"
            folder.state, folder.data = DirectoryState.OURS, {}
        folder.map = text
        node.id = self.cluster.blueprint.node_at(node.place).id

    def _set_password(self, node: Node) -> None:
        self._effect(lambda: setattr(node, "has_password", True))
        self._until(lambda: not node.is_primary and node.is_linked, 60, f"{node.place}: its link stays down")

    def _meet(self, via: Node, node_id: str, address: Address) -> None:
        def do() -> None:
            other = self.cluster.nodes[address]
            if other.life is Life.RUNNING:
                self.cluster.meet(via, other)

        self._effect(do)
        self._until(lambda: self.cluster.is_linked_to(via, node_id), 15, f"{via.place} does not reach {node_id[:8]}")

    def _forget(self, node_id: str, on: tuple[Address, ...]) -> None:
        for address in on:
            node = self._node(address)
            if node_id in (node.id, node.me.primary):
                raise ServerError(f"{address} can't forget {node_id[:8]}", code="repair-refused", where=str(address))
            self._effect(lambda node=node: self._drop(node, node_id))  # type: ignore[misc]
        self._until(
            lambda: not any(node_id in self._node(address).table for address in on), 15, f"{node_id[:8]} is known again"
        )

    def _drop(self, node: Node, node_id: str) -> None:
        node.table.pop(node_id, None)
        node.forgotten[node_id] = self.cluster.now

    def _promote(self, action: Promote) -> None:
        node = self._node(action.address)
        if node.is_primary:
            return
        if action.way is Way.TAKEOVER:
            self._effect(
                lambda: self.cluster.lead(node, max(line.epoch for line in node.table.values()) + node.epoch + 1)
            )
        else:
            self._effect(lambda: self._vote(node))
        self._until(lambda: node.is_primary, 15, f"{node.place} did not become primary")

    def _vote(self, node: Node) -> None:
        if not self.cluster.elect(node, is_forced=True):
            raise ServerError(f"{node.place} was not elected", code="failover-failed", where=str(node.place))

    def _follow(self, node: Node, primary_id: str) -> None:
        line = node.table.get(primary_id)
        if line is None or line.role is not Role.PRIMARY or (node.is_primary and (node.me.slots or node.data)):
            raise ServerError(
                f"{node.place} can't follow {primary_id[:8]}", code="repair-refused", where=str(node.place)
            )
        self._effect(lambda: self.cluster.follow(node, primary_id))
        self._until(lambda: node.is_linked, 60, f"{node.place}: its link stays down")

    # Slots, key by key.

    def _settle(self, step: SettleSlots) -> None:
        owner = self._node(step.owner)
        assert owner.id == step.owner_id
        holders = [self._node(address) for address in step.holders]
        others = [self._node(address) for address in step.open_at if address not in (step.owner, *step.holders)]
        different = []
        for slot in step.slots:
            found = [key for holder in holders for key in self._bring(step, slot, owner, holder)]
            different += found
            if found and not step.keeps_owners:
                continue
            if slot not in owner.me.slots or any(slot in holder.me.slots for holder in holders):
                self._effect(lambda: self.cluster.bump(owner))
            self._finalise(slot, owner, [*holders, *others])
        if different and not step.keeps_owners:
            raise PartialError(f"{len(different)} keys differ", code="key-differs", where=str(step.owner))
        self._until(lambda: not self._who_disagrees(step), 15, f"{step.owner} is not seen as the owner of its slots")

    def _bring(self, step: SettleSlots, slot: int, owner: Node, holder: Node) -> list[bytes]:
        names = holder.keys_of(slot)
        if not names:
            return []
        self._effect(lambda: self._open(slot, owner, holder))
        different = []
        for name in names:
            key = (slot, name)
            if key in owner.data and owner.data[key] != holder.data[key]:
                self.cluster.kept |= {(key, owner.data[key]), (key, holder.data[key])}
                different.append(name)
                if not step.keeps_owners:
                    continue
            self._effect(lambda key=key: self._move(owner, holder, key))  # type: ignore[misc]
        return different

    def _open(self, slot: int, owner: Node, holder: Node) -> None:
        if slot not in owner.me.slots:
            owner.importing[slot] = holder.id
        if slot in holder.me.slots:
            holder.migrating[slot] = owner.id
        else:
            holder.importing[slot] = owner.id

    def _move(self, owner: Node, holder: Node, key: tuple[int, bytes]) -> None:
        """MIGRATE, or, where the owner has it already, DEL; replicas hear of it at once."""
        value = holder.data.pop(key)
        owner.data.setdefault(key, value)
        for node in self.cluster.running():
            if node.is_linked and node.me.primary == owner.id:
                node.data[key] = owner.data[key]
            elif node.is_linked and node.me.primary == holder.id:
                node.data.pop(key, None)

    def _finalise(self, slot: int, owner: Node, told: list[Node]) -> None:
        def tell(node: Node) -> None:
            self.cluster.assign(node, slot, owner.id)
            node.migrating.pop(slot, None)
            node.importing.pop(slot, None)

        for node in (owner, *told):
            self._effect(lambda node=node: tell(node))  # type: ignore[misc]
        for node in list(self.cluster.running()):
            if node.is_primary and node is not owner and node not in told:
                try:
                    self._effect(lambda node=node: self.cluster.assign(node, slot, owner.id))  # type: ignore[misc]
                except ServerError:
                    continue

    def _who_disagrees(self, step: SettleSlots) -> bool:
        for node in self.cluster.running():
            line = node.table.get(step.owner_id)
            if line is not None and node.id != step.owner_id and not self.cluster.is_linked_to(node, step.owner_id):
                continue
            if line is None or len(line.slots & step.slots) != len(step.slots):
                return True
            if any(slot in step.slots for slot in (*node.migrating, *node.importing)):
                return True
        return False


def _set_aside(node: Node) -> None:
    if node.folder.is_damaged or node.folder.data:
        node.folder.aside.append(dict(node.folder.data))
    node.folder.data, node.folder.is_damaged = {}, False


def _mend_log(node: Node) -> None:
    """The end is cut off: here, all but the first key. The whole file stays archived."""
    node.folder.aside.append(dict(node.folder.data))
    node.folder.data = dict(sorted(node.folder.data.items())[:1])
    node.folder.is_damaged = False
