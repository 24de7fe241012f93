"""What a check could not judge, and why: no finding there means nothing."""

from __future__ import annotations

from slotwright.cluster.topology import Mode
from slotwright.health.check_context import CheckContext


def unjudged(case: CheckContext) -> tuple[str, ...]:
    """A sentence each; empty when everything was judged."""
    results = []
    if case.expected is None:
        what = "settings" if case.survey.mode is Mode.SINGLE else "placement, settings, who should be primary"
        results.append(f"{what}: no file")
    away = [host for host in case.exams if host.trouble]
    if not case.exams:
        results.append("processes, maps, logs, disks: its hosts were not asked")
    results += [f"processes, maps, logs, disks of {host.host}: {host.trouble}" for host in away]
    shut = [node.place for node, view in case.views() if view.setting("dir") is None]
    if shut:
        results.append(
            f"what {_some(shut)} {'is' if len(shut) == 1 else 'are'} configured for: CONFIG GET is not answered"
        )
    return tuple(results)


def _some(places: list[str]) -> str:
    return ", ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
