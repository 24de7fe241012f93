"""adopt: a cluster made by hand becomes one that is known here, with a topology file. Its nodes are only read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from slotwright.adapters import lock
from slotwright.adapters.state import ClusterStore
from slotwright.api import passwords
from slotwright.api.context import Context
from slotwright.api.deploy import PlanRefusedError
from slotwright.api.targets import find_by_node
from slotwright.errors import AuthenticationError, InputError, NodeUnreachableError, RefusedError, ServerError
from slotwright.model.cluster import NodeView, Observation
from slotwright.model.events import Began, Ended, Warned
from slotwright.model.findings import Finding, Severity
from slotwright.model.plan import Plan
from slotwright.model.record import ClusterRecord, Stage
from slotwright.model.secret import Secret
from slotwright.model.topology import (
    Address,
    Engine,
    EngineKind,
    EngineOrigin,
    PasswordRef,
    PasswordSource,
    SshSpec,
    Topology,
)
from slotwright.operations.observe import discover, observe, setting_value
from slotwright.operations.roster import Roster
from slotwright.operations.verify import Verdict, Verifier
from slotwright.planning.adoption import Adoption, hosts_of
from slotwright.planning.adoption import adopt as describe
from slotwright.planning.adoption_obstacles import SETTLING, obstacles
from slotwright.planning.adoption_settings import WORTH_SAYING
from slotwright.planning.sighting import NodeAccount, Sighting, Wish
from slotwright.ports import Fleet, Reply, ReplyError
from slotwright.wire.info import parse_info

_SETTLING_S = 6.0
_POLL_S = 0.5
_NAMES = (*WORTH_SAYING, "masterauth", "masteruser")


@dataclass(frozen=True, slots=True)
class AdoptWish:
    """What the command line says. ``output`` None: the file is only printed. ``password`` None: the variable
    SLOTWRIGHT_PASSWORD, if it is set. ``ssh`` None: by SSH unless all addresses are loopback ones."""

    seed: Address
    name: str = ""
    output: Path | None = Path("cluster.yaml")
    force: bool = False
    password: PasswordRef | None = None
    ssh: bool | None = None
    login: SshSpec = field(default_factory=SshSpec)


@dataclass(frozen=True, slots=True)
class Adopted:
    """What came of it: the file's ``text``, where it was written (None: nowhere), what differs and what is not well."""

    record: ClusterRecord
    text: str
    path: Path | None
    verdict: Verdict
    findings: tuple[Finding, ...]


async def adopt(context: Context, wish: AdoptWish) -> Adopted:
    """Look at every node, write the file, remember the cluster.

    Raises RefusedError where the cluster or the name is known already, where the file is there already, and where no
    topology can be told (PlanRefusedError, with all obstacles); what dialling raises where the seed doesn't let us in.
    """
    _refuse_known(context, (wish.seed,))
    store = context.store(wish.name or _usual_name(wish.seed))
    if store.read_record() is not None:
        raise RefusedError(
            f"the name {store.name} belongs to another cluster that is known here",
            code="name-taken",
            where=store.name,
            left="nothing was changed",
            hint=f"slotwright adopt {wish.seed} --name OTHER",
        )
    _refuse_file(wish)
    with lock.hold(store.lock_path, "adopt", store.name):
        try:
            return await _adopt(context, wish, store)
        finally:
            if store.read_record() is None and not store.topology_path.exists():
                store.remove()


def forget(context: Context, name: str) -> ClusterRecord:
    """Remember an adopted cluster no longer; its nodes and its file stay as they are.

    Raises InputError for a name that isn't known, RefusedError for a cluster that slotwright made.
    """
    store = context.store(name)
    record = store.read_record() if name in context.known() else None
    if record is None:
        known = ", ".join(context.known())
        raise InputError(
            f"no cluster {name} is known here",
            code="unknown-target",
            where=name,
            hint=f"known here: {known}" if known else "",
        )
    if record.stage is not Stage.ADOPTED:
        raise RefusedError(
            f"{name} was made by slotwright, not adopted",
            code="not-adopted",
            where=name,
            left="nothing was changed",
            hint=f"slotwright destroy {name} takes it away with all of its files",
        )
    with lock.hold(store.lock_path, "adopt", name):
        store.remove()
    return record


async def _adopt(context: Context, wish: AdoptWish, store: ClusterStore) -> Adopted:
    reference = wish.password or _usual_password()
    password = passwords.resolve(reference, store)
    async with _looking(context, wish, password) as (sighting, verdict, ssh, programs):
        _refuse_known(context, tuple(view.address for view in verdict.observation.views))
        adoption = describe(
            sighting,
            Wish(
                name=store.name,
                password=reference,
                secret=password,
                ssh=ssh,
                programs=programs,
                cluster_id=context.new_id(),
                single_id=context.new_id(),
            ),
        )
    return _keep(context, wish, store, adoption, verdict, password)


def _keep(
    context: Context,
    wish: AdoptWish,
    store: ClusterStore,
    adoption: Adoption,
    verdict: Verdict,
    password: Secret | None,
) -> Adopted:
    """Write the file, then the record: a file that nobody remembers does no harm."""
    from slotwright.adapters.files import host_error, write_atomically

    path = wish.output.absolute() if wish.output else None
    text = _file_text(wish, adoption)
    topology = _read_back(context, wish, text)
    if path is not None:
        _refuse_file(wish)
        try:
            write_atomically(path, text, mode=0o644)
        except OSError as error:
            raise host_error("write", path, error) from error
    record = replace(adoption, topology=topology).record(str(path or ""))
    if password is not None:
        store.write_password(password)
    store.write_record(record)
    return Adopted(record, text, path, verdict, adoption.findings)


def _file_text(wish: AdoptWish, adoption: Adoption) -> str:
    from slotwright.adapters.topology_file import render_topology

    lines = [f"# Adopted from {wish.seed}: the cluster as it was found. `slotwright plan` compares the two."]
    vary = [found.where for found in adoption.findings if found.code == "settings-vary"]
    if vary:
        lines.append(f"# Not said here, because the nodes have different values: {', '.join(vary)}")
    return "\n".join(lines) + "\n\n" + render_topology(adoption.topology)


def _read_back(context: Context, wish: AdoptWish, text: str) -> Topology:
    """As ``plan`` will read it; what a file can't say (a port without a bus port, for example) is refused."""
    from slotwright.adapters.topology_file import parse_topology

    base = (wish.output or Path("cluster.yaml")).absolute().parent
    try:
        loaded = parse_topology(text, where=str(wish.output or "-"), base=base)
    except InputError as error:
        raise _refused(
            wish,
            tuple(
                Finding("not-expressible", Severity.SERIOUS, str(wish.seed), problem.what, problem.hint)
                for problem in error.problems
            ),
        ) from error
    for warning in loaded.warnings:
        context.report(Warned(warning.what, warning.where))
    return loaded.topology


def _refuse_known(context: Context, addresses: Sequence[Address]) -> None:
    for address in addresses:
        owner = find_by_node(context, address)
        if owner is None or owner.record is None:
            continue
        is_adopted = owner.record.stage is Stage.ADOPTED
        file = owner.record.topology_path
        again = f"to adopt it anew: slotwright adopt --forget {owner.name}, then adopt"
        raise RefusedError(
            f"{address} belongs to {owner.name}, which "
            + ("was adopted already" if is_adopted else "slotwright made here"),
            code="already-known",
            where=str(address),
            seen=f"its file is {file}" if file else "",
            left="nothing was changed",
            hint=f"slotwright status {owner.name}" + (f"; {again}" if is_adopted else ""),
        )


def _refuse_file(wish: AdoptWish) -> None:
    path = wish.output
    if path is None:
        return
    if path.exists() and not wish.force:
        raise RefusedError(
            f"{path} exists already",
            code="file-exists",
            where=str(path),
            left="it was not touched",
            hint=f"slotwright adopt {wish.seed} -o OTHER.yaml writes another; --force overwrites it",
        )
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise InputError(f"{path} can't be a file: there is no such folder", code="no-folder", where=str(path))


def _usual_name(seed: Address) -> str:
    """The first part of a host's name; a number is no name."""
    first = seed.host.partition(".")[0]
    is_name = first.isascii() and first.replace("-", "").isalnum() and not first[0].isdigit() and first != "localhost"
    return first.strip("-") or "adopted" if is_name and ":" not in seed.host else "adopted"


def _usual_password() -> PasswordRef:
    if passwords.for_foreign_cluster() is None:
        return PasswordRef(PasswordSource.NONE)
    return PasswordRef(PasswordSource.ENVIRONMENT, passwords.FOREIGN_VARIABLE)


@asynccontextmanager
async def _looking(
    context: Context, wish: AdoptWish, password: Secret | None
) -> AsyncIterator[tuple[Sighting, Verdict, SshSpec | None, frozenset[str]]]:
    """What is seen from the seed, without obstacles, and the executables that are really there."""
    text = f"look at the cluster of {wish.seed}"
    context.report(Began("look", text))
    is_ok = False
    try:
        async with _reach(context, wish, (wish.seed,), password) as (_, roster, _):
            addresses = await _members(roster, wish.seed)
        async with _reach(context, wish, addresses, password) as (fleet, roster, ssh):
            verifier = Verifier(
                str(wish.seed), roster, context.clock, fleet.login, addresses, context.token(), expected=None
            )
            sighting, verdict = await _settled(context, wish, verifier)
            is_ok = True
            yield sighting, verdict, ssh, await _programs(fleet, sighting.accounts, is_remote=ssh is not None)
    finally:
        context.report(Ended("look", text, is_ok))


@asynccontextmanager
async def _reach(
    context: Context, wish: AdoptWish, addresses: Sequence[Address], password: Secret | None
) -> AsyncIterator[tuple[Fleet, Roster, SshSpec | None]]:
    is_remote = not all(address.is_loopback for address in addresses) if wish.ssh is None else wish.ssh
    ssh = wish.login if is_remote else None
    engine = Engine(EngineKind.REDIS, EngineOrigin.PATH)
    way = Topology("adopted", engine, hosts_of(list(addresses), ssh))
    async with context.fleet(way) as fleet, Roster(fleet.login(password, "")) as roster:
        yield fleet, roster, ssh


async def _members(roster: Roster, seed: Address) -> tuple[Address, ...]:
    """The addresses by which the cluster knows its nodes, the seed's own among them."""
    try:
        await discover(roster, seed)
        first = await observe(roster, (seed,))
    except AuthenticationError as error:
        needs_none = "without any password" in error.seen
        error.hint = (
            f"it has no password: unset {passwords.FOREIGN_VARIABLE}"
            if needs_none
            else f"put its password into the variable {passwords.FOREIGN_VARIABLE}"
        )
        raise
    except NodeUnreachableError as error:
        if not seed.is_loopback and not error.hint:
            error.hint = "--ssh and --no-ssh say whether it is reached through SSH on its host or straight"
        raise
    if not first.views:
        silent = first.silent[0]
        raise ServerError(silent.reason, code=silent.code, where=str(seed))
    view = first.views[0]
    known = {
        peer.address for peer in view.peers if peer.address is not None and not peer.flags & {"handshake", "noaddr"}
    }
    return tuple(sorted(known)) or (seed,)


async def _settled(context: Context, wish: AdoptWish, verifier: Verifier) -> tuple[Sighting, Verdict]:
    """Raises PlanRefusedError with the obstacles; those that go by themselves are given a few seconds."""
    deadline = context.clock.now() + _SETTLING_S
    while True:
        verdict = await verifier.look(with_canaries=False)
        accounts = await asyncio.gather(*(_account(verifier.roster, view) for view in verdict.observation.views))
        sighting = Sighting(
            wish.seed,
            verdict.survey,
            verdict.observation,
            verdict.findings,
            tuple(account for account in accounts if account is not None),
        )
        found = obstacles(sighting) + _unread(verdict.observation, sighting.accounts)
        if not found:
            return sighting, verdict
        if any(each.code not in SETTLING for each in found) or context.clock.now() > deadline:
            raise _refused(wish, found)
        await context.clock.sleep(_POLL_S)


def _refused(wish: AdoptWish, found: tuple[Finding, ...]) -> PlanRefusedError:
    error = PlanRefusedError(Plan(str(wish.seed), (), (), found))
    if len(found) > 1:
        error.what = f"{len(found)} things stand in the way of adopting the cluster of {wish.seed}"
    error.left = "nothing was written or changed"
    return error


def _unread(observation: Observation, accounts: Sequence[NodeAccount]) -> tuple[Finding, ...]:
    """Nodes that were lost between the two questions."""
    read = {account.address for account in accounts}
    return tuple(
        Finding("node-down", Severity.SERIOUS, str(view.address), "the node stopped answering", "adopt again")
        for view in observation.views
        if view.address not in read
    )


async def _account(roster: Roster, view: NodeView) -> NodeAccount | None:
    try:
        connection = await roster.connection(view.address)
        commands: list[tuple[str, ...]] = [("INFO", "server"), ("CLUSTER", "MYSHARDID")]
        info, shard_id, *values = await connection.pipeline([*commands, *(("CONFIG", "GET", name) for name in _NAMES)])
    except ServerError:
        await roster.drop(view.address)
        return None
    server = parse_info(_text(info))
    found = ((name, setting_value(reply)) for name, reply in zip(_NAMES, values, strict=True))
    return NodeAccount(
        view.address,
        server.get("redis_mode", server.get("server_mode", "")),
        server.get("executable", ""),
        server.get("config_file", ""),
        _text(shard_id),
        tuple((name, value) for name, value in found if value is not None),
    )


def _text(reply: Reply | ReplyError) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else ""


async def _programs(fleet: Fleet, accounts: Sequence[NodeAccount], *, is_remote: bool) -> frozenset[str]:
    """Executables that are on every host that names them. A server found on the PATH tells a path of its own
    invention (server.c, getAbsolutePath of argv[0])."""
    asked = {(account.address.host, account.executable) for account in accounts if account.executable}
    if is_remote:
        from slotwright.adapters.ssh.fleet import SshFleet

        assert isinstance(fleet, SshFleet)
        shells = fleet.shells
        there = [
            host in shells and (await shells[host].run('[ -x "$1" ]', path, as_root=False)).status == 0
            for host, path in asked
        ]
    else:
        there = [os.access(path, os.X_OK) for _, path in asked]
    missing = {path for (_, path), is_there in zip(asked, there, strict=True) if not is_there}
    return frozenset(path for _, path in asked) - missing
