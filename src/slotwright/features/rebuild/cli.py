"""``slotwright rebuild``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slotwright.console.options import (
    ask_name,
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
    from slotwright.features.rebuild.api import RebuildPreview
    from slotwright.features.rebuild.phases import Rebuilt


@click.command(
    epilog="Example:  slotwright rebuild cluster.yaml        slotwright rebuild cluster.yaml -o /backup/cache"
)
@click.argument("file", required=False, shell_complete=complete_target)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="The archive's folder; it must not hold anything. By default one in slotwright's own state.",
)
@click.option("--empty", is_flag=True, help="Don't bring the keys back (they are archived all the same).")
@yes_option
@host_keys_option
@json_option
def command(file: str | None, output: Path | None, empty: bool, yes: bool, as_json: bool, accepts_keys: bool) -> int:
    """The last resort: archive the cluster, make a new one from FILE (./cluster.yaml), bring the keys back into it.

    The new cluster may have other hosts, ports, shards and replicas than the old one. The keys that came back are
    counted by type and slot and held against the old data. Keep clients away until then. The old folders are set aside,
    never removed. Killed in the middle, it goes on where it was when it is run again.
    """
    from slotwright.app.targets import topology_file
    from slotwright.features.rebuild.api import rebuild

    path = topology_file(file)

    async def verb(context: Context, progress: ProgressReporter) -> Rebuilt:
        def agree(shown: RebuildPreview) -> bool:
            from slotwright.features.rebuild.views import show_last_resort

            if as_json or not can_ask():
                raise need_yes("rebuild")
            progress.pause()
            show_last_resort(shown)
            return ask_name(shown.impact.name, "rebuild it?")

        return await rebuild(context, path, output, None if yes else agree, empty=empty)

    rebuilt = perform(verb, as_json=as_json, accepts_keys=accepts_keys)
    from slotwright.features.rebuild.views import show_rebuilt

    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.rebuild.output import rebuild_output

        print_json(rebuild_output(rebuilt))
    else:
        show_rebuilt(rebuilt)
    return int(ExitCode.DONE if rebuilt.is_ok else ExitCode.FINDINGS)
