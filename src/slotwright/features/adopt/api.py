"""adopt: a cluster made by hand becomes one that is known here, with a topology file. Its nodes are only read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from slotwright.app import passwords
from slotwright.app.context import Context
from slotwright.app.targets import find_by_node
from slotwright.cluster.events import Began, Ended, Warned
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import NodeView, Observation
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.secret import Secret
from slotwright.cluster.steps import Plan
from slotwright.cluster.topology import (
    Address,
    Engine,
    EngineKind,
    EngineOrigin,
    PasswordRef,
    PasswordSource,
    SshSpec,
    Topology,
)
from slotwright.errors import AuthenticationError, InputError, NodeUnreachableError, RefusedError, ServerError
from slotwright.features.adopt.model import AdoptChoices, AdoptInput, NodeAccount
from slotwright.features.adopt.plan import Adoption, hosts_of
from slotwright.features.adopt.plan import adopt as describe
from slotwright.features.adopt.plan.obstacles import SETTLING, announced_out_of_reach, obstacles
from slotwright.features.deploy.outcome import PlanRefusedError
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import discover, observe, setting_value
from slotwright.ops.verify import Verdict, Verifier
from slotwright.ports import ClusterStore, Fleet, Reply, ReplyError, Secrets
from slotwright.server.info import parse_info
from slotwright.server.setting_values import WORTH_SAYING

_SETTLING_S = 6.0
_POLL_S = 0.5
_NAMES = (*WORTH_SAYING, "masterauth", "masteruser")


@dataclass(frozen=True, slots=True)
class AdoptOptions:
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


async def adopt(context: Context, options: AdoptOptions) -> Adopted:
    """Look at every node, write the file, remember the cluster.

    Raises RefusedError where the cluster or the name is known already, where the file is there already, and where no
    topology can be told (PlanRefusedError, with all obstacles); what dialling raises where the seed doesn't let us in.
    """
    _refuse_known(context, (options.seed,))
    store = context.store(options.name or _usual_name(options.seed))
    if store.read_record() is not None:
        raise RefusedError(
            f"the name {store.name} belongs to another cluster that is known here",
            code="name-taken",
            where=store.name,
            left="nothing was changed",
            hint=f"slotwright adopt {options.seed} --name OTHER",
        )
    _refuse_file(options)
    with store.hold("adopt"):
        store.demand_known_formats()
        try:
            return await _adopt(context, options, store)
        finally:
            if store.read_record() is None and not store.has_topology():
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
    with store.hold("adopt"):
        store.demand_known_formats()
        store.remove()
    return record


async def _adopt(context: Context, options: AdoptOptions, store: ClusterStore) -> Adopted:
    reference = options.password or _usual_password(context.secrets)
    password = passwords.resolve(context.secrets, reference, store)
    async with _looking(context, options, password) as (adopt_input, verdict, ssh, programs):
        _refuse_known(context, tuple(view.address for view in verdict.observation.views))
        adoption = describe(
            adopt_input,
            AdoptChoices(
                name=store.name,
                password=reference,
                secret=password,
                ssh=ssh,
                programs=programs,
                cluster_id=context.new_id(),
                single_id=context.new_id(),
            ),
        )
    return _keep(context, options, store, adoption, verdict, password)


def _keep(
    context: Context,
    options: AdoptOptions,
    store: ClusterStore,
    adoption: Adoption,
    verdict: Verdict,
    password: Secret | None,
) -> Adopted:
    """Write the file, then the record: a file that nobody remembers does no harm."""
    from slotwright.adapters.files import host_error, write_atomically

    path = options.output.absolute() if options.output else None
    text = _file_text(options, adoption)
    topology = _read_back(context, options, text)
    if path is not None:
        _refuse_file(options)
        try:
            write_atomically(path, text, mode=0o644)
        except OSError as error:
            raise host_error("write", path, error) from error
    record = replace(adoption, topology=topology).record(str(path or ""))
    if password is not None:
        store.write_password(password)
    store.write_record(record)
    return Adopted(record, text, path, verdict, adoption.findings)


def _file_text(options: AdoptOptions, adoption: Adoption) -> str:
    from slotwright.adapters.topology.file import render_topology

    lines = [f"# Adopted from {options.seed}: the cluster as it was found. `slotwright plan` compares the two."]
    vary = [finding.where for finding in adoption.findings if finding.code == "settings-vary"]
    if vary:
        lines.append(f"# Not said here, because the nodes have different values: {', '.join(vary)}")
    if any(finding.code == "settings-unread" for finding in adoption.findings):
        lines.append("# Nothing is known of the settings of nodes that do not answer CONFIG GET: compare them by hand.")
    return "\n".join(lines) + "\n\n" + render_topology(adoption.topology)


def _read_back(context: Context, options: AdoptOptions, text: str) -> Topology:
    """As ``plan`` will read it; what a file can't say (a port without a bus port, for example) is refused."""
    from slotwright.adapters.topology.file import parse_topology

    base = (options.output or Path("cluster.yaml")).absolute().parent
    try:
        loaded = parse_topology(text, where=str(options.output or "-"), base=base)
    except InputError as error:
        raise _refused(
            options,
            tuple(
                Finding("not-expressible", Severity.SERIOUS, str(options.seed), problem.what, problem.hint)
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


def _refuse_file(options: AdoptOptions) -> None:
    path = options.output
    if path is None:
        return
    if path.exists() and not options.force:
        raise RefusedError(
            f"{path} exists already",
            code="file-exists",
            where=str(path),
            left="it was not touched",
            hint=f"slotwright adopt {options.seed} -o OTHER.yaml writes another; --force overwrites it",
        )
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise InputError(f"{path} can't be a file: there is no such folder", code="no-folder", where=str(path))


def _usual_name(seed: Address) -> str:
    """The first part of a host's name; a number is no name."""
    first = seed.host.partition(".")[0]
    is_name = first.isascii() and first.replace("-", "").isalnum() and not first[0].isdigit() and first != "localhost"
    return first.strip("-") or "adopted" if is_name and ":" not in seed.host else "adopted"


def _usual_password(secrets: Secrets) -> PasswordRef:
    if passwords.for_foreign_cluster(secrets) is None:
        return PasswordRef(PasswordSource.NONE)
    return PasswordRef(PasswordSource.ENVIRONMENT, passwords.FOREIGN_VARIABLE)


@asynccontextmanager
async def _looking(
    context: Context, options: AdoptOptions, password: Secret | None
) -> AsyncIterator[tuple[AdoptInput, Verdict, SshSpec | None, frozenset[str]]]:
    """What is seen from the seed, without obstacles, and the executables that are really there."""
    text = f"look at the cluster of {options.seed}"
    context.report(Began("look", text))
    is_ok = False
    try:
        async with _reach(context, options, (options.seed,), password) as (_, pool, way):
            first = await _first_view(pool, options.seed)
        addresses = _members(first)
        async with _reach(context, options, addresses, password) as (fleet, pool, ssh):
            if not (await observe(pool, addresses)).views:
                straight = replace(options, ssh=way is not None)
                raise await _none_where_announced(context, straight, first, password)
            verifier = Verifier(
                str(options.seed), pool, context.clock, fleet.login, addresses, context.token(), expected=None
            )
            adopt_input, verdict = await _settled(context, options, verifier)
            is_ok = True
            yield adopt_input, verdict, ssh, await _programs(fleet, adopt_input.accounts, is_remote=ssh is not None)
    finally:
        context.report(Ended("look", text, is_ok))


@asynccontextmanager
async def _reach(
    context: Context, options: AdoptOptions, addresses: Sequence[Address], password: Secret | None
) -> AsyncIterator[tuple[Fleet, ConnectionPool, SshSpec | None]]:
    is_remote = not all(address.is_loopback for address in addresses) if options.ssh is None else options.ssh
    ssh = options.login if is_remote else None
    engine = Engine(EngineKind.REDIS, EngineOrigin.PATH)
    way = Topology("adopted", engine, hosts_of(list(addresses), ssh))
    async with context.fleet(way) as fleet, ConnectionPool(fleet.login(password, "")) as pool:
        yield fleet, pool, ssh


async def _none_where_announced(
    context: Context, options: AdoptOptions, first: NodeView, password: Secret | None
) -> PlanRefusedError:
    """Why the cluster can't be told where the seed answers, and no node does at the address that it announces: the
    seed is judged beside what it says of the others."""
    own = first.myself.address if first.myself else None
    addresses = (options.seed, *(address for address in _members(first) if address not in (own, options.seed)))
    async with _reach(context, options, addresses, password) as (fleet, pool, _):
        verifier = Verifier(
            str(options.seed), pool, context.clock, fleet.login, addresses, context.token(), expected=None
        )
        verdict = await verifier.look(with_canaries=False)
    adopt_input = AdoptInput(options.seed, verdict.survey, verdict.observation, verdict.findings, ())
    moved = (announced_out_of_reach(options.seed, own),) if own is not None and own != options.seed else ()
    findings = moved + obstacles(adopt_input)
    return _refused(options, findings)


async def _first_view(pool: ConnectionPool, seed: Address) -> NodeView:
    """What the seed says."""
    try:
        await discover(pool, seed)
        first = await observe(pool, (seed,))
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
    return first.views[0]


def _members(view: NodeView) -> tuple[Address, ...]:
    """The addresses by which the cluster knows its nodes, the one that it has for the seed among them."""
    known = {
        peer.address for peer in view.peers if peer.address is not None and not peer.flags & {"handshake", "noaddr"}
    }
    return tuple(sorted(known)) or (view.address,)


async def _settled(context: Context, options: AdoptOptions, verifier: Verifier) -> tuple[AdoptInput, Verdict]:
    """Raises PlanRefusedError with the obstacles; those that go by themselves are given a few seconds."""
    deadline = context.clock.now() + _SETTLING_S
    while True:
        verdict = await verifier.look(with_canaries=False)
        accounts = await asyncio.gather(*(_account(verifier.pool, view) for view in verdict.observation.views))
        adopt_input = AdoptInput(
            options.seed,
            verdict.survey,
            verdict.observation,
            verdict.findings,
            tuple(account for account in accounts if account is not None),
        )
        findings = obstacles(adopt_input) + _unread(verdict.observation, adopt_input.accounts)
        if not findings:
            return adopt_input, verdict
        if any(finding.code not in SETTLING for finding in findings) or context.clock.now() > deadline:
            raise _refused(options, findings)
        await context.clock.sleep(_POLL_S)


def _refused(options: AdoptOptions, findings: tuple[Finding, ...]) -> PlanRefusedError:
    error = PlanRefusedError(Plan(str(options.seed), (), (), findings))
    if len(findings) > 1:
        error.what = f"{len(findings)} things stand in the way of adopting the cluster of {options.seed}"
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


async def _account(pool: ConnectionPool, view: NodeView) -> NodeAccount | None:
    try:
        connection = await pool.connection(view.address)
        commands: list[tuple[str, ...]] = [("INFO", "server"), ("CLUSTER", "MYSHARDID")]
        info, shard_id, *values = await connection.pipeline([*commands, *(("CONFIG", "GET", name) for name in _NAMES)])
    except ServerError:
        await pool.drop(view.address)
        return None
    server = parse_info(_text(info))
    result = ((name, setting_value(reply)) for name, reply in zip(_NAMES, values, strict=True))
    return NodeAccount(
        view.address,
        server.get("redis_mode", server.get("server_mode", "")),
        server.get("executable", ""),
        server.get("config_file", ""),
        _text(shard_id),
        tuple((name, value) for name, value in result if value is not None),
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
