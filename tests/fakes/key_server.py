"""A server with strings, lists and values of a module, as far as a comparison asks for them; one of a cluster or not.

Time is the test's. Hooks let the world change between two commands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import hiredis

from slotwright.cluster.slots import SlotSet, key_slot
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError
from slotwright.ports import Argument, Reply, ReplyError
from tests.fakes.doubles import FakeClock

Value = bytes | list[bytes]
KeyPlace = tuple[int, bytes]


@dataclass
class KeyServer:
    """``slots`` None: it stands alone. ``modules`` are keys whose value no command reads; their serialisation is
    ``salt`` and the value. ``importing``: slots whose keys it shows
    after ASKING. ``repeats``: SCAN gives every key twice. ``peers`` are all nodes of its cluster."""

    address: Address
    clock: FakeClock
    slots: SlotSet | None = None
    version: str = "7.0.15"
    databases: int = 16
    data: dict[KeyPlace, Value] = field(default_factory=dict)
    expiries: dict[KeyPlace, int] = field(default_factory=dict)
    modules: set[KeyPlace] = field(default_factory=set)
    salt: bytes = b""
    peers: list[KeyServer] = field(default_factory=list)
    importing: SlotSet | None = None
    repeats: bool = False
    is_away: bool = False
    is_loading: bool = False
    refuses: str = ""
    heard: list[bytes] = field(default_factory=list)
    _by_slot: dict[tuple[int, int], list[bytes]] = field(default_factory=dict)
    _indexed_at: int = -1
    before: Callable[[str, KeyPlace], None] = lambda name, place: None

    @property
    def now_ms(self) -> int:
        return int(self.clock.wall() * 1000)

    def answer(self, database: int, words: Sequence[bytes], *, has_asked: bool = False) -> Reply | ReplyError:
        name = words[0].decode().upper()
        self.heard.append(words[0])
        if name == self.refuses:
            return ReplyError(f"NOPERM this user has no permissions to run the '{name.lower()}' command")
        known = getattr(self, f"_{name.lower()}", None)
        if known is not None:
            return known(database, words[1:])
        at = {"MEMORY": 2}.get(name, 1)
        place = database, words[at]
        self.before(name, place)
        is_shown = has_asked and self.importing is not None and key_slot(place[1]) in self.importing
        if self.slots is not None and key_slot(place[1]) not in self.slots and not is_shown:
            owner = next((peer for peer in self.peers if peer.slots and key_slot(place[1]) in peer.slots), None)
            return ReplyError(f"MOVED {key_slot(place[1])} {owner.address}" if owner else "CLUSTERDOWN no slot")
        return self._of_key(name, place, words[at + 1 :])

    def _of_key(self, name: str, place: KeyPlace, rest: Sequence[bytes]) -> Reply | ReplyError:
        if self.expiries.get(place, self.now_ms + 1) <= self.now_ms:
            self.drop(place)
        value = self.data.get(place)
        match name:
            case "TYPE":
                kind = b"none" if value is None else b"string" if isinstance(value, bytes) else b"list"
                return b"My-Module" if place in self.modules else kind
            case "EXISTS":
                return int(value is not None)
            case "PEXPIRETIME" if self.version >= "7":
                return -2 if value is None else self.expiries.get(place, -1)
            case "PTTL":
                return -2 if value is None else self.expiries[place] - self.now_ms if place in self.expiries else -1
            case "DUMP":
                return None if value is None else b"\x01" + self.salt + repr(value).encode() + b"0123456789"
            case "MEMORY":
                return 100
        if name == "GETRANGE":
            first, last = int(rest[0]), int(rest[1])
            return b"" if value is None else value[first : last + 1] if isinstance(value, bytes) else _wrong()
        if name == "LLEN":
            return 0 if value is None else len(value) if isinstance(value, list) else _wrong()
        if name == "LRANGE":
            return [] if value is None else list(value) if isinstance(value, list) else _wrong()
        return ReplyError(f"ERR unknown command '{name}'")

    def drop(self, place: KeyPlace) -> None:
        self.data.pop(place, None)
        self.expiries.pop(place, None)

    def _info(self, database: int, rest: Sequence[bytes]) -> Reply:
        counts = Counter(number for number, _ in self.data)
        lines = [f"db{number}:keys={count},expires=0,avg_ttl=0" for number, count in counts.items()]
        mode = "standalone" if self.slots is None else "cluster"
        return "\r\n".join([f"redis_version:{self.version}", f"redis_mode:{mode}", *lines]).encode()

    def _time(self, database: int, rest: Sequence[bytes]) -> Reply:
        return [b"%d" % (self.now_ms // 1000), b"%d" % (self.now_ms % 1000 * 1000)]

    def _migrate(self, database: int, rest: Sequence[bytes]) -> Reply | ReplyError:
        """To one of the peers: whatever its slots are, as a server does it."""
        at = rest.index(b"KEYS")
        target = next(peer for peer in self.peers if str(peer.address) == f"{rest[0].decode()}:{int(rest[1])}")
        for place in [(database, key) for key in rest[at + 1 :] if (database, key) in self.data]:
            if place in target.data and b"REPLACE" not in rest[:at]:
                return ReplyError("ERR Target instance replied with error: BUSYKEY Target key name already exists.")
            target.data[place] = self.data[place]
            if place in self.expiries:
                target.expiries[place] = target.now_ms + self.expiries[place] - self.now_ms
            if b"COPY" not in rest[:at]:
                self.drop(place)
        return b"OK"

    def _client(self, database: int, rest: Sequence[bytes]) -> Reply:
        return b"OK"

    def _command(self, database: int, rest: Sequence[bytes]) -> Reply:
        """COMMAND INFO, as far as it is asked for: of what tells versions apart, it has one."""
        knows = {b"PEXPIRETIME"} if self.version >= "7" else set()
        return [[name.lower(), 2, [b"readonly", b"fast"]] if name in knows else None for name in rest[1:]]

    def _cluster(self, database: int, rest: Sequence[bytes]) -> Reply | ReplyError:
        if self.slots is None:
            return ReplyError("ERR This instance has cluster support disabled")
        word = rest[0].upper()
        if word == b"NODES":
            return "\n".join(self._line(peer) for peer in self.peers).encode()
        if self._indexed_at != len(self.data):
            self._by_slot, self._indexed_at = {}, len(self.data)
            for number, key in self.data:
                self._by_slot.setdefault((number, key_slot(key)), []).append(key)
        mine = self._by_slot.get((database, int(rest[1])), [])
        return len(mine) if word == b"COUNTKEYSINSLOT" else mine[: int(rest[2])]

    def _line(self, peer: KeyServer) -> str:
        flags = "myself,master" if peer is self else "master"
        slots = " ".join(peer.slots.texts()) if peer.slots else ""
        return f"{peer.address.port:040x} {peer.address}@{peer.address.bus_port} {flags} - 0 0 1 connected {slots}"

    def _scan(self, database: int, rest: Sequence[bytes]) -> Reply:
        keys = [key for number, key in self.data if number == database]
        start, count = int(rest[0]), int(rest[2])
        self.before("SCAN", (database, b""))
        page = keys[start : start + count]
        end = start + count
        return [b"%d" % (end if end < len(keys) else 0), [*page, *page] if self.repeats else list(page)]


def _wrong() -> ReplyError:
    return ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")


@dataclass
class KeyConnection:
    """Implements :class:`slotwright.ports.Connection`."""

    server: KeyServer
    database: int = 0
    has_asked: bool = False

    @property
    def address(self) -> Address:
        return self.server.address

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
        reader = hiredis.Reader()
        reader.feed(request)
        found = [self._one(reader.gets()) for _ in range(replies)]
        assert reader.gets() is False, "more commands than replies were asked for"
        return found

    def _one(self, words: Sequence[bytes]) -> Reply | ReplyError:
        if self.server.is_away:
            raise NodeUnreachableError(f"{self.address} closed the connection", code="closed")
        if self.server.is_loading and words[0] not in (b"INFO", b"TIME", b"CLUSTER"):
            return ReplyError("LOADING Redis is loading the dataset in memory")
        if words[0] == b"SELECT":
            if int(words[1]) >= self.server.databases:
                return ReplyError("ERR DB index is out of range")
            self.database = int(words[1])
            return b"OK"
        has_asked, self.has_asked = self.has_asked, words[0] == b"ASKING"
        return b"OK" if self.has_asked else self.server.answer(self.database, words, has_asked=has_asked)

    async def close(self) -> None:
        pass


@dataclass
class KeyDialer:
    """Implements :class:`slotwright.ports.Dialer`."""

    servers: Sequence[KeyServer]

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> KeyConnection:
        server = next(each for each in self.servers if each.address == address)
        if server.is_away:
            raise NodeUnreachableError(f"nothing listens on {address}", code="refused")
        return KeyConnection(server)
