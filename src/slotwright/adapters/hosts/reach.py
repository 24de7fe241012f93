"""Whether hosts reach each other: a real listener on each, and connections from all the others through their own SSH.

The connection is made by the source host's kernel, from the source host's address: exactly what a node there would do.
Where a port is taken already (a node of ours runs), what listens there is what is connected to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from slotwright.cluster.topology import Address
from slotwright.errors import HostError
from slotwright.hosts.facts.reach import ReachOutcome, Trial
from slotwright.hosts.scripts.files import read_script
from slotwright.ports import Shell

CONNECT_TIMEOUT_S = 3.0
_MOST_AT_ONCE = 64

_LISTEN = read_script("reach/listen.sh")
_STOP = read_script("reach/stop.sh")
_CONNECT = read_script("reach/connect.sh")


Connect = Callable[[str, Address, int, float], Awaitable[None]]
"""Connects from a host to a port of an address; raises OSError, TimeoutError or HostError."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A host with the addresses of its nodes, and the ports that something listens on already."""

    shell: Shell
    addresses: tuple[Address, ...]
    taken: frozenset[int]
    with_bus: bool

    @property
    def ports(self) -> tuple[tuple[Address, int], ...]:
        """Every port that others must reach."""
        clients = tuple((address, address.port) for address in self.addresses)
        buses = tuple((address, address.bus_port) for address in self.addresses) if self.with_bus else ()
        return clients + buses


class ReachProbe:
    """Tries all ordered pairs. ``connect`` goes through a host's SSH; where that is forbidden, by its own tools."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)

    async def try_all(self, hosts: tuple[Listening, ...]) -> tuple[Trial, ...]:
        """Listen everywhere, connect from everywhere, and leave nothing behind."""
        pids: dict[str, list[str]] = {}
        deaf: dict[str, str] = {}
        try:
            await asyncio.gather(*(self._listen(host, pids, deaf) for host in hosts))
            tried = [
                self._try(source, goal, address, port, deaf)
                for source in hosts
                for goal in hosts
                if source is not goal
                for address, port in goal.ports
            ]
            return tuple(await asyncio.gather(*tried))
        finally:
            stops = [host.shell.run(_STOP, *pids[host.shell.host]) for host in hosts if pids.get(host.shell.host)]
            await asyncio.gather(*stops, return_exceptions=True)

    async def _listen(self, host: Listening, pids: dict[str, list[str]], deaf: dict[str, str]) -> None:
        by_address: dict[str, list[str]] = {}
        for address, port in host.ports:
            if port not in host.taken:
                by_address.setdefault(address.host, []).append(str(port))
        for name, ports in by_address.items():
            result = await host.shell.run(_LISTEN, name, *ports)
            arguments = result.output.split()
            results = [arguments[at + 1] for at, word in enumerate(arguments[:-1]) if word == "@pid"]
            pids.setdefault(host.shell.host, []).extend(results)
            if "@ready" not in arguments:
                deaf[host.shell.host] = "no listener could be started there"

    async def _try(
        self, source: Listening, goal: Listening, address: Address, port: int, deaf: dict[str, str]
    ) -> Trial:
        here, there, is_bus = source.shell.host, goal.shell.host, port != address.port
        if there in deaf:
            return Trial(here, there, port, is_bus, ReachOutcome.UNTRIED, deaf[there])
        async with self._turn:
            try:
                await self._twice(here, address, port)
            except TimeoutError:
                text = f"no answer within {CONNECT_TIMEOUT_S:g} s"
                return Trial(here, there, port, is_bus, ReachOutcome.SHUT, text)
            except OSError as error:
                return Trial(here, there, port, is_bus, ReachOutcome.SHUT, str(error))
            except HostError as error:
                if error.code != "ssh-forwarding-forbidden":
                    raise
                return await self._try_by_tool(source, there, address, port, is_bus=is_bus)
        return Trial(here, there, port, is_bus, ReachOutcome.OPEN)

    async def _twice(self, source: str, address: Address, port: int) -> None:
        """A busy host is no firewall: what took too long is tried once more."""
        try:
            await self._connect(source, address, port, CONNECT_TIMEOUT_S)
        except TimeoutError:
            await self._connect(source, address, port, CONNECT_TIMEOUT_S)

    async def _try_by_tool(self, source: Listening, there: str, address: Address, port: int, *, is_bus: bool) -> Trial:
        arguments = (await source.shell.run(_CONNECT, address.host, str(port))).output.split()
        outcome = (
            ReachOutcome.OPEN
            if "@open" in arguments
            else ReachOutcome.SHUT
            if "@shut" in arguments
            else ReachOutcome.UNTRIED
        )
        values = {
            ReachOutcome.SHUT: "it did not connect",
            ReachOutcome.UNTRIED: "its SSH forbids forwarding, and it has no nc",
        }
        return Trial(source.shell.host, there, port, is_bus, outcome, values.get(outcome, ""))
