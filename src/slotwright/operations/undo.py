"""Taking nodes away: for a cluster that never came to be, and for ``destroy``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from slotwright.model.facts import ProcessId
from slotwright.model.record import ClusterRecord, directory_name
from slotwright.model.topology import Address
from slotwright.operations.observe import observe
from slotwright.operations.rehearse import await_gone
from slotwright.operations.roster import Roster
from slotwright.ports import Clock, Fleet


async def count_keys(roster: Roster, addresses: Sequence[Address]) -> int:
    """Keys in the nodes that answer, replicas' copies included."""
    observation = await observe(roster, addresses)
    return sum(view.health.keys for view in observation.views)


class Undo:
    """Ends processes and removes folders."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock

    async def take_down(self, record: ClusterRecord) -> None:
        """Kill what still runs of the cluster, then remove its folders.

        Raises HostError for a process that can't be ended or a folder that can't be removed.
        """
        lost = await self._end(record)
        done = await asyncio.gather(
            *(
                self._fleet.at(node.address.host).remove(
                    record.node_directory(node.address), record.blueprint.cluster_id
                )
                for node in record.blueprint.nodes
            ),
            return_exceptions=True,
        )
        _raise_first([*lost, *done])

    async def set_aside(self, record: ClusterRecord, root: str) -> tuple[str, ...]:
        """End what still runs, then move the folders with their data below ``root``; returns where they are now."""
        _raise_first(await self._end(record))
        moved = []
        for node in record.blueprint.nodes:
            target = f"{root}/{directory_name(node.address)}"
            host = self._fleet.at(node.address.host)
            await host.set_aside(record.node_directory(node.address), record.blueprint.cluster_id, target)
            moved.append(target)
        return tuple(moved)

    async def _end(self, record: ClusterRecord) -> list[BaseException]:
        """What could not be ended, or even be looked for; the others are ended whatever happens."""
        cluster_id = record.blueprint.cluster_id
        addresses = [node.address for node in record.blueprint.nodes]
        found = await asyncio.gather(
            *(self._fleet.at(each.host).find(record.node_directory(each), cluster_id) for each in addresses),
            return_exceptions=True,
        )
        running = [
            (each, process) for each, process in zip(addresses, found, strict=True) if isinstance(process, ProcessId)
        ]
        killed = await asyncio.gather(
            *(self._fleet.at(each.host).kill(process) for each, process in running), return_exceptions=True
        )
        failed = [each for each in (*found, *killed) if isinstance(each, BaseException)]
        lost = {each.host for (each, _), outcome in zip(running, killed, strict=True) if outcome is not None}
        await await_gone(self._fleet, self._clock, [pair for pair in running if pair[0].host not in lost])
        return failed


def _raise_first(outcomes: Sequence[object]) -> None:
    for each in outcomes:
        if isinstance(each, BaseException):
            raise each
