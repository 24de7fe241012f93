"""``slotwright repair``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from slotwright.console.options import (
    ask,
    ask_word,
    can_ask,
    complete_target,
    json_option,
    need_yes,
    perform,
    yes_option,
)
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from slotwright.app.context import Context
    from slotwright.console.progress import ProgressReporter
    from slotwright.features.repair.api import Repaired
    from slotwright.features.repair.model import RepairPlan, RepairStep


@click.command(epilog="Example:  slotwright repair --plan cluster.yaml        slotwright repair cache")
@click.argument("target", required=False, shell_complete=complete_target)
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done; change nothing.")
@click.option(
    "--accept",
    "accepted",
    multiple=True,
    metavar="WORD",
    help="Allow the steps that name this loss (the plan shows the words); may be given several times.",
)
@yes_option
@json_option
def command(target: str | None, only_plan: bool, accepted: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Mend what `check` finds: start what stopped, give back what was lost, settle who leads and who owns what.

    Small steps, safest first; after each stage the cluster is looked at again. What could lose data is done only when
    the word that names the loss is typed, or given with --accept, and the nodes' files are archived before. Without a
    terminal it needs --yes, and leaves such steps. TARGET is as for `status`.

    Exit code 0 when the cluster is sound, 4 when steps were left because nobody accepted the loss or because they must
    not be done (the answer says why, and the way on), 5 when some failed, 3 when findings are left that repair can't
    mend.
    """
    from slotwright.app.targets import find_target
    from slotwright.features.repair.api import repair

    if only_plan:
        return _plan(target, as_json)
    if not yes and (as_json or not can_ask()):
        raise need_yes("repair")

    async def verb(context: Context, progress: ProgressReporter) -> Repaired:
        chosen = find_target(context, target)
        return await repair(
            context, chosen, None if yes else agree_with(progress), accept_with(progress, accepted, yes)
        )

    return report(perform(verb, as_json=as_json), as_json)


def _plan(target: str | None, as_json: bool) -> int:
    from slotwright.app.targets import find_target
    from slotwright.features.repair.api import plan_repair

    async def verb(context: Context, _: object) -> RepairPlan:
        return await plan_repair(context, find_target(context, target))

    return report_plan(perform(verb, as_json=as_json, quiet=True), as_json)


def report_plan(plan: RepairPlan, as_json: bool) -> int:
    """What would be done, and the exit code for it."""
    from slotwright.features.repair.views import show_repair_plan

    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.repair.output import repair_plan_output

        print_json(repair_plan_output(plan))
    else:
        show_repair_plan(plan)
    return int(ExitCode.FINDINGS if plan.steps or plan.unrepaired else ExitCode.DONE)


def agree_with(progress: ProgressReporter) -> Callable[[RepairPlan], bool]:
    """The plan, then the question."""

    def agree(plan: RepairPlan) -> bool:
        from slotwright.features.repair.views import show_repair_plan

        progress.pause()
        show_repair_plan(plan, forecast=False)
        return ask("go on?")

    return agree


def accept_with(progress: ProgressReporter, accepted: tuple[str, ...], yes: bool) -> Callable[[RepairStep], bool]:
    """A loss is accepted by its word: given beforehand, or typed."""

    def accept(step: RepairStep) -> bool:
        if step.word in accepted:
            return True
        if yes or not can_ask():
            return False
        from slotwright.features.repair.views import show_loss

        progress.pause()
        show_loss(step)
        return ask_word(step.word)

    return accept


def report(result: Repaired, as_json: bool) -> int:
    """The answer, and the exit code for it."""
    from slotwright.features.repair.views import show_repaired

    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.repair.output import repair_output

        print_json(repair_output(result))
    else:
        show_repaired(result)
    if result.failed:
        return int(ExitCode.PARTIAL if result.done else ExitCode.FAILED)
    if result.refused or result.plan.refusals:
        return int(ExitCode.REFUSED)
    return int(ExitCode.DONE if result.verdict.is_ok else ExitCode.FINDINGS)
