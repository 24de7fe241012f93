"""``slotwright failover``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from slotwright.console.options import ask, can_ask, complete_target_or_node, json_option, need_yes, perform, yes_option
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from slotwright.app.context import Context
    from slotwright.console.progress import ProgressReporter
    from slotwright.features.failover.api import Failover
    from slotwright.features.failover.plan import FailoverStep


@click.command(
    epilog="Example:  slotwright failover 10.0.0.2:6380        slotwright failover --restore-plan cluster.yaml"
)
@click.argument(
    "node_and_target",
    nargs=-1,
    metavar="NODE [TARGET] | --restore-plan [TARGET]",
    shell_complete=complete_target_or_node,
)
@click.option("--restore-plan", "restores", is_flag=True, help="Bring every primary back to where the file wants it.")
@click.option("--force", is_flag=True, help="When the primary does not answer: what it kept to itself is lost.")
@yes_option
@json_option
def command(node_and_target: tuple[str, ...], restores: bool, force: bool, yes: bool, as_json: bool) -> int:
    """Make the replica NODE the primary of its shard, losing nothing, and wait until all nodes agree.

    NODE is host:port or the beginning of its id; TARGET is as for `status`, and needed only where NODE is known by its
    id alone. The primary stops its clients for a moment, hands over the rest, and becomes a replica.
    """
    from slotwright.app.targets import find_target
    from slotwright.features.failover.api import failover, restore_plan

    most = 1 if restores else 2
    if len(node_and_target) > most or (not restores and not node_and_target):
        raise click.UsageError("Name one NODE, or --restore-plan with at most one TARGET.")
    if not yes and (as_json or not can_ask()):
        raise need_yes("failover")

    async def verb(context: Context, progress: ProgressReporter) -> Failover:
        def agree(steps: Sequence[FailoverStep]) -> bool:
            from slotwright.features.failover.views import show_failovers

            progress.pause()
            show_failovers(steps)
            return ask("go on?")

        chosen = None if yes else agree
        if restores:
            target = find_target(context, node_and_target[0] if node_and_target else None)
            return await restore_plan(context, target, chosen)
        return await failover(
            context,
            node_and_target[0],
            node_and_target[1] if len(node_and_target) > 1 else None,
            force=force,
            agree=chosen,
        )

    result = perform(verb, as_json=as_json)
    from slotwright.features.failover.views import show_failover

    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.failover.output import failover_output

        print_json(failover_output(result))
    else:
        show_failover(result)
    return int(ExitCode.DONE if result.verdict.is_ok and not result.obstacles else ExitCode.FINDINGS)
