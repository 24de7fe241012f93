"""What was observed -> what clients need to know.

What a node announces may be any text. Here only addresses and names that were parsed at the wire are taken; a node
without such a one is left out, and told.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from slotwright.cluster.observation import NodeView, Observation
from slotwright.cluster.survey import Survey, SurveyNode
from slotwright.cluster.topology import Address
from slotwright.features.clients.configs.timing import DEFAULT_NODE_TIMEOUT_MS
from slotwright.features.clients.model import ClientFacts
from slotwright.server.addresses import escaped, is_host, parse_port
from slotwright.server.integers import integer_in

_NAME = "cluster-announce-hostname"
ASKED = (
    _NAME,
    "cluster-node-timeout",
    "cluster-preferred-endpoint-type",
    "tls-port",
)
"""The directives that the facts are taken from; a server that does not know one has no answer for it."""


def client_facts(
    survey: Survey, observation: Observation, password_variable: str, username: str, is_tls: bool | None = None
) -> ClientFacts:
    """``is_tls`` None: as the cluster is, which has TLS where every node that tells has a ``tls-port``."""
    ports = [port for view in observation.views if (port := _tls_port(view)) is not None]
    with_tls = bool(ports) and all(ports) if is_tls is None else is_tls
    results = [integer_in(view.setting("cluster-node-timeout")) for view in observation.views]
    limits = [limit_ms for limit_ms in results if limit_ms is not None]
    version = next((view.version for view in observation.views), None)
    return ClientFacts(
        name=survey.name,
        seeds=tuple(sorted(_seeds(survey, observation, is_tls=with_tls), key=_order)),
        shards=survey.shard_count,
        nodes=len(survey.nodes),
        server=version.title if version else "",
        node_timeout_ms=max(limits, default=DEFAULT_NODE_TIMEOUT_MS),
        password_variable=password_variable,
        username=username if password_variable else "",
        is_tls=with_tls,
        left_out=tuple(_left_out(survey, observation)),
    )


def _left_out(survey: Survey, observation: Observation) -> Iterator[str]:
    """A line for each node of which something is no address."""
    faults = {peer.id: peer.address_fault for view in observation.views for peer in view.peers if peer.address_fault}
    for node_id, fault in sorted(faults.items()):
        node = survey.node(node_id)
        place = f" ({node.address})" if node and node.address else ""
        yield f"{node_id[:8]}{place}: {fault}"
    for view in observation.views:
        name = view.setting(_NAME) or ""
        if name and not is_host(name) and view.id not in faults:
            yield f"{view.address}: {escaped(name)} is no host name"


def _seeds(survey: Survey, observation: Observation, *, is_tls: bool) -> Iterator[Address]:
    """Of each shard the primary and one more; one that answers before one that doesn't."""
    numbers = sorted({node.shard for node in survey.nodes if node.shard is not None})
    for number in numbers:
        nodes = sorted((node for node in survey.shard(number) if node.address is not None), key=_preference)
        for node in nodes[:2]:
            assert node.address is not None
            yield _announced(node.address, observation.view_of(node.address), is_tls=is_tls)


def _preference(node: SurveyNode) -> tuple[bool, bool, str]:
    return not node.slots, not node.is_reachable, node.place


def _announced(address: Address, view: NodeView | None, *, is_tls: bool) -> Address:
    """Where clients are sent: by name where the cluster prefers names, and to the TLS port."""
    if view is None:
        return address
    name = view.setting(_NAME) or ""
    by_name = view.setting("cluster-preferred-endpoint-type") == "hostname" and is_host(name)
    port = _tls_port(view) if is_tls else 0
    return Address(name if by_name else address.host, port or address.port)


def _tls_port(view: NodeView) -> int | None:
    text = view.setting("tls-port")
    try:
        return None if text is None else parse_port(text)
    except ValueError:
        return None


def _order(address: Address) -> tuple[int, int, int, str]:
    """By port first: so neighbours in the list are on different hosts, and no failover changes it."""
    try:
        host = ipaddress.ip_address(address.host)
    except ValueError:
        return address.port, 9, 0, address.host
    return address.port, host.version, int(host), ""
