"""``slotwright abort``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.cli.commands.repair import accept_with, agree_with, report
from slotwright.cli.commands.resume import need_repair
from slotwright.cli.run import can_ask, complete_target, json_option, need_yes, perform, yes_option

if TYPE_CHECKING:
    from slotwright.api import Context, Repaired
    from slotwright.cli.views.progress import Progress


@click.command(epilog="Example:  slotwright abort cache")
@click.argument("target", required=False, shell_complete=complete_target)
@click.option("--accept", "words", multiple=True, metavar="WORD", help="As for `repair`.")
@yes_option
@json_option
def command(target: str | None, words: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Give up work that was cut: slots that were on their way go back to where they came from.

    Keys that have arrived already are brought back; until each is back, clients do not find it. Everything else that is
    wrong is mended as `repair` does. TARGET is as for `status`.
    """
    from slotwright import api

    if not yes and (as_json or not can_ask()):
        raise need_yes("abort")

    async def verb(context: Context, progress: Progress) -> Repaired:
        chosen = api.find_target(context, target)
        need_repair(context, chosen)
        return await api.abort(
            context, chosen, None if yes else agree_with(progress), accept_with(progress, words, yes)
        )

    return report(perform(verb, as_json=as_json), as_json)
