"""Two canaries, the cluster's password and the login's: looked for wherever they have no business to be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.lab.looks import traces
from tests.lab.machines import Lab
from tests.lab.operator import Operator, Outcome, eventually
from tests.lab.root import OPS_PASSWORD
from tests.lab.secret_scanner import SecretScanner, files_below, files_on, journal_lines

CLUSTER_WORD = "Kanarie7731"
LOGIN_WORD = "Zeisig4419"
WORDS = (CLUSTER_WORD, LOGIN_WORD)
CLUSTER_PASSWORD = f"% {CLUSTER_WORD}\"' $HOME \\n ü"
LOGIN_PASSWORD = f"%s {LOGIN_WORD}' $x"


SERVICE = "slotwright-cache@{0}-6379.service"
MODES = r"""
cd /var/lib/slotwright/clusters/cache/nodes && find . -printf '%y %m %u %p\n'
"""


@dataclass
class Run:
    """All that was done under watch: each with what it said."""

    operator: Operator
    scanner: SecretScanner
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    """Where a canary was found while the cluster was there: by host, and "control"."""
    journals: dict[str, int] = field(default_factory=dict)

    def do(self, name: str, *words: str) -> Outcome:
        self.outcomes[name] = self.operator.run(*words)
        return self.outcomes[name]


@pytest.fixture(scope="module")
def run(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The canaries' whole life, but for the cluster's end."""
    for host in lab.hosts.values():
        host.run("chpasswd", stdin=f"ops:{LOGIN_PASSWORD}\n")
    operator = Operator(lab, tmp_path_factory.mktemp("secrets"))
    operator.environment |= {"CACHE_PASSWORD": CLUSTER_PASSWORD, "OPS": LOGIN_PASSWORD}
    found = Run(operator, SecretScanner(WORDS))
    try:
        with found.scanner.open():
            live(found)
            for host in lab.hosts.values():
                found.files[host.name] = files_on(host, WORDS)
                found.journals[host.name] = journal_lines(host, WORDS)
            found.files["control"] = files_below(operator.folder, WORDS)
            yield found
    finally:
        if (operator.state / "clusters" / "cache").exists():
            operator.destroy().succeeded()
        for host in lab.hosts.values():
            host.run("chpasswd", stdin=f"ops:{OPS_PASSWORD}\n")


def live(run: Run) -> None:
    """From the first look to a cluster that runs, over every way that fails."""
    by_password = {"user": "ops", "password": {"env": "OPS"}}
    run.operator.topology(ssh=by_password, settings={"maxmemory": "64mb", "no-such-directive": "x"})
    run.do("preflight", "preflight", "--json")
    assert run.do("up that the server refuses", "up", "--yes", "--json").code not in (0, 3)
    run.operator.topology(ssh=by_password)
    run.do("plan", "plan", "--json")
    run.do("up", "up", "--yes").succeeded()
    run.do("up again", "up", "--yes", "--json").succeeded()
    run.do("check", "check", "--json").succeeded()
    run.do("status", "status")
    wrong = {"CACHE_PASSWORD": f"not {CLUSTER_WORD}"}
    run.outcomes["check with another password"] = run.operator.run("check", env=wrong)
    run.outcomes["login with another password"] = run.operator.run("check", env={"OPS": f"not {LOGIN_WORD}"})
    run.do("exec", "exec", "--root", "--", "env; ps axeww; cat /proc/*/cmdline | tr '\\0' ' '")
    run.do("logs", "logs", f"{run.operator.lab.hosts['a'].address}:6379")


def test_no_process_had_it_in_its_words_or_its_environment(run: Run) -> None:
    assert run.scanner.rounds > 100
    assert run.scanner.seen == set()


def test_nothing_that_was_said_holds_it(run: Run) -> None:
    assert [
        name for name, outcome in run.outcomes.items() if re.search(f"{CLUSTER_WORD}|{LOGIN_WORD}", outcome.text)
    ] == []


def test_only_the_files_that_must_hold_it_do(run: Run) -> None:
    for name, host in run.operator.lab.hosts.items():
        nodes = "/var/lib/slotwright/clusters/cache/nodes"
        assert run.files[name] == [f"{nodes}/{host.address}-{port}/server.conf" for port in (6379, 6380)]
    assert run.files["control"] == ["state/clusters/cache/password"]
    assert run.journals == dict.fromkeys(run.operator.lab.hosts, 0)


def test_files_are_closed_to_others(run: Run) -> None:
    for host in run.operator.lab.hosts.values():
        rows = [line.split(" ", 3) for line in host.run(MODES).stdout.splitlines()]
        assert {mode for kind, mode, _, path in rows if kind == "d" and path != "."} == {"700"}
        assert {mode for kind, mode, _, _ in rows if kind == "f"} == {"600"}
        assert {user for _, _, user, path in rows if path != "."} == {"slotwright"}
        assert [mode for _, mode, _, path in rows if path == "."] == ["750"]
        assert host.run("getent passwd slotwright").stdout.strip().endswith(("/nologin", "/false"))
    state = run.operator.state
    for path in [state, *state.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_services_are_hardened_and_listen_where_they_should(run: Run) -> None:
    for host in run.operator.lab.hosts.values():
        unit = SERVICE.format(host.address)
        told = host.run("systemd-analyze security --no-pager $1 | tail -1", unit).stdout
        figure = re.search(r": (\d+\.\d+) ", told)
        assert figure is not None, told
        assert float(figure[1]) < 2.0, told
        shown = host.run("systemctl show $1 -p NoNewPrivileges -p ProtectSystem -p UMask -p User", unit).stdout
        assert set(shown.split()) == {"NoNewPrivileges=yes", "ProtectSystem=strict", "UMask=0077", "User=slotwright"}
        at = {line.rpartition(":")[0] for line in host.run("ss -ltnH | awk '$4 ~ /:1?63/ { print $4 }'").stdout.split()}
        assert at <= {host.address, "127.0.0.1"}, "no wildcard"
        assert host.address in at


def test_hardened_services_still_save_rewrite_and_fail_over(run: Run) -> None:
    from redis import Redis

    host = run.operator.lab.hosts["a"]
    nodes = [Redis(host.address, port, password=CLUSTER_PASSWORD, socket_timeout=5) for port in (6379, 6380)]
    for node in nodes:
        saved = node.lastsave()
        eventually(lambda node=node: node.bgsave(), "a save begun")
        eventually(
            lambda node=node, saved=saved: (
                node.lastsave() >= saved and not node.info("persistence")["rdb_bgsave_in_progress"]
            ),
            "a save",
        )
        assert node.info("persistence")["rdb_last_bgsave_status"] == "ok"
        node.config_rewrite()
    replica = next(node for node in nodes if node.info("replication")["role"] == "slave")
    eventually(lambda: replica.info("replication")["master_link_status"] == "up", "the link")
    replica.execute_command("CLUSTER", "FAILOVER")
    eventually(lambda: replica.info("replication")["role"] == "master", "the failover")
    eventually(lambda: run.operator.run("status", "--json").code == 0, "agreement")


def test_nothing_is_left_of_it_after_the_end(run: Run) -> None:
    run.do("destroy", "destroy", "cache", "--yes", "--json").succeeded()
    run.scanner.look()
    test_no_process_had_it_in_its_words_or_its_environment(run)
    test_nothing_that_was_said_holds_it(run)
    for host in run.operator.lab.hosts.values():
        assert files_on(host, WORDS) == []
        assert journal_lines(host, WORDS) == 0
        assert traces(host) == []
    assert files_below(run.operator.folder, WORDS) == []
