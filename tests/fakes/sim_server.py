"""A server of the simulated cluster, as the text that it answers: what a node of ``sick_cluster.py`` is over the wire.

Where a key is served, and what SETSLOT, FAILOVER, FORGET and their like refuse, is as in cluster.c. Keys stand in the
cluster by slot and name; over the wire a tag before the name leads to that slot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from slotwright.cluster.observation import Role
from slotwright.cluster.secret import Secret
from slotwright.cluster.slots import SlotRange, SlotSet, key_in, key_slot
from slotwright.cluster.topology import Address
from slotwright.errors import AuthenticationError, NodeUnreachableError, ServerError
from slotwright.hosts.scripts.systemd_unit import Persistence
from slotwright.ports import Argument, Reply, ReplyError
from tests.fakes.doubles import FakeClock
from tests.fakes.key_server import KeyServer
from tests.fakes.requests import counted_slots, parsed
from tests.fakes.sick_cluster import TIMEOUT_S, Cluster, Key, Life, Line, Node
from tests.fakes.sick_views import says_ok

Change = Callable[[str, Callable[[], object]], None]
"""Does one thing to the world, with a name; a test may cut the operator's process before it."""

_READ_BY_KEY = ("TYPE", "EXISTS", "PEXPIRETIME", "PTTL", "DUMP", "MEMORY", "GETRANGE", "LLEN", "LRANGE", "GET")


@cache
def _tag(slot: int) -> bytes:
    return b"{%b}" % key_in(SlotSet((SlotRange(slot, slot),)), "k")


def wire_name(key: Key) -> bytes:
    """What clients call a key of the simulated cluster."""
    return _tag(key[0]) + key[1]


def key_of(name: bytes) -> Key:
    """The key that clients call so; one without our tag is called by its whole name."""
    slot = key_slot(name)
    tag, brace, rest = name.partition(b"}")
    return (slot, rest) if brace and tag + brace == _tag(slot) else (slot, name)


@dataclass(slots=True)
class SimServer:
    """One node as it answers. ``expiries`` are of the canaries of the whole cluster."""

    cluster: Cluster
    node: Node
    change: Change
    password: str
    expiries: dict[Key, int]

    def answer(self, words: Sequence[bytes], *, has_asked: bool) -> Reply:
        name, rest = words[0].decode().upper(), words[1:]
        match name:
            case "INFO":
                return self._info().encode()
            case "PING":
                return b"PONG"
            case "TIME":
                return [b"%d" % self.cluster.now, b"0"]
            case "CLUSTER":
                return self._cluster(rest[0].decode().upper(), rest[1:])
            case "CONFIG":
                return self._config(*(word.decode() for word in rest))
            case "CLIENT" | "REPLCONF" | "SELECT":
                return b"OK"
            case "LASTSAVE":
                return self.cluster.now
            case "BGSAVE":
                self.change(f"save {self.node.place}", self._save)
                return b"Background saving started"
            case "SHUTDOWN":
                self.change(f"shutdown {self.node.place}", lambda: self.cluster.kill(self.node, saves=True))
                raise NodeUnreachableError(f"{self.node.place} closed the connection", code="closed")
            case "MIGRATE":
                return self._migrate(rest)
            case "SET" if b"EX" in rest:
                return self._load(rest)
            case "UNLINK":
                return self._unlink(rest)
            case "MGET":
                return [self._read("GET", [key], has_asked=has_asked) for key in rest]
            case "SET" | "DEL":
                return self._write(name, rest, has_asked=has_asked)
        if name in _READ_BY_KEY:
            return self._read(name, rest, has_asked=has_asked)
        raise ReplyError(f"ERR unknown command '{name}'")

    def counts(self, slots: Sequence[int]) -> list[Reply | ReplyError]:
        """COUNTKEYSINSLOT of each."""
        held = Counter(slot for slot, _ in self.node.data)
        return list(map(held.__getitem__, slots))

    # What it says of itself and of others.

    def _info(self) -> str:
        node, cluster = self.node, self.cluster
        rows: dict[str, object] = {
            "redis_version": "7.2.4",
            "server_name": "valkey",
            "valkey_version": "9.1.2",
            "run_id": f"{node.starts:040x}",
            "uptime_in_seconds": cluster.now - node.started_at,
            "cluster_enabled": 1,
            "aof_enabled": int(cluster.persistence is Persistence.APPEND_ONLY),
            "rdb_bgsave_in_progress": 0,
            "rdb_last_bgsave_status": "ok",
            "rdb_last_save_time": cluster.now,
            "rdb_changes_since_last_save": 0,
        }
        rows |= {"master_replid": node.history, "master_replid2": node.former_history or "0" * 40}
        rows["second_repl_offset"] = node.former_until
        if node.is_primary:
            rows |= {"role": "master", "master_repl_offset": node.offset}
        else:
            status = "up" if node.is_linked else "down"
            rows |= {"role": "slave", "master_link_status": status, "slave_repl_offset": node.offset}
        if node.data:
            rows["db0"] = f"keys={len(node.data)},expires=0,avg_ttl=0"
        return "".join(f"{name}:{value}\r\n" for name, value in rows.items())

    def _line(self, line: Line) -> str:
        node, cluster = self.node, self.cluster
        is_me = line.id == node.id
        flags = ["myself"] if is_me else []
        flags.append("master" if line.role is Role.PRIMARY else "slave")
        flags += ["fail"] if line.failed_at is not None else ["fail?"] if cluster.suspects(node, line.id) else []
        flags += ["noaddr"] if line.address is None else []
        place = f"{line.address}@{line.address.bus_port}" if line.address else ":0@0"
        link = "connected" if is_me or cluster.is_linked_to(node, line.id) else "disconnected"
        words = [line.id, place, ",".join(flags), line.primary or "-", "0", "0", str(line.epoch), link]
        words += line.slots.texts()
        if is_me:
            words += [f"[{slot}->-{to}]" for slot, to in sorted(node.migrating.items())]
            words += [f"[{slot}-<-{source}]" for slot, source in sorted(node.importing.items())]
        return " ".join(words)

    def _config(self, word: str, name: str, value: str = "") -> Reply:
        if word.upper() == "SET":
            self.change(f"set {self.node.place} {name}", lambda: self._set(name, value))
            return b"OK"
        known = self.settings().get(name)
        return [] if known is None else [name.encode(), known.encode()]

    def settings(self) -> dict[str, str]:
        return {
            "appendonly": "yes" if self.cluster.persistence is Persistence.APPEND_ONLY else "no",
            "save": "" if self.cluster.persistence is Persistence.NONE else "3600 1",
            "cluster-node-timeout": str(TIMEOUT_S * 1000),
            "cluster-replica-no-failover": "no" if self.node.stands else "yes",
            "cluster-require-full-coverage": "yes",
            "masterauth": self.password if self.node.has_password else "",
            "masteruser": "",
            "maxmemory-policy": "noeviction",
            "repl-diskless-sync-delay": "5",
            **self.node.overrides,
        }

    def _set(self, name: str, value: str) -> None:
        if name == "masterauth":
            self.node.has_password = value == self.password
        elif name == "cluster-replica-no-failover":
            self.node.stands = value == "no"
        elif name in self.node.overrides:
            self.node.overrides[name] = value

    def _save(self) -> None:
        self.node.snapshot = dict(self.node.data)

    # The cluster's commands.

    def _cluster(self, word: str, rest: Sequence[bytes]) -> Reply:
        node, cluster, before = self.node, self.cluster, self.node.me.epoch
        match word:
            case "MYID":
                return node.id.encode()
            case "INFO":
                state = "ok" if says_ok(cluster, node) else "fail"
                return f"cluster_state:{state}\r\ncluster_current_epoch:{node.epoch}\r\n".encode()
            case "NODES":
                return "".join(self._line(line) + "\n" for line in node.table.values()).encode()
            case "COUNTKEYSINSLOT":
                return len(node.keys_of(int(rest[0])))
            case "GETKEYSINSLOT":
                slot = int(rest[0])
                return [wire_name((slot, name)) for name in node.keys_of(slot)[: int(rest[1])]]
            case "BUMPEPOCH":
                self.change(f"bump {node.place}", lambda: cluster.bump(node))
                return b"%s %d" % (b"STILL" if node.me.epoch == before else b"BUMPED", node.me.epoch)
            case "ADDSLOTS" | "DELSLOTS":
                self._own(int(rest[0]), is_added=word == "ADDSLOTS")
            case "SETSLOT":
                return self._set_slot(int(rest[0]), *(each.decode() for each in rest[1:]))
            case "MEET":
                other = cluster.nodes.get(Address(rest[0].decode(), int(rest[1])))
                self.change(f"meet {node.place}", lambda: self._meet(other))
            case "FORGET":
                self._forget(rest[0].decode())
            case "REPLICATE":
                self._replicate(rest[0].decode())
            case "FAILOVER":
                self._fail_over(rest[0].decode().upper() if rest else "")
            case _:
                raise ReplyError(f"ERR unknown subcommand '{word}'")
        return b"OK"

    def _meet(self, other: Node | None) -> None:
        if other is not None and other.life is Life.RUNNING:
            self.cluster.meet(self.node, other)

    def _forget(self, node_id: str) -> None:
        node = self.node
        if node_id == node.id:
            raise ReplyError("ERR I tried hard but I can't forget myself...")
        if node_id not in node.table:
            raise ReplyError(f"ERR Unknown node {node_id}")
        if node_id == node.me.primary:
            raise ReplyError("ERR Can't forget my master!")

        self.change(f"forget {node.place}", lambda: self.cluster.forget(node, node_id))

    def _replicate(self, node_id: str) -> None:
        node, line = self.node, self.node.table.get(node_id)
        if line is None:
            raise ReplyError(f"ERR Unknown node {node_id}")
        if node_id == node.id:
            raise ReplyError("ERR Can't replicate myself")
        if line.role is not Role.PRIMARY:
            raise ReplyError("ERR I can only replicate a master, not a replica.")
        if node.is_primary and (node.me.slots or node.data):
            raise ReplyError("ERR To set a master the node must be empty and without assigned slots.")
        self.change(f"follow {node.place}", lambda: self.cluster.follow(node, node_id))

    def _fail_over(self, way: str) -> None:
        """OK is said before anything happens, and where nothing does."""
        node, cluster = self.node, self.cluster
        if node.is_primary:
            raise ReplyError("ERR You should send CLUSTER FAILOVER to a replica")
        former = cluster.by_id(node.me.primary or "")
        if not way and not (former is not None and former.life is Life.RUNNING and node.is_linked):
            raise ReplyError("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE")
        if way and former is not None and former.life is Life.RUNNING:
            seen = [one for one in cluster.running() if one is not former and not one.keeps_us_out]
            assert not any(cluster.is_linked_to(one, former.id) for one in seen), "forced over one that lives"
        if way == "TAKEOVER":
            epoch = max(line.epoch for line in node.table.values()) + node.epoch + 1
            self.change(f"takeover {node.place}", lambda: cluster.lead(node, epoch))
        else:
            self.change(f"failover {node.place}", lambda: self._elected(None if way else former))

    def _elected(self, former: Node | None) -> None:
        """A primary that hands over takes no writes from then on until it hears of its heir: as if at once."""
        if self.cluster.elect(self.node, is_forced=True) and former is not None:
            self.cluster._hear(former, self.node)

    def _own(self, slot: int, *, is_added: bool) -> None:
        """In its own table alone; the others hear of a slot that it has."""
        node, owner = self.node, self.node.owner_of(slot)
        if is_added and owner is not None:
            raise ReplyError(f"ERR Slot {slot} is already busy")
        if not is_added and owner is None:
            raise ReplyError(f"ERR Slot {slot} is already unassigned")

        def own() -> None:
            one = SlotSet((SlotRange(slot, slot),))
            line = node.table[owner or node.id]
            line.slots = line.slots | one if is_added else line.slots - one

        self.change(f"slot {node.place} {slot} {is_added}", own)

    def _set_slot(self, slot: int, word: str, node_id: str = "") -> Reply:
        node, is_mine = self.node, slot in self.node.me.slots
        if not node.is_primary:
            raise ReplyError("ERR Please use SETSLOT only with masters.")
        text = f"slot {node.place} {slot} {word}"
        match word:
            case "MIGRATING":
                if not is_mine:
                    raise ReplyError(f"ERR I'm not the owner of hash slot {slot}")
                self._demand_known(node_id, "I don't know about node")
                self._tell_replicas()
                self.change(text, lambda: node.migrating.update({slot: node_id}))
            case "IMPORTING":
                if is_mine:
                    raise ReplyError(f"ERR I'm already the owner of hash slot {slot}")
                self._demand_known(node_id, "I don't know about node")
                self._tell_replicas()
                self.change(text, lambda: node.importing.update({slot: node_id}))
            case "STABLE":
                self._tell_replicas()
                self.change(text, lambda: (node.migrating.pop(slot, None), node.importing.pop(slot, None)))
            case "NODE":
                self._demand_known(node_id, "Unknown node")
                self._tell_replicas(slot, node_id)
                self.change(text, lambda: self._assign(slot, node_id))
        return b"OK"

    def _tell_replicas(self, slot: int | None = None, owner: str = "") -> None:
        """Before anything happens. A replica of one that gives its last slot away follows at once, and says no more."""
        cluster, node = self.cluster, self.node
        followers = cluster.followers(node) if cluster.dialect.shares_open_slots else []
        is_last = slot is not None and slot in node.me.slots and len(node.me.slots) == 1
        if slot is not None and is_last and owner != node.id and not node.keys_of(slot):
            for each in followers:
                self.change(f"tell {each.place}", lambda each=each: cluster.lose_last(each, slot, owner))  # type: ignore[misc]
        elif all(each.life is Life.RUNNING for each in followers):
            return
        if followers:
            raise ReplyError("NOREPLICAS Not enough good replicas to write.")

    def _demand_known(self, node_id: str, complaint: str) -> None:
        if node_id not in self.node.table:
            raise ReplyError(f"ERR {complaint} {node_id}")

    def _assign(self, slot: int, node_id: str) -> None:
        try:
            self.cluster.assign(self.node, slot, node_id)
        except ServerError as error:
            raise ReplyError(f"ERR {error.what}") from error

    # Keys.

    def _demand_served(self, key: Key, *, has_asked: bool, is_open: bool = False) -> None:
        """getNodeByQuery, for one key; MIGRATE of a slot that ``is_open`` is for this node."""
        node, (slot, _) = self.node, key
        owner = node.owner_of(slot)
        if owner is None:
            raise ReplyError("CLUSTERDOWN Hash slot not served")
        if not says_ok(self.cluster, node):
            raise ReplyError("CLUSTERDOWN The cluster is down")
        if is_open:
            return
        if owner == node.id and slot in node.migrating and key not in node.data:
            raise ReplyError(f"ASK {slot} {node.table[node.migrating[slot]].address}")
        is_importer = slot in node.importing and has_asked
        if owner != node.id and not is_importer:
            raise ReplyError(f"MOVED {slot} {node.table[owner].address}")

    def _read(self, name: str, rest: Sequence[bytes], *, has_asked: bool) -> Reply:
        at = 1 if name == "MEMORY" else 0
        key = key_of(rest[at])
        self._demand_served(key, has_asked=has_asked)
        value = self.node.data.get(key)
        if name == "GET":
            return None if value is None else value.encode()
        place = (0, rest[at])
        holder = KeyServer(self.node.place, FakeClock(), data={} if value is None else {place: value.encode()})
        reply = holder._of_key(name, place, rest[at + 1 :])
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def _write(self, name: str, rest: Sequence[bytes], *, has_asked: bool) -> Reply:
        key = key_of(rest[0])
        self._demand_served(key, has_asked=has_asked)
        if name == "DEL":
            is_there = key in self.node.data
            self.change(f"delete {self.node.place}", lambda: self._put(self.node, key, None))
            return int(is_there)
        if b"NX" in rest[2:] and key in self.node.data:
            return None

        def write() -> None:
            self._put(self.node, key, rest[1].decode())
            self.expiries.pop(key, None)
            if b"PX" in rest[2:]:
                self.expiries[key] = self.cluster.now + int(rest[-1]) // 1000

        self.change(f"write {self.node.place}", write)
        return b"OK"

    def _load(self, rest: Sequence[bytes]) -> Reply:
        """A write of a drill's load: one of hundreds, and no cut of its own."""
        key = key_of(rest[0])
        self._demand_served(key, has_asked=False)
        self.expiries[key] = self.cluster.now + int(rest[-1])
        self._put(self.node, key, rest[1].decode())
        return b"OK"

    def _unlink(self, names: Sequence[bytes]) -> Reply:
        keys = [key_of(name) for name in names]
        for key in keys:
            self._demand_served(key, has_asked=False)
        there = [key for key in dict.fromkeys(keys) if key in self.node.data]
        self.change(f"unlink {self.node.place}", lambda: [self._put(self.node, key, None) for key in keys])
        return len(there)

    def _put(self, node: Node, key: Key, value: str | None) -> None:
        """Replicas hear of it at once."""
        for each in self.cluster.running():
            if each is node or (each.is_linked and each.me.primary == node.id):
                if value is None:
                    each.data.pop(key, None)
                else:
                    each.data[key] = value

    def _migrate(self, rest: Sequence[bytes]) -> Reply:
        """RESTORE at the other end comes after ASKING. What is refused there stays here, and the others go."""
        at = rest.index(b"KEYS")
        options, keys = rest[5:at], list(map(key_of, rest[at + 1 :]))
        for slot in {slot for slot, _ in keys}:
            self._demand_moves(slot)
        keys = [key for key in keys if key in self.node.data]
        if not keys:
            return b"NOKEY"
        other = self.cluster.nodes.get(Address(rest[0].decode(), int(rest[1])))
        if other is None or other.life is not Life.RUNNING:
            raise ReplyError("IOERR error or timeout writing to target instance")
        target = SimServer(self.cluster, other, self.change, self.password, self.expiries)
        refusals = []
        for key in keys:
            try:
                target._demand_served(key, has_asked=True)
                if key in other.data and b"REPLACE" not in options:
                    raise ReplyError("BUSYKEY Target key name already exists.")
            except ReplyError as error:
                refusals.append(error)
                continue
            keeps = b"COPY" in options
            self.change(f"move {self.node.place}", lambda key=key, keeps=keeps: self._move(other, key, keeps=keeps))  # type: ignore[misc]
        if refusals:
            raise ReplyError(f"ERR Target instance replied with error: {refusals[0]}")
        return b"OK"

    def _demand_moves(self, slot: int) -> None:
        """getNodeByQuery, for MIGRATE: with an open slot it is of this node."""
        is_open = slot in self.node.migrating or slot in self.node.importing
        self._demand_served((slot, b""), has_asked=False, is_open=is_open)

    def _move(self, other: Node, key: Key, *, keeps: bool) -> None:
        value = self.node.data[key]
        if not keeps:
            self._put(self.node, key, None)
        self._put(other, key, value)


@dataclass(slots=True)
class SimConnection:
    """Implements :class:`slotwright.ports.Connection` to the process that ran when it was dialled."""

    server: SimServer
    is_in: bool
    starts: int = field(init=False)
    has_asked: bool = False

    def __post_init__(self) -> None:
        self.starts = self.server.node.starts

    @property
    def address(self) -> Address:
        return self.server.node.place

    async def call(self, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        (reply,) = await self.pipeline([arguments])
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    async def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        return [
            self._one([word if isinstance(word, bytes) else str(word).encode() for word in each]) for each in commands
        ]

    async def exchange(
        self, request: bytes, replies: int, *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        self._demand_there()
        slots = counted_slots(request)
        return self.server.counts(slots) if slots is not None else [self._one(words) for words in parsed(request)]

    def _demand_there(self) -> None:
        node = self.server.node
        if node.life is Life.DEAD or node.starts != self.starts:
            raise NodeUnreachableError(f"{node.place} closed the connection", code="closed")
        if node.life is not Life.RUNNING or node.keeps_us_out:
            raise NodeUnreachableError(f"{node.place} did not answer", code="timeout")

    def _one(self, words: Sequence[bytes]) -> Reply | ReplyError:
        self._demand_there()
        if not self.is_in:
            return ReplyError("NOAUTH Authentication required.")
        has_asked, self.has_asked = self.has_asked, words[0] == b"ASKING"
        if self.has_asked:
            return b"OK"
        try:
            return self.server.answer(words, has_asked=has_asked)
        except ReplyError as error:
            return error

    async def close(self) -> None:
        pass


@dataclass(slots=True)
class SimDialer:
    """Implements :class:`slotwright.ports.Dialer`."""

    cluster: Cluster
    change: Change
    wanted: str
    expiries: dict[Key, int]
    password: Secret | None

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> SimConnection:
        node = self.cluster.nodes.get(address)
        if node is None or node.life is Life.DEAD:
            raise NodeUnreachableError(f"nothing listens on {address}", code="refused", where=str(address))
        if node.life is not Life.RUNNING or node.keeps_us_out:
            code = "unreachable" if node.life is Life.AWAY else "timeout"
            raise NodeUnreachableError(f"{address} does not answer", code=code, where=str(address))
        if self.password is not None and self.password.reveal() != self.wanted:
            raise AuthenticationError(f"{address} refuses our password", where=str(address), seen="WRONGPASS")
        server = SimServer(self.cluster, node, self.change, self.wanted, self.expiries)
        return SimConnection(server, not self.wanted or self.password is not None)
