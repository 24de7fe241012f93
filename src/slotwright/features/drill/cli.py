"""``slotwright drill``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slotwright.console.options import (
    ask,
    can_ask,
    complete_node,
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
    from slotwright.features.drill.api import Drill
    from slotwright.features.drill.plan import DrillTargets


@click.command(
    epilog="Example:  slotwright drill cluster.yaml --yes        slotwright drill --host 10.0.0.2 --html drill.html"
)
@click.argument("target", required=False, shell_complete=complete_target)
@click.option(
    "--node",
    help="Take this node away (host:port); the first shard's primary unless told.",
    shell_complete=complete_node,
)
@click.option("--host", default="", help="Take all nodes of this host away.")
@click.option("--freeze", is_flag=True, help="Let it hang (SIGSTOP) instead of killing it.")
@click.option("--planned", is_flag=True, help="Hand over by a planned failover instead: nothing may be lost.")
@click.option("--rate", default=300.0, show_default=True, help="Writes a second, and as many reads.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page with a picture."
)
@yes_option
@json_option
def command(
    target: str | None,
    node: str | None,
    host: str,
    freeze: bool,
    planned: bool,
    rate: float,
    page: Path | None,
    yes: bool,
    as_json: bool,
) -> int:
    """Kill a primary on purpose under a measured load, tell what clients saw, and make the cluster whole again.

    A client of ours writes keys of its own (removed again) and knows which writes were acknowledged; those that are not
    there in the end are lost. Refused where no replica in sync could take over. Exit code 0 when all shards were taken
    over, nothing acknowledged was lost, and the cluster is sound again; 3 otherwise.
    """
    from slotwright.app.targets import find_target
    from slotwright.features.drill.api import drill, drill_options

    if node and host:
        raise click.UsageError("--node or --host, not both.")
    if freeze and planned:
        raise click.UsageError("--freeze or --planned, not both.")
    if rate <= 0:
        raise click.UsageError("--rate must be above 0.")
    if not yes and (as_json or not can_ask()):
        raise need_yes("drill")
    options = drill_options(node, host, rate, is_freeze=freeze, is_planned=planned)

    async def verb(context: Context, progress: ProgressReporter) -> Drill:
        def agree(victims: DrillTargets) -> bool:
            progress.pause()
            click.echo(
                f"{', '.join(map(str, victims.nodes))} will be {options.how}; clients of its shards wait meanwhile",
                err=True,
            )
            return ask("go on?")

        return await drill(context, find_target(context, target), options, None if yes else agree)

    result = perform(verb, as_json=as_json)
    from slotwright.features.drill.views import show_drill, write_page

    if page is not None:
        write_page(result, page)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.drill.output import drill_output

        print_json(drill_output(result))
    else:
        show_drill(result, page)
    return int(ExitCode.DONE if result.is_passed and result.verdict.is_ok else ExitCode.FINDINGS)
