"""Commands of a stream -> what the target has to be told."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from slotwright.features.migrate.replay.replayer import Replayer
from slotwright.features.migrate.replay.replies import is_doubtful, is_telling
from slotwright.keys.model.databases import DatabaseMap, DatabaseRule
from slotwright.ports import Reply
from tests.extent import examples
from tests.fakes.commands import RECORDED, side

QUICK = examples(80)
NOW_MS = 1_000_000


def words(text: str) -> list[bytes]:
    return [word.encode() for word in shlex.split(text)]


def replayer(
    source: str = "valkey-9.1",
    target: str = "valkey-9.1",
    rule: DatabaseRule = DatabaseRule.REFUSE,
    database: int = 0,
    later_ms: int = 0,
) -> Replayer:
    return Replayer(side(source), side(target), DatabaseMap(rule), database, later_ms)


def told(actions: tuple[Action, ...]) -> list[str]:
    """Actions in short: what is sent, ``value: a b``, or the action's name."""
    found = []
    for action in actions:
        if isinstance(action, Send):
            assert action.slot == key_slot(action.keys[0])
            assert {key_slot(key) for key in action.keys} == {action.slot}
            found.append(b" ".join(action.arguments).decode())
        elif isinstance(action, SendToAll):
            found.append("all: " + b" ".join(action.arguments).decode())
        elif isinstance(action, ByValue):
            found.append(
                "value: " + " ".join(f"{db}/{key.decode()}" if db else key.decode() for db, key in action.keys)
            )
        else:
            found.append(type(action).__name__)
    return found


SAID = {
    # As it is.
    "SET a 1": ["SET a 1"],
    "set a 1": ["set a 1"],
    "INCR a": ["INCR a"],
    "HSET a f 1 g 2": ["HSET a f 1 g 2"],
    "BITFIELD a SET u8 0 200": ["BITFIELD a SET u8 0 200"],
    "ZADD a NX 1 x": ["ZADD a NX 1 x"],
    "XCLAIM a g c 0 1-1 TIME 5 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1": [
        "XCLAIM a g c 0 1-1 TIME 5 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1"
    ],
    "XGROUP CREATE a g $ MKSTREAM": ["XGROUP CREATE a g $ MKSTREAM"],
    "PERSIST a": ["PERSIST a"],
    "PFCOUNT a": ["PFCOUNT a"],
    # Times to live become deadlines; conditions have been met.
    "SET a 1 EX 10": ["SET a 1 PXAT 1010000"],
    "SET a 1 px 10 NX GET": ["SET a 1 PXAT 1000010"],
    "SET a 1 XX EXAT 2000": ["SET a 1 PXAT 2000000"],
    "SET a 1 PXAT 2000": ["SET a 1 PXAT 2000"],
    "SET a 1 KEEPTTL": ["SET a 1 KEEPTTL"],
    "SET a 1 IFEQ KEEPTTL": ["SET a 1"],
    "SET a 1 IFEQ EX EX 10": ["SET a 1 PXAT 1010000"],
    "SET a 1 NEWER": ["value: a"],
    "SET a 1 EX soon": ["value: a"],
    "SETEX a 10 v": ["SET a v PXAT 1010000"],
    "PSETEX a 10 v": ["SET a v PXAT 1000010"],
    "EXPIRE a 10": ["PEXPIREAT a 1010000"],
    "EXPIRE a 10 GT": ["PEXPIREAT a 1010000"],
    "PEXPIRE a 10": ["PEXPIREAT a 1000010"],
    "EXPIREAT a 2000": ["PEXPIREAT a 2000000"],
    "PEXPIREAT a 2000 NX": ["PEXPIREAT a 2000"],
    "GETEX a EX 10": ["PEXPIREAT a 1010000"],
    "GETEX a PERSIST": ["PERSIST a"],
    "HEXPIRE a 10 GT FIELDS 2 f g": ["HPEXPIREAT a 1010000 GT FIELDS 2 f g"],
    "HPEXPIREAT a 2000 FIELDS 1 f": ["HPEXPIREAT a 2000 FIELDS 1 f"],
    "HSETEX a FNX EX 10 FIELDS 1 f v": ["HSETEX a PXAT 1010000 FIELDS 1 f v"],
    "HSETEX a KEEPTTL FIELDS 1 f v": ["HSETEX a KEEPTTL FIELDS 1 f v"],
    "HSETEX a FIELDS 1 f v": ["HSETEX a FIELDS 1 f v"],
    "HGETDEL a FIELDS 2 f g": ["HDEL a f g"],
    # Of several keys: one by one where that is the same.
    "DEL a b": ["DEL a", "DEL b"],
    "UNLINK {t}a {t}b": ["UNLINK {t}a", "UNLINK {t}b"],
    "MSET a 1 b 2": ["SET a 1", "SET b 2"],
    "MSETNX a 1 b 2": ["SET a 1", "SET b 2"],
    "MSETEX 2 a 1 b 2 NX EX 10": ["SET a 1 PXAT 1010000", "SET b 2 PXAT 1010000"],
    "SMOVE a b m": ["SREM a m", "SADD b m"],
    # Together where they are in one slot, else by value.
    "RENAME {t}a {t}b": ["RENAME {t}a {t}b"],
    "RENAME a b": ["value: a b"],
    "RENAMENX a b": ["value: a b"],
    "LMOVE {t}a {t}b LEFT RIGHT": ["LMOVE {t}a {t}b LEFT RIGHT"],
    "LMOVE a b LEFT RIGHT": ["value: a b"],
    "RPOPLPUSH a a": ["RPOPLPUSH a a"],
    "COPY {t}a {t}b": ["COPY {t}a {t}b REPLACE"],
    "COPY a b REPLACE": ["value: b"],
    "SINTERSTORE d a b": ["value: d"],
    "SUNIONSTORE {t}d {t}a": ["SUNIONSTORE {t}d {t}a"],
    "ZUNIONSTORE d 2 a b WEIGHTS 1 2": ["value: d"],
    "ZRANGESTORE {t}d {t}a 0 -1": ["ZRANGESTORE {t}d {t}a 0 -1"],
    "BITOP OR d a b": ["value: d"],
    "PFMERGE d a": ["value: d"],
    "GEOSEARCHSTORE d a FROMMEMBER m BYRADIUS 1 km": ["value: d"],
    "GEORADIUS a 1 2 3 km STORE d": ["value: d"],
    "SORT {t}a STORE {t}d": ["SORT {t}a STORE {t}d"],
    "SORT a STORE d": ["value: d"],
    "SORT {t}a BY w* STORE {t}d": ["value: {t}d"],
    "SORT {t}a ALPHA STORE {t}d": ["value: {t}d"],
    # What would do something else.
    "SPOP a": ["value: a"],
    "XADD a * f v": ["value: a"],
    "XADD a 5-* f v": ["value: a"],
    "XADD a MAXLEN ~ 5 1-1 f v": ["value: a"],
    "XADD a MINID = 5-1 LIMIT 100 6-1 f v": ["XADD a MINID = 5-1 6-1 f v"],
    "XADD a NOMKSTREAM MAXLEN 5 1-1 LIMIT v": ["XADD a NOMKSTREAM MAXLEN 5 1-1 LIMIT v"],
    "XADD a 1-1 MAXLEN ~": ["XADD a 1-1 MAXLEN ~"],
    "XADD a 7 f v": ["XADD a 7 f v"],
    "XTRIM a MAXLEN ~ 5": ["value: a"],
    "XTRIM a MINID = 5 LIMIT 3": ["XTRIM a MINID = 5"],
    "PFDEBUG TODENSE a": ["value: a"],
    "EVAL script 1 a": ["value: a"],
    "EVAL script 2 a b": ["Unknowable"],
    "EVAL script 0": ["Unknowable"],
    "NEWCOMMAND a": ["Unknowable"],
    # Everywhere.
    "FLUSHALL ASYNC": ["all: FLUSHALL"],
    "FLUSHDB": ["all: FLUSHDB"],
    "FUNCTION LOAD code": ["all: FUNCTION LOAD REPLACE code"],
    "FUNCTION LOAD REPLACE code": ["all: FUNCTION LOAD REPLACE code"],
    "FUNCTION DELETE lib": ["all: FUNCTION DELETE lib"],
    "FUNCTION FLUSH": ["all: FUNCTION FLUSH"],
    "FUNCTION RESTORE payload": ["all: FUNCTION RESTORE payload REPLACE"],
    "FUNCTION RESTORE payload FLUSH": ["all: FUNCTION RESTORE payload FLUSH"],
    # No data.
    "PING": ["Skip"],
    "MULTI": ["Skip"],
    "EXEC": ["Skip"],
    "PUBLISH channel message": ["Skip"],
    "SCRIPT LOAD x": ["Skip"],
    "PFCOUNT a b": ["Skip"],
    "REPLCONF GETACK *": ["Acknowledge"],
    # Between databases.
    "SWAPDB 0 0": ["Skip"],
    "SWAPDB 1 2": ["Skip"],
    "SWAPDB 0 2": ["Stop"],
    "MOVE a 2": ["Stop"],
    "COPY a b DB 2": ["Stop"],
    "COPY {t}a {t}b DB 0": ["COPY {t}a {t}b REPLACE"],
}


@pytest.mark.parametrize(("command", "expected"), SAID.items())
def test_what_is_said(command: str, expected: list[str]) -> None:
    assert told(replayer().replay(words(command), NOW_MS)) == expected


@pytest.mark.parametrize("command", SAID)
def test_the_same_the_second_time(command: str) -> None:
    """What is remembered of a command must not change what is said."""
    one = replayer()
    first = one.replay(words(command), NOW_MS)
    assert one.replay(words(command), NOW_MS) == first


def test_lower_case_is_the_same() -> None:
    for command in SAID:
        name, _, rest = command.partition(" ")
        low, high = (replayer().replay(words(f"{one} {rest}"), NOW_MS) for one in (name.lower(), name))
        assert [text.upper() for text in told(low)] == [text.upper() for text in told(high)]


@pytest.mark.parametrize(
    ("source", "target", "command", "expected"),
    [
        ("redis-8.2", "redis-6.2", "HSETEX a KEEPTTL FIELDS 1 f 10.6", ["HSET a f 10.6"]),
        ("redis-8.2", "redis-6.2", "HSETEX a FIELDS 2 f 1 g 2", ["HSET a f 1 g 2"]),
        ("redis-8.2", "redis-6.2", "HSETEX a PXAT 5 FIELDS 1 f 1", ["value: a"]),
        ("redis-8.2", "redis-6.2", "HPEXPIREAT a 5 FIELDS 1 f", ["value: a"]),
        ("redis-8.2", "valkey-9.1", "XDELEX a DELREF IDS 1 1-1", ["value: a"]),
        ("redis-8.2", "redis-8.2", "XDELEX a DELREF IDS 1 1-1", ["XDELEX a DELREF IDS 1 1-1"]),
        ("redis-8.2", "redis-8.2", "VADD a VALUES 1 1 x", ["value: a"]),
        ("redis-8.2", "redis-8.2", "RESTORE a 0 x", ["RESTORE a 0 x REPLACE ABSTTL"]),
        ("redis-6.2", "valkey-9.1", "RESTORE a 5 x", ["RESTORE a 1000005 x REPLACE ABSTTL"]),
        ("redis-6.2", "valkey-9.1", "RESTORE-ASKING a 5 x ABSTTL FREQ 3", ["RESTORE a 5 x REPLACE ABSTTL"]),
        ("redis-8.2", "valkey-9.1", "RESTORE a 0 x", ["value: a"]),
        ("valkey-9.1", "redis-6.2", "FUNCTION LOAD code", ["Stop"]),
        ("redis-8.2", "valkey-9.1", "FUNCTION RESTORE x FLUSH", ["CopyFunctions"]),
        ("redis-6.2", "valkey-9.1", "LMPOP 1 a LEFT", ["Unknowable"]),
        ("valkey-9.1", "redis-6.2", "LMPOP 1 a LEFT", ["value: a"]),
        ("valkey-9.1", "redis-6.2", "MSETEX 1 a 1 KEEPTTL", ["SET a 1 KEEPTTL"]),
    ],
)
def test_between_versions(source: str, target: str, command: str, expected: list[str]) -> None:
    assert told(replayer(source, target).replay(words(command), NOW_MS)) == expected


@pytest.mark.parametrize(
    ("rule", "command", "expected"),
    [
        (DatabaseRule.REFUSE, "SET a 1", ["Stop"]),
        (DatabaseRule.REFUSE, "DEL a b", ["Stop"]),
        (DatabaseRule.REFUSE, "PFCOUNT a", ["Stop"]),
        (DatabaseRule.REFUSE, "SORT a STORE b", ["Stop"]),
        (DatabaseRule.REFUSE, "MOVE a 0", ["Stop"]),
        (DatabaseRule.REFUSE, "COPY a b DB 0", ["value: b"]),
        (DatabaseRule.REFUSE, "FLUSHDB", ["Skip"]),
        (DatabaseRule.REFUSE, "FLUSHALL", ["all: FLUSHALL"]),
        (DatabaseRule.REFUSE, "PING", ["Skip"]),
        (DatabaseRule.REFUSE, "PUBLISH c m", ["Skip"]),
        (DatabaseRule.KEEP, "SET a 1", ["SET a 1"]),
        (DatabaseRule.KEEP, "RENAME a b", ["value: 3/a 3/b"]),
        (DatabaseRule.KEEP, "MOVE a 0", ["value: 3/a a"]),
        (DatabaseRule.KEEP, "COPY a b DB 4", ["value: 4/b"]),
        (DatabaseRule.KEEP, "FLUSHDB", ["all: FLUSHDB"]),
        (DatabaseRule.KEEP, "SWAPDB 0 3", ["Stop"]),
        (DatabaseRule.PREFIX, "SET a 1", ["SET db3:a 1"]),
        (DatabaseRule.PREFIX, "SET a 1 EX 10", ["SET db3:a 1 PXAT 1010000"]),
        (DatabaseRule.PREFIX, "DEL a b", ["DEL db3:a", "DEL db3:b"]),
        (DatabaseRule.PREFIX, "RENAME {t}a {t}b", ["RENAME db3:{t}a db3:{t}b"]),
        (DatabaseRule.PREFIX, "ZUNIONSTORE {t}d 2 {t}a {t}b", ["ZUNIONSTORE db3:{t}d 2 db3:{t}a db3:{t}b"]),
        (DatabaseRule.PREFIX, "SORT {t}a STORE {t}d", ["SORT db3:{t}a STORE db3:{t}d"]),
        (DatabaseRule.PREFIX, "BITOP AND {t}d {t}AND", ["BITOP AND db3:{t}d db3:{t}AND"]),
        (DatabaseRule.PREFIX, "XGROUP CREATE a g 0", ["XGROUP CREATE db3:a g 0"]),
        (DatabaseRule.PREFIX, "MOVE a 0", ["value: 3/a a"]),
        (DatabaseRule.PREFIX, "FLUSHDB", ["FlushDatabase"]),
        (DatabaseRule.PREFIX, "FLUSHALL", ["all: FLUSHALL"]),
    ],
)
def test_another_database(rule: DatabaseRule, command: str, expected: list[str]) -> None:
    one = replayer(rule=rule)
    assert told(one.replay(words("SELECT 3"), NOW_MS)) == ["Skip"]
    assert one.database == 3
    for _ in range(2):
        actions = one.replay(words(command), NOW_MS)
        assert told(actions) == expected
        assert all(a.database == (3 if rule is DatabaseRule.KEEP else 0) for a in actions if isinstance(a, Send))
    assert replayer(rule=rule, database=3).replay(words(command), NOW_MS) == actions
    one.replay(words("SELECT 0"), NOW_MS)
    assert told(one.replay(words("SET a 1"), NOW_MS)) == ["SET a 1"]


def test_database_0_has_no_prefix_and_its_keys_are_told_from_others() -> None:
    one = replayer(rule=DatabaseRule.PREFIX)
    assert told(one.replay(words("SET a 1"), NOW_MS)) == ["SET a 1"]
    assert one.replay(words("FLUSHDB"), NOW_MS) == (FlushDatabase(0),)


@pytest.mark.parametrize(
    ("command", "is_late"),
    [
        ("SET a 1 PX 10", True),
        ("SET a 1 PXAT 10", False),
        ("SET a 1", False),
        ("EXPIRE a 1", True),
        ("EXPIREAT a 1", False),
        ("RESTORE a 5 x", True),
        ("RESTORE a 0 x", False),
        ("XADD a 1-1 f v", False),
        ("INCR a", False),
    ],
)
def test_deadlines_that_are_late(command: str, is_late: bool) -> None:
    (action,) = replayer("redis-6.2").replay(words(command), NOW_MS)
    assert isinstance(action, Send)
    assert action.is_deadline_late is is_late


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("SET a 1 EX 10", "SET a 1 PXAT 1010777"),
        ("PEXPIREAT a 5", "PEXPIREAT a 782"),
        ("RESTORE a 5 x ABSTTL", "RESTORE a 782 x REPLACE ABSTTL"),
        ("RESTORE a 0 x", "RESTORE a 0 x REPLACE ABSTTL"),
        ("MSETEX 1 a 1 PXAT 5", "SET a 1 PXAT 782"),
        ("SET a 1 PXAT 4503599627370496", "SET a 1 PXAT 4503599627370496"),
        ("HSETEX a PXAT 5 FIELDS 1 f v", "HSETEX a PXAT 5 FIELDS 1 f v"),
        ("HPEXPIREAT a 5 FIELDS 1 f", "HPEXPIREAT a 5 FIELDS 1 f"),
    ],
)
def test_deadlines_that_are_kept_away(command: str, expected: str) -> None:
    assert told(replayer(later_ms=777).replay(words(command), NOW_MS)) == [expected]


@pytest.mark.parametrize(
    ("command", "reply", "doubtful"),
    [
        ("INCR a", 1, False),
        ("INCR a", 0, False),
        ("PEXPIREAT a 5", 1, False),
        ("PEXPIREAT a 5", 0, True),
        ("PERSIST a", 0, True),
        ("DEL a", 0, False),
        ("HDEL a f", 0, False),
        ("SADD a m", 0, False),
        ("SREM a m", 1, False),
        ("SREM a m", 0, True),
        ("lrem a 0 x", 0, True),
        ("LINSERT a BEFORE x y", -1, True),
        ("LPOP a", b"", False),
        ("LPOP a", None, True),
        ("RPOP a 2", [b"x"], False),
        ("RPOP a 2", [], True),
        ("HPEXPIREAT a 5 FIELDS 2 f g", [1, 0], False),
        ("HPEXPIREAT a 5 FIELDS 2 f g", [1, -2], True),
        ("HPEXPIREAT a 5 FIELDS 2 f g", None, True),
        ("XCLAIM a g c 0 1-1 FORCE JUSTID", [b"1-1"], False),
        ("XCLAIM a g c 0 1-1 FORCE JUSTID", [], True),
    ],
)
def test_replies_that_tell(command: str, reply: Reply, doubtful: bool) -> None:
    (action,) = replayer().replay(words(command), NOW_MS)
    assert isinstance(action, Send)
    assert is_doubtful(action.arguments, reply) is doubtful
    assert is_telling(action.arguments) or not doubtful


KEYS = st.lists(st.binary(min_size=1, max_size=6), min_size=1, max_size=8)
VALUES = st.binary(max_size=5)


@QUICK
@given(
    st.lists(st.tuples(st.binary(max_size=4), VALUES), min_size=1, max_size=8), st.sampled_from([b"MSET", b"MSETNX"])
)
def test_splitting_keeps_every_pair_in_order(pairs: list[tuple[bytes, bytes]], name: bytes) -> None:
    said = replayer().replay([name, *[word for pair in pairs for word in pair]], NOW_MS)
    assert [list(action.arguments) for action in said] == [[b"SET", key, value] for key, value in pairs]


@QUICK
@given(KEYS, st.sampled_from([b"DEL", b"UNLINK"]), st.sampled_from(list(DatabaseRule)))
def test_splitting_keeps_every_key(keys: list[bytes], name: bytes, rule: DatabaseRule) -> None:
    database = 0 if rule is DatabaseRule.REFUSE else 7
    said = replayer(rule=rule, database=database).replay([name, *keys], NOW_MS)
    mapped = [DatabaseMap(rule).target((database, key)) for key in keys]
    assert [(action.database, *action.keys) for action in said] == mapped


@QUICK
@given(
    st.sampled_from(RECORDED),
    st.sampled_from(RECORDED),
    st.sampled_from(list(DatabaseRule)),
    st.sampled_from(sorted({command.split()[0] for command in SAID})),
    st.lists(
        st.sampled_from([b"a", b"b", b"{t}a", b"1", b"2", b"EX", b"FIELDS", b"STORE", b"DB", b"", b"*", b"~"]),
        max_size=7,
    ),
)
def test_anything_gets_an_answer(source: str, target: str, rule: DatabaseRule, name: str, rest: list[bytes]) -> None:
    """Also what no server would say: an action, or no action that loses it, and never an exception."""
    said = replayer(source, target, rule).replay([name.encode(), *rest], NOW_MS)
    assert said
    for action in said:
        assert isinstance(
            action,
            Send | SendToAll | FlushDatabase | CopyFunctions | ByValue | Unknowable | Acknowledge | Skip | Stop,
        )
        if isinstance(action, Send):
            assert {key_slot(key) for key in action.keys} == {action.slot}
            assert all(key in action.arguments for key in action.keys)
