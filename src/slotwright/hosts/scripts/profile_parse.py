"""Read what the profile script printed into a ``HostProfile``. Missing facts stay missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

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
from slotwright.hosts.scripts.listeners import listener_from_proc, listener_from_ss
from slotwright.hosts.scripts.profile import FOOTER, HEADER

UNLIMITED = 2**63 - 1
"""What "unlimited" and "infinity" are taken as."""

PACKAGE_TOOLS = ("apt-get", "dnf", "yum", "zypper", "apk")

_MACHINES = {"3e": "x86_64", "b7": "aarch64", "03": "i686", "28": "armv7l", "f3": "riscv64"}


class ProfileError(ValueError):
    """The output is not a whole profile: cut, or not of our script."""


def parse_profile(text: str, host: str) -> HostProfile:
    """The profile in ``text``; raises :class:`ProfileError` where header or footer is missing."""
    answers = _Answers.read(text, host)
    tools = frozenset(answers.all("tool"))
    return HostProfile(
        host,
        system=_system(answers),
        memory=_memory(answers),
        kernel=_kernel(answers),
        files=_file_limits(answers),
        rooms=_rooms(answers),
        init=answers.one("init"),
        init_version=answers.pairs("systemd").get("Version", "").split(" ")[0],
        selinux=_selinux(answers),
        time=_time(answers),
        time_service=_time_service(answers),
        login=_login(answers),
        package_tool=next((tool for tool in PACKAGE_TOOLS if tool in tools), ""),
        firewall=_firewall(answers, tools),
        listeners=_listeners(answers),
        users=tuple(_users(answers.all("user"))),
        tools=tools,
        servers=_servers(answers),
        engine=_engine(answers),
    )


@dataclass(frozen=True, slots=True)
class _Answers:
    """The lines between header and footer."""

    lines: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, text: str, host: str) -> _Answers:
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


def _system(answers: _Answers) -> System:
    os = {name: _unquoted(value) for name, value in answers.pairs("os").items()}
    libc, _, libc_version = answers.one("libc").partition(" ")
    if not libc and (musl := answers.text("libc.musl")):
        libc, libc_version = "musl", _match_of(r"^Version (\S+)", musl)
    return System(
        os_id=os.get("ID", "").lower() or _old_os(answers),
        os_version=os.get("VERSION_ID", "") or answers.one("os.debian"),
        os_name=os.get("PRETTY_NAME", "") or answers.one("os.release"),
        os_like=tuple(os.get("ID_LIKE", "").lower().split()),
        hostname=answers.one("hostname"),
        architecture=answers.one("machine"),
        kernel=answers.one("kernel"),
        page_bytes=answers.number("page"),
        libc=libc,
        libc_version=libc_version,
        boot_id=answers.one("boot.id"),
        cpus=_cpus(answers.one("cpus")),
    )


def _old_os(answers: _Answers) -> str:
    """Without os-release: by the first word of the older files."""
    release = answers.one("os.release")
    return release.split()[0].lower() if release else ("debian" if answers.one("os.debian") else "")


def _match_of(pattern: str, text: str) -> str:
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


def _memory(answers: _Answers) -> HostMemory:
    """/proc/meminfo counts in KiB. Kernels before 3.14 know no MemAvailable: free memory and caches stand in."""
    kib = {name: answers.number(f"memory.{name}") for name in ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")}
    available = kib["MemAvailable"]
    if available is None:
        parts = [answers.number(f"memory.{name}") for name in ("MemFree", "Buffers", "Cached")]
        known = [part for part in parts if part is not None]
        available = sum(known) if known else None
    swap, free = kib["SwapTotal"], kib["SwapFree"]
    used = swap - free if swap is not None and free is not None else None
    return HostMemory(_bytes(kib["MemTotal"]), _bytes(available), _bytes(swap), _bytes(used))


def _bytes(kib: int | None) -> int | None:
    return None if kib is None else kib * 1024


def _kernel(answers: _Answers) -> Kernel:
    settings = {path.rpartition("/")[2]: _number(value) for path, _, value in _split(answers.all("sysctl"), ":")}
    return Kernel(
        overcommit_memory=settings.get("overcommit_memory"),
        swappiness=settings.get("swappiness"),
        max_map_count=settings.get("max_map_count"),
        somaxconn=settings.get("somaxconn"),
        syn_backlog=settings.get("tcp_max_syn_backlog"),
        thp=_match_of(r"\[(\S+)\]", answers.one("kernel.thp")),
        thp_defrag=_match_of(r"\[(\S+)\]", answers.one("kernel.thp_defrag")),
    )


def _split(lines: Iterable[str], sign: str) -> Iterable[tuple[str, str, str]]:
    return (line.partition(sign) for line in lines)


def _file_limits(answers: _Answers) -> FileLimits:
    fields = answers.one("nofile").removeprefix("Max open files").split()
    soft, hard = (fields[0], fields[1]) if len(fields) >= 2 else ("", "")
    return FileLimits(_limit(soft), _limit(hard), _limit(answers.pairs("systemd").get("DefaultLimitNOFILE", "")))


def _rooms(answers: _Answers) -> tuple[Room, ...]:
    mounts = [_mount(line) for line in answers.all("mount")]
    rooms: list[Room] = []
    while path := answers.one(f"room.{len(rooms)}.path"):
        rooms.append(_room(answers, f"room.{len(rooms)}", path, mounts))
    return tuple(rooms)


_Mount = tuple[str, str, frozenset[str]]
"""Mount point, file system, options."""


def _mount(line: str) -> _Mount:
    """A line of /proc/self/mounts; blanks in it are octal escapes."""
    fields = [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), word) for word in line.split(" ")]
    fields += [""] * (4 - len(fields))
    return fields[1], fields[2], frozenset(fields[3].split(","))


def _room(answers: _Answers, key: str, path: str, mounts: list[_Mount]) -> Room:
    existing = answers.one(f"{key}.existing")
    holding = [mount for mount in mounts if f"{existing}/".startswith(mount[0].rstrip("/") + "/")]
    # Of two mounts on one point, the later one is on top.
    point, file_system, options = max(reversed(holding), key=lambda mount: len(mount[0]), default=("", "", frozenset()))
    free, free_inodes, inodes = _free(answers, key)
    return Room(
        path,
        existing,
        is_there=answers.one(f"{key}.there") == "yes",
        is_writable={"yes": True, "no": False}.get(answers.one(f"{key}.writable")),
        free_bytes=free,
        free_inodes=free_inodes,
        total_inodes=inodes,
        mount_point=point,
        file_system=file_system,
        is_read_only="ro" in options,
        is_noexec="noexec" in options,
    )


def _free(answers: _Answers, key: str) -> tuple[int | None, int | None, int | None]:
    """``stat -f`` as "blocks of-bytes inodes inodes"; without it, ``df -Pk``, which says nothing of inodes."""
    numbers = [_number(word) for word in answers.one(f"{key}.stat").split()]
    if len(numbers) == 4 and numbers[0] is not None and numbers[1] is not None:
        return numbers[0] * numbers[1], numbers[2], numbers[3]
    columns = answers.text(f"{key}.df").rpartition("\n")[2].split()
    free = _number(columns[3]) if len(columns) >= 6 else None
    return _bytes(free), None, None


def _selinux(answers: _Answers) -> Selinux:
    enforce = answers.one("selinux.enforce")
    if enforce:
        return Selinux.ENFORCING if enforce == "1" else Selinux.PERMISSIVE
    return Selinux(answers.one("selinux")) if answers.one("selinux") in list(Selinux) else Selinux.UNKNOWN


def _time(answers: _Answers) -> HostTime | None:
    start, end = answers.one("time.start"), answers.one("time.end")
    if not all(re.fullmatch(r"\d+(\.\d+)?", one) for one in (start, end)):
        return None
    return HostTime(float(start), float(end), 0.0 if "." in start else 1.0)


def _units(answers: _Answers) -> dict[str, ServiceState]:
    """``systemctl show`` of several units: blocks of properties in no fixed order, a blank line between them."""
    states = {}
    for block in answers.text("unit").split("\n\n"):
        facts = {name: value for name, _, value in _split(block.split("\n"), "=")}
        if facts.get("ActiveState") in ("active", "reloading", "activating"):
            state = ServiceState.ACTIVE
        else:
            state = ServiceState.INSTALLED if facts.get("LoadState") == "loaded" else ServiceState.ABSENT
        states[facts.get("Id", "")] = state
    return states


def _time_service(answers: _Answers) -> str:
    active = (name for name, state in _units(answers).items() if state is ServiceState.ACTIVE)
    return next((name.removesuffix(".service") for name in active if name != "firewalld.service"), "")


def _login(answers: _Answers) -> LoginUser:
    sudo = answers.one("sudo")
    return LoginUser(
        uid=_number(_match_of(r"^uid=(\d+)", answers.one("id"))),
        user=_match_of(r"^uid=\d+\(([^)]*)\)", answers.one("id")),
        sudo=SudoRights(sudo) if sudo in list(SudoRights) else SudoRights.UNKNOWN,
        came_from=answers.one("login.from"),
    )


def _firewall(answers: _Answers, tools: frozenset[str]) -> Firewall:
    firewalld = _units(answers).get("firewalld.service", ServiceState.ABSENT)
    if firewalld is ServiceState.ABSENT and "firewall-cmd" in tools:
        firewalld = ServiceState.INSTALLED
    return Firewall(
        firewalld=firewalld,
        is_ufw_active=any(_unquoted(value).lower() == "yes" for value in answers.pairs("ufw").values()),
        chains=tuple(chain for line in answers.all("nft.chain") if (chain := _chain(line))),
        iptables=tuple(answers.all("iptables")),
        is_visible=bool(answers.all("firewall.seen")),
    )


def _chain(line: str) -> InputChain | None:
    fields = line.split(" ")
    if len(fields) != 5 or _number(fields[4]) is None:
        return None
    return InputChain(fields[0], fields[1], fields[2], fields[3], int(fields[4]))


def _listeners(answers: _Answers) -> tuple[Listener, ...]:
    parsers: list[tuple[str, Callable[[str], Listener | None]]] = [
        ("listen", listener_from_ss),
        ("listen.proc", listener_from_proc),
    ]
    listeners = (parse(line) for key, parse in parsers for line in answers.all(key))
    return tuple(one for one in listeners if one is not None)


def _users(lines: Iterable[str]) -> Iterable[User]:
    for line in lines:
        fields = line.split(":")
        if len(fields) >= 6 and _number(fields[2]) is not None:
            yield User(fields[0], int(fields[2]), fields[5])


def _servers(answers: _Answers) -> tuple[FoundServer, ...]:
    """Each path is followed by what that binary said, of which the first line counts."""
    found_servers: list[FoundServer] = []
    for name, value in answers.lines:
        if name == "server.path":
            found_servers.append(FoundServer(value))
        elif name == "server.version" and found_servers and not found_servers[-1].version:
            found_servers[-1] = FoundServer(found_servers[-1].path, value)
    return tuple(found_servers)


def _engine(answers: _Answers) -> EngineTrial | None:
    path = answers.one("engine.path")
    if not path:
        return None
    return EngineTrial(
        path,
        is_there=answers.one("engine.there") == "yes",
        machine=_machine(answers.all("engine.elf")),
        status=answers.number("engine.status"),
        output=answers.text("engine.output"),
        check_status=answers.number("engine.check.status"),
        check_output=answers.text("engine.check"),
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
