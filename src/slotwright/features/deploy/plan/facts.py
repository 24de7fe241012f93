"""The facts that a plan rests on, each by its name, and what changed between two looks at them.

A fact holds no secret and nothing that a secret could be guessed from: of a password, and of a configuration file with
one in it, is said whether it is the wanted one. What moves by itself (offsets, keys, memory, clients) is no fact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence

from slotwright.cluster.observation import NodeView, Observation
from slotwright.cluster.steps import ChangeFirewall, Fact, PrepareHost, ProveReach, Step
from slotwright.cluster.topology import Topology
from slotwright.hosts.facts.nodes import NodeFacts
from slotwright.server.server_conf import SECRET_SHOWN, is_secret, shown_value

_FILE = "file "
_ID = " id"
_SETTING = " setting "
_MOST_NAMED = 5
_MOST_SHOWN = 60
_MISSING = "nothing"


def digest_of(facts: Sequence[Fact]) -> str:
    """A short name of all facts: two equal ones mean that none changed."""
    text = repr([(fact.name, fact.value) for fact in facts])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def changed_facts(before: Sequence[Fact], after: Sequence[Fact]) -> tuple[str, ...]:
    """Each fact that differs, as ``NAME: OLD -> NEW``, in the order of ``before``; what is new comes last.

    Of a node that answers only once, its settings are not named besides.
    """
    old = {fact.name: fact.value for fact in before}
    new = {fact.name: fact.value for fact in after}
    names = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
    once = {name.removesuffix(_ID) for name in names if name.endswith(_ID) and not (name in old and name in new)}
    return tuple(
        f"{name}: {_shown(old.get(name))} -> {_shown(new.get(name))}"
        for name in names
        if name.partition(_SETTING)[0] not in once or _SETTING not in name
    )


def name_changes(changes: Sequence[str]) -> str:
    """The first five, and how many more there are."""
    more = len(changes) - _MOST_NAMED
    return "; ".join((*changes[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else ())))


def topology_facts(topology: Topology) -> Iterator[Fact]:
    """What the topology file says; the text of a password and comments are no part of it, nor are the values of other
    secrets."""
    engine = topology.engine
    yield Fact(f"{_FILE}name", topology.name)
    yield Fact(f"{_FILE}engine", f"{engine.kind.value} from {engine.directory or engine.origin.value}")
    yield Fact(f"{_FILE}nodes", " ".join(map(str, topology.addresses)))
    yield Fact(f"{_FILE}hosts", _short_digest(repr(topology.hosts)))
    yield Fact(f"{_FILE}mode", topology.mode.value)
    yield Fact(f"{_FILE}replicas", str(topology.replicas))
    shards = (" ".join(map(str, (shard.primary, *shard.replicas))) for shard in topology.shards)
    yield Fact(f"{_FILE}shards", ", ".join(shards))
    yield Fact(f"{_FILE}allow_colocated_replicas", _yes(topology.allow_colocated_replicas))
    yield Fact(f"{_FILE}password", f"{topology.password.source.value} {topology.password.name}".strip())
    yield Fact(f"{_FILE}data", topology.data_directory)
    yield Fact(f"{_FILE}clients", ", ".join(topology.clients))
    yield Fact(f"{_FILE}via", topology.via.value)
    settings: dict[str, list[str]] = {}
    for name, value in topology.settings:
        settings.setdefault(name, []).append(value)
    for name, values in settings.items():
        shown = SECRET_SHOWN if is_secret(name) else ", ".join(shown_value(name, value) for value in values)
        yield Fact(f"{_FILE.strip()}{_SETTING}{name}", shown)


def facts_of_file(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """Those that :func:`topology_facts` gave."""
    return tuple(fact for fact in facts if fact.name.startswith(_FILE))


def host_facts(waves: Sequence[Sequence[Step]], away: Collection[str]) -> Iterator[Fact]:
    """What remote hosts lack, and which could not be reached."""
    for host in sorted(away):
        yield Fact(f"host {host}", "away")
    for step in (step for wave in waves for step in wave):
        match step:
            case PrepareHost(host, what):
                yield Fact(f"host {host} lacks", ", ".join(what))
            case ChangeFirewall(host, _, add, remove):
                yield Fact(f"host {host} firewall lacks rules", "; ".join(add))
                yield Fact(f"host {host} firewall has spare rules", "; ".join(remove))
            case ProveReach(hosts, ports):
                yield Fact("reach to be proved", f"{hosts} hosts, ports {', '.join(map(str, ports))}")


def node_facts(node: NodeFacts, wanted_digest: str) -> Iterator[Fact]:
    """A node's folder, process and ports; ``wanted_digest`` is that of the configuration that it should have."""
    yield Fact(f"{node.address} folder", node.directory.state.value)
    yield Fact(f"{node.address} configuration", _configuration(node.directory.conf_digest, wanted_digest))
    yield Fact(f"{node.address} map", _yes(node.directory.has_nodes_conf))
    process = node.process
    started = f"pid {process.pid}, start {_short_digest(process.started)}" if process else "none"
    yield Fact(f"{node.address} process", started)
    if node.port_error:
        yield Fact(f"{node.address} port", node.port_error)
    if node.bus_error:
        yield Fact(f"{node.address} bus port", node.bus_error)


def view_facts(view: NodeView, wanted: Mapping[str, str], secrets: Collection[str] = ()) -> Iterator[Fact]:
    """Who answers there, and each setting that it runs with; bytes that are no text are escaped. ``secrets``: the
    directives that are secret here besides those that always are."""
    yield Fact(f"{view.address}{_ID}", view.id)
    for name, value in sorted(view.settings):
        text = shown_value(name, value.encode(errors="backslashreplace").decode())
        if is_secret(name) or name in secrets:
            text = f"{SECRET_SHOWN} {'as wanted' if wanted.get(name) == value else 'another one'}"
        yield Fact(f"{view.address}{_SETTING}{name}", text)


def silence_facts(observation: Observation) -> Iterator[Fact]:
    """Nodes that don't answer, with the way in which they fail."""
    for silent in observation.silent:
        yield Fact(f"{silent.address} answer", silent.code)


def _configuration(digest: str, wanted: str) -> str:
    if not digest:
        return "none"
    return "as wanted" if digest == wanted else "another one"


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _shown(value: str | None) -> str:
    """As it stands in a message: never empty, never long."""
    text = _MISSING if value is None else value or '""'
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."
