"""What ``slotwright up`` does, on a fake world: observe, plan, execute. The order is that of ``api/deploy.py``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

from slotwright.model.blueprint import Blueprint
from slotwright.model.events import Report, silent
from slotwright.model.expectation import Expectation
from slotwright.model.facts import NodeQuery
from slotwright.model.files import NodeFiles
from slotwright.model.plan import CreateNode, Plan
from slotwright.model.record import Stage
from slotwright.model.secret import Secret
from slotwright.model.topology import Address, Mode, Topology
from slotwright.operations.execute import Executor, Workshop
from slotwright.operations.observe import observe
from slotwright.operations.roster import Roster
from slotwright.operations.verify import Verifier
from slotwright.planning.diff import Desired, plan_changes
from slotwright.planning.diff import World as Seen
from slotwright.wire.nodes_conf import render_nodes_conf
from slotwright.wire.server_conf import NodeConfig, effective_settings, render_server_conf
from tests.fakes import build
from tests.fakes.doubles import MemoryJournal
from tests.fakes.world import AT_START_ONLY, BUILT_IN, FakeDialer, FakeFleet, FakeHost, World

PASSWORD = Secret("hunter2")


@dataclass
class Operator:
    """One operator with one file; ``password`` None: the servers want none."""

    world: World
    topology: Topology
    password: Secret | None = PASSWORD
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    report: Report = silent

    @property
    def blueprint(self) -> Blueprint:
        return self.world.record.blueprint if self.world.record else build.blueprint(self.topology)

    @property
    def host(self) -> FakeHost:
        return FakeHost(self.world)

    @property
    def fleet(self) -> FakeFleet:
        return FakeFleet(self.host)

    async def up(self) -> Plan:
        """Plan and do; the plan that was done."""
        found = await self.plan()
        assert not found.refusals, found.refusals
        assert not found.blockers, found.blockers
        async with self.roster() as roster:
            await self.executor(roster).execute(found)
        return found

    async def plan(self) -> Plan:
        """Observe and plan, changing nothing; a record is kept before anything is made, as in the real one."""
        stage = self.world.record.stage if self.world.record else None
        async with self.roster() as roster:
            found = plan_changes(self.desired(), await self.look(roster))
        if stage is Stage.FORMED:
            assert not [step for step in found.steps if isinstance(step, CreateNode)], "made anew"
        return found

    async def look(self, roster: Roster) -> Seen:
        record = self.world.record
        hosts = []
        for host in self.topology.hosts:
            queries = [NodeQuery(address, self.directory(address)) for address in host.node_addresses]
            hosts.append(await self.host.inspect(host.address, record.blueprint.cluster_id if record else "", queries))
        live = [node.address for facts in hosts for node in facts.nodes if node.process]
        return Seen(record, tuple(hosts), await observe(roster, live, self.settings()))

    def roster(self) -> Roster:
        return Roster(FakeDialer(self.world, self.password))

    def executor(self, roster: Roster, host: FakeHost | None = None) -> Executor:
        desired = self.desired()
        record = build.record(self.topology, Stage.FORMING, desired.blueprint)
        if self.world.record is None:
            self.world.keep_record(record)
        return Executor(
            Workshop(
                fleet=FakeFleet(host or self.host),
                roster=roster,
                journal=self.journal,
                clock=self.world.clock,
                report=self.report,
                verifier=self.verifier(roster),
                keep_record=self.world.keep_record,
                record=replace(record, stage=self.world.record.stage if self.world.record else Stage.FORMING),
                files={address: self.files(address) for address in self.topology.addresses},
                settings=desired.settings,
            )
        )

    def verifier(self, roster: Roster) -> Verifier:
        expected = Expectation(
            self.blueprint,
            self.topology.hosts,
            tuple(self.settings().items()),
            self.topology.allow_colocated_replicas,
        )
        return Verifier(
            self.topology.name,
            roster,
            self.world.clock,
            lambda password, user: FakeDialer(self.world, password),
            tuple(node.address for node in self.blueprint.nodes),
            f"token{len(self.world.effects)}",
            expected,
        )

    def desired(self) -> Desired:
        settings = self.settings()
        return Desired(
            self.topology,
            self.blueprint,
            build.VERSION.title,
            settings,
            frozenset(settings) - AT_START_ONLY,
            {
                address: hashlib.sha256(self.files(address).server_conf.encode()).hexdigest()
                for address in self.topology.addresses
            },
        )

    def settings(self) -> dict[str, str]:
        """What a rehearsal gives: the binary's own values, the file's, and the password's."""
        secret = {"masterauth": self.password.reveal()} if self.password else {}
        values = {**BUILT_IN, **dict(effective_settings(self.topology.settings, self.topology.mode)), **secret}
        del values["requirepass"]
        return values

    def files(self, address: Address) -> NodeFiles:
        made, directory = self.blueprint, self.directory(address)
        node = made.node_at(address)
        marker = {"cluster_id": made.cluster_id, "name": made.name, "node_id": node.id}
        config = NodeConfig(address, directory, made.mode, self.password, self.topology.settings)
        nodes_conf = render_nodes_conf(made, node, build.VERSION) if made.mode is Mode.CLUSTER else None
        return NodeFiles(address, directory, json.dumps(marker), render_server_conf(config), nodes_conf)

    @staticmethod
    def directory(address: Address) -> str:
        return f"{build.DATA_ROOT}/{address.host}-{address.port}"
