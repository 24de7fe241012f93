"""A change of a formed cluster that was cut, back to the baseline that was kept before its first step.

Set back is only what the change itself has set: a value that is neither the old one nor one of ours is somebody
else's, and stays. Made again after any cut, the plan goes on from what is there; done, it is empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from slotwright.cluster.baseline import Baseline, FormerNode, FormerSetting
from slotwright.cluster.blueprint import BlueprintNode
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import NodeView, Observation
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.steps import (
    ApplySettings,
    AwaitUsable,
    ChangeFirewall,
    Plan,
    RememberFile,
    SettingChange,
    Step,
)
from slotwright.cluster.topology import Address, Mode
from slotwright.features.deploy.plan.adopted import AdoptedDesire, AdoptedWorld, adopted_facts
from slotwright.features.deploy.plan.diff import Desired, World, world_facts
from slotwright.features.deploy.plan.facts import digest_of
from slotwright.hosts.facts.nodes import DirectoryState
from slotwright.server.server_conf import FORMATION_OVERRIDES, is_secret
from slotwright.server.setting_values import agrees, readable

FOREIGN = "setting-changed-since"
NOT_REACHED = "not-taken-back"


@dataclass(frozen=True, slots=True)
class TakeBack:
    """The plan, and for each node the texts that its settings are set to. ``is_back``: nothing of the change is seen
    any more, as far as it was ours; what can't be seen may be written once more all the same."""

    plan: Plan
    values: Mapping[Address, Mapping[str, str]] = field(repr=False)
    is_back: bool


def changes_something(plan: Plan) -> bool:
    """Whether a plan for a formed cluster has steps that could be wanted back, settings aside: the file that is kept,
    and firewalls."""
    return any(isinstance(step, RememberFile | ChangeFirewall) for step in plan.steps)


def former_nodes(
    plan: Plan, observation: Observation, wanted: Mapping[str, str], record: ClusterRecord
) -> tuple[FormerNode, ...]:
    """What each node says now of the settings that ``plan`` changes on it, with the values of ``wanted`` that it is to
    get. Left out: nodes that say nothing, secrets, and what a formation lowers only for a while."""
    nodes = []
    for step in plan.steps:
        view = observation.view_of(step.address) if isinstance(step, ApplySettings) else None
        if isinstance(step, ApplySettings) and view is not None:
            names = [change.name for change in step.changes]
            settings = tuple(
                FormerSetting(name, old, (wanted[name],))
                for name in names
                if (old := view.setting(name)) is not None and _is_kept(name, old, dict(record.settings))
            )
            nodes += [FormerNode(step.address, settings)] if settings else []
    return tuple(nodes)


def _is_kept(name: str, old: str, known: Mapping[str, str]) -> bool:
    is_lowered = (name, old) in FORMATION_OVERRIDES and known.get(name) != old
    return not is_lowered and not is_secret(name) and old.isprintable()


def plan_take_back(baseline: Baseline, desired: Desired, world: World) -> TakeBack:
    """The way from ``world`` back to ``baseline``, which fits; ``desired`` is what its file wants.

    Nodes that can't be set now are findings (not-taken-back), and so are values of somebody else.
    """
    record = world.record
    assert record is not None
    nodes = record.blueprint.nodes
    unreached = tuple(node for node in nodes if not _is_reached(node, desired, world))
    reached = tuple(node for node in nodes if node not in unreached)
    views = [view for node in reached if (view := world.own_view(node.address)) is not None]
    back = settings_back(baseline, views)
    steps = [
        ApplySettings(node.address, back.changes_of(node.address))
        for node in reached
        if back.changes_of(node.address) or _has_other_file(node.address, desired, world)
    ]
    waves: list[tuple[Step, ...]] = [*desired.host_waves, tuple(steps)]
    if steps and len(views) == len(nodes):
        waves.append((AwaitUsable(len(nodes)),))
    waves += [] if unreached else _record_waves(baseline, record)
    facts = tuple(world_facts(desired, world))
    findings = (*back.foreign, *_not_reached(unreached, record.name))
    todo, away = tuple(wave for wave in waves if wave), tuple(sorted(world.away))
    plan = Plan(record.name, todo, (), findings, digest_of(facts), away, facts)
    return TakeBack(plan, back.values, not unreached and not todo)


def plan_adopted_back(
    baseline: Baseline, desire: AdoptedDesire, record: ClusterRecord, world: AdoptedWorld
) -> TakeBack:
    """The same for a cluster that was adopted, of which settings alone are changed; ``desire`` is the baseline's.

    Nobody here sees the nodes' own files: each node of the change is told to write its file, also where its settings
    are back already, as an abort may have been cut between the two.
    """
    views = {view.address: view for view in world.observation.views}
    unreached = tuple(
        node
        for node in record.blueprint.nodes
        if node.address not in views or (record.blueprint.mode is Mode.CLUSTER and views[node.address].id != node.id)
    )
    away = {node.address for node in unreached}
    back = settings_back(baseline, [view for address, view in views.items() if address not in away])
    changed = [node.address for node in baseline.nodes if node.address in views and node.address not in away]
    steps = tuple(ApplySettings(address, back.changes_of(address)) for address in changed)
    last = [] if unreached else _record_waves(baseline, record)
    waves: list[tuple[Step, ...]] = [*([steps] if steps else []), *last]
    facts = tuple(adopted_facts(desire, world))
    findings = (*back.foreign, *_not_reached(unreached, record.name))
    plan = Plan(record.name, tuple(waves), (), findings, digest_of(facts), facts=facts)
    return TakeBack(plan, back.values, not unreached and not back.changes and not last)


def _record_waves(baseline: Baseline, record: ClusterRecord) -> list[tuple[Step, ...]]:
    if record == former_record(baseline, record):
        return []
    return [(RememberFile(record.name, "keep the file's former text", is_former=True),)]


@dataclass(frozen=True, slots=True)
class SettingsBack:
    """By node: the changes as they are shown, where none is a secret, and the texts that are set. ``foreign``: what is
    left alone."""

    changes: Mapping[Address, tuple[SettingChange, ...]]
    values: Mapping[Address, Mapping[str, str]] = field(repr=False)
    foreign: tuple[Finding, ...] = ()

    def changes_of(self, address: Address) -> tuple[SettingChange, ...]:
        """Of one node; none where it has its old values."""
        return self.changes.get(address, ())


def settings_back(baseline: Baseline, views: Collection[NodeView]) -> SettingsBack:
    """Which settings of the nodes have a value of the change, and which one that neither was nor was to be."""
    changes: dict[Address, tuple[SettingChange, ...]] = {}
    values: dict[Address, Mapping[str, str]] = {}
    foreign = []
    for view in views:
        ours = []
        for setting in baseline.settings_of(view.address):
            now = view.setting(setting.name)
            if now is None or now == setting.old:
                continue
            if any(agrees(setting.name, text, now) for text in setting.new):
                ours.append((setting, now))
            else:
                foreign.append(_foreign(view.address, setting, now))
        if ours:
            changes[view.address] = tuple(_change(setting, now) for setting, now in ours)
            values[view.address] = {setting.name: setting.old for setting, _ in ours}
    return SettingsBack(changes, values, tuple(foreign))


def former_record(baseline: Baseline, record: ClusterRecord) -> ClusterRecord:
    """The record from before, with the firewall rules that are ours to take back now."""
    return replace(baseline.record, rules=record.rules)


def _is_reached(node: BlueprintNode, desired: Desired, world: World) -> bool:
    """Whether it can be set: it answers as itself, or it does not run and its folder is ours."""
    if node.address.host in world.away:
        return False
    facts = world.facts_of(node.address)
    view = world.own_view(node.address)
    if facts.process is None:
        return facts.directory.state is DirectoryState.OURS
    is_itself = view is not None and (desired.topology.mode is not Mode.CLUSTER or view.id == node.id)
    return is_itself and facts.directory.state is DirectoryState.OURS


def _has_other_file(address: Address, desired: Desired, world: World) -> bool:
    digest = world.facts_of(address).directory.conf_digest
    return digest != desired.conf_digests.get(address, digest)


def _change(setting: FormerSetting, now: str) -> SettingChange:
    return SettingChange(setting.name, readable(setting.name, now), readable(setting.name, setting.old))


def _foreign(address: Address, setting: FormerSetting, now: str) -> Finding:
    return Finding(
        FOREIGN,
        Severity.WARNING,
        str(address),
        f"{setting.name} has a value that `up` did not set: it is left as it is",
        "write the value that you want into the file, then slotwright up",
        seen=f"it is {readable(setting.name, now)}, it was {readable(setting.name, setting.old)}",
    )


def _not_reached(nodes: Collection[BlueprintNode], name: str) -> Iterator[Finding]:
    for node in nodes:
        yield Finding(
            NOT_REACHED,
            Severity.WARNING,
            str(node.address),
            "the node can't be set back now: it may have new settings, or its configuration file may have",
            f"bring it back, then slotwright abort {name} again",
        )
