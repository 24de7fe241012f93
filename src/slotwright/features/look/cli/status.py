"""``slotwright status``."""

from __future__ import annotations

import click

from slotwright.console.options import complete_target, json_option, perform


@click.command(epilog="Example:  slotwright status demo        slotwright status 127.0.1.1:7001")
@click.argument("target", required=False, shell_complete=complete_target)
@json_option
def command(target: str | None, as_json: bool) -> int:
    """Show the nodes shard by shard, and who serves which slots.

    TARGET is a topology file, the name of a cluster made here, or host:port of any live cluster (its password in
    SLOTWRIGHT_PASSWORD); ./cluster.yaml unless told.
    """
    from slotwright.app.targets import find_target
    from slotwright.features.look.api import status

    verdict = perform(lambda context, _: status(context, find_target(context, target)), as_json=as_json, quiet=True)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.console.output import status_output

        print_json(status_output(verdict.survey))
    else:
        from slotwright.console.cluster_view import show_survey, show_trouble

        show_survey(verdict.survey)
        show_trouble(verdict)
    return 0
