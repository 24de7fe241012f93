"""``slotwright up``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.console.options import ask, can_ask, complete_target, host_keys_option, json_option, perform, yes_option
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from slotwright.app.context import Context
    from slotwright.cluster.steps import Plan
    from slotwright.console.progress import ProgressReporter
    from slotwright.features.deploy.outcome import UpResult


@click.command(epilog="Example:  slotwright up cluster.yaml --yes")
@click.argument("file", required=False, shell_complete=complete_target)
@yes_option
@host_keys_option
@json_option
def command(file: str | None, yes: bool, as_json: bool, accepts_keys: bool) -> int:
    """Make the world what FILE (./cluster.yaml) says, then prove it.

    On a terminal the plan is shown first, and asked about. What can't be done yet is refused before anything is
    changed. Killed in the middle, it goes on where it was when it is run again.

    FILE may be a plan that `plan -o` wrote: it is the consent to exactly that, so nobody is asked. Where something that
    it rests on has changed, it is refused.
    """
    from slotwright.app.context import Context
    from slotwright.app.targets import topology_file
    from slotwright.features.deploy.api import up, up_approved
    from slotwright.features.deploy.plan_files import is_plan_file

    path = topology_file(file)
    is_approved = is_plan_file(path)

    async def verb(context: Context, progress: ProgressReporter) -> UpResult:
        if is_approved:
            return await up_approved(context, path)

        def confirm(plan: Plan) -> bool:
            from slotwright.features.deploy.views import show_plan

            progress.pause()
            show_plan(plan, file)
            return ask("apply?")

        return await up(context, path, confirm if can_ask() and not yes and not as_json else None)

    result = perform(verb, as_json=as_json, accepts_keys=accepts_keys)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.deploy.output import up_output

        print_json(up_output(result))
    else:
        from slotwright.console.screen import out
        from slotwright.features.deploy.views_up import show_up

        show_up(result, "up")
        if is_approved and not result.plan.steps:
            out(f"  {path} is done already: the world is what its file says")
        if Context().store(result.record.name).has_baseline():
            out(f"  the change is not proved: slotwright abort {result.record.name} can take it back")
        if result.usable_s is not None:
            from slotwright.features.deploy.views_connect import connect_lines

            kept = Context().store(result.record.name).password_path
            out("", *connect_lines(result.verdict.survey, result.record.topology.password, str(kept)))
    return int(ExitCode.DONE if result.verdict.is_ok else ExitCode.FINDINGS)
