"""What the target has to be told of each command in a source's stream, so that it comes to hold the same data.

A source sends its replicas not what clients said but what came of it: SPOP arrives as SREM, XADD with its id, BLPOP as
LPOP, a script as the writes that it did. So most of it can be said to a cluster as it is. What can't be is here:
commands whose keys live in different slots there, times to live that count from now, databases, commands that the
target does not have.

What holds:

- *Order.* Actions come in the stream's order. Commands for one key go to one primary, so a sender that keeps the order
  of each connection keeps that of each key. MULTI and EXEC are dropped: what stood between them is done one after the
  other, as nobody reads the target before the cutover.
- *A command by value* is whole when the keys that it names have the value that they had in the source at its offset or
  later, and what the stream says of these keys up to that later offset is not done any more.
- *The target may not do what the source did.* Errors tell, and other replies do (:func:`~.replies.is_doubtful`): then
  ``keys`` of the Send are to be given the source's value, as for ByValue. This also catches options that only the
  source knows, so these are not listed here. The same is due when some of a Send's keys wait for their value: then all
  of them have to.
- *Expiry.* The source says DEL when a key expires, and a replica waits for that. A cluster does not wait: if it is
  behind, or its clock is ahead, it expires the key earlier. Where the source prolonged it meanwhile, it is then
  missing, or INCR and its like made it anew, and no reply tells. So a target must not expire anything by itself as long
  as it lags. Valkey 8.1+ is told not to (:mod:`~slotwright.features.migrate.run.expiry_pause`). For others
  :attr:`later_ms` keeps deadlines away, until the target has caught up; then it is taken off all deadlines there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from slotwright.cluster.slots import key_slot
from slotwright.features.migrate.replay.actions import (
    Acknowledge,
    Action,
    ByValue,
    CopyFunctions,
    FlushDatabase,
    Send,
    SendToAll,
    Skip,
    Stop,
    Unknowable,
)
from slotwright.features.migrate.replay.rewrites import REWRITES, SPLIT, When, one_by_one, without_field_times
from slotwright.keys.model.databases import DatabaseMap, DatabaseRule, Named
from slotwright.server.capabilities import Capabilities, Capability, can_read_data
from slotwright.server.commands.table import CommandTable

Actions = tuple[Action, ...]
Handler = Callable[[Sequence[bytes], int], Actions]

_SILENT: Final = {
    b"PING": "the source shows that it is alive",
    b"MULTI": "the commands of a transaction come one by one",
    b"EXEC": "the commands of a transaction come one by one",
    b"PUBLISH": "a message is no data",
    b"SPUBLISH": "a message is no data",
    b"SCRIPT": "clients load their scripts again where they miss them",
}
_RANDOM: Final = frozenset({b"PFDEBUG", b"SPOP", b"XAUTOCLAIM", b"XREADGROUP"})
"""What may do something else in the target."""
_SCRIPTS: Final = frozenset({b"EVAL", b"EVALSHA", b"FCALL"})
"""In the stream only as long as the source is older than 7.0 and has ``lua-replicate-commands no``."""
_NOT_KNOWN: Final = "its arguments are not those of any version that is known"
_REMEMBERED_NAMES = 2048


@dataclass(frozen=True, slots=True)
class ServerCommands:
    """One side of a migration: what the server can do, and its commands as it tells them itself."""

    capabilities: Capabilities
    commands: CommandTable


class Replayer:
    """Commands in, actions out. Keeps nothing but the database that the stream is in, and :attr:`later_ms`.

    ``database`` is that one at the start: for a full sync what the snapshot says (``repl-stream-db``, else 0), for a
    stream that goes on, what :attr:`database` was at its offset. Every deadline of a key is said ``later_ms`` later
    than the source's: for a target that would else expire keys by itself.
    """

    def __init__(
        self,
        source: ServerCommands,
        target: ServerCommands,
        databases: DatabaseMap,
        database: int = 0,
        later_ms: int = 0,
    ) -> None:
        self._source, self._target, self._databases = source, target, databases
        self.later_ms = later_ms
        self._may_be_late = not source.capabilities.has(Capability.ABSOLUTE_DEADLINES)
        self._reads_files = can_read_data(target.capabilities.version, source.capabilities.version)
        self._handlers: dict[bytes, Handler] = {
            b"COPY": self._copy,
            b"FLUSHALL": self._flush_all,
            b"FLUSHDB": self._flush_database,
            b"FUNCTION": self._function,
            b"MOVE": self._move,
            b"PFCOUNT": self._count,
            b"REPLCONF": self._replconf,
            b"SELECT": self._select,
            b"SORT": self._sort,
            b"SWAPDB": self._swap,
        }
        self._plain: dict[bytes, int] = {}
        self._skips = {name: (Skip(why),) for name, why in _SILENT.items()}
        self._enter(database)

    @property
    def database(self) -> int:
        """The source's database that the next command is for."""
        return self._database

    def replay(self, arguments: Sequence[bytes], received_ms: int) -> Actions:
        """What to do about one command, in this order; always at least one action.

        ``received_ms`` is the source's clock when the command came in, in milliseconds since 1970.
        """
        index = self._plain.get(arguments[0])
        if index is not None and not self._is_refused and len(arguments) > index:
            if self._prefix:
                return self._send(arguments, (index,))
            key = arguments[index]
            return (Send(key_slot(key), self._to_database, arguments, (key,)),)
        try:
            return self._look(arguments, received_ms) or self._unknowable(arguments, _NOT_KNOWN)
        except (IndexError, ValueError):
            return self._unknowable(arguments, _NOT_KNOWN)

    def _enter(self, database: int) -> None:
        self._database = database
        self._prefix = self._databases.prefix(database)
        self._to_database = self._databases.target((database, b""))[0]
        self._is_refused = database != 0 and self._databases.rule is DatabaseRule.REFUSE

    def _look(self, arguments: Sequence[bytes], received_ms: int) -> Actions:
        name = arguments[0].upper()
        if name in self._skips:
            return self._skips[name]
        handler = self._handlers.get(name)
        if handler is not None:
            return handler(arguments, received_ms)
        if self._is_refused:
            return self._refuse(arguments)
        if name == b"SET" and len(arguments) == 3:
            return self._send(arguments, (1,))
        if name in REWRITES:
            return self._rewrite(name, arguments, received_ms)
        if name in SPLIT:
            return self._split(name, arguments, received_ms)
        return self._generic(name, arguments)

    def _generic(self, name: bytes, arguments: Sequence[bytes]) -> Actions:
        entry = self._source.commands.get(name)
        if entry is None:
            return self._unknowable(arguments, "the source's COMMAND does not list it")
        result = entry.find(arguments)
        if result is None or not result.every:
            return self._unknowable(arguments, "it does not tell its keys")
        if name in _SCRIPTS:
            return self._script(arguments, result.every)
        if name in _RANDOM:
            return self._by_value(arguments, result.written, f"{_shown(name)} may do something else in the target")
        if "module" in entry.flags or not self._target.commands.knows(arguments):
            return self._by_value(arguments, result.written, f"the target may not know {_shown(name)}")
        if entry.is_write and entry.has_one_key and not entry.subcommands and len(self._plain) < _REMEMBERED_NAMES:
            self._plain[arguments[0]] = entry.first
        return self._together(arguments, result.every, result.written)

    def _script(self, arguments: Sequence[bytes], keys: Sequence[int]) -> Actions:
        """Believed about its keys where it keeps to one slot, as scripts for clusters do."""
        if len({key_slot(self._prefix + arguments[index]) for index in keys}) > 1:
            return self._unknowable(arguments, "a script with keys in several slots may write others than it names")
        return self._by_value(arguments, keys, "a script may do something else in the target")

    def _together(self, arguments: Sequence[bytes], every: Sequence[int], written: Sequence[int]) -> Actions:
        """As it is when all keys are in one slot, else by value."""
        slots = {key_slot(self._prefix + arguments[index]) for index in every}
        if len(slots) == 1:
            return self._send(arguments, every)
        return self._by_value(arguments, written, f"the keys of {_shown(arguments[0])} are in {len(slots)} slots")

    def _rewrite(self, name: bytes, arguments: Sequence[bytes], received_ms: int) -> Actions:
        rewrite = REWRITES[name]
        results = rewrite(arguments, When(received_ms, self.later_ms))
        is_late = self._may_be_late and results != rewrite(arguments, When(received_ms + 1, self.later_ms))
        if results is not None and results[0] == b"HSETEX" and not self._target.commands.knows(results):
            results = without_field_times(results)
        if results is None or not self._target.commands.knows(results):
            return self._by_value(arguments, (1,), f"{_shown(name)} can't be said to the target")
        if results[0] == b"RESTORE" and not self._reads_files:
            return self._by_value(arguments, (1,), "the target can't read what the source restored")
        return self._send(results, (1,), is_late)

    def _split(self, name: bytes, arguments: Sequence[bytes], received_ms: int) -> Actions:
        if name in (b"DEL", b"UNLINK") and len(arguments) == 2:
            return self._send(arguments, (1,))
        candidate = one_by_one(name, arguments, When(received_ms, self.later_ms))
        if candidate is None:
            return self._unknowable(arguments, _NOT_KNOWN)
        return tuple(action for one in candidate for action in self._send(one, (1,)))

    def _send(self, arguments: Sequence[bytes], keys: Iterable[int], is_late: bool = False) -> tuple[Send]:
        if self._prefix:
            named = list(arguments)
            for index in keys:
                named[index] = self._prefix + named[index]
            arguments = named
        result = tuple(arguments[index] for index in keys)
        return (Send(key_slot(result[0]), self._to_database, arguments, result, is_late),)

    def _by_value(self, arguments: Sequence[bytes], written: Iterable[int], why: str) -> Actions:
        return self._values(((self._database, arguments[index]) for index in written), why)

    def _values(self, keys: Iterable[Named], why: str) -> Actions:
        named = tuple(dict.fromkeys(keys))
        return (ByValue(named, why),) if named else (Skip("no key was written"),)

    def _unknowable(self, arguments: Sequence[bytes], why: str) -> Actions:
        return (Unknowable(tuple(arguments), why),)

    def _refuse(self, arguments: Sequence[bytes]) -> Actions:
        return (Stop(f"{_shown(arguments[0])} in database {self._database}, which has no place in the target"),)

    def _is_nowhere(self, database: int) -> bool:
        return database != 0 and self._databases.rule is DatabaseRule.REFUSE

    def _select(self, arguments: Sequence[bytes], _: int) -> Actions:
        self._enter(int(arguments[1]))
        return (Skip("the database of what follows"),)

    def _replconf(self, arguments: Sequence[bytes], _: int) -> Actions:
        is_asked = len(arguments) > 1 and arguments[1].upper() == b"GETACK"
        return (Acknowledge() if is_asked else Skip("between the source and its replicas"),)

    def _count(self, arguments: Sequence[bytes], _: int) -> Actions:
        """PFCOUNT of one key keeps the number that it found in the value, and so is in the stream."""
        if len(arguments) != 2:
            return (Skip("only counts"),)
        return self._refuse(arguments) if self._is_refused else self._send(arguments, (1,))

    def _sort(self, arguments: Sequence[bytes], _: int) -> Actions:
        if self._is_refused:
            return self._refuse(arguments)
        result = self._source.commands.find(arguments)
        if result is None:
            return self._unknowable(arguments, "it does not tell its keys")
        if any(argument.upper() in (b"ALPHA", b"BY", b"GET") for argument in arguments[2:]):
            return self._by_value(arguments, result.written, "SORT by other keys, or by the letters of a locale")
        return self._together(arguments, result.every, result.written)

    def _copy(self, arguments: Sequence[bytes], _: int) -> Actions:
        to = self._database
        for index in range(3, len(arguments) - 1):
            if arguments[index].upper() in (b"DB", b"DESTINATION-DB"):
                to = int(arguments[index + 1])
        if self._is_nowhere(to):
            return (Stop(f"COPY to database {to}, which has no place in the target"),)
        if self._is_refused:
            return self._values([(to, arguments[2])], "COPY from a database that has no place in the target")
        if to == self._database:
            # What was there before went when the source had REPLACE, and was not there when it had not.
            return self._together([*arguments[:3], b"REPLACE"], (1, 2), (2,))
        return self._values([(to, arguments[2])], "COPY between databases")

    def _move(self, arguments: Sequence[bytes], _: int) -> Actions:
        to = int(arguments[2])
        if self._is_refused or self._is_nowhere(to):
            return (Stop(f"MOVE from database {self._database} to {to}, one of which has no place in the target"),)
        return self._values([(self._database, arguments[1]), (to, arguments[1])], "MOVE between databases")

    def _swap(self, arguments: Sequence[bytes], _: int) -> Actions:
        one, other = int(arguments[1]), int(arguments[2])
        if one == other or (self._is_nowhere(one) and self._is_nowhere(other)):
            return (Skip("SWAPDB of databases that are not moved"),)
        return (Stop(f"SWAPDB {one} {other}: all keys of both databases changed at once"),)

    def _flush_all(self, arguments: Sequence[bytes], _: int) -> Actions:
        return (SendToAll(0, (b"FLUSHALL",)),)

    def _flush_database(self, arguments: Sequence[bytes], _: int) -> Actions:
        if self._is_refused:
            return (Skip("FLUSHDB of a database that is not moved"),)
        if self._databases.rule is DatabaseRule.PREFIX:
            return (FlushDatabase(self._database),)
        return (SendToAll(self._to_database, (b"FLUSHDB",)),)

    def _function(self, arguments: Sequence[bytes], _: int) -> Actions:
        what = arguments[1].upper() if len(arguments) > 1 else b""
        if not self._target.commands.knows(arguments):
            return (Stop(f"FUNCTION {_shown(what)}: the target has no functions"),)
        if what == b"LOAD" and len(arguments) > 2:
            return (SendToAll(0, (b"FUNCTION", b"LOAD", b"REPLACE", arguments[-1])),)
        if what == b"RESTORE" and len(arguments) > 2:
            if not self._reads_files:
                return (CopyFunctions(),)
            has_flush = any(argument.upper() == b"FLUSH" for argument in arguments[3:])
            return (SendToAll(0, (b"FUNCTION", b"RESTORE", arguments[2], b"FLUSH" if has_flush else b"REPLACE")),)
        return (SendToAll(0, tuple(arguments)),)


def _shown(name: bytes) -> str:
    return name.decode(errors="backslashreplace").upper()
