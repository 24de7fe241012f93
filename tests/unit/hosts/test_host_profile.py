"""The profile script and its parser: recorded outputs of real hosts, hand-made ones, and this very machine."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from slotwright.adapters.local.shell import LocalShell
from slotwright.hosts.facts.nodes import PortOwner
from slotwright.hosts.facts.profile import HostProfile, InputChain, Listener, Selinux, ServiceState, SudoRights
from slotwright.hosts.scripts.profile import FOOTER, HEADER, PROFILE_SCRIPT, profile_arguments
from slotwright.hosts.scripts.profile_parse import UNLIMITED, ProfileError, parse_profile

RECORDED = Path(__file__).parent / "profiles"


def recorded(name: str) -> HostProfile:
    return parse_profile((RECORDED / f"{name}.txt").read_text(), name)


def made(*lines: str) -> HostProfile:
    return parse_profile("\n".join([HEADER, *lines, FOOTER, ""]), "h1")


def test_a_debian_without_systemd() -> None:
    profile = recorded("debian")
    system = profile.system
    assert (system.os_id, system.os_version, system.architecture) == ("debian", "12", "x86_64")
    assert (system.page_bytes, system.libc, system.libc_version, system.cpus) == (4096, "glibc", "2.36", 2)
    assert profile.memory.total_bytes == 24684084 * 1024 and profile.memory.swap_bytes == 0
    assert profile.kernel.overcommit_memory == 0 and profile.kernel.somaxconn == 4096
    assert profile.kernel.thp == "madvise"
    assert (profile.files.soft, profile.files.hard, profile.files.systemd_default) == (20000, 20000, None)
    assert not profile.has_systemd and profile.selinux is Selinux.ABSENT
    assert profile.login.is_root and profile.package_tool == "apt-get"
    assert profile.firewall.is_visible and not profile.firewall.chains
    assert [one.port for one in profile.listeners] == [2024]
    assert profile.servers[0].path == "/usr/bin/redis-server" and "v=7.0.15" in profile.servers[0].version


def test_the_engine_was_tried_and_asked_for_its_system_check() -> None:
    trial = recorded("debian").engine
    assert trial is not None and trial.runs and trial.is_there and trial.machine == "x86_64"
    assert trial.output.startswith("Redis server v=7.0.15")
    assert trial.check_status == 1 and "[overcommit]...WARNING:\nMemory overcommit" in trial.check_output


def test_a_host_with_systemd_and_firewalld() -> None:
    profile = recorded("systemd")
    assert profile.has_systemd and profile.init_version.startswith("252.")
    assert profile.files.systemd_default == 524288
    assert profile.firewall.firewalld is ServiceState.ACTIVE
    assert profile.firewall.chains == (InputChain("inet", "firewalld", "filter_INPUT", "accept", 6),)
    ssh = next((one for one in profile.listeners if one.port == 22), None)
    assert ssh is not None and ssh.owner is not None and ssh.owner.command == "sshd"
    room = profile.room("/var/lib/slotwright")
    assert room is not None and not room.is_there and room.existing == "/var/lib" and room.file_system == "overlay"
    assert profile.time_service == ""


def test_a_user_with_sudo_sees_less() -> None:
    profile = recorded("sudo-user")
    assert profile.login.user == "ops" and profile.login.sudo is SudoRights.FREE and profile.login.can_be_root
    assert not profile.firewall.is_visible
    assert profile.listeners[0].owner is None


def test_folders_with_blanks_read_only_and_noexec() -> None:
    profile = recorded("sudo-user")
    blank, data = profile.room("/srv/with space/deep er/x"), profile.room("/data/x")
    assert blank is not None and blank.existing == blank.mount_point == "/srv/with space" and blank.is_noexec
    assert data is not None and data.is_read_only and data.is_noexec and data.is_writable is False


def test_busybox_without_ss_getconf_and_fractions_of_seconds() -> None:
    profile = recorded("busybox")
    assert profile.time is not None and profile.time.step_s == 1.0
    assert profile.system.page_bytes == 4096 and profile.system.libc == "" and profile.system.cpus is None
    assert profile.listeners == (Listener("0.0.0.0", 2024),)
    assert profile.login.uid == 1000 and profile.login.user == "" and profile.login.sudo is SudoRights.ABSENT


def test_an_openeuler_on_arm_with_large_pages() -> None:
    profile = made(
        'os=NAME="openEuler"',
        'os=ID="openEuler"',
        'os=VERSION_ID="22.03"',
        'os=PRETTY_NAME="openEuler 22.03 (LTS-SP3)"',
        "machine=aarch64",
        "kernel=5.10.0-182.0.0.95.oe2203sp3.aarch64",
        "page=65536",
        "libc=glibc 2.34",
        "cpus=0-47,50",
        "kernel.thp=[always] madvise never",
        "selinux.enforce=1",
        "tool=yum",
        "tool=dnf",
        "unit=LoadState=loaded",
        "unit=ActiveState=inactive",
        "unit=Id=firewalld.service",
        "unit=",
        "unit=Id=chronyd.service",
        "unit=LoadState=loaded",
        "unit=ActiveState=active",
    )
    assert profile.system.os_id == "openeuler" and profile.system.page_bytes == 65536 and profile.system.cpus == 49
    assert profile.kernel.thp == "always" and profile.selinux is Selinux.ENFORCING
    assert profile.package_tool == "dnf"
    assert profile.firewall.firewalld is ServiceState.INSTALLED and profile.time_service == "chronyd"


def test_centos_6_has_no_os_release_and_old_kernels_no_available_memory() -> None:
    profile = made(
        "os.release=CentOS release 6.10 (Final)",
        "memory.MemFree=1000",
        "memory.Buffers=20",
        "memory.Cached=3",
        "memory.SwapTotal=100",
        "memory.SwapFree=40",
        "nofile=Max open files            1024                 unlimited            files     ",
    )
    assert profile.system.os_id == "centos" and "6.10" in profile.system.os_name
    assert profile.memory.available_bytes == 1023 * 1024 and profile.memory.swap_used_bytes == 60 * 1024
    assert profile.files.hard == UNLIMITED


def test_musl() -> None:
    profile = made("libc.musl=musl libc (x86_64)", "libc.musl=Version 1.2.5", "libc.musl=Dynamic Program Loader")
    assert (profile.system.libc, profile.system.libc_version) == ("musl", "1.2.5")


def test_nothing_told_is_nothing_known() -> None:
    assert made() == HostProfile("h1")


def test_chatter_before_the_header_and_carriage_returns_do_no_harm() -> None:
    text = f"Welcome!\r\n{HEADER}\r\nmachine=x86_64\r\n{FOOTER}\r\nbye"
    assert parse_profile(text, "h1").system.architecture == "x86_64"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing at all"),
        ("sh: 1: permission denied", "permission denied"),
        (f"{HEADER}\nmachine=x86_64\npa", "'pa'"),
    ],
)
def test_a_cut_profile_is_no_profile(text: str, why: str) -> None:
    with pytest.raises(ProfileError, match="h1") as caught:
        parse_profile(text, "h1")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("LISTEN 0 511 127.0.0.1:6379 0.0.0.0:*", Listener("127.0.0.1", 6379)),
        ("LISTEN 0 128 [::]:22 [::]:*", Listener("::", 22)),
        ("LISTEN 0 128 *:80 *:*", Listener("*", 80)),
        ("LISTEN 0 5 127.0.0.53%lo:53 0.0.0.0:*", Listener("127.0.0.53", 53)),
        (
            'LISTEN 0 511 *:6379 *:* users:(("redis-server",pid=77,fd=6),("x",pid=9,fd=1))',
            Listener("*", 6379, PortOwner(77, "redis-server")),
        ),
        (
            'LISTEN 0 511 *:6379 *:* users:(("odd ")name",pid=77,fd=6))',
            Listener("*", 6379, PortOwner(77, 'odd ")name')),
        ),
    ],
)
def test_listeners_from_ss(line: str, expected: Listener) -> None:
    assert made(f"listen={line}").listeners == (expected,)


@pytest.mark.parametrize(
    ("local", "address"),
    [
        ("0100007F:18EB", "127.0.0.1"),
        ("00000000000000000000000000000000:18EB", "::"),
        ("B80D01200000000000000000010000AC:18EB", "2001:db8:0:0:0:0:ac00:1"),
    ],
)
def test_listeners_from_the_kernel(local: str, address: str) -> None:
    profile = made(f"listen.proc=   0: {local} 00000000:0000 0A 0 0 0")
    assert profile.listeners == (Listener(address, 6379),)


@pytest.mark.parametrize(
    ("dump", "machine"),
    [
        (" 7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00\nengine.elf= 03 00 b7 00", "aarch64"),
        (" 7f 45 4c 46 02 02 01 00 00 00 00 00 00 00 00 00\nengine.elf= 00 02 00 b7", "aarch64"),
        (" 7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00\nengine.elf= 03 00 02 01", "loongarch64"),
        (" 23 21 2f 62 69 6e 2f 73 68 0a 00 00 00 00 00 00\nengine.elf= 03 00 b7 00", ""),
        ("", ""),
    ],
)
def test_the_architecture_of_a_binary(dump: str, machine: str) -> None:
    trial = made("engine.path=/opt/x", f"engine.elf={dump}").engine
    assert trial is not None and trial.machine == machine


def test_df_stands_in_for_stat() -> None:
    profile = made(
        "room.0.path=/data",
        "room.0.existing=/data",
        "room.0.df=Filesystem 1024-blocks Used Available Capacity Mounted on",
        "room.0.df=/dev/sdb1 100 60 40 60% /data",
        "mount=/dev/sda1 / ext4 rw",
        "mount=/dev/sdb1 /data xfs rw,noexec",
        "mount=tmpfs /data tmpfs ro",
        "mount=/dev/sdc1 /dat ext4 ro",
    )
    (room,) = profile.rooms
    assert room.free_bytes == 40960 and room.total_inodes is None
    assert room.mount_point == "/data" and room.file_system == "tmpfs" and room.is_read_only


def test_nonsense_in_a_value_is_a_fact_that_is_missing() -> None:
    profile = made(
        "page=", "cpus=many", "sysctl=/proc/sys/vm/swappiness:x", "nft.chain=inet filter", "user=a:b", "noise"
    )
    assert profile.system.page_bytes is None and profile.system.cpus is None and profile.kernel.swappiness is None
    assert profile.firewall.chains == () and profile.users == ()


def _shells() -> list[list[str]]:
    found = [[path] for name in ("sh", "dash", "bash") if (path := shutil.which(name))]
    return found + [[path, "sh"] for name in ("busybox",) if (path := shutil.which(name))]


@pytest.mark.parametrize("shell", _shells(), ids=lambda shell: Path(shell[0]).name)
def test_every_shell_here_runs_the_script_whole_and_complains_of_nothing(shell: list[str], tmp_path: Path) -> None:
    odd = tmp_path / "it's a $(folder)" / "deeper"
    arguments = profile_arguments("/nowhere/redis-server", (22, 6379), (str(odd), "/tmp"))
    done = subprocess.run(
        [*shell, "-c", PROFILE_SCRIPT, "sh", *arguments], capture_output=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    profile = parse_profile(done.stdout.decode(), "here")
    assert profile.system.architecture and profile.system.kernel and profile.memory.total_bytes
    assert profile.kernel.overcommit_memory is not None and profile.kernel.max_map_count
    room = profile.room(str(odd))
    assert room is not None and room.existing == str(tmp_path) and room.free_bytes and room.is_writable
    assert profile.engine is not None and not profile.engine.is_there


async def _profile_here(*arguments: str) -> HostProfile:
    result = await LocalShell().run(PROFILE_SCRIPT, *arguments)
    assert result.status == 0
    return parse_profile(result.output, "localhost")


def test_a_local_shell_brings_a_profile_twice_the_same() -> None:
    import asyncio

    async def both() -> tuple[HostProfile, HostProfile]:
        arguments = profile_arguments(directories=("/",), ports=(1,))
        return await _profile_here(*arguments), await _profile_here(*arguments)

    one, other = asyncio.run(both())
    assert one.time is not None and other.time is not None and one.time.end_s <= other.time.start_s
    assert one.system == other.system and one.tools == other.tools and one.kernel == other.kernel
    assert replace(one, time=None, memory=other.memory, rooms=()) == replace(other, time=None, rooms=())


@pytest.mark.parametrize(("machine", "answer"), [("Redis server v=7.2.4", True), ("Redis server v=6.2.14", False)])
def test_the_system_check_is_asked_of_servers_that_have_it(machine: str, answer: bool, tmp_path: Path) -> None:
    server = tmp_path / "redis-server"
    server.write_text(
        f"#!/bin/sh\ncase $1 in --version) echo '{machine} sha=0' ;; *) echo '[THP]...OK'; exit 1 ;; esac\n"
    )
    server.chmod(0o755)
    arguments = profile_arguments(str(server))
    done = subprocess.run(["sh", "-c", PROFILE_SCRIPT, "sh", *arguments], capture_output=True, timeout=20, check=True)
    trial = parse_profile(done.stdout.decode(), "here").engine
    assert trial is not None and trial.runs
    assert (trial.check_output, trial.check_status) == (("[THP]...OK", 1) if answer else ("", None))


def test_what_a_broken_server_says_is_kept(tmp_path: Path) -> None:
    server = tmp_path / "redis-server"
    server.write_text('#!/bin/sh\necho "version \\`GLIBC_2.38\' not found" >&2\necho second=line >&2\nexit 1\n')
    server.chmod(0o755)
    done = subprocess.run(["sh", "-c", PROFILE_SCRIPT, "sh", str(server)], capture_output=True, timeout=20, check=True)
    trial = parse_profile(done.stdout.decode(), "here").engine
    assert trial is not None and not trial.runs and trial.status == 1
    assert trial.output == "version `GLIBC_2.38' not found\nsecond=line"
