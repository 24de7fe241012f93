"""``slotwright resume``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.console.options import can_ask, complete_target, json_option, need_yes, perform, yes_option
from slotwright.errors import InputError
from slotwright.features.repair.cli.repair import accept_with, agree_with, report
from slotwright.ops.journal_read import Unfinished

if TYPE_CHECKING:
    from slotwright.app.context import Context
    from slotwright.app.targets import Target
    from slotwright.console.progress import ProgressReporter
    from slotwright.features.repair.api import Repaired

ABORT_UP = "abort up"
_OTHERS = {
    "up": "slotwright up {file}",
    ABORT_UP: "slotwright abort {name}",
    "start": "slotwright start {name}",
    "stop": "slotwright stop {name}",
    "rebuild": "slotwright rebuild {file}",
    "destroy": "slotwright destroy {name}",
    "destroy --keep-data": "slotwright destroy {name} --keep-data",
}
"""Verbs that are gone on with by typing them again."""


@click.command(epilog="Example:  slotwright resume cache")
@click.argument("target", required=False, shell_complete=complete_target)
@click.option("--accept", "accepted", multiple=True, metavar="WORD", help="As for `repair`.")
@yes_option
@json_option
def command(target: str | None, accepted: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Go on with work that was cut: slots that were on their way arrive where they were going.

    The journal tells what was cut; everything else is looked at and planned anew. TARGET is as for `status`.
    """
    from slotwright.app.targets import find_target
    from slotwright.features.repair.api import abort, repair

    if not yes and (as_json or not can_ask()):
        raise need_yes("resume")

    async def verb(context: Context, progress: ProgressReporter) -> Repaired:
        chosen = find_target(context, target)
        cut = need_repair(context, chosen)
        # An abort that was cut goes on taking back.
        go_on = abort if cut.verb == "abort" else repair
        return await go_on(context, chosen, None if yes else agree_with(progress), accept_with(progress, accepted, yes))

    return report(perform(verb, as_json=as_json), as_json)


def need_repair(context: Context, target: Target) -> Unfinished:
    """What was cut, when a look and a repair go on with it; InputError with the command that does it otherwise."""
    from slotwright.features.repair.api import what_was_cut

    cut = what_was_cut(context, target)
    if cut is None and is_change_cut(context, target):
        cut = Unfinished("up", "")
    if cut is None:
        raise InputError(
            f"nothing of {target.name} was cut",
            code="nothing-cut",
            where=target.name,
            left="nothing was changed",
            hint=f"slotwright check {target.name} says whether anything is wrong",
        )
    if cut.verb in _OTHERS:
        file = target.record.topology_path if target.record else ""
        on = _OTHERS[cut.verb].format(file=file or target.name, name=target.name)
        raise InputError(
            f"`slotwright {'abort' if cut.verb == ABORT_UP else cut.verb}` of {target.name} was cut",
            code="other-verb-cut",
            where=target.name,
            seen=f"begun at {cut.at}; done: {len(cut.done)} steps" if cut.at else "",
            left="nothing was changed now",
            hint=f"{on} goes on from there{_instead(cut, target)}",
        )
    return cut


def is_change_cut(context: Context, target: Target) -> bool:
    """Whether it is a change by `up` that was cut, and nothing was begun and cut since that only a repair ends."""
    from slotwright.features.deploy.abort import has_change
    from slotwright.features.repair.api import what_was_cut

    cut = what_was_cut(context, target)
    return has_change(target) and (cut is None or cut.verb in _OTHERS)


def _instead(cut: Unfinished, target: Target) -> str:
    """The way back, beside the way on."""
    from slotwright.cluster.record import Stage
    from slotwright.features.deploy.abort import has_change

    if cut.verb != "up" or target.record is None:
        return ""
    if has_change(target):
        return f"; slotwright abort {target.name} takes the change back"
    is_forming = target.record.stage is Stage.FORMING
    return f"; slotwright destroy {target.name} takes it away: it was never formed" if is_forming else ""
