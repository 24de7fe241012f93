"""A primary of a cluster whose slots can be moved: what it takes and refuses while they are on their way.

What a node is told the others know at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from slotwright.cluster.slots import SlotSet, key_slot
from slotwright.ports import Reply, ReplyError
from tests.fakes.key_server import KeyPlace, KeyServer


@dataclass
class SlotServer(KeyServer):
    """``migrating`` and ``from_where`` have the slots that are open, with the id of the other end. ``told`` are the
    commands that changed a slot."""

    migrating: dict[int, str] = field(default_factory=dict)
    from_where: dict[int, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    maxmemory: int = 0

    @property
    def id(self) -> str:
        return f"{self.address.port:040x}"

    def keys_in(self, slot: int) -> list[KeyPlace]:
        return [place for place in self.data if key_slot(place[1]) == slot]

    def answer(self, database: int, words: Sequence[bytes], *, has_asked: bool = False) -> Reply | ReplyError:
        if words[0].upper() in (b"EXISTS", b"TYPE", b"DUMP", b"GETRANGE") and (database, words[1]) not in self.data:
            slot = key_slot(words[1])
            if self.slots and slot in self.slots and slot in self.migrating:
                return ReplyError(f"ASK {slot} {self._peer(self.migrating[slot]).address}")
        return super().answer(database, words, has_asked=has_asked)

    def _of_key(self, name: str, place: KeyPlace, rest: Sequence[bytes]) -> Reply | ReplyError:
        if name == "DEL":
            is_there = place in self.data
            self.drop(place)
            return int(is_there)
        return super()._of_key(name, place, rest)

    def _info(self, database: int, rest: Sequence[bytes]) -> Reply:
        text = super()._info(database, rest)
        assert isinstance(text, bytes)
        more = f"cluster_enabled:1\r\nrole:master\r\nused_memory:0\r\nmaxmemory:{self.maxmemory}\r\n"
        return more.encode() + text

    def _cluster(self, database: int, rest: Sequence[bytes]) -> Reply | ReplyError:
        match rest[0].upper():
            case b"MYID":
                return self.id.encode()
            case b"INFO":
                return b"cluster_state:ok\r\ncluster_current_epoch:1\r\n"
            case b"BUMPEPOCH":
                self.told.append("BUMPEPOCH")
                return b"BUMPED 2"
            case b"SETSLOT":
                return self._set_slot(int(rest[1]), rest[2].decode(), rest[3].decode() if len(rest) > 3 else "")
        return super()._cluster(database, rest)

    def _set_slot(self, slot: int, word: str, node_id: str) -> Reply | ReplyError:
        self.told.append(f"{word} {slot}")
        slots, one = self.slots or SlotSet(), SlotSet.from_slots([slot])
        match word:
            case "MIGRATING":
                if slot not in slots:
                    return ReplyError(f"ERR I'm not the owner of hash slot {slot}")
                self.migrating[slot] = node_id
            case "IMPORTING":
                self.from_where[slot] = node_id
            case "STABLE":
                self.migrating.pop(slot, None)
                self.from_where.pop(slot, None)
            case "NODE" if node_id == self.id:
                self.slots = slots | one
                self.from_where.pop(slot, None)
            case "NODE":
                if slot in slots and self.keys_in(slot):
                    return ReplyError("ERR Can't assign hashslot to a different node while I still hold keys for it.")
                self.slots = slots - one
                self.migrating.pop(slot, None)
        self.importing = SlotSet.from_slots(self.from_where)
        return b"OK"

    def _line(self, peer: KeyServer) -> str:
        opened = ""
        if peer is self:
            opened += "".join(f" [{slot}->-{node_id}]" for slot, node_id in self.migrating.items())
            opened += "".join(f" [{slot}-<-{node_id}]" for slot, node_id in self.from_where.items())
        return super()._line(peer) + opened

    def _peer(self, node_id: str) -> KeyServer:
        return next(peer for peer in self.peers if f"{peer.address.port:040x}" == node_id)
