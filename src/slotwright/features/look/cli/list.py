"""``slotwright list``."""

from __future__ import annotations

import click

from slotwright.console.options import json_option


@click.command(epilog="Example:  slotwright list")
@json_option
def command(as_json: bool) -> int:
    """List the clusters made here, with their files. `slotwright status NAME` tells how they are."""
    from slotwright.app.context import Context

    context = Context()
    records = [record for name in context.known() if (record := context.store(name).read_record())]
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.look.output import clusters_output

        print_json(clusters_output(records))
        return 0
    from slotwright.console.screen import out, table

    if not records:
        out("no cluster was made here yet", "  next   slotwright demo        slotwright init")
        return 0
    table(
        ("name", "nodes", "server", "stage", "file"),
        [
            (record.name, str(len(record.blueprint.nodes)), record.version, record.stage.value, record.topology_path)
            for record in records
        ],
        right=("nodes",),
    )
    return 0
