"""``slotwright abort``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.console.options import ask, can_ask, complete_target, json_option, need_yes, perform, yes_option
from slotwright.errors import ExitCode
from slotwright.features.repair.cli.repair import accept_with, agree_with, report, report_plan
from slotwright.features.repair.cli.resume import is_change_cut, need_repair

if TYPE_CHECKING:
    from collections.abc import Callable

    from slotwright.app.context import Context
    from slotwright.cluster.steps import Plan
    from slotwright.console.progress import ProgressReporter
    from slotwright.features.deploy.abort import TakenBack
    from slotwright.features.repair.api import Repaired
    from slotwright.features.repair.model import RepairPlan


@click.command(epilog="Example:  slotwright abort --plan cache        slotwright abort cache")
@click.argument("target", required=False, shell_complete=complete_target)
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done; change nothing.")
@click.option("--accept", "accepted", multiple=True, metavar="WORD", help="As for `repair`.")
@yes_option
@json_option
def command(target: str | None, only_plan: bool, accepted: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Give up work that was cut, and take back what it did.

    Of an `up` that was changing a formed cluster: every node gets back the settings and the configuration file that it
    had before, as far as `up` had set them, and the record is the former one. What somebody else has set meanwhile
    stays, and is named.

    Of a repair: slots that were on their way go back to where they came from. Keys that have arrived already are
    brought back; until each is back, clients do not find it. Everything else that is wrong is mended as `repair` does.

    Exit code 0 when all is as it was and proved, 3 with findings, 5 when some nodes could not be set back. TARGET is as
    for `status`.
    """
    from slotwright.app.targets import find_target
    from slotwright.features.deploy.abort import abort_up
    from slotwright.features.repair.api import Repaired, abort

    if only_plan:
        return _plan(target, as_json)
    if not yes and (as_json or not can_ask()):
        raise need_yes("abort")

    async def verb(context: Context, progress: ProgressReporter) -> Repaired | TakenBack:
        chosen = find_target(context, target)
        if is_change_cut(context, chosen):
            return await abort_up(context, chosen, None if yes else _confirm_with(progress))
        need_repair(context, chosen)
        return await abort(context, chosen, None if yes else agree_with(progress), accept_with(progress, accepted, yes))

    result = perform(verb, as_json=as_json)
    return report(result, as_json) if isinstance(result, Repaired) else _report(result, as_json)


def _confirm_with(progress: ProgressReporter) -> Callable[[Plan], bool]:
    """The plan, then the question."""

    def confirm(plan: Plan) -> bool:
        from slotwright.features.deploy.views_abort import show_way_back

        progress.pause()
        show_way_back(plan)
        return ask("go on?")

    return confirm


def _report(result: TakenBack, as_json: bool) -> int:
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.deploy.output import taken_back_output

        print_json(taken_back_output(result))
    else:
        from slotwright.features.deploy.views_abort import show_taken_back

        show_taken_back(result)
    if not result.is_back:
        return int(ExitCode.PARTIAL)
    return int(ExitCode.DONE if result.is_ok else ExitCode.FINDINGS)


def _plan(target: str | None, as_json: bool) -> int:
    from slotwright.app.targets import find_target
    from slotwright.cluster.steps import Plan
    from slotwright.features.deploy.abort import plan_abort_up
    from slotwright.features.repair.api import plan_repair

    async def verb(context: Context, _: object) -> Plan | RepairPlan:
        chosen = find_target(context, target)
        if is_change_cut(context, chosen):
            return await plan_abort_up(context, chosen)
        need_repair(context, chosen)
        return await plan_repair(context, chosen, takes_back=True)

    plan = perform(verb, as_json=as_json, quiet=True)
    if not isinstance(plan, Plan):
        return report_plan(plan, as_json)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.deploy.output import plan_output

        print_json(plan_output(plan))
    else:
        from slotwright.features.deploy.views_abort import show_way_back

        show_way_back(plan)
    return int(ExitCode.FINDINGS if plan.findings or not plan.is_empty else ExitCode.DONE)
