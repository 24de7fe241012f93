"""The lab does what its tests will take for granted."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.machine import PATIENCE_S, wait
from tests.lab.machines import Lab, traces
from tests.lab.root import OPS_PASSWORD, PLAIN_PASSWORD, USERS, redis_source

HOME = Path(__file__).parents[2]


def ssh(
    lab: Lab, target: str, command: str, *options: str, password: str | None = None
) -> subprocess.CompletedProcess[str]:
    words = ["ssh", "-F", str(lab.ssh.config), *options]
    if password is not None:
        words = ["sshpass", "-p", password, *words, "-o", "PubkeyAuthentication=no"]
    return subprocess.run([*words, target, command], stdin=subprocess.DEVNULL, capture_output=True, text=True)


def has_rules(lab: Lab, name: str) -> bool:
    return lab.hosts[name].run("firewall-cmd --state", check=False).stdout.strip() == "running"


def test_three_hosts_are_up_with_init_and_firewall(fresh_hosts: Lab) -> None:
    for name, host in fresh_hosts.hosts.items():
        assert host.is_booted()
        assert host.run("uname -n; systemctl is-system-running").stdout.split() == [f"host-{name}", "running"]
        assert has_rules(fresh_hosts, name)
        assert host.run("firewall-cmd --get-default-zone").stdout.strip() == "public"
        assert host.run("ip route show default").stdout == ""
    ids = {
        host.run("cat /etc/machine-id /proc/sys/kernel/random/boot_id").stdout for host in fresh_hosts.hosts.values()
    }
    assert len(ids) == 3


def test_hosts_see_nothing_of_each_other_but_the_network(fresh_hosts: Lab) -> None:
    a, b = fresh_hosts.hosts["a"], fresh_hosts.hosts["b"]
    a.write("/srv/only-here", "x")
    assert b.run("test -e /srv/only-here", check=False).returncode == 1
    unit = "[Service]\nExecStart=/bin/sleep 1000\n"
    for host in (a, b):
        host.write("/etc/systemd/system/same.service", unit)
        host.run("systemctl daemon-reload; systemctl start same")
    a.run("systemctl stop same")
    assert b.run("systemctl is-active same").stdout.strip() == "active"


@pytest.mark.parametrize("user", USERS)
def test_each_user_logs_in_by_key(lab: Lab, user: str) -> None:
    done = ssh(lab, f"{user}@a", "id -un")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, user, "")


@pytest.mark.parametrize(("user", "password"), [("ops", OPS_PASSWORD), ("plain", PLAIN_PASSWORD)])
def test_two_users_log_in_by_password(lab: Lab, user: str, password: str) -> None:
    assert ssh(lab, f"{user}@b", "id -un", password=password).stdout.strip() == user
    assert ssh(lab, f"{user}@b", "id -un", password="wrong").returncode == 5


def test_root_has_no_password(lab: Lab) -> None:
    assert "Permission denied" in ssh(lab, "root@b", "true", password=OPS_PASSWORD).stderr


def test_sudo_asks_each_user_as_it_should(lab: Lab) -> None:
    assert ssh(lab, "deploy@c", "sudo -n id -u").stdout.strip() == "0"
    assert ssh(lab, "ops@c", "sudo -n id -u").returncode == 1
    assert ssh(lab, "ops@c", f"echo '{OPS_PASSWORD}' | sudo -S -p '' id -u").stdout.strip() == "0"
    assert ssh(lab, "plain@c", f"echo '{PLAIN_PASSWORD}' | sudo -S -p '' id -u").returncode == 1


def test_the_firewall_keeps_strangers_out_until_told_otherwise(fresh_hosts: Lab) -> None:
    lab, host = fresh_hosts, fresh_hosts.hosts["a"]
    with host.place.listening(7000):
        assert lab.stranger.can_connect(host.address, 22)
        assert not lab.stranger.can_connect(host.address, 7000)
        host.run("firewall-cmd --add-port=7000/tcp")
        assert lab.stranger.can_connect(host.address, 7000)
        assert lab.control.can_connect(host.address, 7000)
        assert lab.hosts["b"].can_connect(host.address, 7000)


def test_no_host_reaches_the_outside(lab: Lab) -> None:
    with socket.create_server(("0.0.0.0", 0)) as outside:
        assert lab.hosts["a"].can_connect(lab.control.address, outside.getsockname()[1])
    assert not lab.hosts["a"].can_connect("192.0.2.1", 80)
    assert lab.hosts["a"].run("getent hosts deb.debian.org", check=False).returncode == 2


def test_packages_install_without_internet(fresh_hosts: Lab) -> None:
    host = fresh_hosts.hosts["b"]
    assert host.run("command -v redis-server", check=False).returncode != 0
    host.run("apt-get update && apt-get install -y redis-server")
    wait(lambda: host.run("redis-cli ping", check=False).stdout == "PONG\n", "an answer of redis-server")


def test_an_upstream_source_and_a_compiler_are_there(lab: Lab) -> None:
    assert redis_source().stat().st_size > 1_000_000
    built = lab.hosts["a"].run(
        "cd /tmp && echo 'int main(void){return 7;}' > t.c && gcc -o t t.c && make --version && ./t", check=False
    )
    assert built.returncode == 7


def test_a_reboot_keeps_files_and_rules_and_forgets_the_rest(fresh_hosts: Lab) -> None:
    host = fresh_hosts.hosts["a"]
    before = host.boot_id()
    host.write("/var/lib/kept", "kept")
    host.write("/etc/sysctl.d/90-mine.conf", "vm.overcommit_memory = 1\nnet.core.somaxconn = 777\n")
    host.run("firewall-cmd --permanent --add-port=7000/tcp; firewall-cmd --add-port=7001/tcp; touch /run/forgotten")
    host.run("sysctl -w net.ipv4.tcp_fin_timeout=33")
    host.reboot()
    assert host.boot_id() != before
    assert host.run("cat /var/lib/kept").stdout == "kept"
    assert host.run("firewall-cmd --list-ports").stdout.split() == ["7000/tcp"]
    assert host.run("test -e /run/forgotten", check=False).returncode == 1
    settings = "vm.overcommit_memory net.core.somaxconn net.ipv4.tcp_fin_timeout"
    assert host.run(f"sysctl -n {settings}").stdout.split() == ["1", "777", "60"]
    assert host.can_connect(fresh_hosts.hosts["b"].address, 22)
    assert ssh(fresh_hosts, "a", "true").returncode == 0


def test_a_reboot_that_the_host_itself_begins(fresh_hosts: Lab) -> None:
    host = fresh_hosts.hosts["c"]
    before, number = host.boot_id(), host.boot_number()
    ssh(fresh_hosts, "c", "systemctl reboot")
    wait(lambda: host.boot_number() not in (number, None), "the host to go down and be started again")
    host.wait_booted()
    assert host.boot_id() != before
    assert ssh(fresh_hosts, "c", "true").returncode == 0


def test_the_plug_is_pulled_and_put_back(fresh_hosts: Lab) -> None:
    host = fresh_hosts.hosts["b"]
    host.write("/var/lib/kept", "kept")
    host.power_off_hard()
    assert not host.is_running()
    assert not fresh_hosts.control.can_connect(host.address, 22, timeout_s=1.0)
    host.boot()
    assert host.run("cat /var/lib/kept").stdout == "kept"
    assert ssh(fresh_hosts, "b", "true").returncode == 0


def test_kernel_settings_are_the_hosts_own(fresh_hosts: Lab) -> None:
    a, b = fresh_hosts.hosts["a"], fresh_hosts.hosts["b"]
    huge = "/sys/kernel/mm/transparent_hugepage/enabled"
    real = Path("/proc/sys/vm/overcommit_memory").read_text()
    a.run(f"sysctl -w vm.overcommit_memory=1; sysctl --system; echo never > {huge}")
    wait(lambda: a.run(f"cat {huge}").stdout == "always madvise [never]\n", "the kernel's answer")
    assert a.run("cat /proc/sys/vm/overcommit_memory").stdout == "1\n"
    assert b.run(f"cat /proc/sys/vm/overcommit_memory {huge}").stdout == "0\n[always] madvise never\n"
    assert Path("/proc/sys/vm/overcommit_memory").read_text() == real


def test_a_host_is_cut_off_and_joins_again(lab: Lab) -> None:
    host = lab.hosts["a"]
    with lab.control.connect(host.address, 22) as before:
        before.recv(100)
        with host.without_network():
            before.sendall(b"SSH-2.0-x\r\n")
            before.settimeout(1.0)
            with pytest.raises(TimeoutError):
                before.recv(100)
            with pytest.raises(TimeoutError):
                lab.control.connect(host.address, 22, timeout_s=1.0)
            assert not host.can_connect(lab.hosts["b"].address, 22, timeout_s=1.0)
            assert host.run("echo still here").stdout == "still here\n"
        before.settimeout(20.0)
        assert before.recv(100)  # what was sent meanwhile has arrived
    assert lab.stranger.can_connect(host.address, 22)


def test_one_port_is_blocked(lab: Lab) -> None:
    host = lab.hosts["a"]
    with host.without_port(22), pytest.raises(TimeoutError):
        lab.control.connect(host.address, 22, timeout_s=1.0)
    assert lab.control.can_connect(host.address, 22)


def test_two_hosts_are_parted(lab: Lab) -> None:
    a, b, c = lab.hosts.values()
    lab.part("a", "b")
    assert not a.can_connect(b.address, 22, timeout_s=1.0)
    assert not b.can_connect(a.address, 22, timeout_s=1.0)
    assert c.can_connect(a.address, 22)
    assert c.can_connect(b.address, 22)
    lab.rejoin("a", "b")
    assert a.can_connect(b.address, 22)


def test_a_swapped_host_key_is_refused(lab: Lab) -> None:
    host = lab.hosts["c"]
    assert host.swap_host_key() != host.host_key
    assert "HOST IDENTIFICATION HAS CHANGED" in ssh(lab, "c", "true").stderr
    host.restore_host_key()
    assert ssh(lab, "c", "true").returncode == 0


def test_a_host_behind_another(lab: Lab) -> None:
    with lab.behind_jump() as hidden:
        assert not lab.hosts["b"].can_connect(hidden.address, 22, timeout_s=1.0)
        assert not lab.stranger.can_connect(hidden.address, 22, timeout_s=1.0)
        assert lab.hosts["a"].can_connect(hidden.address, 22)
        assert ssh(lab, "d", "uname -n").stdout == "host-d\n"
        lab.hosts["a"].reboot()
        assert ssh(lab, "d", "uname -n").stdout == "host-d\n"
    assert not hidden.is_running()
    assert lab.hosts["a"].run("ip -o link show eth1", check=False).returncode == 1


def test_another_process_uses_the_hosts(lab: Lab) -> None:
    text = f"from tests.lab.machines import Lab; print(Lab.attach({lab.number}).hosts['a'].run('uname -n').stdout)"
    done = subprocess.run([sys.executable, "-c", text], cwd=HOME, capture_output=True, text=True)
    assert done.stdout.split() == ["host-a"], done.stderr
    assert lab.hosts["a"].is_booted()


def started() -> tuple[subprocess.Popen[str], int]:
    """A lab of one host in another process, up, and its number. Two labs of three leave room for no third."""
    words = [sys.executable, "-u", "-m", "tests.lab.shell", "a"]
    process = subprocess.Popen(words, cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(line)
        if line.lstrip().startswith("a  172.27."):
            return process, int(line.split()[1].split(".")[2])
    raise AssertionError(f"the other lab did not come up: {''.join(told)}")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_lab_that_is_told_to_end_leaves_nothing(lab: Lab, how: signal.Signals) -> None:
    process, number = started()
    assert number != lab.number
    assert traces(number)
    process.send_signal(how)
    assert process.wait(PATIENCE_S) == 130
    assert traces(number) == []


def test_what_a_killed_lab_left_is_removed_by_the_next(lab: Lab) -> None:
    process, number = started()
    process.kill()
    process.wait()
    assert traces(number)
    with Lab(boot=False) as following:
        assert following.number == number
        assert not any(host.is_running() for host in following.hosts.values())
    assert traces(number) == []
    assert all(host.is_booted() for host in lab.hosts.values())
