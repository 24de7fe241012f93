"""``slotwright archive``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slotwright.console.options import complete_target, json_option, perform

if TYPE_CHECKING:
    from slotwright.app.context import Context
    from slotwright.features.archive.api import Archived


@click.command(epilog="Example:  slotwright archive cluster.yaml -o /backup/cache-1")
@click.argument("target", required=False, shell_complete=complete_target)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to make; it must not hold anything.",
)
@json_option
def command(target: str | None, output: Path, as_json: bool) -> int:
    """Set every node's map, data, configuration and logs aside in a folder, with checksums.

    The cluster serves on: nodes that run are asked for a fresh snapshot first, those that don't are copied as they lie
    there. The folder holds the password (in the configurations), so only you can read it. TARGET is a file or the name
    of a cluster made here.
    """
    from slotwright.app.targets import find_target
    from slotwright.features.archive.api import archive

    async def verb(context: Context, _: object) -> Archived:
        return await archive(context, find_target(context, target), output)

    archived = perform(verb, as_json=as_json)
    from slotwright.features.archive.views import show_archive

    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.archive.output import archive_output

        print_json(archive_output(archived))
    else:
        show_archive(archived)
    return 0
