"""Read what a plan needs of the cluster that data is to be moved into, changing nothing in it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from slotwright.model.cluster import NodeView, Observation, Role
from slotwright.model.slots import SlotSet
from slotwright.model.source_survey import TargetPrimary, TargetSurvey
from slotwright.model.survey import Survey, SurveyNode
from slotwright.model.topology import Address, Mode
from slotwright.operations.observe import discover, observe, setting_value
from slotwright.operations.roster import Roster
from slotwright.planning.survey import take_survey
from slotwright.ports import Reply, ReplyError
from slotwright.wire.flavor import has_functions
from slotwright.wire.info import parse_info
from slotwright.wire.source_info import library_names, module_names

_MORE = (("INFO", "memory"), ("CONFIG", "GET", "cluster-databases"), ("MODULE", "LIST"))


async def survey_target(roster: Roster, seed: Address, name: str = "") -> TargetSurvey:
    """All members are asked, found from ``seed``. Raises what dialling the seed raises."""
    observation = await observe(roster, await discover(roster, seed))
    return await target_of(roster, name or str(seed), observation)


async def target_of(roster: Roster, name: str, observation: Observation) -> TargetSurvey:
    """The same from an observation that was made already (``check``, ``status``)."""
    survey = take_survey(name, observation, None)
    silent = tuple(silent.address for silent in observation.silent)
    if survey.mode is Mode.SINGLE:
        return TargetSurvey(name, is_cluster=False, silent=silent)
    owners = [(node, view) for node in survey.nodes if (view := _owner(node, observation)) is not None]
    more = await asyncio.gather(*(_ask_more(roster, view) for _, view in owners))
    primaries = [_primary(node, view, survey) for node, view in owners]
    return TargetSurvey(
        name,
        state_is_ok=all(view.state_is_ok for view in observation.views),
        primaries=tuple(
            replace(primary, system_bytes=found.system_bytes) for primary, found in zip(primaries, more, strict=True)
        ),
        served=SlotSet.of(piece for primary in primaries for piece in primary.slots.ranges),
        databases=min((found.databases for found in more), default=1),
        modules=_on_all([found.modules for found in more]),
        functions=tuple(sorted({library for found in more for library in found.functions})),
        silent=silent,
        replica_versions=tuple(
            sorted({view.version for view in observation.views if view.replication.role is Role.REPLICA})
        ),
    )


class _More:
    """What one primary answered beyond its view."""

    __slots__ = ("databases", "functions", "modules", "system_bytes")

    def __init__(self, replies: list[Reply | ReplyError]) -> None:
        info, databases, modules, libraries = replies
        text = info.decode(errors="replace") if isinstance(info, bytes) else ""
        self.system_bytes = int(parse_info(text).get("total_system_memory", "0"))
        self.databases = int(setting_value(databases) or 1)
        self.modules = module_names(modules)
        self.functions = library_names(libraries)


async def _ask_more(roster: Roster, view: NodeView) -> _More:
    connection = await roster.connection(view.address)
    if not has_functions(view.version):
        return _More([*await connection.pipeline(_MORE), None])
    return _More(await connection.pipeline([*_MORE, ("FUNCTION", "LIST")]))


def _owner(node: SurveyNode, observation: Observation) -> NodeView | None:
    """The view of a primary that owns slots and answers."""
    if node.role is not Role.PRIMARY or not node.slots or node.address is None:
        return None
    return observation.view_by_id(node.id)


def _primary(node: SurveyNode, view: NodeView, survey: Survey) -> TargetPrimary:
    replicas = [one for one in survey.nodes if one.replica_of == node.id and not one.trouble]
    return TargetPrimary(
        address=view.address,
        version=view.version,
        slots=node.slots,
        used_bytes=view.health.used_bytes,
        maxmemory_bytes=view.health.maxmemory_bytes,
        policy=view.health.maxmemory_policy,
        keys=view.health.keys,
        replicas=len(replicas),
        has_append_log=view.health.has_append_log,
    )


def _on_all(modules: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Those that every primary has."""
    if not modules:
        return ()
    return tuple(sorted(set(modules[0]).intersection(*modules[1:])))
