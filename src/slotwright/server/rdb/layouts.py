"""The numbers and shapes of the RDB format: what follows each type byte and each opcode.

A *layout* says of what a value is made, so that its end can be found without understanding it. It is a tuple of steps:
a positive number is that many bytes; :data:`STRING`, :data:`LENGTH`, :data:`SCORE` and :data:`MODULE` are items whose
own bytes say how long they are; a tuple within the tuple is a length, and that many rows of the inner layout.

Sources: rdb.h and rdb.c (rdbSaveObject, rdbLoadObject, rdbLoadRioWithLoadingCtx) of Redis 6.2, 7.0, 7.2, 7.4 and 8.2
and of Valkey 8.1 and 9.1. Above RDB 11 the two families went apart and use the same number for different things: Redis
has 12 to 79, Valkey began anew with 80 and a magic of its own (rdb.h of Valkey 9, RDB_FOREIGN_VERSION_MIN).
"""

from __future__ import annotations

STRING = -1
LENGTH = -2
SCORE = -3
MODULE = -4

Layout = tuple["int | Layout", ...]

TYPE_STRING = 0
TYPE_LIST = 1
TYPE_SET = 2
TYPE_ZSET = 3
TYPE_HASH = 4
TYPE_ZSET_2 = 5
TYPE_MODULE_PRE_GA = 6
TYPE_MODULE = 7
TYPE_HASH_ZIPMAP = 9
TYPE_LIST_ZIPLIST = 10
TYPE_SET_INTSET = 11
TYPE_ZSET_ZIPLIST = 12
TYPE_HASH_ZIPLIST = 13
TYPE_LIST_QUICKLIST = 14
TYPE_STREAM = 15
TYPE_HASH_LISTPACK = 16
TYPE_ZSET_LISTPACK = 17
TYPE_LIST_QUICKLIST_2 = 18
TYPE_STREAM_2 = 19
TYPE_SET_LISTPACK = 20
TYPE_STREAM_3 = 21
TYPE_VALKEY_HASH_FIELD_TTL = 22
"""Valkey since 9.0, RDB_TYPE_HASH_2: field, value, Unix milliseconds (-1: never) for each field."""
TYPE_REDIS_HASH_FIELD_TTL_RC = 22
TYPE_REDIS_HASH_LISTPACK_TTL_RC = 23
"""These two were written by candidates of Redis 7.4 alone."""
TYPE_REDIS_HASH_FIELD_TTL = 24
TYPE_REDIS_HASH_LISTPACK_TTL = 25

FIRST_DIVERGED_TYPE = 22
"""From here on a type byte means one thing to Redis and another to Valkey."""

OPCODE_SLOT_IMPORT = 243
OPCODE_SLOT_INFO = 244
OPCODE_FUNCTION = 245
OPCODE_FUNCTION_PRE_GA = 246
OPCODE_MODULE_AUX = 247
OPCODE_IDLE = 248
OPCODE_FREQ = 249
OPCODE_AUX = 250
OPCODE_RESIZEDB = 251
OPCODE_EXPIRETIME_MS = 252
OPCODE_EXPIRETIME = 253
OPCODE_SELECTDB = 254
OPCODE_EOF = 255

LAST_COMMON_VERSION = 11
FIRST_VALKEY_VERSION = 80

REFUSED = {
    TYPE_MODULE_PRE_GA: "a module's value in the form of candidates of Redis 4.0, which no one else reads",
    OPCODE_FUNCTION_PRE_GA: "a function in the form of candidates of Redis 7.0, which no one else reads",
}
"""What is known, and why it is not read."""

_STRINGS: Layout = ((STRING,),)
_PAIRS: Layout = ((STRING, STRING),)


def _stream(generation: int) -> Layout:
    """Nodes, the stream's own numbers, groups with what is pending, consumers with what is pending to each.

    The second generation (7.0) added first id, greatest deleted id and entries added, and how far a group has read; the
    third (7.2) when a consumer was last active.
    """
    numbers: Layout = (LENGTH,) * (3 if generation == 1 else 8)
    group_numbers: Layout = (LENGTH,) * (2 if generation == 1 else 3)
    consumer: Layout = (STRING, 16 if generation == 3 else 8, (16,))
    group: Layout = (STRING, *group_numbers, (24, LENGTH), consumer)
    return (_PAIRS[0], *numbers, group)


_COMMON_VALUES: dict[int, Layout] = {
    TYPE_STRING: (STRING,),
    TYPE_LIST: _STRINGS,
    TYPE_SET: _STRINGS,
    TYPE_ZSET: ((STRING, SCORE),),
    TYPE_HASH: _PAIRS,
    TYPE_ZSET_2: ((STRING, 8),),
    TYPE_MODULE: (LENGTH, MODULE),
    TYPE_HASH_ZIPMAP: (STRING,),
    TYPE_LIST_ZIPLIST: (STRING,),
    TYPE_SET_INTSET: (STRING,),
    TYPE_ZSET_ZIPLIST: (STRING,),
    TYPE_HASH_ZIPLIST: (STRING,),
    TYPE_LIST_QUICKLIST: _STRINGS,
    TYPE_STREAM: _stream(1),
    TYPE_HASH_LISTPACK: (STRING,),
    TYPE_ZSET_LISTPACK: (STRING,),
    TYPE_LIST_QUICKLIST_2: ((LENGTH, STRING),),
    TYPE_STREAM_2: _stream(2),
    TYPE_SET_LISTPACK: (STRING,),
    TYPE_STREAM_3: _stream(3),
}
_REDIS_VALUES: dict[int, Layout] = {
    TYPE_REDIS_HASH_FIELD_TTL_RC: ((LENGTH, STRING, STRING),),
    TYPE_REDIS_HASH_LISTPACK_TTL_RC: (STRING,),
    TYPE_REDIS_HASH_FIELD_TTL: (8, (LENGTH, STRING, STRING)),
    TYPE_REDIS_HASH_LISTPACK_TTL: (8, STRING),
}
_VALKEY_VALUES: dict[int, Layout] = {TYPE_VALKEY_HASH_FIELD_TTL: ((STRING, STRING, 8),)}

_COMMON_OPCODES: dict[int, Layout] = {
    OPCODE_SLOT_INFO: (LENGTH, LENGTH, LENGTH),
    OPCODE_MODULE_AUX: (LENGTH, LENGTH, LENGTH, MODULE),
    OPCODE_RESIZEDB: (LENGTH, LENGTH),
}
_VALKEY_OPCODES: dict[int, Layout] = {OPCODE_SLOT_IMPORT: (STRING, (LENGTH, LENGTH))}


def value_layouts(version: int) -> dict[int, Layout]:
    """What follows the key, by type byte, in a snapshot (or a DUMP) of this RDB version."""
    if version >= FIRST_VALKEY_VERSION:
        return _COMMON_VALUES | _VALKEY_VALUES
    return _COMMON_VALUES | _REDIS_VALUES if version > LAST_COMMON_VERSION else dict(_COMMON_VALUES)


def skipped_layouts(version: int) -> dict[int, Layout]:
    """What follows the opcodes that say nothing which has to be carried over."""
    return _COMMON_OPCODES | (_VALKEY_OPCODES if version >= FIRST_VALKEY_VERSION else {})


def quick_layouts(version: int) -> dict[int, Layout]:
    """The types that are one string (for these, nothing), or a length and that many rows of what is said here."""
    quick: dict[int, Layout] = {}
    for kind, layout in value_layouts(version).items():
        if layout == (STRING,):
            quick[kind] = ()
        elif len(layout) == 1 and isinstance(layout[0], tuple):
            quick[kind] = layout[0]
    return quick
