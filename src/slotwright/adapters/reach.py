"""Whether hosts reach each other: a real listener on each, and connections from all the others through their own SSH.

The connection is made by the source host's kernel, from the source host's address: exactly what a node there would do.
Where a port is taken already (a node of ours runs), what listens there is what is connected to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from slotwright.errors import HostError
from slotwright.model.reach import Outcome, Trial
from slotwright.model.topology import Address
from slotwright.ports import Shell

CONNECT_TIMEOUT_S = 3.0
_MOST_AT_ONCE = 64

# Ended by the caller; the time-out is for a caller that was killed.
_LISTEN = """
address=$1; shift
where=; ports=
case $address in *:*) at="[$address]";; *) at=$address;; esac
for port; do where="$where -l $at:$port"; ports="$ports $port"; done
if command -v systemd-socket-activate >/dev/null 2>&1; then
  # shellcheck disable=SC2086
  timeout 60 systemd-socket-activate -a $where /bin/true </dev/null >/dev/null 2>&1 &
  echo "@pid $!"
elif command -v python3 >/dev/null 2>&1; then
  timeout 60 python3 -c 'import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
kept = [socket.create_server((sys.argv[1], int(port)), family=family) for port in sys.argv[2:]]
time.sleep(60)' "$address" "$@" </dev/null >/dev/null 2>&1 &
  echo "@pid $!"
elif command -v perl >/dev/null 2>&1 || command -v nc >/dev/null 2>&1; then
  for port; do
    if command -v perl >/dev/null 2>&1; then
      timeout 60 perl -MIO::Socket::INET -e '
        my $socket = IO::Socket::INET->new(
          LocalAddr => $ARGV[0], LocalPort => $ARGV[1], Listen => 64, ReuseAddr => 1) or exit 1;
        sleep 60' "$address" "$port" </dev/null >/dev/null 2>&1 &
    else
      timeout 60 nc -lk -s "$address" -p "$port" </dev/null >/dev/null 2>&1 &
    fi
    echo "@pid $!"
  done
else
  echo "@none"
  exit 0
fi
tries=0
while [ "$tries" -lt 100 ]; do
  open=1
  taken=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
  for port in $ports; do
    hex=$(printf '%04X' "$port")
    # A local end with that port, nobody at the other, and listening: 0A (tcp_states.h, TCP_LISTEN).
    case $taken in *":$hex 00000000:0000 0A "*|*":$hex 00000000000000000000000000000000:0000 0A "*) ;; *) open=;; esac
  done
  [ -z "$open" ] || { echo "@ready"; exit 0; }
  tries=$((tries + 1))
  sleep 0.02 2>/dev/null || sleep 1
done
"""

# `timeout` hands the signal on to what it runs.
_STOP = 'for one; do kill "$one" 2>/dev/null; done; exit 0'

_CONNECT = """
if command -v nc >/dev/null 2>&1; then set -- nc -z "$1" "$2"
elif command -v bash >/dev/null 2>&1; then set -- bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2"
else echo "@none"; exit 0; fi
if timeout 4 "$@" </dev/null 2>/dev/null; then echo "@open"; else echo "@shut"; fi
"""

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


class Reach:
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
            words = result.output.split()
            found = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "@pid"]
            pids.setdefault(host.shell.host, []).extend(found)
            if "@ready" not in words:
                deaf[host.shell.host] = "no listener could be started there"

    async def _try(
        self, source: Listening, goal: Listening, address: Address, port: int, deaf: dict[str, str]
    ) -> Trial:
        here, there, is_bus = source.shell.host, goal.shell.host, port != address.port
        if there in deaf:
            return Trial(here, there, port, is_bus, Outcome.UNTRIED, deaf[there])
        async with self._turn:
            try:
                await self._twice(here, address, port)
            except TimeoutError:
                seen = f"no answer within {CONNECT_TIMEOUT_S:g} s"
                return Trial(here, there, port, is_bus, Outcome.SHUT, seen)
            except OSError as error:
                return Trial(here, there, port, is_bus, Outcome.SHUT, str(error))
            except HostError as error:
                if error.code != "ssh-forwarding-forbidden":
                    raise
                return await self._try_by_tool(source, there, address, port, is_bus=is_bus)
        return Trial(here, there, port, is_bus, Outcome.OPEN)

    async def _twice(self, source: str, address: Address, port: int) -> None:
        """A busy host is no firewall: what took too long is tried once more."""
        try:
            await self._connect(source, address, port, CONNECT_TIMEOUT_S)
        except TimeoutError:
            await self._connect(source, address, port, CONNECT_TIMEOUT_S)

    async def _try_by_tool(self, source: Listening, there: str, address: Address, port: int, *, is_bus: bool) -> Trial:
        words = (await source.shell.run(_CONNECT, address.host, str(port))).output.split()
        outcome = Outcome.OPEN if "@open" in words else Outcome.SHUT if "@shut" in words else Outcome.UNTRIED
        seen = {Outcome.SHUT: "it did not connect", Outcome.UNTRIED: "its SSH forbids forwarding, and it has no nc"}
        return Trial(source.shell.host, there, port, is_bus, outcome, seen.get(outcome, ""))
