"""One look at the hosts and servers of a file: what plans are made from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from slotwright.app.server_placement import ServerPlacement
from slotwright.app.session import Work, inspect_hosts
from slotwright.cluster.events import Began, Ended
from slotwright.cluster.topology import Address
from slotwright.features.deploy.desired import Draft
from slotwright.features.deploy.plan.diff import World
from slotwright.health.disk_copies import disks_to_read
from slotwright.hosts.facts.disk import NodeDisk
from slotwright.nodes.observe import observe
from slotwright.ops.disks import read_disks


async def look(
    work: Work, server_placement: ServerPlacement, draft: Draft, more_settings: Collection[str] = ()
) -> World:
    """Facts of the hosts, and the views of every server that is at one of our addresses, with the settings of the draft
    and ``more_settings``."""
    report = work.context.report
    record = work.store.read_record()
    places = record or draft.record
    report(Began("look", "look at the hosts"))
    hosts = await inspect_hosts(work, places.data_root, server_placement.away)
    live = [
        node.address
        for facts in hosts
        for node in facts.nodes
        if node.process is not None or node.port_owner is not None
    ]
    observation = await observe(work.pool, live, dict.fromkeys((*draft.desired.settings, *more_settings)))
    report(Ended("look", f"look at the hosts: {len(hosts)} of them, {len(live)} nodes run"))
    world = World(record, hosts, observation, server_placement.away)
    return replace(world, disks=await _disks(work, world), kept=work.store.read_copies())


async def _disks(work: Work, seen: World) -> dict[Address, NodeDisk]:
    """Those that decide whether what does not run may be started; most of the time there are none."""
    if seen.record is None:
        return {}
    wanted = disks_to_read(seen.observation, seen.record.blueprint, seen.at_rest)
    return await read_disks(work.fleet, work.context.clock, seen.record, wanted)
