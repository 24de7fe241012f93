"""What lies on a host is not believed for where it lies: a broken-into server, a neighbour, a folder for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.looks import folder, pids, traces
from tests.lab.machine import Host
from tests.lab.machines import Lab
from tests.lab.operator import Operator, Outcome, eventually

STARTED = r"""
read -r boot </proc/sys/kernel/random/boot_id
line=$(cat "/proc/$1/stat") && set -- ${line##*) } && shift 19 && echo "$boot:$1"
"""
"""``$1``'s start, as slotwright notes it."""

CLAIM = r"""printf '{"pid": %s, "started": "%s"}\n' "$2" "$3" >"$1/process.json"; : >"$1/server.pid" """
"""As the service user, who is whoever broke into a server: ``$1`` its folder, ``$2`` a pid, ``$3`` its start."""

SLEEPER = r"""cd "$1" || exit 1
setsid setpriv --reuid="$3" --regid="$3" --clear-groups "$2" 600 >/dev/null 2>&1 </dev/null & echo $!"""
"""In ``$1`` the program ``$2`` as user ``$3``, which does nothing."""


@pytest.fixture(scope="module")
def operator(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    lab.renew()
    return Operator(lab, tmp_path_factory.mktemp("trust"))


@pytest.fixture
def formed(operator: Operator) -> Iterator[Operator]:
    operator.topology()
    operator.up().succeeded()
    yield operator
    operator.destroy().succeeded()


def refused(outcome: Outcome, code: str) -> dict[str, str]:
    found = outcome.ended_with(4).error
    assert found["code"] == code, outcome.text
    return found


def claim(host: Host, node: str, pid: int) -> None:
    start = host.run(STARTED, str(pid)).stdout.strip()
    host.run(CLAIM, node, str(pid), start, user="slotwright")


def restore(host: Host, node: str, pid: int) -> None:
    host.run('rm -f "$1/process.json"; echo "$2" >"$1/server.pid"; chown slotwright "$1/server.pid"', node, str(pid))


def is_alive(host: Host, pid: int) -> bool:
    return host.run('[ -d "/proc/$1" ] && echo yes || echo no', str(pid)).stdout.strip() == "yes"


def test_a_claim_of_a_broken_into_server_ends_nobodys_process(formed: Operator) -> None:
    host = next(iter(formed.lab.hosts.values()))
    node, main = folder(host, 6379), pids(host)[6379]
    host.run("cp /bin/sleep /opt/redis-server; chmod 755 /opt/redis-server")
    victims = (
        (int(host.run(SLEEPER, "/", "/bin/sleep", "root").stdout), "it runs as user root"),
        (int(host.run(SLEEPER, node, "/bin/sleep", "slotwright").stdout), "which is no server"),
        (int(host.run(SLEEPER, "/", "/opt/redis-server", "slotwright").stdout), "it works in /"),
    )
    for victim, reason in victims:
        eventually(lambda victim=victim: "sleep" in (text := program(host, victim)) or "redis" in text, "the program")
        claim(host, node, victim)
        for words in (("destroy", "cache"), ("stop", "cache", "--kill")):
            found = refused(formed.run(*words, "--yes", "--json"), "process-foreign")
            assert reason in found["seen"], found
        assert "process-foreign" in {each["code"] for each in formed.plan()["findings"]}
        assert is_alive(host, victim)
        assert pids(host)[6379] == main
    restore(host, node, main)
    for victim, _ in victims:
        host.run('kill -9 "$1"', str(victim))


def program(host: Host, pid: int) -> str:
    return host.run('readlink "/proc/$1/exe"', str(pid)).stdout


def test_systemd_knows_better_than_a_note(formed: Operator) -> None:
    """The note names a process that could be the server: same user, same program's name, same folder."""
    host = next(iter(formed.lab.hosts.values()))
    node, main = folder(host, 6379), pids(host)[6379]
    host.run("cp /bin/sleep /opt/redis-server; chmod 755 /opt/redis-server")
    decoy = int(host.run(SLEEPER, node, "/opt/redis-server", "slotwright").stdout)
    eventually(lambda: "redis-server" in program(host, decoy), "the decoy")
    claim(host, node, decoy)
    outcome = formed.run("stop", "cache", f"{host.address}:6379", "--kill", "--yes", "--json")
    assert outcome.code in (4, 5), outcome.text
    assert f"the main process of slotwright-cache@{host.address}-6379.service is {main}" in outcome.text
    assert is_alive(host, decoy)
    assert is_alive(host, main)
    host.run('kill -9 "$1"', str(decoy))
    restore(host, node, main)
    assert formed.check().json["ok"]


SHARED = (
    ("mkdir -m 0777 /srv/shared", "everybody may write to /srv/shared"),
    ("mkdir /srv/shared; chown plain /srv/shared", "/srv/shared belongs to plain"),
    (
        "groupadd -f dbas; usermod -aG dbas plain; mkdir -m 0775 /srv/shared; chgrp dbas /srv/shared",
        "the group dbas may write to /srv/shared",
    ),
    (
        "mkdir -p /srv/hers/x; chown plain /srv/hers; ln -s /srv/hers/x /srv/shared",
        "/srv/hers belongs to plain",
    ),
)


@pytest.mark.parametrize(("make", "words"), SHARED)
def test_a_place_that_others_may_change_is_refused_and_nothing_is_made(
    operator: Operator, make: str, words: str
) -> None:
    operator.topology(data="/srv/shared")
    host = next(iter(operator.lab.hosts.values()))
    host.run(f"rm -rf /srv/shared /srv/hers; {make}")
    try:
        planned = operator.run("plan", "--json")
        assert "folder-unsafe" in planned.text, planned.text
        found = refused(operator.up(), "folder-unsafe")
        assert words in str(found), found
        assert "ch" in found["hint"]
        assert host.run("ls -A /srv/shared/").stdout == ""
        assert traces(host) == []
    finally:
        host.run("rm -rf /srv/shared /srv/hers")


def test_a_sticky_place_is_taken_but_for_what_a_neighbour_made_first(operator: Operator) -> None:
    operator.topology(data="/srv/public")
    host = next(iter(operator.lab.hosts.values()))
    for each in operator.lab.hosts.values():
        each.run("mkdir -m 1777 /srv/public")
    hers = f"/srv/public/{host.address}-6379"
    host.run(f"mkdir {hers}; chown plain {hers}")
    refused(operator.up(), "folder-unsafe")
    host.run(f"rmdir {hers}")
    operator.up().succeeded()
    operator.destroy().succeeded()
    for each in operator.lab.hosts.values():
        each.run("rm -rf /srv/public")


def test_root_runs_no_server_that_a_neighbour_may_write(operator: Operator, tmp_path: Path) -> None:
    operator.topology(engine={"kind": "redis", "from": "/home/plain/bin"})
    host = next(iter(operator.lab.hosts.values()))
    host.run(
        "mkdir -p /home/plain/bin; printf '#!/bin/sh\\ntouch /root/was-run\\n' >/home/plain/bin/redis-server; "
        "chmod 755 /home/plain/bin/redis-server; chown -R plain /home/plain/bin"
    )
    found = refused(operator.run("plan", "--json"), "program-unsafe")
    assert "/home/plain belongs to plain" in found["what"]
    assert host.run("ls /root/was-run 2>/dev/null || echo none").stdout.strip() == "none"
