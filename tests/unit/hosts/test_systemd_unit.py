"""Units as texts: what a server may do by itself follows from what it keeps on its disk."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from slotwright.cluster.node_files import LOG_LIMIT_BYTES
from slotwright.cluster.topology import Mode
from slotwright.hosts.scripts.log_rotation import render_logrotate, render_rotation_service, render_rotation_timer
from slotwright.hosts.scripts.systemd_unit import (
    Persistence,
    UnitSpec,
    persistence_of,
    render_overrides,
    render_unit,
    rotation_name,
    template_name,
    unit_name,
)
from slotwright.server.server_conf import effective_settings

APPENDING = (("appendonly", "yes"),)


def spec(*settings: tuple[str, str], **other: str) -> UnitSpec:
    fields = {"binary": "/opt/slotwright/clusters/cache/engine/bin/redis-server", "nodes_root": "/data/nodes"} | other
    return UnitSpec("cache", settings=settings, **fields)


def lines(text: str) -> list[tuple[str, str]]:
    pairs = [line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return [(name, value) for name, _, value in pairs]


def value(text: str, name: str) -> str:
    return next((found for key, found in reversed(lines(text)) if key == name), "")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((), Persistence.SNAPSHOTS),
        (APPENDING, Persistence.APPEND_ONLY),
        ((("appendonly", "YES"), ("save", "")), Persistence.APPEND_ONLY),
        ((("appendonly", "yes"), ("appendonly", "no")), Persistence.SNAPSHOTS),
        ((("appendonly", "no"), ("save", "900 1")), Persistence.SNAPSHOTS),
        ((("appendonly", "no"), ("save", "")), Persistence.NONE),
        ((("appendonly", "no"), ("save", '""')), Persistence.NONE),
        ((("save", "900 1"), ("save", "")), Persistence.NONE),
        ((("save", ""), ("save", "900 1")), Persistence.SNAPSHOTS),
    ],
)
def test_what_a_server_finds_on_its_disk(settings: tuple[tuple[str, str], ...], expected: Persistence) -> None:
    assert persistence_of(settings) is expected


def test_a_file_that_says_nothing_of_it_has_an_append_only_file() -> None:
    assert persistence_of(effective_settings((), Mode.CLUSTER)) is Persistence.APPEND_ONLY


@pytest.mark.parametrize(
    ("settings", "restart", "is_enabled"),
    [
        (APPENDING, "on-failure", True),
        ((("appendonly", "no"),), "no", True),
        ((("appendonly", "no"), ("save", "")), "no", False),
    ],
)
def test_only_what_comes_back_whole_comes_back_by_itself(
    settings: tuple[tuple[str, str], ...], restart: str, is_enabled: bool
) -> None:
    text = render_unit(spec(*settings))
    assert value(text, "Restart") == restart
    assert ("[Install]" in text) == is_enabled
    assert persistence_of(settings).starts_at_boot == is_enabled


def test_it_waits_for_the_network_and_for_the_firewall() -> None:
    text = render_unit(spec())
    assert value(text, "Wants") == "network-online.target"
    assert set(value(text, "After").split()) == {"network-online.target", "firewalld.service"}


def test_a_crash_loop_ends() -> None:
    text = render_unit(spec(*APPENDING))
    burst, pause = int(value(text, "StartLimitBurst")), int(value(text, "RestartSec"))
    assert 60 <= burst * pause < int(value(text, "StartLimitInterval"))


def test_a_save_at_the_end_is_not_cut() -> None:
    seconds = [
        int(value(render_unit(spec(*settings)), "TimeoutStopSec"))
        for settings in [(("appendonly", "no"),), APPENDING, (("save", ""),)]
    ]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] >= 3600


@pytest.mark.parametrize(("maxclients", "limit"), [("", "65536"), ("1000", "65536"), ("100000", "101024")])
def test_the_limit_of_open_files_follows_maxclients(maxclients: str, limit: str) -> None:
    settings = (("maxclients", maxclients),) if maxclients else ()
    assert value(render_unit(spec(*settings)), "LimitNOFILE") == limit


def test_a_node_may_write_its_own_folder_alone() -> None:
    text = render_unit(spec())
    assert [found for name, found in lines(text) if name == "ReadWritePaths"] == ['"/data/nodes/%i"']
    assert [found for name, found in lines(text) if name == "ProtectSystem"] == ["full", "strict"]
    assert value(text, "UMask") == "0077"
    assert value(text, "CapabilityBoundingSet") == ""
    assert value(text, "PrivateUsers") == ""


def test_system_calls_are_only_ever_denied_by_group() -> None:
    """An old systemd that doesn't know a group would turn a list of allowed ones into almost nothing."""
    assert value(render_unit(spec()), "SystemCallFilter").startswith("~")


@pytest.mark.parametrize(
    ("settings", "other", "name", "expected"),
    [
        ((), {}, "ProtectHome", "yes"),
        ((), {"nodes_root": "/home/ann/nodes"}, "ProtectHome", "read-only"),
        ((), {"binary": "/root/engine/redis-server"}, "ProtectHome", "read-only"),
        ((), {}, "PrivateTmp", "yes"),
        ((), {"nodes_root": "/tmp/nodes"}, "PrivateTmp", "no"),
        ((), {}, "MemoryDenyWriteExecute", "yes"),
        ((("loadmodule", "/x.so"),), {}, "MemoryDenyWriteExecute", ""),
        ((("loadmodule", "/x.so"),), {}, "NoExecPaths", ""),
    ],
)
def test_a_wall_that_would_shut_the_server_out_is_left_out(
    settings: tuple[tuple[str, str], ...], other: dict[str, str], name: str, expected: str
) -> None:
    assert value(render_unit(spec(*settings, **other)), name) == expected


def test_pinning_to_processors_stays_possible() -> None:
    assert "@resources" in value(render_unit(spec()), "SystemCallFilter")
    assert "@resources" not in value(render_unit(spec(("server_cpulist", "0-3"))), "SystemCallFilter")
    assert "@resources" not in value(render_unit(spec(("bgsave-cpulist", "0-3"))), "SystemCallFilter")


def test_a_folder_with_odd_letters_is_written_so_that_systemd_reads_it() -> None:
    text = render_unit(spec(nodes_root='/da ta/50%/"x"/$HOME'))
    assert value(text, "ReadWritePaths") == '"/da ta/50%%/\\"x\\"/$HOME/%i"'
    assert '"/da ta/50%%/\\"x\\"/$$HOME/%i/server.conf"' in value(text, "ExecStart")


def test_names() -> None:
    assert template_name("cache") == "slotwright-cache@.service"
    assert unit_name("cache", "fd77__1-6379") == "slotwright-cache@fd77__1-6379.service"
    assert rotation_name("cache") == "slotwright-cache-logs"


def test_overrides_of_one_start() -> None:
    assert render_overrides(()) == ""
    text = render_overrides((("cluster-node-timeout", "500"), ("save", "")))
    assert text == """SLOTWRIGHT_OVERRIDES='--cluster-node-timeout "500" --save ""'\n"""


def test_logs_are_rotated_by_logrotate() -> None:
    text = render_logrotate(spec())
    assert '"/data/nodes"/*/server.log {' in text
    assert "su slotwright slotwright" in text
    assert "size 16M" in text


def test_logs_are_rotated_by_a_timer(tmp_path: Path) -> None:
    """The script of the unit, as systemd would hand it to the shell, over the limit five times."""
    node = tmp_path / "192.0.2.7-6379"
    node.mkdir()
    command = value(render_rotation_service(spec(nodes_root=str(tmp_path))), "ExecStart")
    words = [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(command)]
    for number in range(5):
        with (node / "server.log").open("wb") as log:
            log.write(str(number).encode())
            log.truncate(LOG_LIMIT_BYTES)
        subprocess.run(words, check=True)
    (node / "server.log").write_text("short")
    subprocess.run(words, check=True)
    found = {path.name: path.read_bytes()[:1] for path in node.iterdir()}
    expected = {"server.log": b"s", "server.log.1": b"4", "server.log.2": b"3", "server.log.3": b"2"}
    assert found == expected
    assert "OnUnitActiveSec=5min" in render_rotation_timer(spec())


def test_with_snapshots_alone_a_boot_leaves_the_replica_time_to_take_over() -> None:
    settings = (("appendonly", "no"), ("cluster-node-timeout", "15000"))
    text = render_unit(UnitSpec("cache", "/x/redis-server", "/nodes", settings=settings))
    assert "|| sleep 35'" in text
    assert "sleep" not in render_unit(UnitSpec("cache", "/x/redis-server", "/nodes", settings=(("appendonly", "yes"),)))
