"""What a server takes by RESTORE, and how a value that it does not take is put into a form that it does.

RESTORE refuses a version above the server's own (cluster.c, verifyDumpPayload), and Valkey 9 also those from 12 to 79,
which are Redis' alone (rdb.h, RDB_FOREIGN_VERSION_MIN). The number says nothing else: the type byte decides how a value
is read. So a value is sent under the target's own number, once its type is one that the target knows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from slotwright.cluster.observation import ServerVersion
from slotwright.errors import SnapshotError
from slotwright.server.capabilities import snapshot_format
from slotwright.server.rdb import layouts as types
from slotwright.server.rdb import rewrite as forms
from slotwright.server.rdb.dump import PLAIN
from slotwright.server.rdb.rewrite_streams import older_stream
from slotwright.server.rdb.strings import ShortError

Value = tuple[int, bytes]
"""Type byte and what follows it."""

_SINCE_7_0 = {types.TYPE_HASH_LISTPACK, types.TYPE_ZSET_LISTPACK, types.TYPE_LIST_QUICKLIST_2, types.TYPE_STREAM_2}
_SINCE_7_2 = {types.TYPE_SET_LISTPACK, types.TYPE_STREAM_3}


def known_types(version: int) -> frozenset[int]:
    """The type bytes that a server whose RDB version is this reads."""
    known = set(types.value_layouts(version))
    if version < 11:
        known -= _SINCE_7_2
    if version < 10:
        known -= _SINCE_7_0
    return frozenset(known)


class Rewriter:
    """From a snapshot of one RDB version to a server of some version."""

    def __init__(self, source_version: int, target: ServerVersion) -> None:
        self.version = snapshot_format(target)
        """The RDB version to send values under."""
        known = known_types(self.version)
        same_family = (source_version >= types.FIRST_VALKEY_VERSION) == (self.version >= types.FIRST_VALKEY_VERSION)
        self._is_from_valkey = source_version >= types.FIRST_VALKEY_VERSION
        self._known = known
        self.direct = frozenset(kind for kind in known if kind < types.FIRST_DIVERGED_TYPE or same_family) | {PLAIN}
        """Types that need nothing: most, and all where source and target are alike."""

    def rewrite(self, kind: int, value: bytes) -> Value | None:
        """The value in a form that the target takes; None where it has none for it.

        The result is the same to a client. Raises :class:`~slotwright.errors.SnapshotError` for bytes that are no value
        of this type.
        """
        try:
            while kind not in self.direct:
                results = self._step(kind, value)
                if results is None:
                    return None
                kind, value = results
                if kind >= types.FIRST_DIVERGED_TYPE:
                    return results
        except (ValueError, IndexError, ShortError, struct.error) as error:
            raise SnapshotError(
                f"a value can't be read: {error}", seen=f"type {kind}, begins with {value[:16].hex(' ')}"
            ) from error
        return kind, value

    def _step(self, kind: int, value: bytes) -> Value | None:
        if kind >= types.FIRST_DIVERGED_TYPE:
            fields = self._fields(kind, value)
            return None if fields is None else self._hash(fields)
        older = _OLDER.get(kind)
        return None if older is None else (older[0], older[1](value))

    def _fields(self, kind: int, value: bytes) -> list[forms.Field] | None:
        if self._is_from_valkey:
            is_known = kind == types.TYPE_VALKEY_HASH_FIELD_TTL
            return forms.expiring_fields_of_valkey(value) if is_known else None
        if kind in (types.TYPE_REDIS_HASH_FIELD_TTL, types.TYPE_REDIS_HASH_FIELD_TTL_RC):
            is_relative = kind == types.TYPE_REDIS_HASH_FIELD_TTL
            return forms.expiring_fields_of_redis(value, is_relative=is_relative)
        if kind == types.TYPE_REDIS_HASH_LISTPACK_TTL:
            return forms.expiring_fields_of_listpack(value[8:])
        return forms.expiring_fields_of_listpack(value) if kind == types.TYPE_REDIS_HASH_LISTPACK_TTL_RC else None

    def _hash(self, fields: list[forms.Field]) -> Value | None:
        plain = forms.plain_hash(fields)
        if plain is not None:
            return types.TYPE_HASH, plain
        if self.version >= types.FIRST_VALKEY_VERSION:
            return types.TYPE_VALKEY_HASH_FIELD_TTL, forms.valkey_hash(fields)
        if types.TYPE_REDIS_HASH_FIELD_TTL not in self._known:
            return None
        written = forms.redis_hash(fields)
        return None if written is None else (types.TYPE_REDIS_HASH_FIELD_TTL, written)


_OLDER: dict[int, tuple[int, Callable[[bytes], bytes]]] = {
    types.TYPE_SET_LISTPACK: (types.TYPE_SET, forms.strings_of_listpack),
    types.TYPE_HASH_LISTPACK: (types.TYPE_HASH, forms.pairs_of_listpack),
    types.TYPE_ZSET_LISTPACK: (types.TYPE_ZSET_2, forms.scores_of_listpack),
    types.TYPE_LIST_QUICKLIST_2: (types.TYPE_LIST, forms.strings_of_quicklist),
    types.TYPE_STREAM_3: (types.TYPE_STREAM_2, lambda value: older_stream(value, 3, 2)),
    types.TYPE_STREAM_2: (types.TYPE_STREAM, lambda value: older_stream(value, 2, 1)),
}
