"""``slotwright resume``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.cli.commands.repair import accept_with, agree_with, report
from slotwright.cli.run import can_ask, complete_target, json_option, need_yes, perform, yes_option
from slotwright.errors import InputError

if TYPE_CHECKING:
    from slotwright.api import Context, Repaired, Target
    from slotwright.cli.views.progress import Progress
    from slotwright.wire.journal_lines import Unfinished

_OTHERS = {
    "up": "slotwright up {file}",
    "start": "slotwright start {name}",
    "stop": "slotwright stop {name}",
    "rebuild": "slotwright rebuild {file}",
}
"""Verbs that are gone on with by typing them again."""


@click.command(epilog="Example:  slotwright resume cache")
@click.argument("target", required=False, shell_complete=complete_target)
@click.option("--accept", "words", multiple=True, metavar="WORD", help="As for `repair`.")
@yes_option
@json_option
def command(target: str | None, words: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Go on with work that was cut: slots that were on their way arrive where they were going.

    The journal tells what was cut; everything else is looked at and planned anew. TARGET is as for `status`.
    """
    from slotwright import api

    if not yes and (as_json or not can_ask()):
        raise need_yes("resume")

    async def verb(context: Context, progress: Progress) -> Repaired:
        chosen = api.find_target(context, target)
        cut = need_repair(context, chosen)
        # An abort that was cut goes on taking back.
        go_on = api.abort if cut.verb == "abort" else api.repair
        return await go_on(context, chosen, None if yes else agree_with(progress), accept_with(progress, words, yes))

    return report(perform(verb, as_json=as_json), as_json)


def need_repair(context: Context, target: Target) -> Unfinished:
    """What was cut, when a look and a repair go on with it; InputError with the command that does it otherwise."""
    from slotwright import api

    cut = api.what_was_cut(context, target)
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
        raise InputError(
            f"`slotwright {cut.verb}` of {target.name} was cut",
            code="other-verb-cut",
            where=target.name,
            seen=f"begun at {cut.at}; done: {len(cut.done)} steps",
            left="nothing was changed now",
            hint=_OTHERS[cut.verb].format(file=file or target.name, name=target.name) + " goes on from there",
        )
    return cut
