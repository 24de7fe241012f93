"""Reading a snapshot (RDB) while it comes: every key with the bytes of its value, which are not looked into.

That is enough to move a value, as RESTORE takes the bytes of a snapshot (:mod:`slotwright.server.rdb.dump`). Only plain
strings come out as what they are, so that SET can take them. In whatever pieces the stream comes, the entries are the
same, and a value is walked once, however many pieces it comes in.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from slotwright.errors import SnapshotError
from slotwright.server.rdb.crc64 import crc64
from slotwright.server.rdb.dump import PLAIN
from slotwright.server.rdb.layouts import (
    FIRST_VALKEY_VERSION,
    OPCODE_AUX,
    OPCODE_EOF,
    OPCODE_EXPIRETIME,
    OPCODE_EXPIRETIME_MS,
    OPCODE_FREQ,
    OPCODE_FUNCTION,
    OPCODE_IDLE,
    OPCODE_MODULE_AUX,
    OPCODE_SELECTDB,
    REFUSED,
    STRING,
    TYPE_MODULE,
    TYPE_STRING,
    Layout,
    quick_layouts,
    skipped_layouts,
    value_layouts,
)
from slotwright.server.rdb.strings import COMPRESSED, ShortError, read_length, read_string, skip_string
from slotwright.server.rdb.value_end import ValueWalk, module_name, skip_rows

Entry = tuple[int, bytes, int, int, bytes, int, int]
"""Database, key, when it expires (Unix milliseconds; 0: never), type, value, seconds that it was not used (-1: not
told), frequency of use (the LFU counter; -1: not told).

The type is :data:`~slotwright.server.rdb.dump.PLAIN` for a value that is the string itself. Else it is the type byte,
and the value is what follows it in the snapshot: :func:`slotwright.server.rdb.dump.dump_payload` makes a DUMP of the
two. It is a tuple without names because there are millions of them.
"""

_MILLISECONDS = struct.Struct("<q")
_SECONDS = struct.Struct("<i")
_MAGIC_BYTES = 9
_CHECKSUM_BYTES = 8
_OLDEST_VERSION = 5
"""The first that ends with a checksum."""
_SKIPPED = -2


@dataclass(slots=True)
class _OpenValue:
    """A value whose end has not come yet; ``kind`` is _SKIPPED for what is not kept."""

    kind: int
    key: bytes
    walk: ValueWalk
    parts: list[bytes] = field(default_factory=list)


class RdbWalker:
    """Takes a snapshot in pieces and gives its entries.

    ``is_checked``: the checksum at the end is compared, where the server wrote one. Once something was found that is no
    snapshot, every further call raises the same :class:`~slotwright.errors.SnapshotError`.
    """

    def __init__(self, *, is_checked: bool = True) -> None:
        self.version = 0
        """The RDB version; 0 until it is known. From 80 on it is Valkey's own format."""
        self.aux: dict[bytes, bytes] = {}
        """What the server says of itself and of its replication (``redis-ver``, ``repl-id``, ``repl-offset``, ...)."""
        self.functions: list[bytes] = []
        """Function libraries as they are in the snapshot; see :func:`slotwright.server.rdb.dump.functions_payload`."""
        self.modules: set[str] = set()
        """Types of modules that were met, among the values or beside the keys. The latter are not carried over."""
        self.is_complete = False
        self.rest = b""
        """What came behind the snapshot's last byte; it grows with every further :meth:`feed`."""
        self._is_checked = is_checked
        self._checksum = 0
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._needed_bytes = _MAGIC_BYTES
        self._before_bytes = 0
        self._database = 0
        self._expires_ms = 0
        self._idle_s = -1
        self._frequency = -1
        self._values: dict[int, Layout] = {}
        self._skipped: dict[int, Layout] = {}
        self._quick: dict[int, Layout] = {}
        self._open: _OpenValue | None = None
        self._error: SnapshotError | None = None

    def feed(self, data: bytes) -> list[Entry]:
        """The entries that are complete with ``data``."""
        if self._error:
            raise self._error
        if self.is_complete:
            self.rest += data
            return []
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes < self._needed_bytes:
            return []
        buffer = b"".join(self._held)
        self._held = []
        entries: list[Entry] = []
        used = self._consume(buffer, entries)
        self._before_bytes += used
        remaining = buffer[used:]
        if self.is_complete:
            self.rest = remaining
        else:
            self._held, self._held_bytes = [remaining], len(remaining)
        return entries

    def _consume(self, buffer: bytes, entries: list[Entry]) -> int:
        at = reached = 0
        try:
            if not self.version:
                reached = at = self._read_magic(buffer)
            while not self.is_complete:
                if self._open:
                    reached = at = self._go_on(self._open, buffer, at, entries)
                    if self._open:
                        self._needed_bytes = self._open.walk.short_by
                        break
                else:
                    reached = at = self._run(buffer, at, entries)
                    at = self._one(buffer, at, entries)
        except IndexError:
            self._needed_bytes = len(buffer) - reached + 1
        except ShortError as short:
            self._needed_bytes = short.until - reached
        except ValueError as error:
            self._error = self._unreadable(str(error), buffer, reached)
            raise self._error from None
        if self.is_complete:
            reached = at
            self._check(buffer, reached)
        elif self._is_checked:
            self._checksum = crc64(memoryview(buffer)[:reached], self._checksum)
        return reached

    def _read_magic(self, buffer: bytes) -> int:
        """REDIS or VALKEY, then digits: 9 bytes in all (rdb.c, rdbLoadRioWithLoadingCtx)."""
        magic = buffer[:_MAGIC_BYTES]
        name = b"VALKEY" if magic.startswith(b"VALKEY") else b"REDIS"
        digits = magic.removeprefix(name)
        if not magic.startswith(name) or not digits.isdigit():
            raise ValueError(f"{magic!r} does not begin a snapshot")
        version = int(digits)
        if version < _OLDEST_VERSION or (name == b"VALKEY") != (version >= FIRST_VALKEY_VERSION):
            raise ValueError(f"RDB version {version} of {name.decode()} is not known")
        self.version = version
        self._values, self._skipped = value_layouts(version), skipped_layouts(version)
        self._quick = quick_layouts(version)
        return _MAGIC_BYTES

    def _run(self, data: bytes, at: int, entries: list[Entry]) -> int:
        """Goes over keys whose values are of the usual kinds and wholly there, up to whatever else comes next.

        It does nothing that :meth:`_one` does not; it is flat for speed, as this is where the time goes.
        """
        if self._expires_ms or self._idle_s >= 0 or self._frequency >= 0:
            return at
        size, database, append, quick = len(data), self._database, entries.append, self._quick
        milliseconds = _MILLISECONDS.unpack_from
        start = at
        try:
            while True:
                start = at
                kind = data[at]
                expires_ms, idle_s, frequency = 0, -1, -1
                if kind == OPCODE_EXPIRETIME_MS:
                    expires_ms = max(milliseconds(data, at + 1)[0], 1)
                    at += 9
                    kind = data[at]
                if kind not in quick:
                    if kind == OPCODE_IDLE:
                        idle_s, at = read_length(data, at + 1)
                    elif kind == OPCODE_FREQ:
                        frequency = data[at + 1]
                        at += 2
                    kind = data[at]
                    if kind not in quick:
                        return start
                length = data[at + 1]
                if length < 0x40:
                    at += 2
                    end = at + length
                    key = data[at:end]
                else:
                    key, end = read_string(data, at + 1)
                length = data[end]
                if kind == TYPE_STRING:
                    if length < 0x40:
                        end += 1
                        at = end + length
                        kind, value = PLAIN, data[end:at]
                    elif length < 0x80:
                        end += 2
                        at = end + ((length & 0x3F) << 8 | data[end - 1])
                        kind, value = PLAIN, data[end:at]
                    elif length == COMPRESSED:
                        at = skip_string(data, end)
                        value = data[end:at]
                    else:
                        value, at = read_string(data, end)
                        kind = PLAIN
                else:
                    row = quick[kind]
                    if not row:
                        at = end + 1 + length if length < 0x40 else skip_string(data, end)
                    else:
                        count, at = read_length(data, end)
                        at, missing = skip_rows(data, at, row, count)
                        if missing:
                            return start
                    value = data[end:at]
                if at > size:
                    return start
                append((database, key, expires_ms, kind, value, idle_s, frequency))
        except (IndexError, ShortError, ValueError, struct.error):
            return start

    def _one(self, data: bytes, at: int, entries: list[Entry]) -> int:
        """One thing of any kind, and where it ends; or up to where a value begins, which is then open."""
        kind = data[at]
        layout = self._values.get(kind)
        if layout is not None:
            key, end = read_string(data, at + 1)
            if layout == (STRING,):
                return self._single_string(kind, key, data, end, entries)
            self._open = _OpenValue(kind, key, ValueWalk(layout))
            return end
        layout = self._skipped.get(kind)
        if layout is None:
            return self._opcode(kind, data, at + 1)
        if kind == OPCODE_MODULE_AUX:
            self.modules.add(module_name(read_length(data, at + 1)[0]))
        self._open = _OpenValue(_SKIPPED, b"", ValueWalk(layout))
        return at + 1

    def _single_string(self, kind: int, key: bytes, data: bytes, at: int, entries: list[Entry]) -> int:
        if kind == TYPE_STRING and data[at] != COMPRESSED:
            value, end = read_string(data, at)
            self._give(PLAIN, key, value, entries)
            return end
        end = skip_string(data, at)
        if end > len(data):
            raise ShortError(end)
        self._give(kind, key, data[at:end], entries)
        return end

    def _go_on(self, value: _OpenValue, data: bytes, at: int, entries: list[Entry]) -> int:
        """The open value, as far as it is there."""
        end = value.walk.advance(data, at)
        if value.kind != _SKIPPED:
            value.parts.append(data[at:end])
        if not value.walk.short_by:
            self._open = None
            if value.kind != _SKIPPED:
                self._give(value.kind, value.key, b"".join(value.parts), entries)
        return end

    def _give(self, kind: int, key: bytes, value: bytes, entries: list[Entry]) -> None:
        entries.append((self._database, key, self._expires_ms, kind, value, self._idle_s, self._frequency))
        self._expires_ms, self._idle_s, self._frequency = 0, -1, -1
        if kind == TYPE_MODULE:
            self.modules.add(module_name(read_length(value, 0)[0]))

    def _opcode(self, kind: int, data: bytes, at: int) -> int:
        """What stands between the entries, and where it ends."""
        if kind == OPCODE_EXPIRETIME_MS:
            end = _within(data, at + 8)
            self._expires_ms = max(_MILLISECONDS.unpack_from(data, at)[0], 1)
        elif kind == OPCODE_EXPIRETIME:
            end = _within(data, at + 4)
            self._expires_ms = max(_SECONDS.unpack_from(data, at)[0] * 1000, 1)
        elif kind == OPCODE_IDLE:
            self._idle_s, end = read_length(data, at)
        elif kind == OPCODE_FREQ:
            self._frequency, end = data[at], at + 1
        elif kind == OPCODE_SELECTDB:
            self._database, end = read_length(data, at)
        elif kind == OPCODE_AUX:
            name, end = read_string(data, at)
            text, end = read_string(data, end)
            self.aux[name] = text
        elif kind == OPCODE_FUNCTION:
            end = _within(data, skip_string(data, at))
            self.functions.append(data[at:end])
        elif kind == OPCODE_EOF:
            end = _within(data, at + _CHECKSUM_BYTES)
            self.is_complete = True
        else:
            raise ValueError(REFUSED.get(kind, f"{kind} is no type or opcode of RDB version {self.version}"))
        return end

    def _check(self, buffer: bytes, end: int) -> None:
        """Compares the checksum; 0 stands for none (``rdbchecksum no``)."""
        written = int.from_bytes(buffer[end - _CHECKSUM_BYTES : end], "little")
        if not self._is_checked or not written:
            return
        computed = crc64(memoryview(buffer)[: end - _CHECKSUM_BYTES], self._checksum)
        if computed != written:
            self._error = self._unreadable(
                f"its checksum is {written:#018x}, the bytes give {computed:#018x}", buffer, end
            )
            raise self._error

    def _unreadable(self, why: str, buffer: bytes, at: int) -> SnapshotError:
        return SnapshotError(
            f"the snapshot can't be read: {why}",
            where=f"byte {self._before_bytes + at} of the snapshot",
            seen=f"RDB version {self.version}; bytes there: {buffer[at : at + 16].hex(' ')}",
            hint="a source that is newer than Redis 8.2 or Valkey 9.1 may write what is not known yet; "
            "else it was damaged on its way: try again",
        )


def _within(data: bytes, end: int) -> int:
    if end > len(data):
        raise ShortError(end)
    return end
