"""``slotwright stop``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.console.options import ask, can_ask, complete_target_or_node, json_option, need_yes, perform, yes_option

if TYPE_CHECKING:
    from slotwright.app.context import Context
    from slotwright.console.progress import ProgressReporter
    from slotwright.features.lifecycle.api import ShutdownImpact
    from slotwright.ops.stop_nodes import Stopped


@click.command(epilog="Example:  slotwright stop cluster.yaml 127.0.1.1:7001")
@click.argument("target_and_nodes", nargs=-1, metavar="[FILE] [NODE...]", shell_complete=complete_target_or_node)
@click.option("--kill", is_flag=True, help="End at once, without a save.")
@yes_option
@json_option
def command(target_and_nodes: tuple[str, ...], kill: bool, yes: bool, as_json: bool) -> int:
    """Stop the nodes of FILE (or of a cluster made here, by name), or just the NODEs named.

    A clean SHUTDOWN with save: replicas first, then primaries. Says what was saved. `slotwright start` starts them
    again, with their data.
    """
    from slotwright.features.lifecycle.api import stop
    from slotwright.features.lifecycle.cli.start import split_arguments

    if not yes and (as_json or not can_ask()):
        raise need_yes("stop")

    async def verb(context: Context, progress: ProgressReporter) -> tuple[Stopped, ...]:
        def agree(impact: ShutdownImpact) -> bool:
            from slotwright.features.lifecycle.views import show_stop

            progress.pause()
            show_stop(impact)
            return ask("stop?")

        target, nodes = split_arguments(context, target_and_nodes)
        return await stop(context, target, nodes, None if yes else agree, kill=kill)

    stopped = perform(verb, as_json=as_json)
    from slotwright.features.lifecycle.views import show_stopped

    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.lifecycle.output import stop_output

        print_json(stop_output(stopped))
    else:
        show_stopped(stopped)
    return 0
