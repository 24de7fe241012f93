"""What --fix plans, and the scripts themselves: run for real where they change nothing of this machine but files."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from slotwright.adapters.shells.local import LocalShell
from slotwright.model.findings import Finding, Severity
from slotwright.model.profile import FileLimits, HostProfile, Kernel, Login, Sudo
from slotwright.planning.fitness_wants import Wants
from slotwright.planning.mending import LIMITS_FILE, SYSCTL_FILE, THP_UNIT, Change, plan_mending
from slotwright.ports import ShellResult
from slotwright.wire.mending_scripts import LIMITS_SCRIPT, SYSCTL_SCRIPT, THP_SCRIPT

ROOT = Login(0, "root", Sudo.IS_ROOT)
WANTS = Wants((("h1", (6379,)),))


def found(*codes: str, where: str = "h1") -> tuple[Finding, ...]:
    return tuple(Finding(code, Severity.WARNING, where, "") for code in codes)


def test_nothing_found_nothing_mended() -> None:
    assert plan_mending((HostProfile("h1", login=ROOT),), (), WANTS) == ()
    assert plan_mending((HostProfile("h1", login=ROOT),), found("memory-short", "firewall-none"), WANTS) == ()


def test_only_the_host_that_was_found_is_mended() -> None:
    hosts = (HostProfile("h1", login=ROOT), HostProfile("h2", login=ROOT))
    assert [mending.host for mending in plan_mending(hosts, found("somaxconn-low", where="h2"), WANTS)] == ["h2"]


def test_kernel_settings_go_into_one_file_by_one_script() -> None:
    host = HostProfile("h1", kernel=Kernel(overcommit_memory=0, somaxconn=128), login=ROOT)
    (mending,) = plan_mending((host,), found("somaxconn-low", "overcommit-memory-off"), WANTS)
    assert mending.codes == ("overcommit-memory-off", "somaxconn-low") and mending.script == SYSCTL_SCRIPT
    assert mending.arguments == (SYSCTL_FILE, "vm.overcommit_memory=1", "net.core.somaxconn=4096")
    assert mending.changes[1] == Change("net.core.somaxconn", "128", "4096", SYSCTL_FILE)
    assert not mending.at_next_login


def test_huge_pages_take_a_unit_and_so_systemd() -> None:
    with_systemd = HostProfile("h1", kernel=Kernel(thp="always"), login=ROOT, init="systemd")
    (mending,) = plan_mending((with_systemd,), found("transparent-huge-pages"), WANTS)
    assert (mending.script, mending.arguments) == (THP_SCRIPT, (THP_UNIT,))
    without = HostProfile("h1", kernel=Kernel(thp="always"), login=ROOT)
    assert plan_mending((without,), found("transparent-huge-pages"), WANTS) == ()


def test_limits_are_for_the_service_user_root_and_the_login() -> None:
    host = HostProfile("h1", files=FileLimits(1024, 4096), login=Login(0, "root", Sudo.IS_ROOT, came_from="ops"))
    many = Wants((("h1", (6379,)),), settings=(("maxclients", "100000"),))
    (mending,) = plan_mending((host,), found("nofile-low"), many)
    assert mending.arguments == (LIMITS_FILE, "100032", "slotwright", "root", "ops")
    assert mending.at_next_login and mending.script == LIMITS_SCRIPT


@pytest.mark.parametrize("script", [SYSCTL_SCRIPT, THP_SCRIPT, LIMITS_SCRIPT])
def test_the_scripts_are_posix_sh(script: str) -> None:
    done = subprocess.run(["/bin/sh", "-n", "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def run(script: str, *arguments: str) -> ShellResult:
    return asyncio.run(LocalShell().run(script, *arguments))


def _now(name: str) -> str:
    return Path("/proc/sys", *name.split(".")).read_text().strip()


def test_a_setting_that_is_right_already_is_written_once_and_then_left(tmp_path: Path) -> None:
    file, swappiness, maps = tmp_path / "d" / "60-slotwright.conf", _now("vm.swappiness"), _now("vm.max_map_count")
    first = run(SYSCTL_SCRIPT, str(file), f"vm.swappiness={swappiness}")
    assert (first.status, first.output, first.complaint) == (0, f"did write {file}\n", "")
    again = run(SYSCTL_SCRIPT, str(file), f"vm.swappiness={swappiness}")
    assert (again.status, again.output) == (0, "")
    other = run(SYSCTL_SCRIPT, str(file), f"vm.max_map_count={maps}")
    assert other.output == f"did write {file}\n"
    assert run(SYSCTL_SCRIPT, str(file), f"vm.swappiness={swappiness}").output == ""
    lines = file.read_text().splitlines()
    assert lines[1:] == [f"vm.swappiness = {swappiness}", f"vm.max_map_count = {maps}"] and lines[0].startswith("#")
    assert file.stat().st_mode & 0o777 == 0o644 and list(file.parent.iterdir()) == [file]


def test_a_setting_that_the_kernel_does_not_take_is_told(tmp_path: Path) -> None:
    file = tmp_path / "60-slotwright.conf"
    result = run(SYSCTL_SCRIPT, str(file), "vm.no_such_setting=1")
    assert result.status == 1 and "failed vm.no_such_setting could not be set to 1 now" in result.output
    assert file.read_text().endswith("vm.no_such_setting = 1\n")


def test_a_file_that_can_t_be_written_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    result = run(LIMITS_SCRIPT, f"{blocked}/60-slotwright.conf", "65536", "slotwright")
    assert result.status == 1 and "failed" in result.output and "did" not in result.output


@pytest.mark.skipif(not Path("/etc/security").is_dir(), reason="there is no pam_limits here")
def test_limits_are_written_whole_and_once(tmp_path: Path) -> None:
    file = tmp_path / "limits.d" / "60-slotwright.conf"
    assert run(LIMITS_SCRIPT, str(file), "65536", "slotwright", "root").output == f"did write {file}\n"
    assert run(LIMITS_SCRIPT, str(file), "65536", "slotwright", "root").output == ""
    assert file.read_text().splitlines()[1:] == [
        "slotwright soft nofile 65536",
        "slotwright hard nofile 65536",
        "root soft nofile 65536",
        "root hard nofile 65536",
    ]
