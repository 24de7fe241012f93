"""What a scenario drives, and what it writes down: replies, and states as a node tells them.

Nodes go by their names in place of addresses and ids, epochs by their order: what is written of a simulated cluster can
be compared with what is written of a real one. Servers' older words are made one, as the lines of servers differ there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from slotwright.cluster.observation import PeerView, Role
from slotwright.cluster.slots import SlotSet
from slotwright.errors import ServerError
from slotwright.ports import Argument, Connection, Dialer, Reply, ReplyError
from slotwright.server.cluster_nodes import parse_cluster_nodes
from slotwright.server.info import parse_info
from tests.conformance.cast import MEMBERS, PRIMARIES, REPLICAS, Cast
from tests.fakes.operator import PASSWORD
from tests.fakes.sim_server import wire_name

_OLDER_WORDS = ((re.compile(r"\bmaster"), "primary"), (re.compile(r"\bslave"), "replica"))

Condition = Callable[[], Awaitable[object]]


class Stage(Protocol):
    """A cluster of the cast: a simulated one, or a real one."""

    cast: Cast
    dialer: Dialer

    async def until(self, what: str, condition: Condition) -> None:
        """Lets the cluster go on until that is so. Raises AssertionError where it never is."""
        ...

    async def live_on(self) -> None:
        """Lets it go on for three times the node timeout, and what follows on it: for what must not happen."""
        ...

    async def kill(self, name: str) -> None:
        """SIGKILL."""
        ...

    async def start(self, name: str) -> bool:
        """From its folder; of ``d`` and ``e`` from an empty one. Whether it runs afterwards."""
        ...

    async def freeze(self, name: str) -> None:
        """SIGSTOP."""
        ...

    async def thaw(self, name: str) -> None:
        """SIGCONT."""
        ...

    async def rewrite_map(self, name: str, change: Callable[[str], str | None]) -> None:
        """nodes.conf of a node that does not run; None: there is none."""
        ...


@dataclass
class Play:
    """One scenario on one stage. ``lines`` is what came of it; ``sent`` the commands that were used."""

    stage: Stage
    lines: list[str] = field(default_factory=list)
    sent: set[tuple[str, ...]] = field(default_factory=set)
    _connections: dict[str, Connection] = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ids = dict(self.stage.cast.ids)

    # Commands.

    async def ask(self, name: str, *words: Argument) -> Reply:
        """Its reply; nothing is written down. An error reply is raised."""
        self.sent |= {tuple(str(word) for word in words[:length]) for length in (1, 2, 4)}
        connection = self._connections.get(name)
        try:
            if connection is None:
                connection = await self.stage.dialer.dial(self.stage.cast.addresses[name])
                self._connections[name] = connection
            return await connection.call(*words)
        except ServerError:
            await self.hang_up(name)
            raise

    async def do(self, name: str, *words: Argument) -> str:
        """Say it, and write the reply down."""
        try:
            said = self.plain(await self.ask(name, *words))
        except ReplyError as error:
            said = f"-{self.plain(str(error).encode())}"
        if words[:2] == ("CLUSTER", "BUMPEPOCH"):
            said = said.partition(" ")[0]
        spoken = self.plain(" ".join(_shown(word) for word in words).encode())
        self.lines.append(f"{name}> {spoken}: {said}")
        return said

    async def hang_up(self, name: str) -> None:
        connection = self._connections.pop(name, None)
        if connection is not None:
            await connection.close()

    async def kill(self, name: str) -> None:
        await self.stage.kill(name)
        await self.hang_up(name)

    async def close(self) -> None:
        for name in list(self._connections):
            await self.hang_up(name)

    def note(self, what: str, told: object) -> None:
        """Write it down."""
        self.lines.append(f"{what}: {told}")

    def plain(self, reply: Reply) -> str:
        """Names in place of ids and addresses; lists in order."""
        if isinstance(reply, list):
            return str(sorted(map(self.plain, reply)))
        if not isinstance(reply, bytes):
            return str(reply)
        text = reply.decode(errors="replace")
        for name, node_id in self._ids.items():
            text = text.replace(node_id, name)
        for name, address in self.stage.cast.addresses.items():
            text = text.replace(str(address), name).replace(f"{address.host} {address.port}", name)
        for older, word in _OLDER_WORDS:
            text = older.sub(word, text)
        return text

    # Keys.

    async def put(self, name: str, slot: int, *keys: str, value: str = "value") -> None:
        """As a client does, at the node that owns the slot."""
        for key in keys:
            assert await self.ask(name, "SET", key_in(slot, key), value) == b"OK"

    async def put_when_ok(self, name: str, slot: int, *keys: str) -> None:
        """As `put`, once the node serves again."""
        await self.until_state("ok", name)
        await self.put(name, slot, *keys)

    async def shut_down(self, name: str) -> None:
        """SHUTDOWN: it saves what it keeps, and hangs up."""
        with suppress(ServerError):
            await self.ask(name, "SHUTDOWN")
        await self.kill(name)

    async def bring(self, name: str, slot: int, *keys: str, value: str = "value") -> None:
        """Into a node that imports the slot."""
        for key in keys:
            await self.ask(name, "ASKING")
            assert await self.ask(name, "SET", key_in(slot, key), value) == b"OK"

    async def migrate(self, name: str, to: str, slot: int, *keys: str, options: Sequence[str] = ()) -> str:
        """Write down what the node says to it, by the keys' short names."""
        place = self.stage.cast.addresses[to]
        words: list[Argument] = ["MIGRATE", place.host, place.port, "", 0, 2000, *options, "AUTH", PASSWORD.reveal()]
        try:
            said = self.plain(await self.ask(name, *words, "KEYS", *(key_in(slot, key) for key in keys)))
        except ReplyError as error:
            said = f"-{self.plain(str(error).encode())}"
        self.lines.append(f"{name}> MIGRATE {' '.join((*options, *keys))} to {to}: {said}")
        return said

    async def keys(self, slot: int, *names: str) -> None:
        """Write down what these nodes have of the slot."""
        for name in names:
            self.lines.append(f"{name} has of {slot}: {await self.keys_of(name, slot)}")

    async def keys_of(self, name: str, slot: int) -> list[str]:
        found = await self.ask(name, "CLUSTER", "GETKEYSINSLOT", slot, 100)
        assert isinstance(found, list)
        return sorted(str(key).partition("}")[2].rstrip("'") for key in found)

    # What nodes say of the cluster.

    async def view(self, name: str) -> dict[str, PeerView]:
        """By name; who is not of the cast goes by its id."""
        reply = await self.ask(name, "CLUSTER", "NODES")
        assert isinstance(reply, bytes)
        called = {node_id: name for name, node_id in self._ids.items()}
        peers = parse_cluster_nodes(reply.decode(), self.stage.cast.addresses[name])
        return {called.get(peer.id, peer.id): peer for peer in peers if "handshake" not in peer.flags}

    async def learn(self, name: str, called: str = "") -> None:
        """The id that a node has now; as another one's than before, where it is ``called`` otherwise."""
        reply = await self.ask(name, "CLUSTER", "MYID")
        assert isinstance(reply, bytes)
        self._ids[called or name] = reply.decode()

    def id_of(self, name: str) -> str:
        return self._ids[name]

    async def role(self, name: str, by: str = "") -> str:
        """``primary``, or whose replica it is; as ``by`` says."""
        peer = (await self.view(by or name)).get(name)
        if peer is None:
            return "unknown"
        called = {node_id: name for name, node_id in self._ids.items()}
        return "primary" if peer.role is Role.PRIMARY else f"replica of {called.get(peer.replica_of or '', '?')}"

    async def owner(self, slot: int, by: str) -> str:
        view = await self.view(by)
        return next((name for name, peer in view.items() if slot in peer.slots), "nobody")

    async def state(self, name: str) -> str:
        """``ok`` or ``fail``."""
        reply = await self.ask(name, "CLUSTER", "INFO")
        assert isinstance(reply, bytes)
        return parse_info(reply.decode())["cluster_state"]

    async def current_epoch(self, name: str) -> int:
        reply = await self.ask(name, "CLUSTER", "INFO")
        assert isinstance(reply, bytes)
        return int(parse_info(reply.decode())["cluster_current_epoch"])

    async def is_linked(self, name: str) -> bool:
        """A replica, to its primary."""
        reply = await self.ask(name, "INFO", "replication")
        assert isinstance(reply, bytes)
        return parse_info(reply.decode()).get("master_link_status") == "up"

    async def open_slots(self, *names: str) -> None:
        """Write down which slots these nodes have open."""
        called = {node_id: name for name, node_id in self._ids.items()}
        for name in names:
            mine = (await self.view(name))[name]
            told = [f"{each.slot}->{called.get(each.peer, '?')}" for each in mine.migrating]
            told += [f"{each.slot}<-{called.get(each.peer, '?')}" for each in mine.importing]
            self.note(f"{name} has open", told)

    async def roles(self, by: str, *names: str) -> None:
        self.note(f"roles by {by}", {name: await self.role(name, by) for name in names or MEMBERS})

    async def owners(self, slot: int, *names: str) -> None:
        """Write down who has the slot, as these nodes say."""
        self.note(f"owner of {slot}", {name: await self.owner(slot, name) for name in names})

    async def epochs(self, by: str, *names: str) -> None:
        """Write down their order, by what one node knows."""
        view = await self.view(by)
        ranked: dict[int, list[str]] = {}
        for name in names or PRIMARIES:
            ranked.setdefault(view[name].epoch, []).append(name)
        self.note(f"epochs by {by}", " < ".join("=".join(ranked[epoch]) for epoch in sorted(ranked)))

    async def until_owned(self, slot: int, owner: str, *names: str) -> None:
        async def is_so() -> bool:
            return all([await self.owner(slot, name) == owner for name in names])

        await self.stage.until(f"{owner} to own {slot} by {names}", is_so)

    async def until_role(self, name: str, role: str, *by: str) -> None:
        async def is_so() -> bool:
            return all([await self.role(name, one) == role for one in by or (name,)])

        await self.stage.until(f"{name} to be {role} by {by or name}", is_so)

    async def until_state(self, state: str, *names: str) -> None:
        async def is_so() -> bool:
            return all([await self.state(name) == state for name in names])

        await self.stage.until(f"the cluster to be {state} by {names}", is_so)

    async def until_flagged(self, flag: str, name: str, *by: str, is_set: bool = True) -> None:
        async def is_so() -> bool:
            return all([(flag in (await self.view(one))[name].flags) == is_set for one in by])

        await self.stage.until(f"{name} to be {flag} by {by}: {is_set}", is_so)

    async def until_there(self, name: str) -> None:
        """Until it answers: one that waits for others may not."""

        async def is_so() -> bool:
            try:
                return await self.ask(name, "PING") == b"PONG"
            except ServerError:
                return False

        await self.stage.until(f"{name} to answer", is_so)

    async def until_linked(self, *names: str) -> None:
        async def is_so() -> bool:
            return all([await self.is_linked(name) for name in names])

        await self.stage.until(f"{names} to be linked", is_so)

    async def until_keys(self, slot: int, name: str, keys: list[str]) -> None:
        async def is_so() -> bool:
            return await self.keys_of(name, slot) == keys

        await self.stage.until(f"{name} to have {keys} of {slot}", is_so)

    async def hold_elections(self, *names: str) -> None:
        """Replicas that do not stand by themselves."""
        for name in names:
            await self.ask(name, "CONFIG", "SET", "cluster-replica-no-failover", "yes")

    # Whether all is as it was made.

    async def faults(self) -> list[str]:
        """What is not as in the cluster that was made; epochs by their order."""
        found = []
        made = self.stage.cast.blueprint
        slots = {name: shard.slots for name, shard in zip(PRIMARIES, made.shards, strict=True)}
        for name in MEMBERS:
            view = await self.view(name)
            if sorted(view) != sorted(MEMBERS):
                found.append(f"{name} knows {sorted(view)}")
                continue
            for other, peer in view.items():
                is_good = peer.slots == slots.get(other, SlotSet()) and not peer.migrating and not peer.importing
                epochs = [view[each].epoch for each in PRIMARIES]
                if len(set(self.stage.cast.layout.epochs)) < len(PRIMARIES):
                    epochs = []
                role = "primary" if other in PRIMARIES else f"replica of {other[0]}"
                is_good &= await self.role(other, name) == role and epochs == sorted(epochs) and not peer.is_failed
                if not is_good or not (peer.is_connected or other == name):
                    found.append(f"{name} says of {other}: {peer}")
            if await self.state(name) != "ok":
                found.append(f"{name} does not serve")
            if name not in PRIMARIES and not await self.is_linked(name):
                found.append(f"{name} is not linked")
        return found

    async def tidy_up(self) -> None:
        """Keys and open slots go, and what was set."""
        for name in REPLICAS:
            await self.ask(name, "CONFIG", "SET", "cluster-replica-no-failover", "no")
        for name in PRIMARIES:
            mine = (await self.view(name)).get(name)
            for each in (*mine.migrating, *mine.importing) if mine else ():
                await self.ask(name, "CLUSTER", "SETSLOT", each.slot, "STABLE")
            await self.ask(name, "FLUSHALL")


def key_in(slot: int, key: str) -> bytes:
    """What a client calls it."""
    return wire_name((slot, key.encode()))


def _shown(word: Argument) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)
