"""Plans for a cluster that was adopted: settings of running nodes can be changed, everything else is refused.

The file is held against what the nodes run with; a directive that the file doesn't say is none of its business. A file
that says one no longer is refused, since the default that its nodes would have is theirs alone to know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from slotwright.model.cluster import NodeView, Observation
from slotwright.model.findings import Finding, Severity
from slotwright.model.plan import ApplySettings, Plan, Refusal, RememberFile, SettingChange, Step
from slotwright.model.record import ClusterRecord
from slotwright.model.secret import Secret
from slotwright.model.topology import Address, Engine, EngineOrigin, Mode, Topology
from slotwright.planning.adoption_settings import FIXED, agrees, wanted_settings
from slotwright.wire.server_conf import SECRET_DIRECTIVES

_BACK = "undo that change in the file"
_NOT_OURS = "this cluster was not made by slotwright"


@dataclass(frozen=True, slots=True)
class AdoptedWorld:
    """What the nodes say now: their views with the settings of :func:`names_to_ask`, and which of them have a
    configuration file."""

    observation: Observation
    with_file: frozenset[Address]


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
    found = {name: value for name, value in wanted_settings(desire.topology.settings).items() if not _is_secret(name)}
    if desire.password is not None:
        found["masterauth"] = desire.password.reveal()
    return found


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
    digest = hashlib.sha256(repr((steps, refusals, findings, desire.topology)).encode()).hexdigest()
    return Plan(record.name, waves, refusals, findings, digest)


def _setting_steps(desire: AdoptedDesire, record: ClusterRecord, world: AdoptedWorld) -> Iterator[ApplySettings]:
    wanted, before = texts(desire), wanted_settings(record.topology.settings)
    if not any(shard.replicas for shard in record.blueprint.shards):
        wanted.pop("masterauth", None)
    for node in record.blueprint.nodes:
        view = world.observation.view_of(node.address)
        changes = tuple(_changes(wanted, before, view)) if view is not None else ()
        if changes:
            yield ApplySettings(node.address, changes)


def _changes(wanted: dict[str, str], before: dict[str, str], view: NodeView) -> Iterator[SettingChange]:
    for name, seen in view.settings:
        if name in wanted and not _is_met(name, wanted[name], seen):
            # ``64mb`` rather than ``67108864`` where the kept file has it so.
            was = before[name] if name in before and agrees(name, before[name], seen) else seen
            shown = ("***", "***") if _is_secret(name) else (was, wanted[name])
            yield SettingChange(name, *shown)


def _is_met(name: str, wanted: str, seen: str) -> bool:
    return wanted == seen if _is_secret(name) else agrees(name, wanted, seen)


def _is_secret(name: str) -> bool:
    return name in SECRET_DIRECTIVES or name in ("masteruser", "primaryuser")


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
    for name in dict.fromkeys(name for name, _ in record.topology.settings):
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
