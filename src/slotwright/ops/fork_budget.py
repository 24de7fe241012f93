"""One fork of a server at a time on each host, whoever's cluster it is.

A save, a rewrite of the append-only file and a full copy for a replica each fork the server. Its copy reads the whole
memory, and pages that change meanwhile are held twice (redis.io, "Persistence": fork and copy-on-write). Many at once
fill a host's memory, and its disk's time. So what makes a server fork waits until none works there. What works there is
looked at, and not noted anywhere: clusters of others, and what servers begin by themselves, count as well.

Two commands may look in the same moment, and both go on: this spares a host, and protects nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from slotwright.cluster.events import Began, Ended, Report
from slotwright.errors import HostError
from slotwright.ports import Clock, Host

PATIENCE_S = 3600.0
_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class ForkBudget:
    """``host_of`` gives the machine behind a name of the topology; names of one machine share its turn."""

    host_of: Callable[[str], Host]
    clock: Clock
    report: Report
    _turns: dict[int, asyncio.Lock] = field(default_factory=dict)

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Nothing else forks on ``host`` when this is entered, and nothing of this run until it is left.

        A host that can't be asked holds nothing up. Raises HostError (``host-busy``) where forks go on for an hour.
        """
        machine = self.host_of(host)
        async with self._turns.setdefault(id(machine), asyncio.Lock()):
            await self._await_quiet(machine, host)
            yield

    async def _await_quiet(self, machine: Host, host: str) -> None:
        count = await _count(machine)
        if not count:
            return
        task, text = f"forks {host}", f"{host}: wait for servers that save or send copies there"
        self.report(Began(task, text))
        deadline = self.clock.now() + PATIENCE_S
        while count and self.clock.now() < deadline:
            await self.clock.sleep(_POLL_S)
            count = await _count(machine)
        self.report(Ended(task, text, is_ok=not count))
        if count:
            raise HostError(
                f"{count} servers on {host} still save, rewrite or send copies after {PATIENCE_S / 3600:g} hour",
                code="host-busy",
                where=host,
                left="the step that would have made one more was not begun",
                hint="see who it is (ps, names with -rdb- or -aof-), wait for the end, then the same command again",
            )


async def _count(machine: Host) -> int:
    try:
        return await machine.count_forks()
    except HostError:
        return 0
