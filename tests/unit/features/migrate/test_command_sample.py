"""What a cluster would make of commands that were heard."""

from __future__ import annotations

import pytest

from slotwright.cluster.slots import key_slot
from slotwright.features.migrate.model.command_sample import CommandSample, Crosser
from slotwright.features.migrate.plan.command_sample import check_sample
from slotwright.features.migrate.plan.hash_tags import advise_tag, shown_key
from slotwright.keys.model.databases import DatabaseMap, DatabaseRule
from slotwright.server.monitor import HeardCommand
from tests.fakes.commands import recorded

TABLE = recorded("redis-8.2")


def heard(*lines: str, database: int = 0) -> list[HeardCommand]:
    """``client: words`` each."""
    found = []
    for line in lines:
        client, _, words = line.partition(": ")
        found.append(HeardCommand(database, client, tuple(word.encode() for word in words.split())))
    return found


def judged(*lines: str) -> CommandSample:
    return check_sample(heard(*lines), TABLE, DatabaseMap(), span_s=1.0)


def test_an_mget_across_slots_is_counted_and_shown() -> None:
    sample = judged("10.0.0.1:5: MGET a b", "10.0.0.1:6: MGET {t}a {t}b", "10.0.0.2:5: mget c", "10.0.0.2:5: GET a")
    (crossing,) = sample.crossings
    assert (crossing.kind, crossing.name, crossing.calls, crossing.across) == (Crosser.COMMAND, "MGET", 2, 1)
    assert (crossing.examples, crossing.clients) == ((("a", "b"),), ("10.0.0.1",))
    assert (sample.commands, sample.several_keys, sample.databases) == (4, 2, ((0, 4),))


def test_a_transaction_is_of_one_client_and_others_come_between() -> None:
    sample = judged(
        "h:1: MULTI", "h:2: GET zzz", "h:1: SET a 1", "h:1: SET b 1", "h:1: EXEC", "h:2: MULTI", "h:2: SET a 1",
        "h:2: DISCARD", "h:3: MULTI", "h:3: SET {x}a 1", "h:3: SET {x}b 1", "h:3: EXEC", "h:4: EXEC",
    )  # fmt: skip
    (crossing,) = sample.crossings
    assert (crossing.kind, crossing.name, crossing.calls, crossing.across) == (Crosser.TRANSACTION, "SET", 2, 1)
    assert sample.transactions == 2


def test_a_script_is_judged_by_the_keys_that_it_really_uses() -> None:
    sample = judged(
        "h:1: EVAL body 1 a", "lua: SET a 1", "lua: GET other",
        "h:1: EVALSHA 02083f4579e08a612425c0c1a17ee47add783b94 1 a", "lua: SET a 1",
        "h:1: FCALL f 2 x y", "lua: MGET x y",
    )  # fmt: skip
    assert {(found.name, found.calls, found.across) for found in sample.crossings} == {
        ("EVALSHA 02083f4579e0", 2, 1),
        ("FCALL f", 1, 1),
    }
    (undeclared,) = sample.undeclared
    assert (undeclared.calls, undeclared.undeclared, undeclared.examples) == (2, 1, ("other",))
    assert sample.scripts == 3


def test_a_script_inside_a_transaction_belongs_to_both() -> None:
    sample = judged("h:1: MULTI", "h:1: SET a 1", "h:1: EVAL x 1 b", "lua: SET b 1", "h:1: EXEC")
    assert [(found.kind, found.across) for found in sample.crossings] == [(Crosser.TRANSACTION, 1)]


def test_what_a_cluster_refuses_or_does_on_one_node() -> None:
    sample = judged(
        "h:1: SELECT 0", "h:1: SELECT 3", "h:2: KEYS *", "h:1: PUBLISH c m", "h:1: SORT a BY nosort GET #",
        "h:1: SORT a BY w_* GET #", "h:1: COPY a b DB 2", "h:1: COPY a b", "h:1: SCRIPT LOAD x", "h:1: SCRIPT EXISTS x",
    )  # fmt: skip
    assert {odd.name: odd.calls for odd in sample.odd} == {
        "select": 1, "keys": 1, "publish": 1, "sort … by/get": 1, "copy … db": 1, "script|load": 1,
    }  # fmt: skip


def test_a_prefix_for_databases_counts() -> None:
    a, b = b"{x}a", b"{x}b"
    other = DatabaseMap(DatabaseRule.PREFIX, "{db}:{{other}}")
    assert key_slot(a) == key_slot(b)
    sample = check_sample(heard("h:1: MGET {x}a {x}b", database=3), TABLE, DatabaseMap(DatabaseRule.PREFIX), span_s=1)
    assert sample.crossings == ()
    assert other.prefix(3) == b"3:{{other}}"
    assert sample.databases == ((3, 1),)


GROUPS = {
    "a beginning": ([(f"user:{n}:a", f"user:{n}:b") for n in range(9)], "{user:0}:a", 9),
    "the id alone": ([(f"cart:{n}", f"user:{n}") for n in range(9)], "cart:{0}", 9),
    "the whole key": ([(f"user:{n}", f"user:{n}:orders") for n in range(9)], "{user:0}", 9),
    "deeper": ([(f"app:u:{n}:x:1", f"app:u:{n}:y:2") for n in range(9)], "{app:u:0}:x:1", 9),
    "seen once": ([("user:1000:a", "user:1000:b")], "{user:1000}:a", 1),
    "only what is constant": ([(f"user:{n}", f"user:{n + 1}") for n in range(9)], "{user}:0", 1),
}


@pytest.mark.parametrize(("groups", "after", "tags"), GROUPS.values(), ids=GROUPS)
def test_a_hash_tag_for_keys_used_together(groups: list[tuple[str, str]], after: str, tags: int) -> None:
    advice = advise_tag(Crosser.COMMAND, "MGET", [tuple(key.encode() for key in group) for group in groups], 100)
    assert advice is not None
    assert (advice.after, advice.tags) == (after, tags)
    assert advice.largest_share == (0.1 if tags == 1 and len(groups) > 1 else 0.02)


def test_no_tag_where_nothing_is_common_or_one_is_there() -> None:
    assert advise_tag(Crosser.COMMAND, "MGET", [(b"a", b"b")], 2) is None
    assert advise_tag(Crosser.COMMAND, "MGET", [(b"{u}:1", b"{v}:1")], 2) is None
    assert advise_tag(Crosser.COMMAND, "MGET", [], 0) is None


def test_keys_are_shown_short_and_printable() -> None:
    assert shown_key(b"a\x00\xff\n") == "a\\x00\\xff\\x0a"
    assert len(shown_key(b"k" * 500)) == 40
