"""``slotwright preflight``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.console.options import (
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
    from slotwright.app.context import Context
    from slotwright.console.progress import ProgressReporter
    from slotwright.features.preflight.api import Preflight
    from slotwright.features.preflight.plan import HostTuning


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
    from slotwright.app.targets import topology_file
    from slotwright.features.preflight.api import preflight

    path = topology_file(file)
    if fix and not yes and (as_json or not can_ask()):
        raise need_yes("preflight --fix")

    async def verb(context: Context, progress: ProgressReporter) -> Preflight:
        def agree(mendings: tuple[HostTuning, ...]) -> bool:
            from slotwright.features.preflight.views import show_tuning

            progress.pause()
            show_tuning(mendings)
            return ask("make these changes?")

        return await preflight(context, path, fix=fix, agree=None if yes else agree)

    result = perform(verb, as_json=as_json, accepts_keys=accepts_keys)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.preflight.output.preflight import preflight_output

        print_json(preflight_output(result))
    else:
        from slotwright.features.preflight.views import show_preflight

        show_preflight(result, was_fix=fix)
    return int(ExitCode.DONE if result.is_ok else ExitCode.FINDINGS)
