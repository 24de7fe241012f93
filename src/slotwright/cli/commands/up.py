"""``slotwright up``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.cli.run import ask, can_ask, complete_target, host_keys_option, json_option, perform, yes_option
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from slotwright.api import Context, UpResult
    from slotwright.cli.views.progress import Progress
    from slotwright.model.plan import Plan


@click.command(epilog="Example:  slotwright up cluster.yaml --yes")
@click.argument("file", required=False, shell_complete=complete_target)
@yes_option
@host_keys_option
@json_option
def command(file: str | None, yes: bool, as_json: bool, accepts_keys: bool) -> int:
    """Make the world what FILE (./cluster.yaml) says, then prove it.

    On a terminal the plan is shown first, and asked about. What can't be done yet is refused before anything is
    changed. Killed in the middle, it goes on where it was when it is run again.
    """
    from slotwright import api

    path = api.topology_file(file)

    async def verb(context: Context, progress: Progress) -> UpResult:
        def confirm(plan: Plan) -> bool:
            from slotwright.cli.views.plan import show_plan

            progress.pause()
            show_plan(plan, file)
            return ask("apply?")

        return await api.up(context, path, confirm if can_ask() and not yes and not as_json else None)

    result = perform(verb, as_json=as_json, accepts_keys=accepts_keys)
    if as_json:
        from slotwright.cli.views.json import print_json, up_json

        print_json(up_json(result))
    else:
        from slotwright.cli.views.human import show_up

        show_up(result, "up")
        if result.usable_s is not None:
            from slotwright.cli.views.connect import connect_lines
            from slotwright.cli.views.screen import out

            kept = api.Context().store(result.record.name).password_path
            out("", *connect_lines(result.verdict.survey, result.record.topology.password, str(kept)))
    return int(ExitCode.DONE if result.verdict.is_ok else ExitCode.FINDINGS)
