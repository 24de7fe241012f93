"""The configuration that a server reads, and what servers say of one that they refuse."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, Mode
from slotwright.server.server_conf import (
    ConfigComplaint,
    NodeConfig,
    effective_settings,
    find_complaint,
    is_secret,
    last_words,
    render_server_conf,
    shown_value,
)
from tests.extent import examples
from tests.server_settings import rows

HERE = Address("127.0.0.1", 7001)


def config(
    *settings: tuple[str, str],
    address: Address = HERE,
    mode: Mode = Mode.CLUSTER,
    password: str | None = "secret",
    directory: str = "/data/a",
) -> NodeConfig:
    return NodeConfig(address, directory, mode, Secret(password) if password is not None else None, settings)


@examples(60)
@example("")
@example('"')
@example("\\")
@example("\\x41")
@example("#a")
@example(" a ")
@example("a'b\"c\\d")
@example("\t\r\n\x00\x7f")
@example("pässwörd ☃")
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_password_of_any_characters_arrives_as_it_is(password: str) -> None:
    read = rows(render_server_conf(config(password=password)))
    assert read["requirepass"] == read["masterauth"] == [password.encode()]


@examples(30)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20))
def test_a_folder_of_any_name_arrives_as_it_is(name: str) -> None:
    read = rows(render_server_conf(config(directory=f"/data/{name}")))
    assert read["dir"] == [f"/data/{name}".encode()]
    assert read["logfile"] == [f"/data/{name}/server.log".encode()]


def test_a_node_of_a_cluster() -> None:
    assert rows(render_server_conf(config(("maxmemory", "64mb")))) == {
        "bind": [b"127.0.0.1"],
        "protected-mode": [b"yes"],
        "port": [b"7001"],
        "daemonize": [b"no"],
        "dir": [b"/data/a"],
        "pidfile": [b"/data/a/server.pid"],
        "logfile": [b"/data/a/server.log"],
        "requirepass": [b"secret"],
        "masterauth": [b"secret"],
        "replica-announce-ip": [b"127.0.0.1"],
        "cluster-enabled": [b"yes"],
        "cluster-config-file": [b"nodes.conf"],
        "cluster-announce-ip": [b"127.0.0.1"],
        "appendonly": [b"yes"],
        "cluster-node-timeout": [b"15000"],
        "maxmemory": [b"64mb"],
    }


def test_a_single_instance_has_nothing_of_a_cluster() -> None:
    read = rows(render_server_conf(config(mode=Mode.SINGLE)))
    assert [name for name in read if name.startswith("cluster")] == []


@pytest.mark.parametrize(
    ("address", "password", "mode"),
    [
        (Address("10.0.0.1", 7001), None, b"no"),
        (Address("10.0.0.1", 7001), "x", b"yes"),
        (Address("127.0.0.1", 7001), None, b"yes"),
        (Address("::1", 7001), None, b"yes"),
    ],
)
def test_protected_mode_shuts_no_peer_out(address: Address, password: str | None, mode: bytes) -> None:
    assert rows(render_server_conf(config(address=address, password=password)))["protected-mode"] == [mode]


def test_without_a_password_neither_end_has_one() -> None:
    read = rows(render_server_conf(config(password=None)))
    assert read.keys().isdisjoint({"requirepass", "masterauth"})


def test_the_file_wins_over_what_we_would_set() -> None:
    read = rows(render_server_conf(config(("appendonly", "no"), ("masterauth", "other"))))
    assert (read["appendonly"], read["masterauth"], read["requirepass"]) == ([b"no"], [b"other"], [b"secret"])


def test_a_directive_may_stand_several_times() -> None:
    read = rows(render_server_conf(config(("save", "900 1"), ("save", "300 10"))))
    assert read["save"] == [b"900", b"1", b"300", b"10"]


def test_an_empty_value_is_written_as_one() -> None:
    assert rows(render_server_conf(config(("save", ""))))["save"] == [b""]


def test_the_settings_of_the_file_over_our_defaults() -> None:
    assert effective_settings((("maxmemory", "1"), ("cluster-node-timeout", "5000")), Mode.CLUSTER) == (
        ("appendonly", "yes"),
        ("maxmemory", "1"),
        ("cluster-node-timeout", "5000"),
    )
    assert effective_settings((), Mode.SINGLE) == (("appendonly", "yes"),)


def test_new_names_become_those_that_every_version_knows() -> None:
    assert effective_settings((("primaryauth", "x"), ("primaryuser", "y")), Mode.SINGLE)[1:] == (
        ("masterauth", "x"),
        ("masteruser", "y"),
    )


def fatal(line: str, reason: str, version: str = "Redis 7.0.15") -> str:
    where = f"*** FATAL CONFIG FILE ERROR ({version}) ***\nReading the configuration file, at line 2\n"
    return f"\n{where}>>> '{line}'\n{reason}\n"


UNRESOLVED = """\
12013:C 23 Nov 2026 02:29:25.982 * Configuration loaded
12013:M 23 Nov 2026 02:29:25.983 * Running mode=standalone, port=0.
12013:M 23 Nov 2026 02:29:25.983 # Unresolved Configuration(s) Detected:
12013:M 23 Nov 2026 02:29:25.983 # >>> 'foo-bar yes'
12013:M 23 Nov 2026 02:29:25.983 # Module Configuration detected without loadmodule directive: aborting
"""


@pytest.mark.parametrize("version", ["Redis 6.2.5", "Redis 7.0.15", "Redis 8.2.3", "Version 8.1.8", "Version 9.1.2"])
@pytest.mark.parametrize(
    ("line", "reason", "directive"),
    [
        ("foo-bar yes", "Bad directive or wrong number of arguments", "foo-bar"),
        ("maxmemory lots", "argument must be a memory value", "maxmemory"),
        ("appendonly maybe", "argument must be 'yes' or 'no'", "appendonly"),
        ('"foo', "Unbalanced quotes in configuration line", "foo"),
        ('foo-bar "1024"', "Bad directive or wrong number of arguments", "foo-bar"),
        ("save", "Invalid save parameters", "save"),
    ],
)
def test_complaints_that_end_a_server_at_once(version: str, line: str, reason: str, directive: str) -> None:
    assert find_complaint(fatal(line, reason, version)) == ConfigComplaint(directive, reason)


def test_redis_8_complains_later() -> None:
    assert find_complaint(UNRESOLVED) == ConfigComplaint("foo-bar", "unknown to this server")


def test_a_complaint_does_not_repeat_the_value() -> None:
    log = fatal("requirepass \"pa'ss >>> 'x'\" hunter2", "wrong number of arguments")
    assert find_complaint(log) == ConfigComplaint("requirepass", "wrong number of arguments")


def test_a_complaint_is_found_between_other_lines() -> None:
    log = "12:C 23 Nov 2026 02:29:25.982 * oO0OoO0OoO0Oo\n" + fatal("foo-bar yes", "Bad directive") + "more\n"
    assert find_complaint(log) == ConfigComplaint("foo-bar", "Bad directive")


@pytest.mark.parametrize("log", ["", "12:M 23 Nov 2026 02:29:25.982 # Could not create server TCP listening socket"])
def test_other_last_words_are_no_complaint(log: str) -> None:
    assert find_complaint(log) is None


def test_last_words_are_the_warnings() -> None:
    log = (
        "12:C 23 Nov 2026 02:29:25.982 # WARNING Memory overcommit must be enabled!\n"
        "12:M 23 Nov 2026 02:29:25.983 * Running mode=cluster, port=7001.\n"
        "12:M 23 Nov 2026 02:29:25.984 # Could not create server TCP listening socket 10.9.9.9:7001\n"
        "12:M 23 Nov 2026 02:29:25.985 # Failed listening on port 7001 (tcp), aborting.\n"
    )
    assert last_words(log) == (
        "Could not create server TCP listening socket 10.9.9.9:7001 / Failed listening on port 7001 (tcp), aborting."
    )


def test_without_warnings_the_last_lines_will_do() -> None:
    assert last_words("a\n\nb\nc\nd\n") == "b / c / d"
    assert last_words("\n") == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("requirepass", True),
        ("masterauth", True),
        ("tls-key-file-pass", True),
        ("search-oss-global-password", True),
        ("LDAP.Search_Bind_PASSWD", True),
        ("m.key-passphrase", True),
        ("m.client_secret", True),
        ("m.api-token", True),
        ("maxmemory", False),
        ("hash-max-listpack-entries", False),
        ("tls-key-file", False),
        ("tracking-table-max-keys", False),
        ("masteruser", False),
    ],
)
def test_secrets_are_known_by_their_names(name: str, expected: bool) -> None:
    assert is_secret(name) is expected


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("maxmemory", "64mb", "64mb"),
        ("ldap.search_bind_passwd", "hunter2", "***"),
        ("loadmodule", "/opt/rs.so", "/opt/rs.so"),
        ("loadmodule", "/opt/rs.so OSS_GLOBAL_PASSWORD hunter2", "/opt/rs.so with arguments"),
        ("LoadModule", '"/opt/r s.so" hunter2', "/opt/r s.so with arguments"),
        ("loadmodule", '/opt/rs.so "hunter2', "***"),
        ("loadmodule", "", ""),
    ],
)
def test_a_value_is_shown_without_what_may_be_secret(name: str, value: str, shown: str) -> None:
    assert shown_value(name, value) == shown
