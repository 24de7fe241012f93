"""watch: one look after the other at a cluster, and what happened between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from slotwright.app.context import Context
from slotwright.app.targets import Target, open_verifier
from slotwright.errors import SlotwrightError
from slotwright.features.watch.plan import ClusterChange, changes_between
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.verify import Verdict

_LOOK_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class WatchUpdate:
    """One look. ``verdict`` None: nothing could be seen, and ``trouble`` says why; ``changes`` are since the last look
    that saw something."""

    at: datetime
    verdict: Verdict | None
    changes: tuple[ClusterChange, ...] = ()
    trouble: str = ""


async def watch(context: Context, target: Target, interval_s: float = 1.0) -> AsyncIterator[WatchUpdate]:
    """A look every ``interval_s`` seconds, for ever; nothing is written to the cluster.

    Raises at once what keeps even the first look from being tried (unknown hosts' keys, a wrong password).
    """
    async with context.fleet(target.topology) as fleet, ConnectionPool(fleet.login(target.password, "")) as pool:
        verifier = await open_verifier(context, target, fleet, pool)
        last: Verdict | None = None
        while True:
            started = context.clock.now()
            try:
                verdict = await verifier.look(with_canaries=False, timeout_s=_LOOK_TIMEOUT_S)
            except SlotwrightError as error:
                if last is None:
                    raise
                yield WatchUpdate(datetime.now(UTC), None, (), error.what)
            else:
                changes = changes_between(last.survey, verdict.survey) if last else ()
                last = verdict
                yield WatchUpdate(datetime.now(UTC), verdict, changes)
            await context.clock.sleep(max(0.0, interval_s - (context.clock.now() - started)))
