"""Read what a plan needs of the cluster that data is to be moved into, changing nothing in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from slotwright.cluster.observation import NodeView, Observation, Role
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.survey import Survey, SurveyNode
from slotwright.cluster.take_survey import take_survey
from slotwright.cluster.topology import Mode
from slotwright.features.migrate.model.surveys import TargetPrimary, TargetSurvey
from slotwright.features.migrate.survey.source_info import library_names, module_names
from slotwright.nodes.answers import reading
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import setting_value
from slotwright.ports import Reply, ReplyError
from slotwright.server.capabilities import QUESTIONS, Capabilities, Capability, capabilities_from
from slotwright.server.info import info_number, parse_info
from slotwright.server.integers import integer_in

_MORE = (("INFO", "memory"), ("CONFIG", "GET", "cluster-databases"), ("MODULE", "LIST"))


async def target_of(pool: ConnectionPool, name: str, observation: Observation) -> TargetSurvey:
    """What a plan needs beyond the observation is asked of each primary that owns slots. Raises ServerError."""
    survey = take_survey(name, observation, None)
    silent = tuple(silent.address for silent in observation.silent)
    if survey.mode is Mode.SINGLE:
        return TargetSurvey(name, is_cluster=False, silent=silent)
    owners = [(node, view) for node in survey.nodes if (view := _owner(node, observation)) is not None]
    more = await asyncio.gather(*(_ask_more(pool, view) for _, view in owners))
    primaries = tuple(_primary(node, view, survey, result) for (node, view), result in zip(owners, more, strict=True))
    return TargetSurvey(
        name,
        state_is_ok=all(view.state_is_ok for view in observation.views),
        primaries=primaries,
        served=SlotSet.of(piece for primary in primaries for piece in primary.slots.ranges),
        databases=min((result.databases for result in more), default=1),
        modules=_on_all([result.modules for result in more]),
        functions=tuple(sorted({library for result in more for library in result.functions})),
        silent=silent,
        replica_versions=tuple(
            sorted({view.version for view in observation.views if view.replication.role is Role.REPLICA})
        ),
    )


class _More:
    """What one primary answered beyond its view."""

    __slots__ = ("capabilities", "databases", "functions", "modules", "system_bytes")

    def __init__(self, capabilities: Capabilities, replies: Sequence[Reply | ReplyError]) -> None:
        info, databases, modules, *libraries = replies
        self.capabilities = capabilities
        text = info.decode(errors="replace") if isinstance(info, bytes) else ""
        self.system_bytes = info_number(parse_info(text), "total_system_memory")
        self.databases = integer_in(setting_value(databases)) or 1
        self.modules = module_names(modules)
        self.functions = library_names(libraries[0] if libraries else None)


async def _ask_more(pool: ConnectionPool, view: NodeView) -> _More:
    connection = await pool.connection(view.address)
    capabilities = capabilities_from(view.version, await connection.pipeline(QUESTIONS))
    with_functions = capabilities.may_have(Capability.FUNCTIONS)
    replies = await connection.pipeline([*_MORE, ("FUNCTION", "LIST")] if with_functions else _MORE)
    with reading(view.address, "INFO, MODULE LIST or FUNCTION LIST"):
        return _More(capabilities, replies)


def _owner(node: SurveyNode, observation: Observation) -> NodeView | None:
    """The view of a primary that owns slots and answers."""
    if node.role is not Role.PRIMARY or not node.slots or node.address is None:
        return None
    return observation.view_by_id(node.id)


def _primary(node: SurveyNode, view: NodeView, survey: Survey, more: _More) -> TargetPrimary:
    replicas = [one for one in survey.nodes if one.replica_of == node.id and not one.trouble]
    return TargetPrimary(
        address=view.address,
        capabilities=more.capabilities,
        slots=node.slots,
        used_bytes=view.health.used_bytes,
        maxmemory_bytes=view.health.maxmemory_bytes,
        policy=view.health.maxmemory_policy,
        keys=view.health.keys,
        replicas=len(replicas),
        system_bytes=more.system_bytes,
    )


def _on_all(modules: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Those that every primary has."""
    if not modules:
        return ()
    return tuple(sorted(set(modules[0]).intersection(*modules[1:])))
