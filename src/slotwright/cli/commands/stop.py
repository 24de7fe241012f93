"""``slotwright stop``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.cli.run import ask, can_ask, complete_target_or_node, json_option, need_yes, perform, yes_option

if TYPE_CHECKING:
    from slotwright.api import Context, Farewell
    from slotwright.cli.views.progress import Progress
    from slotwright.operations.stop import Stopped


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
    from slotwright import api
    from slotwright.cli.commands.start import split_arguments

    if not yes and (as_json or not can_ask()):
        raise need_yes("stop")

    async def verb(context: Context, progress: Progress) -> tuple[Stopped, ...]:
        def agree(farewell: Farewell) -> bool:
            from slotwright.cli.views.farewell import show_stop

            progress.pause()
            show_stop(farewell)
            return ask("stop?")

        target, nodes = split_arguments(context, target_and_nodes)
        return await api.stop(context, target, nodes, None if yes else agree, kill=kill)

    stopped = perform(verb, as_json=as_json)
    from slotwright.cli.views.farewell import show_stopped, stopped_json

    if as_json:
        from slotwright.cli.views.json import print_json

        print_json({"stopped": [stopped_json(node) for node in stopped]})
    else:
        show_stopped(stopped)
    return 0
