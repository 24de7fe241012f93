"""What a check could not judge, and why: no finding there means nothing."""

from __future__ import annotations

from slotwright.model.topology import Mode
from slotwright.planning.case import Case


def unjudged(case: Case) -> tuple[str, ...]:
    """A sentence each; empty when everything was judged."""
    said = []
    if case.expected is None:
        what = "settings" if case.survey.mode is Mode.SINGLE else "placement, settings, who should be primary"
        said.append(f"{what}: no file")
    away = [host for host in case.exams if host.trouble]
    if not case.exams:
        said.append("processes, maps, logs, disks: its hosts were not asked")
    said += [f"processes, maps, logs, disks of {host.host}: {host.trouble}" for host in away]
    shut = [node.place for node, view in case.views() if view.setting("dir") is None]
    if shut:
        said.append(
            f"what {_some(shut)} {'is' if len(shut) == 1 else 'are'} configured for: CONFIG GET is not answered"
        )
    return tuple(said)


def _some(places: list[str]) -> str:
    return ", ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
