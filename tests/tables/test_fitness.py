"""``planning.fitness`` and ``planning.mending`` by cases.

``given.hosts`` has, for each host, lines as the profile script prints them; they replace those of a sound host that
have the same key (``-key`` takes one away). ``given.wants`` has fields of ``Requirements``, ``given.clocks`` offset and
doubt by host. ``expect`` has ``findings`` ("severity code where"), ``says`` (code -> words that must stand in the
finding), and ``mends`` ("host: what old -> new (file)").
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pytest

from slotwright.cluster.findings import Finding
from slotwright.cluster.topology import EngineKind, Mode
from slotwright.features.preflight.plan import plan_tuning
from slotwright.hosts.facts.profile import HostProfile
from slotwright.hosts.fitness import check_fitness
from slotwright.hosts.fitness.requirements import ClockOffset, Requirements
from slotwright.hosts.scripts.profile import FOOTER, HEADER
from slotwright.hosts.scripts.profile_parse import parse_profile
from tests.tables.runner import cases

SOUND = """\
time.start=1795410494.5
os=ID=debian
os=VERSION_ID="12"
os=PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
machine=x86_64
kernel=6.1.0-18-amd64
page=4096
libc=glibc 2.36
id=uid=0(root) gid=0(root) groups=0(root)
sudo=root
tool=systemctl
tool=useradd
tool=tar
tool=sha256sum
tool=setsid
tool=setpriv
tool=restorecon
tool=apt-get
memory.MemTotal=8388608
memory.MemAvailable=8000000
memory.SwapTotal=0
memory.SwapFree=0
sysctl=/proc/sys/vm/overcommit_memory:1
sysctl=/proc/sys/vm/swappiness:60
sysctl=/proc/sys/net/core/somaxconn:4096
kernel.thp=always [madvise] never
kernel.thp_defrag=always defer defer+madvise [madvise] never
nofile=Max open files            1024                 1048576              files
init=systemd
systemd=Version=252
systemd=DefaultLimitNOFILE=524288
unit=Id=firewalld.service
unit=LoadState=loaded
unit=ActiveState=active
selinux=absent
firewall.seen=nft
room.0.path=/var/lib/slotwright
room.0.existing=/var/lib
room.0.writable=yes
room.0.stat=20000000 4096 1000000 2000000
room.1.path=/opt/slotwright
room.1.existing=/opt
room.1.writable=yes
room.1.stat=20000000 4096 1000000 2000000
mount=/dev/vda1 / ext4 rw,relatime
time.end=1795410494.6
"""


def profile(host: str, changes: list[str]) -> HostProfile:
    changed = {line.partition("=")[0].removeprefix("-") for line in changes}
    kept = [line for line in SOUND.splitlines() if line.partition("=")[0] not in changed]
    boot = [] if "boot.id" in changed else [f"boot.id={host}"]
    own = boot + [line for line in changes if not line.startswith("-")]
    return parse_profile("\n".join([HEADER, *kept, *own, FOOTER]), host)


def wants(given: dict[str, Any], hosts: list[str]) -> Requirements:
    raw = dict(given.get("wants", {}))
    settings = {"maxmemory": "1gb"} | raw.pop("settings", {})
    ports = raw.pop("ports", [6379, 6380])
    clocks = tuple((host, ClockOffset(*pair)) for host, pair in given.get("clocks", {}).items())
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}
    return Requirements(
        tuple((host, tuple(ports)) for host in hosts),
        mode=Mode(plain.pop("mode", "cluster")),
        engine_kind=EngineKind(plain.pop("engine_kind", "redis")),
        settings=tuple((name, value) for name, value in settings.items() if value is not None),
        data_root=plain.pop("data_root", "/var/lib/slotwright"),
        engine_root=plain.pop("engine_root", "/opt/slotwright"),
        clocks=clocks,
        **plain,
    )


def says(finding: Finding) -> str:
    return " | ".join(str(part) for part in astuple(finding))


@pytest.mark.parametrize(("given", "expect"), cases("fitness"))
def test_fitness(given: dict[str, Any], expect: dict[str, Any]) -> None:
    profiles = tuple(profile(host, changes) for host, changes in given["hosts"].items())
    what = wants(given, list(given["hosts"]))
    found = check_fitness(profiles, what)
    assert [f"{one.severity} {one.code} {one.where}" for one in found] == expect["findings"]
    for code, words in expect.get("says", {}).items():
        texts = [says(one) for one in found if one.code == code]
        for word in [words] if isinstance(words, str) else words:
            assert any(word in text for text in texts), (word, texts)
    mends = [
        f"{mending.host}: {change.what} {change.old} -> {change.new} ({change.file})"
        for mending in plan_tuning(profiles, found, what)
        for change in mending.changes
    ]
    assert mends == expect.get("mends", [])
    # Whatever is found tells what to do about it, in sentences that a person can read.
    assert all(one.what and one.remedy for one in found)
