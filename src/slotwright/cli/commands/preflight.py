"""``slotwright preflight``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.cli.run import (
    ask,
    can_ask,
    complete_target,
    host_keys_option,
    json_option,
    need_yes,
    perform,
    yes_option,
)
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from slotwright.api import Context, Preflight
    from slotwright.cli.views.progress import Progress
    from slotwright.planning.mending import Mending


@click.command(epilog="Example:  slotwright preflight cluster.yaml        slotwright preflight --fix")
@click.argument("file", required=False, shell_complete=complete_target)
@click.option("--fix", is_flag=True, help="Make right, for good, what can be (kernel settings, huge pages, limits).")
@yes_option
@host_keys_option
@json_option
def command(file: str | None, fix: bool, yes: bool, accepts_keys: bool, as_json: bool) -> int:
    """Look at the hosts of FILE (./cluster.yaml): what they are like, and what is in the way of nodes there.

    Nothing is changed without --fix. Every ordered pair of hosts is tried on the client and bus ports, with real
    listeners. Exit code 0 when nothing needs anybody, 3 when something does (notes don't count).
    """
    from slotwright import api

    path = api.topology_file(file)
    if fix and not yes and (as_json or not can_ask()):
        raise need_yes("preflight --fix")

    async def verb(context: Context, progress: Progress) -> Preflight:
        def agree(mendings: tuple[Mending, ...]) -> bool:
            from slotwright.cli.views.preflight import show_mendings

            progress.pause()
            show_mendings(mendings)
            return ask("make these changes?")

        return await api.preflight(context, path, fix=fix, agree=None if yes else agree)

    result = perform(verb, as_json=as_json, accepts_keys=accepts_keys)
    if as_json:
        from slotwright.cli.views.json import print_json
        from slotwright.cli.views.preflight import preflight_json

        print_json(preflight_json(result))
    else:
        from slotwright.cli.views.preflight import show_preflight

        show_preflight(result, was_fix=fix)
    return int(ExitCode.DONE if result.is_ok else ExitCode.FINDINGS)
