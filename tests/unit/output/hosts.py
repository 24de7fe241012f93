"""Fixed result values about hosts, adopted clusters and their clients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from slotwright.cluster.announced import Announced, AnnouncedShard
from slotwright.cluster.observation import Role
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.slots import SlotSet
from slotwright.features.adopt.api import Adopted
from slotwright.features.clients.configs.kind import ClientKind
from slotwright.features.clients.model import ClientConfig, ClientFile
from slotwright.features.clients.path_api import ClientPathResult
from slotwright.features.clients.path_model import ClientPath, DialledNode, Redirect
from slotwright.features.preflight.api import Preflight, TuningResult
from slotwright.features.preflight.plan import HostTuning, TuningChange
from slotwright.hosts.facts.nodes import PortOwner
from slotwright.hosts.facts.profile import (
    EngineTrial,
    FileLimits,
    Firewall,
    FoundServer,
    HostMemory,
    HostProfile,
    HostTime,
    InputChain,
    Kernel,
    Listener,
    LoginUser,
    Room,
    Selinux,
    ServiceState,
    SudoRights,
    System,
    User,
)
from slotwright.hosts.fitness.requirements import ClockOffset
from tests.fakes import build
from tests.unit.output.results import FINDING, PRIMARY, REPLICA, sound


def profile() -> HostProfile:
    """With a value in every place."""
    return HostProfile(
        "h1",
        System("debian", "12", "Debian 12", ("debian",), "box", "x86_64", "6.1", 4096, "glibc", "2.36", "b1", 2),
        HostMemory(25276502016, 23286194176, 0, 0),
        Kernel(1, 60, 65530, 4096, 4096, "madvise", "madvise"),
        FileLimits(1024, 524288, 1024),
        (Room("/data", "/", True, True, 10**9, 5, 9, "/", "ext4"),),
        "systemd",
        "252",
        Selinux.ABSENT,
        HostTime(1.5, 2.5, 0.25),
        "chrony",
        LoginUser(0, "root", SudoRights.IS_ROOT, "10.0.0.9"),
        "apt-get",
        Firewall(ServiceState.ACTIVE, False, (InputChain("inet", "filter", "input", "drop", 3),), ("-A INPUT",), True),
        (Listener("0.0.0.0", 22, PortOwner(7, "sshd")), Listener("::", 80)),
        (User("valkey", 999, "/var/lib/valkey"),),
        frozenset({"tar", "sh"}),
        (FoundServer("/usr/bin/valkey-server", "v=9.1.2"),),
        EngineTrial("/opt/valkey-server", True, "x86_64", 0, "v=9.1.2", 0, "fine"),
    )


def preflight() -> Preflight:
    tuning = HostTuning("h1", (TuningChange("vm.overcommit_memory", "0", "1", "/etc/sysctl.d/60.conf"),), "x", ())
    return Preflight(
        "demo",
        (profile(), HostProfile("h2")),
        (("h1", ClockOffset(0.02374, 0.001)),),
        (FINDING,),
        6,
        (TuningResult(tuning, ("write /etc/sysctl.d/60.conf",), ("no reboot yet",)),),
    )


def adopted() -> Adopted:
    record = replace(build.record(build.topology(name="cache"), Stage.ADOPTED), settings=(("maxmemory", "67108864"),))
    return Adopted(record, "name: cache\n", Path("/etc/cache.yaml"), sound(), (FINDING,))


def adopted_printed() -> Adopted:
    return replace(adopted(), path=None, findings=())


def forgotten() -> ClusterRecord:
    return replace(adopted().record, topology_path="/etc/cache.yaml")


def config() -> ClientConfig:
    file = ClientFile("redis_cluster.py", "python", "seeds = ...\n")
    return ClientConfig("redis-py", "redis-py", "redis==8.1.0", (file,), ("REDIS_PASSWORD",), ("127.0.1.9: no name",))


def kinds() -> tuple[ClientKind, ...]:
    return (
        ClientKind("redis-py", "redis-py", "8.1.0", "redis=={tried}", "a.py", "python", "#", "a.py"),
        ClientKind("php", "PhpRedis", "6.0", "ext-redis", "a.php", "php", "//", "a.php", is_run=False),
    )


def walked() -> ClientPathResult:
    """One that is reached, one that is not, and one whose name is none."""
    good = Announced("1" * 40, "127.0.1.1", 7001, Role.PRIMARY, ("db1.example",))
    bad = Announced("2" * 40, "127.0.1.2", 7002, Role.REPLICA)
    nameless = Announced("3" * 40, "?", 7003, Role.REPLICA)
    path = ClientPath(
        "h9",
        (PRIMARY,),
        PRIMARY,
        (AnnouncedShard(SlotSet.parse(["0-16383"]), (good, bad, nameless)),),
        (DialledNode(PRIMARY, id="1" * 40, took_ms=1.2345), DialledNode(REPLICA, "refused", "refused")),
        (Redirect(REPLICA, "1" * 40, PRIMARY), Redirect(PRIMARY, "1" * 40, None, "MOVED to nowhere")),
    )
    return ClientPathResult("demo", path, (FINDING,))
