"""``slotwright destroy``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.cli.run import ask_name, can_ask, complete_target, json_option, need_yes, perform, yes_option

if TYPE_CHECKING:
    from slotwright.api import Context, Destroyed, Farewell
    from slotwright.cli.views.progress import Progress


@click.command(epilog="Example:  slotwright destroy demo        slotwright destroy cluster.yaml --keep-data")
@click.argument("target", required=False, metavar="[FILE]", shell_complete=complete_target)
@click.option("--keep-data", is_flag=True, help="Save first, and set the data files aside.")
@yes_option
@json_option
def command(target: str | None, keep_data: bool, yes: bool, as_json: bool) -> int:
    """End every node of FILE (or of a cluster made here, by name) and remove all of its files.

    Says what goes, and asks for the cluster's name. The topology file itself stays.
    """
    from slotwright import api

    if not yes and (as_json or not can_ask()):
        raise need_yes("destroy")

    async def verb(context: Context, progress: Progress) -> Destroyed:
        def agree(farewell: Farewell) -> bool:
            from slotwright.cli.views.farewell import show_destroy

            progress.pause()
            show_destroy(farewell)
            return ask_name(farewell.name, "destroy it?")

        found = api.find_target(context, target)
        return await api.destroy(context, found, None if yes else agree, keep_data=keep_data)

    gone = perform(verb, as_json=as_json)
    from slotwright.cli.views.farewell import destroyed_json, show_destroyed

    if as_json:
        from slotwright.cli.views.json import print_json

        print_json(destroyed_json(gone))
    else:
        show_destroyed(gone)
    return 0
