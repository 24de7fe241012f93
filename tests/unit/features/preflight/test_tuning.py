"""What --fix plans, and the scripts themselves: run for real where they change nothing of this machine but files."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from slotwright.adapters.local.shell import LocalShell
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.stages import by_place
from slotwright.errors import HostError
from slotwright.features.preflight.plan import (
    LIMITS_FILE,
    SYSCTL_FILE,
    THP_UNIT,
    HostTuning,
    TuningChange,
    plan_tuning,
)
from slotwright.features.preflight.run import TuningResult, TuningSteps
from slotwright.hosts.facts.profile import FileLimits, HostProfile, Kernel, LoginUser, SudoRights
from slotwright.hosts.fitness.requirements import Requirements
from slotwright.hosts.scripts.tuning import LIMITS_SCRIPT, SYSCTL_SCRIPT, THP_SCRIPT
from slotwright.ops.runner import Runner, failures
from slotwright.ports import ShellResult
from tests.fakes.doubles import MemoryJournal

ROOT = LoginUser(0, "root", SudoRights.IS_ROOT)
WANTS = Requirements((("h1", (6379,)),))


def found(*codes: str, where: str = "h1") -> tuple[Finding, ...]:
    return tuple(Finding(code, Severity.WARNING, where, "") for code in codes)


def test_nothing_found_nothing_mended() -> None:
    assert plan_tuning((HostProfile("h1", login=ROOT),), (), WANTS) == ()
    assert plan_tuning((HostProfile("h1", login=ROOT),), found("memory-short", "firewall-none"), WANTS) == ()


def test_only_the_host_that_was_found_is_mended() -> None:
    hosts = (HostProfile("h1", login=ROOT), HostProfile("h2", login=ROOT))
    assert [mending.host for mending in plan_tuning(hosts, found("somaxconn-low", where="h2"), WANTS)] == ["h2"]


def test_kernel_settings_go_into_one_file_by_one_script() -> None:
    host = HostProfile("h1", kernel=Kernel(overcommit_memory=0, somaxconn=128), login=ROOT)
    (mending,) = plan_tuning((host,), found("somaxconn-low", "overcommit-memory-off"), WANTS)
    assert mending.script == SYSCTL_SCRIPT
    assert mending.arguments == (SYSCTL_FILE, "vm.overcommit_memory=1", "net.core.somaxconn=4096")
    assert mending.changes[1] == TuningChange("net.core.somaxconn", "128", "4096", SYSCTL_FILE)


def test_huge_pages_take_a_unit_and_so_systemd() -> None:
    with_systemd = HostProfile("h1", kernel=Kernel(thp="always"), login=ROOT, init="systemd")
    (mending,) = plan_tuning((with_systemd,), found("transparent-huge-pages"), WANTS)
    assert (mending.script, mending.arguments) == (THP_SCRIPT, (THP_UNIT,))
    without = HostProfile("h1", kernel=Kernel(thp="always"), login=ROOT)
    assert plan_tuning((without,), found("transparent-huge-pages"), WANTS) == ()


def test_limits_are_for_the_service_user_root_and_the_login() -> None:
    host = HostProfile(
        "h1", files=FileLimits(1024, 4096), login=LoginUser(0, "root", SudoRights.IS_ROOT, came_from="ops")
    )
    many = Requirements((("h1", (6379,)),), settings=(("maxclients", "100000"),))
    (mending,) = plan_tuning((host,), found("nofile-low"), many)
    assert mending.arguments == (LIMITS_FILE, "100032", "slotwright", "root", "ops")
    assert mending.script == LIMITS_SCRIPT


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


TUNINGS = tuple(
    HostTuning(host, (TuningChange(what, "0", "1", SYSCTL_FILE),), SYSCTL_SCRIPT, (SYSCTL_FILE, f"{what}=1"))
    for host, what in (("h1", "vm.a"), ("h1", "vm.b"), ("h2", "vm.a"))
)


class Sayer:
    """A shell that says what a script would, and is lost after so many."""

    def __init__(self, *results: ShellResult) -> None:
        self._results = list(results)

    async def run(self, script: str, *arguments: str, **others: object) -> ShellResult:
        if not self._results:
            raise HostError("the connection ended", code="host-lost", where="h1")
        return self._results.pop(0)


def test_hosts_are_tuned_side_by_side_and_each_script_is_journaled() -> None:
    done = ShellResult(0, "did write it\n", "")
    handler = TuningSteps(
        {"h1": cast("Any", Sayer(done)), "h2": cast("Any", Sayer(ShellResult(1, "failed vm.a could not be set\n", "")))}
    )
    journal = MemoryJournal()
    outcomes = asyncio.run(Runner(handler, journal).run(by_place(TUNINGS)))
    assert [error.code for error in failures(outcomes)] == ["host-lost"]
    assert handler.results == {
        TUNINGS[0]: TuningResult(TUNINGS[0], ("write it",), ()),
        TUNINGS[2]: TuningResult(TUNINGS[2], (), ("failed vm.a could not be set",)),
    }
    assert sorted(line for line in journal.lines if not line.startswith("intent")) == [
        "done tune h1",
        "done tune h2",
        "failed tune h1",
    ]
    assert journal.entries[0]["changes"] == ["vm.a"]
