"""Where the keys of commands are, by the tables that real servers gave."""

from __future__ import annotations

import pytest

from slotwright.server.commands.keys import Positions
from slotwright.server.commands.parse import parse_command_table
from tests.fakes.commands import RECORDED, recorded
from tests.integration.write_samples import ELSEWHERE, SAMPLES

SAME_EVERYWHERE = {
    "SET k v": ((1,), (1,)),
    "MSET a 1 b 2": ((1, 3), (1, 3)),
    "DEL a b c": ((1, 2, 3), (1, 2, 3)),
    "RENAME a b": ((1, 2), (1, 2)),
    "COPY a b DB 3": ((1, 2), (2,)),
    "BITOP AND d a b": ((2, 3, 4), (2,)),
    "ZUNIONSTORE d 2 a b WEIGHTS 1 2": ((1, 3, 4), (1,)),
    "ZUNIONSTORE d 9 a b": None,
    "ZRANGESTORE d s 0 -1": ((1, 2), (1,)),
    "SINTERSTORE d a b": ((1, 2, 3), (1,)),
    "PFMERGE d a": ((1, 2), (1,)),
    "SORT k BY w* STORE d": ((1, 5), (5,)),
    "SORT k STORE d STORE e": ((1, 5), (5,)),
    "SORT k": ((1,), ()),
    "GEORADIUS k 1 2 3 km STORE d": ((1, 7), (7,)),
    "GEORADIUSBYMEMBER STORE STORE 3 km STOREDIST d": ((1, 6), (6,)),
    "GEOSEARCHSTORE d s FROMMEMBER m": ((1, 2), (1,)),
    "XGROUP CREATE k g $": ((2,), (2,)),
    "XREADGROUP GROUP g c STREAMS a b > >": ((5, 6), (5, 6)),
    "EVAL script 2 a b c": ((3, 4), (3, 4)),
    "EVAL script 0": ((), ()),
    "EVAL script x": None,
    "MIGRATE h 1 k 0 9": ((3,), (3,)),
    "BLPOP a b 0": ((1, 2), (1, 2)),
    "SMOVE a b m": ((1, 2), (1, 2)),
    "LMOVE a b LEFT LEFT": ((1, 2), (1, 2)),
    "PFDEBUG GETREG k": ((2,), (2,)),
    "NOSUCH k": None,
}


@pytest.mark.parametrize("label", RECORDED)
@pytest.mark.parametrize(("command", "positions"), SAME_EVERYWHERE.items())
def test_keys(label: str, command: str, positions: object) -> None:
    found = recorded(label).find([word.encode() for word in command.split()])
    assert found == (positions and Positions(*positions))


def test_a_migrate_of_several_keys() -> None:
    found = recorded("redis-6.2").find([b"MIGRATE", b"h", b"1", b"", b"0", b"9", b"AUTH", b"KEYS", b"KEYS", b"a"])
    assert found is not None
    assert 9 in found.every


@pytest.mark.parametrize("label", RECORDED[1:])
@pytest.mark.parametrize(
    "command", ["ZUNIONSTORE d 2 a b", "SET k v", "MSET a 1 b 2", "LMPOP 2 a b LEFT", "BITOP AND d a b", "COPY a b"]
)
def test_specifications_say_the_same_as_our_rules(label: str, command: str) -> None:
    """For what the server's own specifications tell, from 7.0 on."""
    arguments = [word.encode() for word in command.split()]
    entry = recorded(label).get(arguments[0])
    assert entry is not None
    by_specs, ours = entry._by_specs(arguments), entry.find(arguments)
    assert by_specs == ours


@pytest.mark.parametrize("label", RECORDED)
def test_every_line_of_the_samples_tells_its_keys(label: str) -> None:
    """The keys of samples carry the sample's name: what is found is exactly the words that do."""
    table = recorded(label)
    for name, sample in SAMPLES.items():
        for line in sample.strip().splitlines():
            words = [word.encode() for word in line.strip().removeprefix("? ").split()]
            if (
                name in ELSEWHERE
                or not table.knows(words)
                or words[0] in (b"FLUSHALL", b"FLUSHDB", b"SWAPDB", b"MIGRATE")
            ):
                continue
            entry = table.get(words[0])
            assert entry is not None
            if words[0] in (b"FUNCTION", b"FCALL", b"SORT", b"RESTORE", b"RESTORE-ASKING"):
                continue
            found = table.find(words)
            assert found is not None, line
            marked = [
                i
                for i, word in enumerate(words)
                if i and (b":" in word or b"{" in word) and b"@" not in word and word != b"'{}'"
            ]
            assert list(found.every) == marked, line


def test_commands_of_modules_are_found_by_their_specifications() -> None:
    table = recorded("redis-8.2")
    entry = table.get(b"vadd")
    assert entry is not None
    assert "module" in entry.flags
    assert table.find([b"VADD", b"k", b"VALUES"]) == Positions((1,), (1,))


def test_subcommands_count_as_commands() -> None:
    table = recorded("valkey-9.1")
    assert table.knows([b"function", b"load", b"code"])
    assert not table.knows([b"FUNCTION", b"NOSUCH"])
    assert not table.knows([b"FUNCTION"])
    assert not recorded("redis-6.2").knows([b"FUNCTION", b"LOAD", b"code"])


@pytest.mark.parametrize("reply", [b"OK", None, 3, [b"get"], [[b"get", 2]]])
def test_what_is_no_table_is_refused(reply: object) -> None:
    with pytest.raises(ValueError, match="COMMAND"):
        parse_command_table(reply)


KEYS_OF = {
    "GET a": "a",
    "mset a 1 b 2": "a b",
    "BLPOP a b 0": "a b",
    "EVAL script 2 a b c": "a b",
    "EVALSHA sha 0 c": "",
    "EVAL script nonsense a": "",
    f"EVAL script {'9' * 5000} a": "",
    "EVAL script": "",
    "ZUNIONSTORE d 2 a b WEIGHTS 1 2": "d a b",
    "ZINTER 2 a b WITHSCORES": "a b",
    "ZUNION 2 a b": "a b",
    "ZDIFF 1 a": "a",
    "XREAD COUNT 2 STREAMS a b 0 0": "a b",
    "XREADGROUP GROUP g c streams a >": "a",
    "XREADGROUP GROUP streams STREAMS COUNT 1 STREAMS a >": "a",
    "XREAD COUNT 2": "",
    "SORT a BY w_* GET o_* STORE d": "a d",
    "GEORADIUS a 1 2 3 m STORE x STOREDIST d": "a d",
    "GEORADIUS_RO a 1 2 3 m": "a",
    "MIGRATE h 1 a 0 1": "a",
    "PING": "",
    "EXISTS a b": "a b",
    "OBJECT ENCODING a": "a",
    "OBJECT HELP": "",
    "OBJECT": "",
    "XINFO STREAM a": "a",
    "XGROUP CREATE a g $": "a",
    "MEMORY USAGE a": "a",
    "MEMORY DOCTOR": "",
    "NOSUCH a b": "",
    "": "",
}
KEYS_SINCE_7 = {
    "FCALL f 1 a": "a",
    "FCALL_RO f 1 a b": "a",
    "EVAL_RO script 2 a b": "a b",
    "EVALSHA_RO sha 1 a": "a",
    "ZINTERCARD 2 a b LIMIT 1": "a b",
    "SINTERCARD 2 a b": "a b",
    "BLMPOP 0 2 a b LEFT": "a b",
    "SORT_RO a BY w_*": "a",
    "LCS a b LEN": "a b",
}


@pytest.mark.parametrize("label", RECORDED)
@pytest.mark.parametrize(("line", "keys"), KEYS_OF.items())
def test_the_keys_themselves(label: str, line: str, keys: str) -> None:
    words = [word.encode() for word in line.split()]
    assert recorded(label).keys(words) == tuple(keys.encode().split())


@pytest.mark.parametrize("label", RECORDED[1:])
@pytest.mark.parametrize(("line", "keys"), KEYS_SINCE_7.items())
def test_the_keys_of_later_commands(label: str, line: str, keys: str) -> None:
    words = [word.encode() for word in line.split()]
    assert recorded(label).keys(words) == tuple(keys.encode().split())
    found = recorded(label).find(words)
    assert found is not None
    assert not found.written or line.startswith(("FCALL ", "BLMPOP"))


def test_strings_are_no_keys() -> None:
    table = recorded("redis-6.2")
    assert table.keys(b"STRALGO LCS LEN KEYS a b".split()) == (b"a", b"b")
    assert table.keys(b"STRALGO LCS STRINGS KEYS b".split()) == ()


def test_a_command_that_does_not_tell_all_of_its_keys() -> None:
    """As a module's may be: only where it stands by position is known."""
    table = parse_command_table([[b"mod.join", -3, [b"readonly", b"movablekeys"], 1, 1, 1]])
    assert table.find([b"MOD.JOIN", b"a", b"b"]) is None
    assert table.keys([b"MOD.JOIN", b"a", b"b"]) == (b"a",)


def test_a_subcommand_is_not_taken_for_the_command_of_that_name() -> None:
    inner = [b"mod|sort", -3, [b"readonly"], 3, 3, 1, [], [], [], []]
    table = parse_command_table([[b"mod", -2, [], 0, 0, 0, [], [], [], [inner]]])
    assert table.keys([b"MOD", b"SORT", b"x", b"a"]) == (b"a",)


@pytest.mark.parametrize("label", RECORDED)
def test_which_commands_may_have_several_keys(label: str) -> None:
    entries = dict(recorded(label).named())
    several = {name for name, entry in entries.items() if entry.may_have_several_keys}
    assert several >= {"mget", "mset", "del", "rename", "xread", "eval", "zunionstore", "sort", "bitop", "exists"}
    assert not several & {"get", "set", "object", "object|encoding", "xgroup", "xgroup|create", "ping", "xinfo"}


def test_names_are_those_of_the_statistics() -> None:
    entries = dict(recorded("redis-8.2").named())
    assert entries["function|load"].is_write
    assert not entries["function|list"].is_write
    assert not entries["function"].is_write
    assert "vadd" in entries


def test_commands_that_are_gone_are_left_out() -> None:
    assert parse_command_table([None]).commands == {}
