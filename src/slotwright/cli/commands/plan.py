"""``slotwright plan``."""

from __future__ import annotations

import click

from slotwright.cli.run import complete_target, host_keys_option, json_option, perform
from slotwright.errors import ExitCode


@click.command(epilog="Example:  slotwright plan cluster.yaml")
@click.argument("file", required=False, shell_complete=complete_target)
@host_keys_option
@json_option
def command(file: str | None, as_json: bool, accepts_keys: bool) -> int:
    """Show what `up` would do to make the world what FILE (./cluster.yaml) says. Nothing is changed.

    Exit code 3 when changes are pending, 0 when there are none.
    """
    from slotwright import api

    path = api.topology_file(file)
    plan = perform(lambda context, _: api.plan(context, path), as_json=as_json, quiet=True, accepts_keys=accepts_keys)
    if as_json:
        from slotwright.cli.views.json import plan_json, print_json

        print_json(plan_json(plan))
    else:
        from slotwright.cli.views.plan import show_plan

        show_plan(plan, file)
    return int(ExitCode.DONE if plan.is_empty else ExitCode.FINDINGS)
