"""``slotwright destroy``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.console.options import ask_name, can_ask, complete_target, json_option, need_yes, perform, yes_option

if TYPE_CHECKING:
    from slotwright.app.context import Context
    from slotwright.console.progress import ProgressReporter
    from slotwright.features.lifecycle.api import ShutdownImpact
    from slotwright.features.lifecycle.destroy import Destroyed


@click.command(epilog="Example:  slotwright destroy demo        slotwright destroy cluster.yaml --keep-data")
@click.argument("target", required=False, metavar="[FILE]", shell_complete=complete_target)
@click.option("--keep-data", is_flag=True, help="Save first, and set the data files aside.")
@yes_option
@json_option
def command(target: str | None, keep_data: bool, yes: bool, as_json: bool) -> int:
    """End every node of FILE (or of a cluster made here, by name) and remove all of its files.

    Says what goes, and asks for the cluster's name. The topology file itself stays.
    """
    from slotwright.app.targets import find_target
    from slotwright.features.lifecycle.destroy import destroy

    if not yes and (as_json or not can_ask()):
        raise need_yes("destroy")

    async def verb(context: Context, progress: ProgressReporter) -> Destroyed:
        def agree(impact: ShutdownImpact) -> bool:
            from slotwright.features.lifecycle.views import show_destroy

            progress.pause()
            show_destroy(impact)
            return ask_name(impact.name, "destroy it?")

        result = find_target(context, target)
        return await destroy(context, result, None if yes else agree, keep_data=keep_data)

    gone = perform(verb, as_json=as_json)
    from slotwright.features.lifecycle.views import show_destroyed

    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.lifecycle.output import destroy_output

        print_json(destroy_output(gone))
    else:
        show_destroyed(gone)
    return 0
