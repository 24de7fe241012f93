"""Ways into real hosts: keys, passwords, sudo, agents, jumps, host keys; and an sshd that allows little."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from slotwright.adapters.ssh.login import CONNECT_TIMEOUT_S
from tests.lab.looks import fingerprint, traces
from tests.lab.machine import PATIENCE_S, Host
from tests.lab.machines import Lab
from tests.lab.operator import Operator, eventually
from tests.lab.root import OPS_PASSWORD, PLAIN_PASSWORD

BY_PASSWORD = {"user": "ops", "password": {"env": "OPS"}}


@pytest.fixture
def operator(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Whatever a test made is taken away again, so that the next one finds hosts without a cluster."""
    operator = Operator(lab, tmp_path_factory.mktemp("ssh"))
    operator.environment |= {"OPS": OPS_PASSWORD, "PLAIN": PLAIN_PASSWORD}
    yield operator
    if (operator.state / "clusters" / "cache").exists():
        operator.destroy().succeeded()


@contextmanager
def sshd(host: Host, *lines: str) -> Iterator[None]:
    """Within it the host's sshd has these settings; connections that are there already keep the old ones."""
    host.write("/etc/ssh/sshd_config.d/00-lab.conf", "\n".join(lines) + "\n")
    host.run("sshd -t && systemctl restart ssh")
    try:
        yield
    finally:
        host.run("rm /etc/ssh/sshd_config.d/00-lab.conf && systemctl restart ssh")


@contextmanager
def sshd_everywhere(lab: Lab, *lines: str) -> Iterator[None]:
    a, b, c = lab.hosts.values()
    with sshd(a, *lines), sshd(b, *lines), sshd(c, *lines):
        yield


def each(operator: Operator, **logins: dict[str, object]) -> list[dict[str, object]]:
    """The ``hosts:`` entries, with a login of its own for every letter."""
    return [{"address": operator.lab.hosts[name].address, "ssh": login} for name, login in logins.items()]


def said(operator: Operator, *words: str, code: int = 0) -> dict[str, str]:
    """What each host's letter said to ``exec``; with its complaint where it could not be reached."""
    found = operator.run("exec", "--json", *words).ended_with(code).json["hosts"]
    names = {host.address: name for name, host in operator.lab.hosts.items()}
    return {names[one["host"]]: (one["output"] or one["complaint"]).strip() for one in found}


# --- logins ---


def test_logins_of_every_kind_side_by_side(operator: Operator) -> None:
    key = str(operator.lab.ssh.key)
    logins = {"a": {"user": "root", "key": key}, "b": {"user": "deploy", "key": key}, "c": BY_PASSWORD}
    operator.topology(ssh=None, hosts=each(operator, **logins))
    assert said(operator, "--", "id -un") == {"a": "root", "b": "deploy", "c": "ops"}
    assert said(operator, "--root", "--", "id -un") == {"a": "root", "b": "root", "c": "root"}


def test_a_key_with_a_password_for_sudo_and_logins_without_any_sudo(operator: Operator) -> None:
    key = str(operator.lab.ssh.key)
    logins = {
        "a": BY_PASSWORD | {"key": key},
        "b": {"user": "plain", "key": key},
        "c": {"user": "deploy", "key": key, "sudo": "never"},
    }
    operator.topology(ssh=None, hosts=each(operator, **logins))
    homes = {"a": "ops\n/home/ops", "b": "plain\n/home/plain", "c": "deploy\n/home/deploy"}
    assert said(operator, "--", "id -un; pwd") == homes
    assert said(operator, "--root", "--", "id -un") == {"a": "root", "b": "plain", "c": "deploy"}


def test_a_password_that_sudo_does_not_want_is_said_before_anything_is_done(operator: Operator) -> None:
    operator.topology(ssh={"user": "plain", "password": {"env": "PLAIN"}})
    outcome = operator.run("exec", "--json", "--root", "--", "id -un").ended_with(1)
    assert all("sudo refuses plain" in one["complaint"] for one in outcome.json["hosts"])
    operator.topology(ssh={"user": "plain", "password": {"env": "PLAIN"}, "sudo": "never"})
    assert set(said(operator, "--", "id -un").values()) == {"plain"}


def test_a_wrong_password_is_named_and_the_others_go_on(operator: Operator) -> None:
    operator.topology(ssh=BY_PASSWORD, hosts=each(operator, a={}, b={"password": {"env": "PLAIN"}}, c={}))
    found = said(operator, "--", "id -un", code=1)
    assert (found["a"], found["c"]) == ("ops", "ops")
    assert f"ops@{operator.lab.hosts['b'].address} refuses our SSH login" in found["b"]
    outcome = operator.run("up", "--yes", "--json")
    assert outcome.code in (1, 4), outcome.text
    assert "ssh-login-refused" in outcome.out
    assert OPS_PASSWORD not in outcome.text
    assert PLAIN_PASSWORD not in outcome.text
    assert not any(traces(host) for host in operator.lab.hosts.values())


def test_a_password_that_nobody_gave(operator: Operator) -> None:
    operator.topology(ssh=BY_PASSWORD)
    del operator.environment["OPS"]
    outcome = operator.run("preflight", "--json").ended_with(2)
    assert outcome.error["code"] == "ssh-password-missing"
    operator.topology(ssh={"user": "ops", "password": "ask"})
    assert operator.run("preflight", "--json").ended_with(2).error["code"] == "ssh-password-missing"


def test_sudo_logs_stay_short(operator: Operator) -> None:
    operator.topology(ssh=BY_PASSWORD)
    operator.run("preflight", "--json")
    log = operator.lab.hosts["a"].run("journalctl --no-pager -o cat _COMM=sudo").stdout
    assert OPS_PASSWORD not in log
    assert "command continued" not in log, "whole scripts bury what an administrator looks for"


def test_what_reads_its_input_does_not_wait_for_ever(operator: Operator) -> None:
    operator.topology()
    assert said(operator, "--timeout", "10", "--", "cat; echo end") == {"a": "end", "b": "end", "c": "end"}


def test_a_login_shell_that_talks(operator: Operator) -> None:
    operator.topology()
    a = operator.lab.hosts["a"]
    for name in ("root", "home/deploy"):
        a.write(f"/{name}/.bashrc", "echo Welcome; echo 0; echo noise >&2; printf 'no end of line'\n")
    try:
        assert said(operator, "--", "echo hello")["a"] == "hello"
        outcome = operator.run("preflight", "--json")
        assert outcome.code in (0, 3), outcome.text
        assert len(outcome.json["hosts"]) == 3
    finally:
        a.run("rm /root/.bashrc /home/deploy/.bashrc")


def test_the_agent_and_names_of_the_users_own_configuration(operator: Operator) -> None:
    lab = operator.lab
    (operator.home / ".ssh" / "config").write_text(
        "".join(f"Host node-{name}\n  HostName {host.address}\n" for name, host in lab.hosts.items())
        + f"Host node-a\n  IdentityFile {lab.ssh.key}\nHost *\n  User root\n"
    )
    hosts = [{"address": host.address, "ssh": {"address": f"node-{name}"}} for name, host in lab.hosts.items()]
    operator.topology(ssh=None, hosts=hosts)
    without = said(operator, "--", "id -un", code=1)
    assert without["a"] == "root"
    assert "refuses our SSH login" in without["b"]
    socket = operator.home / "agent"
    agent = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(socket.exists, "the agent")
        agent_environment = os.environ | {"SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", str(lab.ssh.key)], env=agent_environment, check=True, capture_output=True)
        operator.environment["SSH_AUTH_SOCK"] = str(socket)
        assert set(said(operator, "--", "id -un").values()) == {"root"}
    finally:
        agent.terminate()
        agent.wait()


def test_a_host_behind_another_is_reached_with_both_keys_verified(operator: Operator) -> None:
    lab = operator.lab
    with lab.behind_jump() as hidden:
        gate = lab.hosts["a"].address
        both = operator.known_hosts.read_text()
        login = {"user": "root", "key": str(lab.ssh.key), "jump": f"root@{gate}"}
        operator.topology(ssh=login, hosts=[{"address": hidden.address}], ports=[6379, 6380, 6381], replicas=0)
        outcome = operator.run("exec", "--", "hostname").succeeded()
        assert "host-d" in outcome.out
        for missing in (gate, hidden.address):
            kept = "".join(line for line in both.splitlines(True) if not line.startswith(f"{missing} "))
            operator.known_hosts.write_text(kept)
            refused = operator.run("exec", "--json", "--", "hostname").ended_with(4)
            assert refused.error["code"] == "host-key-unknown"
            assert missing in refused.error["where"]
            assert operator.known_hosts.read_text() == kept
        operator.known_hosts.write_text("")
        operator.run("exec", "--accept-new-host-keys", "--", "hostname").succeeded()
        assert sorted(operator.known_hosts.read_text().splitlines()) == sorted(
            line for line in both.splitlines() if line.startswith((f"{gate} ", f"{hidden.address} "))
        )
        (operator.home / ".ssh" / "config").write_text(
            f"Host inner\n  HostName {hidden.address}\n  ProxyJump gate\nHost gate\n  HostName {gate}\n"
            f"Host *\n  User root\n  IdentityFile {lab.ssh.key}\n"
        )
        hosts = [{"address": hidden.address, "ssh": {"address": "inner"}}]
        operator.topology(ssh=None, hosts=hosts, ports=[6379, 6380, 6381], replicas=0)
        assert "host-d" in operator.run("exec", "--", "hostname").succeeded().out


# --- host keys ---


def test_new_host_keys_are_refused_without_a_yes_and_nothing_is_changed(lab: Lab, operator: Operator) -> None:
    operator.topology()
    operator.known_hosts.write_text("")
    before = {name: fingerprint(host) for name, host in lab.hosts.items()}
    for words in (("up", "--yes", "--json"), ("preflight", "--json"), ("exec", "--json", "--", "true")):
        outcome = operator.run(*words).ended_with(4)
        assert outcome.error["code"] == "host-key-unknown", outcome.text
        assert all(host.address in outcome.error["where"] for host in lab.hosts.values())
    assert {name: fingerprint(host) for name, host in lab.hosts.items()} == before
    assert operator.known_hosts.read_text() == ""
    operator.run("exec", "--accept-new-host-keys", "--", "true").succeeded()
    assert {" ".join(line.split()[1:3]) for line in operator.known_hosts.read_text().splitlines()} == {
        host.host_key for host in lab.hosts.values()
    }
    operator.run("exec", "--", "true").succeeded()


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 4)])
def test_on_a_terminal_new_host_keys_are_shown_and_asked_about(operator: Operator, answer: str, code: int) -> None:
    operator.topology()
    operator.known_hosts.write_text("")
    ended, text = on_terminal(operator, ("exec", "--", "true"), "trust them from now on", answer)
    fingerprints = re.findall(r"SHA256:[\w+/]+", text)
    assert len(set(fingerprints)) == 3, text
    assert ended == code, text
    assert len(operator.known_hosts.read_text().splitlines()) == (3 if code == 0 else 0)


def on_terminal(operator: Operator, words: tuple[str, ...], question: str, answer: str) -> tuple[int, str]:
    """The command with a terminal of its own; ``answer`` is typed once ``question`` is read."""
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "slotwright", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=operator.folder,
        env=operator.environment,
        start_new_session=True,
    )
    os.close(theirs)
    text, has_answered, deadline = "", False, time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < deadline:
            if not select.select([mine], [], [], 0.1)[0]:
                continue
            try:
                text += os.read(mine, 4096).decode(errors="replace")
            except OSError:  # the other end is closed: the command has ended
                break
            if question in text and not has_answered:
                os.write(mine, f"{answer}\n".encode())
                has_answered = True
        return process.wait(timeout=PATIENCE_S), text
    finally:
        process.kill()
        process.wait()
        os.close(mine)


def test_a_changed_host_key_aborts_whatever_is_accepted(operator: Operator) -> None:
    operator.topology()
    b = operator.lab.hosts["b"]
    before = fingerprint(operator.lab.hosts["a"])
    known = operator.known_hosts.read_text()
    b.swap_host_key()
    try:
        for words in (("up", "--yes"), ("up", "--yes", "--accept-new-host-keys"), ("preflight",)):
            outcome = operator.run(*words, "--json").ended_with(1)
            assert outcome.error["code"] == "host-key-changed"
            assert b.address in outcome.error["where"]
            assert f"ssh-keygen -R '{b.address}'" in outcome.error["hint"]
        assert operator.known_hosts.read_text() == known
        assert fingerprint(operator.lab.hosts["a"]) == before
    finally:
        b.restore_host_key()


# --- hosts that don't answer ---


def test_silent_hosts_are_named_at_once_and_the_others_go_on(operator: Operator) -> None:
    """One that no packet reaches, and one where something accepts connections and never says a word."""
    lab = operator.lab
    a, b, c = lab.hosts.values()
    with b.without_network(), lab.control.listening(0, lab.control.address) as port:
        hosts = operator.hosts()
        hosts[2]["ssh"] = {"address": lab.control.address, "port": port}
        operator.topology(hosts=hosts)
        outcome = operator.run("exec", "--json", "--", "hostname").ended_with(1)
        assert outcome.took("ssh") < 2 * CONNECT_TIMEOUT_S
        found = {one["host"]: one for one in outcome.json["hosts"]}
        assert found[a.address]["output"] == "host-a\n"
        for silent in (b, c):
            assert found[silent.address]["status"] is None
            assert silent.address in found[silent.address]["complaint"]
        outcome = operator.run("up", "--yes", "--json")
        assert outcome.code in (1, 4), outcome.text
        assert b.address in outcome.text
        assert c.address in outcome.text
        assert outcome.took("ssh") < 2 * CONNECT_TIMEOUT_S
    assert not any(traces(host) for host in lab.hosts.values())


# --- an sshd that allows little ---


def test_up_as_a_sudo_user_by_password_alone(operator: Operator) -> None:
    operator.topology(ssh=BY_PASSWORD)
    operator.up().succeeded()
    assert operator.check().succeeded().json["ok"]
    assert operator.plan()["pending"] is False
    for host in operator.lab.hosts.values():
        assert host.run("find /home/ops -newer /etc/hostname -type f ! -path '*/.ssh/*'").stdout == ""
        assert host.run("ps -o user= -C redis-server").stdout.split() == ["slotwright", "slotwright"]
    operator.topology(ssh=BY_PASSWORD, via="direct")
    assert operator.check().succeeded().json["ok"]
    with sshd_everywhere(operator.lab, "AllowTcpForwarding no"):
        assert operator.run("status", "--json").succeeded()
    operator.topology(ssh=BY_PASSWORD)
    wrong = operator.run("check", "--json", env={"CACHE_PASSWORD": "wrong one"})
    assert wrong.code in (1, 2, 3, 4), wrong.text
    assert "wrong-password" in wrong.out, wrong.text
    before = {name: fingerprint(host) for name, host in operator.lab.hosts.items()}
    changed = operator.run("up", "--yes", "--json", env={"CACHE_PASSWORD": "wrong one"})
    assert changed.code in (1, 2, 4), changed.text
    assert {name: fingerprint(host) for name, host in operator.lab.hosts.items()} == before
    assert operator.check().succeeded().json["ok"]


def test_up_where_ssh_forwards_nothing_and_allows_two_sessions(operator: Operator) -> None:
    operator.topology(ssh={"user": "deploy", "key": str(operator.lab.ssh.key)})
    with sshd_everywhere(operator.lab, "AllowTcpForwarding no", "MaxSessions 2"):
        operator.up().succeeded()
        assert operator.check().succeeded().json["ok"]


def test_one_session_at_a_time_is_enough(operator: Operator) -> None:
    operator.topology()
    with sshd_everywhere(operator.lab, "MaxSessions 1"):
        outcome = operator.run("preflight", "--json")
        assert outcome.code in (0, 3), outcome.text
        assert len(outcome.json["hosts"]) == 3


# --- a login that can't become root ---


@pytest.mark.usefixtures("embedded")
def test_a_login_without_root_runs_nodes_of_its_own(operator: Operator) -> None:
    lab = operator.lab
    operator.topology(
        engine={"kind": "valkey", "from": "embedded"},
        ssh={"user": "plain", "key": str(lab.ssh.key), "sudo": "never"},
        data="/home/plain/cache",
    )
    shut = operator.run("preflight", "--json").ended_with(3)
    blocked = [found for found in shut.json["findings"] if found["code"] in ("bus-blocked", "port-blocked")]
    assert blocked
    assert not any("own rules are in place" in found["remedy"] for found in blocked)
    for host in lab.hosts.values():  # what its administrator would do
        host.run("firewall-cmd -q --add-port=6379-6380/tcp --add-port=16379-16380/tcp")
    try:
        firewalls = [host.run("nft list ruleset").stdout for host in lab.hosts.values()]
        operator.up().succeeded()
        for host in lab.hosts.values():
            assert host.run("ls /etc/systemd/system | grep slotwright", check=False).stdout == ""
            assert host.run("ps -o user= -C valkey-server").stdout.split() == ["plain", "plain"]
            eventually(lambda host=host: host.run("pgrep -u plain sshd", check=False).stdout == "", "the logins' end")
        assert operator.check().succeeded().json["ok"], "nodes go on without the login that started them"
        assert [host.run("nft list ruleset").stdout for host in lab.hosts.values()] == firewalls
        operator.destroy().succeeded()
        for host in lab.hosts.values():
            assert host.run("ls -A /home/plain/cache", check=False).stdout.split() in ([], [".slotwright"])
    finally:
        for host in lab.hosts.values():
            host.run("firewall-cmd -q --reload")
