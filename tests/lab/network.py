"""The lab's network: one switch in a namespace of its own, and every host, stranger and the control machine plugged in.

Traffic is cut on the switch, with nothing to be seen on the hosts: packets vanish, no connection is refused, and the
hosts' own firewalls are left alone.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000

RULES = """
table bridge lab {
  set cut { type ifname; }
  set parted { type ifname . ifname; }
  set blocked { type ifname . inet_service; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ether type { ip, ip6 } iifname @cut drop
    ether type { ip, ip6 } oifname @cut drop
    ether type { ip, ip6 } iifname . oifname @parted drop
    ether type ip oifname . tcp dport @blocked drop
  }
}
"""
"""ARP still passes: a host that is cut off is silent; it is not reported as unreachable by the sender's own kernel."""


def sh(*words: str, given: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a program of this machine; raises :class:`RuntimeError` with what it said where it fails."""
    done = subprocess.run(
        words, input=given, stdin=None if given is not None else subprocess.DEVNULL, capture_output=True, text=True
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def within(namespace: str | None, work: Callable[[], T]) -> T:
    """What ``work`` returns, run in a network namespace: a socket that it makes stays there. None: where we are."""
    if namespace is None:
        return work()
    results: list[T] = []
    failures: list[BaseException] = []

    def body() -> None:
        try:
            handle = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"can't enter the network namespace {namespace}")
            finally:
                os.close(handle)
            results.append(work())
        except BaseException as error:  # handed on to the caller's thread
            failures.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere in the network that connections can be made from."""

    name: str
    address: str
    namespace: str | None

    def connect(self, address: str, port: int, timeout_s: float = 2.0) -> socket.socket:
        """A connection from here; raises :class:`OSError` where there is none within the time."""
        return within(self.namespace, lambda: socket.create_connection((address, port), timeout_s))

    def can_connect(self, address: str, port: int, timeout_s: float = 2.0) -> bool:
        """Whether a TCP connection from here is accepted within the time."""
        try:
            self.connect(address, port, timeout_s).close()
        except OSError:
            return False
        return True

    @contextmanager
    def listening(self, port: int = 0, address: str = "") -> Iterator[int]:
        """A port that accepts connections here, at all addresses or one of them; it ends with the context."""
        listener = within(self.namespace, lambda: socket.create_server((address, port)))
        with listener:
            yield listener.getsockname()[1]

    def run(self, words: Sequence[str], timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """A program of this machine, with this place's network; text in and out, captured."""
        entering = [] if self.namespace is None else ["ip", "netns", "exec", self.namespace]
        return subprocess.run([*entering, *words], capture_output=True, text=True, timeout=timeout_s)


def port_of(place: str, card: str = "eth0") -> str:
    """The name of the switch's port that a card is plugged into."""
    return f"to-{place}" if card == "eth0" else f"to-{place}-{card}"


def hardware_address(address: str) -> str:
    """The card's own, made from the address: it stays over a reboot, as the others' ARP tables expect it to."""
    return "02:00:" + ":".join(f"{int(part):02x}" for part in address.partition("/")[0].split("."))


class Switch:
    """The bridges that all are plugged into. ``lab`` is the outer network; ``inner`` is seen only by who has a plug."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.namespace = f"{prefix}-switch"

    def build(self, control: str) -> None:
        """Makes the switch and plugs this machine in, as ``control`` (with the length of the net: 10.0.0.1/24)."""
        sh("ip", "netns", "add", self.namespace)
        sh(
            "ip",
            "-n",
            self.namespace,
            "-batch",
            "-",
            given="link add lab type bridge\nlink add inner type bridge\n"
            "link set lo up\nlink set lab up\nlink set inner up\n",
        )
        sh("ip", "netns", "exec", self.namespace, "nft", "-f", "-", given=RULES)
        sh("ip", "link", "add", "name", self.prefix, "type", "veth", "peer", "name", "control", "netns", self.namespace)
        sh("ip", "-n", self.namespace, "link", "set", "control", "master", "lab", "up")
        sh("ip", "addr", "add", control, "dev", self.prefix)
        sh("ip", "link", "set", self.prefix, "up")

    def plug(self, place: str, address: str, bridge: str = "lab") -> None:
        """Gives the namespace of ``place`` a card on a bridge: ``eth0`` first, then ``eth1``."""
        card = "eth1" if self._has(place, "eth0") else "eth0"
        port = port_of(place, card)
        namespace = f"{self.prefix}-{place}"
        words = ["ip", "-n", self.namespace, "link", "add", "name", port, "type", "veth", "peer", "name", card]
        sh(*words, "address", hardware_address(address), "netns", namespace)
        sh("ip", "-n", self.namespace, "link", "set", port, "master", bridge, "up")
        sh(
            "ip",
            "-n",
            namespace,
            "-batch",
            "-",
            given=f"link set lo up\naddr add {address} dev {card}\nlink set {card} up\n",
        )

    def _has(self, place: str, card: str) -> bool:
        return sh("ip", "-n", f"{self.prefix}-{place}", "link", "show", card, check=False).returncode == 0

    def unplug(self, place: str, card: str) -> None:
        """The card and its port on the switch are gone."""
        sh("ip", "-n", self.namespace, "link", "del", port_of(place, card), check=False)

    def fresh_namespace(self, place: str) -> None:
        """An empty network namespace of this place: no card, no firewall rule, the kernel's default settings."""
        self.drop_namespace(place)
        sh("ip", "netns", "add", f"{self.prefix}-{place}")

    def drop_namespace(self, place: str) -> None:
        """The place has no network namespace and no ports."""
        self.unplug(place, "eth0")
        self.unplug(place, "eth1")
        if (NAMESPACES / f"{self.prefix}-{place}").exists():
            sh("ip", "netns", "del", f"{self.prefix}-{place}")

    def rule(self, verb: str, group: str, element: str) -> None:
        """Adds to or deletes from one of the sets of :data:`RULES`; done twice is done once."""
        words = ["ip", "netns", "exec", self.namespace, "nft", verb, "element", "bridge", "lab", group]
        done = sh(*words, f"{{ {element} }}", check=False)
        if done.returncode != 0 and not (verb == "delete" and "No such file" in done.stderr):
            raise RuntimeError(f"nft: {done.stderr.strip()}")

    def forget_rules(self) -> None:
        """Nothing is cut, parted or blocked any more."""
        for group in ("cut", "parted", "blocked"):
            sh("ip", "netns", "exec", self.namespace, "nft", "flush", "set", "bridge", "lab", group)


def dismantle(prefix: str) -> None:
    """Takes away every namespace and link of this prefix; the processes in them must have ended."""
    sh("ip", "link", "del", prefix, check=False)
    for namespace in sorted(NAMESPACES.glob(f"{prefix}-*")):
        sh("ip", "netns", "del", namespace.name, check=False)
