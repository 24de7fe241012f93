"""TARGET -> which cluster is meant: a topology file, the name of a cluster known here, or any ``host:port``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from slotwright.app import passwords
from slotwright.app.context import Context
from slotwright.cluster.expectation import Expectation
from slotwright.cluster.readdress import readdressed
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, Topology
from slotwright.errors import AuthenticationError, InputError, RefusedError
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import discover
from slotwright.ops.verify import Verifier
from slotwright.ports import ClusterStore, Fleet

DEFAULT_FILE = "cluster.yaml"


@dataclass(frozen=True, slots=True)
class Target:
    """A cluster to look at. ``record`` None: slotwright did not make it, and ``seed`` is where to ask."""

    name: str
    password: Secret | None = field(repr=False)
    record: ClusterRecord | None = None
    store: ClusterStore | None = None
    seed: Address | None = None

    @property
    def topology(self) -> Topology | None:
        """What it is made of; None for a cluster that is not ours."""
        return self.record.topology if self.record else None

    @property
    def expectation(self) -> Expectation | None:
        """What a check holds it against; None for a cluster that is not ours."""
        if self.record is None:
            return None
        settings = self.record.settings
        # Of an adopted cluster without replicas nobody expects that its nodes could follow one another.
        is_judged = self.record.stage is not Stage.ADOPTED or any(s.replicas for s in self.record.blueprint.shards)
        if self.password is not None and is_judged:
            settings += (("masterauth", self.password.reveal()),)
        return Expectation(
            self.record.blueprint,
            settings,
            self.record.topology.allow_colocated_replicas,
        )


def find_target(context: Context, text: str | None) -> Target:
    """What ``text`` names; None: ./cluster.yaml, else the only cluster known here.

    Raises InputError (unknown-target, not-created, ...) that says what could be meant.
    """
    if text is None:
        return _default(context)
    if _looks_like_file(text):
        return _from_file(context, Path(text))
    if text in context.known():
        return _from_name(context, text)
    try:
        seed = Address.parse(text)
    except ValueError:
        raise _unknown(context, text) from None
    return _owner_of(context, seed) or Target(text, passwords.for_foreign_cluster(context.secrets), seed=seed)


def find_by_node(context: Context, address: Address) -> Target | None:
    """The cluster known here that has a node at ``address``."""
    return _owner_of(context, address)


def topology_file(text: str | None) -> Path:
    """The file that a verb with FILE works on."""
    return Path(text or DEFAULT_FILE)


def is_target(context: Context, text: str) -> bool:
    """Whether ``text`` can only be a target: a file, a known name or a host:port."""
    if _looks_like_file(text) or text in context.known():
        return True
    try:
        Address.parse(text)
    except ValueError:
        return False
    return True


async def open_verifier(context: Context, target: Target, fleet: Fleet, pool: ConnectionPool) -> Verifier:
    """All that is needed to look at ``target``; a foreign cluster's nodes are asked of its seed.

    Raises NodeUnreachableError or AuthenticationError when the seed of a foreign cluster doesn't let us in.
    """
    if target.record is not None:
        addresses = tuple(node.address for node in target.record.blueprint.nodes)
    else:
        assert target.seed is not None
        try:
            addresses = await discover(pool, target.seed)
        except AuthenticationError as error:
            error.hint = f"put its password into the variable {passwords.FOREIGN_VARIABLE}"
            raise
    return Verifier(target.name, pool, context.clock, fleet.login, addresses, context.token(), target.expectation)


def _default(context: Context) -> Target:
    if Path(DEFAULT_FILE).exists():
        return _from_file(context, Path(DEFAULT_FILE))
    known = context.known()
    if len(known) == 1:
        return _from_name(context, known[0])
    raise InputError(
        f"there is no ./{DEFAULT_FILE}, and no cluster was named",
        code="no-target",
        hint=f"name one of: {', '.join(known)}" if known else "slotwright demo makes a first cluster",
    )


def _looks_like_file(text: str) -> bool:
    return text.endswith((".yaml", ".yml")) or "/" in text or Path(text).is_file()


def _from_file(context: Context, path: Path) -> Target:
    loaded = context.read_topology(path)
    store = context.store(loaded.topology.name)
    record = store.read_record()
    if record is None:
        raise InputError(
            f"{loaded.topology.name} is not up: nothing of it was made here yet",
            code="not-created",
            where=str(path),
            hint=f"slotwright up {path}",
        )
    password = passwords.resolve(context.secrets, loaded.topology.password, store, loaded.inline_password)
    moved = readdressed(loaded.topology, record)
    return Target(record.name, password, moved or with_ways_of(loaded.topology, record), store)


def with_ways_of(topology: Topology, record: ClusterRecord) -> ClusterRecord:
    """How hosts are reached is the file's matter from the moment it is changed; everything else is the record's."""
    ways = {host.address: host.ssh for host in topology.hosts}
    have = record.topology
    if set(ways) != {host.address for host in have.hosts}:
        return record
    hosts = tuple(replace(host, ssh=ways[host.address]) for host in have.hosts)
    return replace(record, topology=replace(have, hosts=hosts, via=topology.via))


def _from_name(context: Context, name: str) -> Target:
    store = context.store(name)
    record = store.read_record()
    if record is None:
        raise _unknown(context, name)
    return Target(name, passwords.for_known_cluster(store), record, store)


def _owner_of(context: Context, address: Address) -> Target | None:
    for name in context.known():
        target = _from_name(context, name)
        if target.record is not None and address in target.record.topology.addresses:
            return replace(target, seed=address)
    return None


def _unknown(context: Context, text: str) -> InputError:
    known = context.known()
    near = difflib.get_close_matches(text, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}" if known else ""
    return InputError(
        f"'{text}' is no file, no cluster known here, and not host:port",
        code="unknown-target",
        where=text,
        hint=hint or "slotwright demo makes a first cluster",
    )


def own_record(target: Target) -> tuple[ClusterRecord, ClusterStore]:
    """The record and its place; InputError for a cluster that was not made here, RefusedError for an adopted one."""
    if target.record is None or target.store is None:
        raise InputError(
            f"{target.name} was not made by slotwright here: it can be looked at, not changed",
            code="not-ours",
            where=target.name,
        )
    if target.record.stage is Stage.ADOPTED:
        raise RefusedError(
            f"{target.name} was adopted, not made by slotwright: its processes and files are not slotwright's",
            code="adopted",
            where=target.name,
            left="nothing was changed",
            hint=f"use what runs it on its hosts; slotwright adopt --forget {target.name} only forgets it here",
        )
    return target.record, target.store


def choose_nodes(record: ClusterRecord, texts: Sequence[str]) -> tuple[Address, ...]:
    """Addresses for ``host:port`` texts or unique beginnings of ids; all nodes for none. Raises InputError."""
    if not texts:
        return tuple(node.address for node in record.blueprint.nodes)
    chosen = []
    for text in texts:
        addresses = [node.address for node in record.blueprint.nodes if str(node.address) == text]
        addresses = addresses or [
            node.address for node in record.blueprint.nodes if len(text) > 3 and node.id.startswith(text)
        ]
        if len(addresses) != 1:
            nodes = ", ".join(str(node.address) for node in record.blueprint.nodes[:12])
            raise InputError(
                f"{record.name} has no node {text}", code="unknown-node", where=text, hint=f"its nodes are {nodes}"
            )
        chosen.append(addresses[0])
    return tuple(dict.fromkeys(chosen))
