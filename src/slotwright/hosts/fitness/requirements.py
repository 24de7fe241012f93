"""What hosts are judged against: the nodes that are to live there, their settings, the server that is to run them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from slotwright.cluster.sizes import parse_bytes
from slotwright.cluster.topology import BUS_PORT_OFFSET, EngineKind, Mode
from slotwright.hosts.facts.profile import HostProfile

DEFAULT_BACKLOG = 511
"""``tcp-backlog`` of a server that was told nothing (config.c)."""

DEFAULT_CLIENTS = 10000
"""``maxclients`` of a server that was told nothing (config.c)."""

RESERVED_FILES = 32
"""Open files that the server keeps for itself beside those of its clients (server.h, CONFIG_MIN_RESERVED_FDS)."""


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far a host's clock is ahead of ours, in seconds (negative: behind); wrong by ``uncertainty_s`` at most."""

    ahead_s: float
    uncertainty_s: float


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the hosts are to carry. A field that is empty is not judged.

    ``ports`` are the client ports by host, ``replicas`` those of each primary. ``settings`` are the file's
    (directive, value) pairs. ``engine_version`` is as in "7.0.15". ``architectures`` are those for which there is a
    server to install, ``glibc_needed`` the oldest glibc that it runs with, ``tools`` the commands that installing
    takes, ``data_root`` and ``engine_root`` absolute paths (they must be among the profile's rooms). ``clocks`` are
    offsets by host. ``clients`` are the networks that may reach the client ports. ``reached`` are hosts that every
    other one reached on all ports just now. ``is_remote`` False: the nodes are processes of this user on this
    machine.
    ``without_root`` are hosts on which the file itself does without (``sudo: never``).
    """

    ports: tuple[tuple[str, tuple[int, ...]], ...]
    mode: Mode = Mode.CLUSTER
    replicas: int = 1
    settings: tuple[tuple[str, str], ...] = ()
    engine_kind: EngineKind = EngineKind.REDIS
    engine_version: str = ""
    architectures: tuple[str, ...] = ()
    glibc_needed: str = ""
    tools: tuple[str, ...] = ()
    data_root: str = ""
    engine_root: str = ""
    service_user: str = "slotwright"
    clients: tuple[str, ...] = ()
    clocks: tuple[tuple[str, ClockOffset], ...] = ()
    reached: tuple[str, ...] = ()
    is_remote: bool = True
    without_root: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host of the file."""
        return tuple(host for host, _ in self.ports)

    def ports_of(self, host: str) -> tuple[int, ...]:
        """The client ports of a host's nodes; none for a host that is not in the file."""
        return next((ports for name, ports in self.ports if name == host), ())

    def setting(self, directive: str) -> str | None:
        """The last value of a directive; None where the file says nothing."""
        return next((value for name, value in reversed(self.settings) if name.lower() == directive), None)

    def number(self, directive: str, default: int) -> int:
        """A directive that is a number; the default for everything else."""
        value = self.setting(directive) or ""
        return int(value) if value.isascii() and value.isdigit() else default

    @property
    def bus_ports_offset(self) -> int:
        """What is added to a client port for the cluster bus; 0 for stand-alone instances, which have none."""
        return BUS_PORT_OFFSET if self.mode is Mode.CLUSTER else 0

    @property
    def maxmemory_bytes(self) -> int:
        """A node's ``maxmemory``; 0: none, or not to be read."""
        return parse_bytes(self.setting("maxmemory") or "") or 0

    @property
    def backlog(self) -> int:
        """The queue of connections that a node asks the kernel for."""
        return self.number("tcp-backlog", DEFAULT_BACKLOG)

    @property
    def files(self) -> int:
        """The open files that a node needs for all its clients (server.c, adjustOpenFilesLimit)."""
        return self.number("maxclients", DEFAULT_CLIENTS) + RESERVED_FILES

    @property
    def ignores_cow_bug(self) -> bool:
        """Whether the file itself silences the server's refusal over the ARM64 kernel bug."""
        return "arm64-cow-bug" in (self.setting("ignore-warnings") or "").lower()

    @property
    def has_append_only_file(self) -> bool:
        """Our own default is to have one (server/server_conf.py)."""
        return (self.setting("appendonly") or "yes").lower() == "yes"


def is_tunable(profile: HostProfile, wants: Requirements) -> bool:
    """Whether ``preflight --fix`` can do something there: on this machine only as root, elsewhere by sudo, too."""
    if profile.login.is_root:
        return True
    return wants.is_remote and profile.login.can_be_root and profile.host not in wants.without_root


def version_numbers(text: str) -> tuple[int, ...]:
    """``2.36`` -> (2, 36); the numbers at the start, up to three."""
    match = re.match(r"\d+(?:\.\d+){0,2}", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def clock_offset(profile: HostProfile, sent_s: float, received_s: float) -> ClockOffset | None:
    """From a profile's own stamps and ours (seconds since the epoch) around the call that brought it.

    What the script itself took is no uncertainty, only the ways there and back are (as NTP reckons, RFC 5905 8).
    """
    time = profile.time
    if time is None:
        return None
    # A clock of whole seconds is right in the middle of its second.
    start, end = time.start_s + time.step_s / 2, time.end_s + time.step_s / 2
    ways = max(0.0, (received_s - sent_s) - (end - start))
    return ClockOffset(((start - sent_s) + (end - received_s)) / 2, ways / 2 + time.step_s / 2)


def runs_of(ports: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Neighbouring ports put together: 6379, 6380, 6390 -> (6379, 6380), (6390, 6390)."""
    ordered = sorted(set(ports))
    if not ordered:
        return ()
    breaks = [(one, other) for one, other in pairwise(ordered) if other != one + 1]
    starts = [ordered[0], *(other for _, other in breaks)]
    ends = [*(one for one, _ in breaks), ordered[-1]]
    return tuple(zip(starts, ends, strict=True))
