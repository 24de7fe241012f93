"""Plans for a cluster that was adopted: settings of running nodes can be changed, everything else is refused.

The file is held against what the nodes run with; a directive that the file doesn't say is none of its business. A file
that says one no longer is refused, since the default that its nodes would have is theirs alone to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import NodeView, Observation
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.secret import Secret
from slotwright.cluster.steps import ApplySettings, Fact, Plan, Refusal, RememberFile, SettingChange, Step
from slotwright.cluster.topology import Address, Engine, EngineOrigin, Mode, Topology
from slotwright.features.deploy.plan.facts import digest_of, silence_facts, topology_facts, view_facts
from slotwright.server.server_conf import SECRET_DIRECTIVES, SECRET_SHOWN, shown_value
from slotwright.server.setting_values import FIXED, agrees, wanted_settings

_BACK = "undo that change in the file"
_SECRETS = SECRET_DIRECTIVES | {"masteruser", "primaryuser"}
_NOT_OURS = "this cluster was not made by slotwright"


@dataclass(frozen=True, slots=True)
class AdoptedWorld:
    """What the nodes say now: their views with the settings of :func:`names_to_ask`, and which of them have a
    configuration file. ``cut`` are directives by node whose setting was cut there: it may run with a value that its
    file, which nobody here can read, does not have."""

    observation: Observation
    with_file: frozenset[Address]
    cut: Mapping[Address, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AdoptedDesire:
    """The file and its password."""

    topology: Topology
    password: Secret | None = field(repr=False)


def names_to_ask(topology: Topology) -> tuple[str, ...]:
    """The directives whose values a plan needs."""
    return tuple(dict.fromkeys((*wanted_settings(topology.settings), "masterauth")))


def texts(desire: AdoptedDesire) -> dict[str, str]:
    """Directive -> the text that CONFIG SET is given for it (a secret inside)."""
    values = {name: value for name, value in wanted_settings(desire.topology.settings).items() if not _is_secret(name)}
    if desire.password is not None:
        values["masterauth"] = desire.password.reveal()
    return values


def plan_adopted(desire: AdoptedDesire, record: ClusterRecord, world: AdoptedWorld) -> Plan:
    """The settings that differ, node by node; refusals for all else that the file asks for."""
    steps = tuple(_setting_steps(desire, record, world))
    refusals = (*_shape_refusals(desire.topology, record), *_setting_refusals(desire, record, world, steps))
    findings = tuple(_troubles(record, world))
    waves: tuple[tuple[Step, ...], ...] = ()
    if not refusals:
        keep = RememberFile(record.name, "keep the file's new text")
        waves = (steps,) if steps else ()
        waves += ((keep,),) if record.topology != desire.topology else ()
    facts = tuple(adopted_facts(desire, world))
    return Plan(record.name, waves, refusals, findings, digest_of(facts), facts=facts)


def adopted_facts(desire: AdoptedDesire, world: AdoptedWorld) -> Iterator[Fact]:
    """What the plan depends on: the file, and of each node who it is and what it runs with."""
    yield from topology_facts(desire.topology)
    yield Fact("record stage", Stage.ADOPTED.value)
    wanted = texts(desire)
    for view in world.observation.views:
        yield Fact(f"{view.address} server version", view.version.title)
        yield Fact(f"{view.address} configuration file", _file_of(view.address, world))
        yield from view_facts(view, wanted, _SECRETS)
    yield from silence_facts(world.observation)


def _file_of(address: Address, world: AdoptedWorld) -> str:
    if address not in world.with_file:
        return "none"
    return "there, and a change was cut" if world.cut.get(address) else "there"


def _setting_steps(desire: AdoptedDesire, record: ClusterRecord, world: AdoptedWorld) -> Iterator[ApplySettings]:
    wanted, before = texts(desire), wanted_settings(record.topology.settings)
    if not any(shard.replicas for shard in record.blueprint.shards):
        wanted.pop("masterauth", None)
    for node in record.blueprint.nodes:
        view = world.observation.view_of(node.address)
        changes = tuple(_changes(wanted, before, view)) if view is not None else ()
        is_unwritten = node.address in world.cut and node.address in world.with_file
        if changes or (view is not None and is_unwritten):
            yield ApplySettings(node.address, changes)


def _changes(wanted: dict[str, str], before: dict[str, str], view: NodeView) -> Iterator[SettingChange]:
    for name, text in view.settings:
        if name in wanted and not _is_met(name, wanted[name], text):
            # ``64mb`` rather than ``67108864`` where the kept file has it so.
            was = before[name] if name in before and agrees(name, before[name], text) else text
            was, then = (
                SECRET_SHOWN if _is_secret(name) else shown_value(name, value) for value in (was, wanted[name])
            )
            yield SettingChange(name, was, then)


def _is_met(name: str, wanted: str, seen: str) -> bool:
    return wanted == seen if _is_secret(name) else agrees(name, wanted, seen)


def _is_secret(name: str) -> bool:
    """Whether it belongs to the password, and so is none of the file's settings."""
    return name in _SECRETS


def _shape_refusals(wanted: Topology, record: ClusterRecord) -> Iterator[Refusal]:
    have = record.topology
    added = [str(address) for address in wanted.addresses if address not in have.addresses]
    gone = [str(address) for address in have.addresses if address not in wanted.addresses]
    asked = (
        (f"add {', '.join(added)}", bool(added), "no nodes can be added to it"),
        (f"remove {', '.join(gone)}", bool(gone), "no nodes can be taken out of it"),
        (f"mode {have.mode} -> {wanted.mode}", wanted.mode is not have.mode, "it stays what it is"),
        (
            f"replicas {have.replicas} -> {wanted.replicas}",
            wanted.replicas != have.replicas,
            "its number of replicas can't be changed",
        ),
        ("other explicit shards", wanted.shards != have.shards, "its roles can't be moved"),
        ("another engine", _is_other_engine(wanted.engine, have.engine), "its servers' programs can't be changed"),
        ("data", wanted.data_directory != have.data_directory, "its folders are where they are"),
        ("clients", wanted.clients != have.clients, "its hosts' firewalls are left as they are"),
    )
    for what, is_asked, why in asked:
        if is_asked:
            yield Refusal(what, f"{_NOT_OURS}: {why}", _BACK)


def _is_other_engine(wanted: Engine, have: Engine) -> bool:
    """Where it could not be told where the program is (``from: path``), the file may say it later."""
    is_told = have.origin is not EngineOrigin.PATH
    return wanted.kind is not have.kind or (is_told and wanted != have)


def _setting_refusals(
    desire: AdoptedDesire, record: ClusterRecord, world: AdoptedWorld, steps: tuple[ApplySettings, ...]
) -> Iterator[Refusal]:
    wanted = wanted_settings(desire.topology.settings)
    cut = sorted(name for names in world.cut.values() for name in names if not _is_secret(name))
    for name in dict.fromkeys((*(name for name, _ in record.topology.settings), *cut)):
        if name not in wanted:
            why = "what its nodes would do without it is not known here: the file must go on saying a value"
            yield Refusal(f"no more {name}", f"{_NOT_OURS}: {why}", f"write the value of {name} that you want")
    known = {name for view in world.observation.views for name, _ in view.settings}
    for name in wanted:
        if _is_secret(name):
            yield Refusal(f"set {name}", "it belongs to the password", "use `password` in the file")
        elif name not in known and world.observation.views:
            yield Refusal(f"set {name}", "its servers don't have this directive, or don't show it", _BACK)
    changed = {change.name for step in steps for change in step.changes}
    for name in sorted(changed & FIXED):
        why = "the server takes it only at its start, and its nodes are not slotwright's to restart"
        yield Refusal(f"set {name}", f"{_NOT_OURS}: {why}", f"change the nodes' own configuration; {_BACK} until then")
    fileless = [str(step.address) for step in steps if step.address not in world.with_file]
    if fileless:
        yield Refusal(
            f"set {', '.join(sorted(changed))} on {', '.join(fileless)}",
            "it runs without a configuration file: a restart would lose what is set now",
            "start it with one (redis-server FILE), or set it by hand (CONFIG SET) knowing that",
        )


def _troubles(record: ClusterRecord, world: AdoptedWorld) -> Iterator[Finding]:
    """Nodes that don't answer, or that answer as somebody else: nothing is set while there are such."""
    for silent in world.observation.silent:
        is_shut = silent.code == "wrong-password"
        yield Finding(
            "wrong-password" if is_shut else "node-down",
            Severity.SERIOUS,
            str(silent.address),
            "the node refuses the password of the file" if is_shut else "the node doesn't answer",
            "give the password that the cluster has" if is_shut else "start it with whatever starts it on its host",
            seen=silent.reason,
        )
    unread = [str(view.address) for view in world.observation.views if not view.settings]
    if unread:
        yield Finding(
            "settings-unread",
            Severity.WARNING,
            record.name if len(unread) > 1 else unread[0],
            "what is configured could not be read: CONFIG GET is not answered",
            "let CONFIG be asked under its own name (rename-command, ACL); until then compare by hand",
            seen=", ".join(unread[:6]) + (" ..." if len(unread) > 6 else ""),
            risk="whether it is what the file says is not known",
        )
    ids = {node.address: node.id for node in record.blueprint.nodes}
    for view in world.observation.views:
        if record.blueprint.mode is Mode.CLUSTER and ids.get(view.address) != view.id:
            yield Finding(
                "other-node",
                Severity.SERIOUS,
                str(view.address),
                "another node than the adopted one is there",
                f"slotwright adopt --forget {record.name}, then adopt the cluster anew",
                seen=f"id {view.id[:8]}, adopted as {ids.get(view.address, '')[:8]}",
            )
