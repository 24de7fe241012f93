"""What was observed -> what clients need to know."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from slotwright.model.client import ClientFacts
from slotwright.model.cluster import NodeView, Observation
from slotwright.model.survey import Survey, SurveyNode
from slotwright.model.topology import Address
from slotwright.planning.clients.timing import DEFAULT_NODE_TIMEOUT_MS

ASKED = (
    "cluster-announce-hostname",
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
    limits = [int(text) for view in observation.views if (text := view.setting("cluster-node-timeout") or "").isdigit()]
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
    )


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
    name = view.setting("cluster-announce-hostname") or ""
    by_name = view.setting("cluster-preferred-endpoint-type") == "hostname" and bool(name)
    port = _tls_port(view) if is_tls else 0
    return Address(name if by_name else address.host, port or address.port)


def _tls_port(view: NodeView) -> int | None:
    text = view.setting("tls-port")
    return int(text) if text is not None and text.isdigit() else None


def _order(address: Address) -> tuple[int, int, int, str]:
    """By port first: so neighbours in the list are on different hosts, and no failover changes it."""
    try:
        host = ipaddress.ip_address(address.host)
    except ValueError:
        return address.port, 9, 0, address.host
    return address.port, host.version, int(host), ""
