"""What the profile script printed -> :class:`slotwright.model.profile.HostProfile`. Missing facts stay missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from slotwright.model.profile import (
    EngineTrial,
    FileLimits,
    Firewall,
    FoundServer,
    HostProfile,
    HostTime,
    InputChain,
    Kernel,
    Listener,
    Login,
    Memory,
    Room,
    Selinux,
    ServiceState,
    Sudo,
    System,
    User,
)
from slotwright.wire.host_script import FOOTER, HEADER
from slotwright.wire.listeners import listener_from_proc, listener_from_ss

UNLIMITED = 2**63 - 1
"""What "unlimited" and "infinity" are taken as."""

PACKAGE_TOOLS = ("apt-get", "dnf", "yum", "zypper", "apk")

_MACHINES = {"3e": "x86_64", "b7": "aarch64", "03": "i686", "28": "armv7l", "f3": "riscv64"}


class ProfileError(ValueError):
    """The output is not a whole profile: cut, or not of our script."""


def parse_profile(text: str, host: str) -> HostProfile:
    """The profile in ``text``; raises :class:`ProfileError` where header or footer is missing."""
    said = _Said.read(text, host)
    tools = frozenset(said.all("tool"))
    return HostProfile(
        host,
        system=_system(said),
        memory=_memory(said),
        kernel=_kernel(said),
        files=_file_limits(said),
        rooms=_rooms(said),
        init=said.one("init"),
        init_version=said.pairs("systemd").get("Version", "").split(" ")[0],
        selinux=_selinux(said),
        time=_time(said),
        time_service=_time_service(said),
        login=_login(said),
        package_tool=next((tool for tool in PACKAGE_TOOLS if tool in tools), ""),
        firewall=_firewall(said, tools),
        listeners=_listeners(said),
        users=tuple(_users(said.all("user"))),
        tools=tools,
        servers=_servers(said),
        engine=_engine(said),
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """The lines between header and footer."""

    lines: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, text: str, host: str) -> _Said:
        lines = text.split("\n")
        # A terminal in between may have added carriage returns.
        stripped = [line.removesuffix("\r") for line in lines]
        if HEADER not in stripped:
            raise ProfileError(f"{host} printed no profile: {_start(text)}")
        inner = stripped[stripped.index(HEADER) + 1 :]
        if FOOTER not in inner:
            raise ProfileError(f"the profile of {host} is not complete: it ends with {_end(inner)}")
        inner = inner[: inner.index(FOOTER)]
        return cls(tuple((key, value) for key, sign, value in (line.partition("=") for line in inner) if sign))

    def all(self, key: str) -> list[str]:
        return [value for name, value in self.lines if name == key and value]

    def one(self, key: str) -> str:
        return next(iter(self.all(key)), "")

    def text(self, key: str) -> str:
        """A text of several lines, empty ones among them."""
        return "\n".join(value for name, value in self.lines if name == key).strip("\n")

    def number(self, key: str) -> int | None:
        return _number(self.one(key))

    def pairs(self, key: str) -> dict[str, str]:
        """Lines that are ``name=value`` themselves."""
        return {name: value for name, sign, value in (line.partition("=") for line in self.all(key)) if sign}


def _start(text: str) -> str:
    return repr(text.strip()[:120]) if text.strip() else "nothing at all"


def _end(lines: list[str]) -> str:
    last = next((line for line in reversed(lines) if line), "")
    return repr(last[:120]) if last else "nothing"


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d+", text.strip()) else None


def _limit(text: str) -> int | None:
    return UNLIMITED if text in ("unlimited", "infinity") else _number(text)


def _unquoted(value: str) -> str:
    """os-release(5): values may stand in quotes, with backslashes."""
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return re.sub(r"\\(.)", r"\1", value)


def _system(said: _Said) -> System:
    os = {name: _unquoted(value) for name, value in said.pairs("os").items()}
    libc, _, libc_version = said.one("libc").partition(" ")
    if not libc and (musl := said.text("libc.musl")):
        libc, libc_version = "musl", _found(r"^Version (\S+)", musl)
    return System(
        os_id=os.get("ID", "").lower() or _old_os(said),
        os_version=os.get("VERSION_ID", "") or said.one("os.debian"),
        os_name=os.get("PRETTY_NAME", "") or said.one("os.release"),
        os_like=tuple(os.get("ID_LIKE", "").lower().split()),
        hostname=said.one("hostname"),
        architecture=said.one("machine"),
        kernel=said.one("kernel"),
        page_bytes=said.number("page"),
        libc=libc,
        libc_version=libc_version,
        boot_id=said.one("boot.id"),
        cpus=_cpus(said.one("cpus")),
    )


def _old_os(said: _Said) -> str:
    """Without os-release: by the first word of the older files."""
    release = said.one("os.release")
    return release.split()[0].lower() if release else ("debian" if said.one("os.debian") else "")


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else ""


def _cpus(text: str) -> int | None:
    """How many are in a list such as ``0-3,5``."""
    count = 0
    for part in text.split(","):
        span = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if not span:
            return None
        count += int(span[2] or span[1]) - int(span[1]) + 1
    return count


def _memory(said: _Said) -> Memory:
    """/proc/meminfo counts in KiB. Kernels before 3.14 know no MemAvailable: free memory and caches stand in."""
    kib = {name: said.number(f"memory.{name}") for name in ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")}
    available = kib["MemAvailable"]
    if available is None:
        parts = [said.number(f"memory.{name}") for name in ("MemFree", "Buffers", "Cached")]
        known = [part for part in parts if part is not None]
        available = sum(known) if known else None
    swap, free = kib["SwapTotal"], kib["SwapFree"]
    used = swap - free if swap is not None and free is not None else None
    return Memory(_bytes(kib["MemTotal"]), _bytes(available), _bytes(swap), _bytes(used))


def _bytes(kib: int | None) -> int | None:
    return None if kib is None else kib * 1024


def _kernel(said: _Said) -> Kernel:
    settings = {path.rpartition("/")[2]: _number(value) for path, _, value in _split(said.all("sysctl"), ":")}
    return Kernel(
        overcommit_memory=settings.get("overcommit_memory"),
        swappiness=settings.get("swappiness"),
        max_map_count=settings.get("max_map_count"),
        somaxconn=settings.get("somaxconn"),
        syn_backlog=settings.get("tcp_max_syn_backlog"),
        thp=_found(r"\[(\S+)\]", said.one("kernel.thp")),
        thp_defrag=_found(r"\[(\S+)\]", said.one("kernel.thp_defrag")),
    )


def _split(lines: Iterable[str], sign: str) -> Iterable[tuple[str, str, str]]:
    return (line.partition(sign) for line in lines)


def _file_limits(said: _Said) -> FileLimits:
    words = said.one("nofile").removeprefix("Max open files").split()
    soft, hard = (words[0], words[1]) if len(words) >= 2 else ("", "")
    return FileLimits(_limit(soft), _limit(hard), _limit(said.pairs("systemd").get("DefaultLimitNOFILE", "")))


def _rooms(said: _Said) -> tuple[Room, ...]:
    mounts = [_mount(line) for line in said.all("mount")]
    rooms: list[Room] = []
    while path := said.one(f"room.{len(rooms)}.path"):
        rooms.append(_room(said, f"room.{len(rooms)}", path, mounts))
    return tuple(rooms)


_Mount = tuple[str, str, frozenset[str]]
"""Mount point, file system, options."""


def _mount(line: str) -> _Mount:
    """A line of /proc/self/mounts; blanks in it are octal escapes."""
    words = [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), word) for word in line.split(" ")]
    words += [""] * (4 - len(words))
    return words[1], words[2], frozenset(words[3].split(","))


def _room(said: _Said, key: str, path: str, mounts: list[_Mount]) -> Room:
    existing = said.one(f"{key}.existing")
    holding = [mount for mount in mounts if f"{existing}/".startswith(mount[0].rstrip("/") + "/")]
    # Of two mounts on one point, the later one is on top.
    point, file_system, options = max(reversed(holding), key=lambda mount: len(mount[0]), default=("", "", frozenset()))
    free, free_inodes, inodes = _free(said, key)
    return Room(
        path,
        existing,
        is_there=said.one(f"{key}.there") == "yes",
        is_writable={"yes": True, "no": False}.get(said.one(f"{key}.writable")),
        free_bytes=free,
        free_inodes=free_inodes,
        total_inodes=inodes,
        mount_point=point,
        file_system=file_system,
        is_read_only="ro" in options,
        is_noexec="noexec" in options,
    )


def _free(said: _Said, key: str) -> tuple[int | None, int | None, int | None]:
    """``stat -f`` as "blocks of-bytes inodes inodes"; without it, ``df -Pk``, which says nothing of inodes."""
    numbers = [_number(word) for word in said.one(f"{key}.stat").split()]
    if len(numbers) == 4 and numbers[0] is not None and numbers[1] is not None:
        return numbers[0] * numbers[1], numbers[2], numbers[3]
    columns = said.text(f"{key}.df").rpartition("\n")[2].split()
    free = _number(columns[3]) if len(columns) >= 6 else None
    return _bytes(free), None, None


def _selinux(said: _Said) -> Selinux:
    enforce = said.one("selinux.enforce")
    if enforce:
        return Selinux.ENFORCING if enforce == "1" else Selinux.PERMISSIVE
    return Selinux(said.one("selinux")) if said.one("selinux") in list(Selinux) else Selinux.UNKNOWN


def _time(said: _Said) -> HostTime | None:
    start, end = said.one("time.start"), said.one("time.end")
    if not all(re.fullmatch(r"\d+(\.\d+)?", one) for one in (start, end)):
        return None
    return HostTime(float(start), float(end), 0.0 if "." in start else 1.0)


def _units(said: _Said) -> dict[str, ServiceState]:
    """``systemctl show`` of several units: blocks of properties in no fixed order, a blank line between them."""
    states = {}
    for block in said.text("unit").split("\n\n"):
        facts = {name: value for name, _, value in _split(block.split("\n"), "=")}
        if facts.get("ActiveState") in ("active", "reloading", "activating"):
            state = ServiceState.ACTIVE
        else:
            state = ServiceState.INSTALLED if facts.get("LoadState") == "loaded" else ServiceState.ABSENT
        states[facts.get("Id", "")] = state
    return states


def _time_service(said: _Said) -> str:
    active = (name for name, state in _units(said).items() if state is ServiceState.ACTIVE)
    return next((name.removesuffix(".service") for name in active if name != "firewalld.service"), "")


def _login(said: _Said) -> Login:
    sudo = said.one("sudo")
    return Login(
        uid=_number(_found(r"^uid=(\d+)", said.one("id"))),
        user=_found(r"^uid=\d+\(([^)]*)\)", said.one("id")),
        sudo=Sudo(sudo) if sudo in list(Sudo) else Sudo.UNKNOWN,
        came_from=said.one("login.from"),
    )


def _firewall(said: _Said, tools: frozenset[str]) -> Firewall:
    firewalld = _units(said).get("firewalld.service", ServiceState.ABSENT)
    if firewalld is ServiceState.ABSENT and "firewall-cmd" in tools:
        firewalld = ServiceState.INSTALLED
    return Firewall(
        firewalld=firewalld,
        is_ufw_active=any(_unquoted(value).lower() == "yes" for value in said.pairs("ufw").values()),
        chains=tuple(chain for line in said.all("nft.chain") if (chain := _chain(line))),
        iptables=tuple(said.all("iptables")),
        is_visible=bool(said.all("firewall.seen")),
    )


def _chain(line: str) -> InputChain | None:
    words = line.split(" ")
    if len(words) != 5 or _number(words[4]) is None:
        return None
    return InputChain(words[0], words[1], words[2], words[3], int(words[4]))


def _listeners(said: _Said) -> tuple[Listener, ...]:
    parsers: list[tuple[str, Callable[[str], Listener | None]]] = [
        ("listen", listener_from_ss),
        ("listen.proc", listener_from_proc),
    ]
    found = (parse(line) for key, parse in parsers for line in said.all(key))
    return tuple(one for one in found if one is not None)


def _users(lines: Iterable[str]) -> Iterable[User]:
    for line in lines:
        fields = line.split(":")
        if len(fields) >= 6 and _number(fields[2]) is not None:
            yield User(fields[0], int(fields[2]), fields[5])


def _servers(said: _Said) -> tuple[FoundServer, ...]:
    """Each path is followed by what that binary said, of which the first line counts."""
    found: list[FoundServer] = []
    for name, value in said.lines:
        if name == "server.path":
            found.append(FoundServer(value))
        elif name == "server.version" and found and not found[-1].version:
            found[-1] = FoundServer(found[-1].path, value)
    return tuple(found)


def _engine(said: _Said) -> EngineTrial | None:
    path = said.one("engine.path")
    if not path:
        return None
    return EngineTrial(
        path,
        is_there=said.one("engine.there") == "yes",
        machine=_machine(said.all("engine.elf")),
        status=said.number("engine.status"),
        output=said.text("engine.output"),
        check_status=said.number("engine.check.status"),
        check_output=said.text("engine.check"),
    )


def _machine(dump: list[str]) -> str:
    """The first 20 bytes of an ELF file: e_machine is the half-word at 18, in the byte order that byte 5 tells."""
    raw = " ".join(dump).split()
    if raw[:4] != ["7f", "45", "4c", "46"] or len(raw) < 20:
        return ""
    low, high = (raw[18], raw[19]) if raw[5] == "01" else (raw[19], raw[18])
    if (low, high) == ("02", "01"):
        return "loongarch64"
    return _MACHINES.get(low, "") if high == "00" else ""
