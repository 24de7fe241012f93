"""The plan of a migration, from both sides as they are now. Reads alone."""

from __future__ import annotations

from dataclasses import replace

from slotwright.cluster.events import Began, Ended, Moved
from slotwright.errors import RefusedError
from slotwright.features.migrate.model.command_sample import CommandSample
from slotwright.features.migrate.model.plan import MigrationOptions, MigrationPlan
from slotwright.features.migrate.plan import plan_migration
from slotwright.features.migrate.survey.listen import listen
from slotwright.features.migrate.survey.source import survey_source
from slotwright.features.migrate.survey.target import target_of
from slotwright.features.migrate.wiring import MigrationEndpoints
from slotwright.keys.sample_keys import Pace


async def make_plan(
    ways: MigrationEndpoints, options: MigrationOptions, sample_s: float = 0.0, *, reads_all: bool = False
) -> MigrationPlan:
    """Reads both sides; ``reads_all``: every key of the source, not a sample of them. ``sample_s``: and listens to the
    source's commands (MONITOR) for so long, 0 for not at all."""
    context, address = ways.context, ways.source.address
    text = f"read {ways.source.name}"
    context.report(Began("survey", text))
    is_ok = False

    def watch(done: int, total: int, rate: float) -> None:
        context.report(Moved("survey", f"{rate:,.0f} keys/s", done, total))

    try:
        pace = Pace(full=True, most_s=3600.0) if reads_all else Pace()
        source = await survey_source(
            ways.source_dialer, address, context.clock, options.databases, pace, watch, ways.source.username
        )
        source = replace(source, calls=ways.own_calls.less(address, source.calls))
        observation = (await ways.verifier.look(with_canaries=False)).observation
        target = await target_of(ways.target_pool, ways.target.name, observation)
        is_ok = True
    finally:
        context.report(Ended("survey", text, is_ok))
    sample: CommandSample | None = None
    if sample_s > 0:
        text = f"listen to the commands of {ways.source.name} for {sample_s:g} s"
        context.report(Began("sample", text))
        streams = ways.source_fleet.streams(ways.source.password, ways.source.username)
        sample = await listen(streams, address, context.clock, source.commands, options.databases, span_s=sample_s)
        context.report(Ended("sample", text))
    return plan_migration(source, target, options, sample)


def refuse_unfit(plan: MigrationPlan) -> None:
    """Raises RefusedError (migration-unfit) that names what stands in the way."""
    serious = plan.blockers
    if serious:
        first = serious[0]
        more = f" (and {len(serious) - 1} more)" if len(serious) > 1 else ""
        raise MigrationUnfitError(
            f"{first.what}{more}",
            plan,
            code=first.code,
            where=first.where,
            seen=first.seen,
            left="nothing was changed",
            hint=first.remedy,
        )


class MigrationUnfitError(RefusedError):
    """Something stands in the way; ``plan`` has all of it."""

    def __init__(self, what: str, plan: MigrationPlan, **fields: str) -> None:
        super().__init__(what, **fields)
        self.plan = plan
