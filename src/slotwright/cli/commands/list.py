"""``slotwright list``."""

from __future__ import annotations

import click

from slotwright.cli.run import json_option


@click.command(epilog="Example:  slotwright list")
@json_option
def command(as_json: bool) -> int:
    """List the clusters made here, with their files. `slotwright status NAME` tells how they are."""
    from slotwright import api

    context = api.Context()
    records = [record for name in context.known() if (record := context.store(name).read_record())]
    if as_json:
        from slotwright.cli.views.json import print_json

        rows = [
            {
                "name": record.name,
                "stage": record.stage.value,
                "nodes": len(record.blueprint.nodes),
                "version": record.version,
                "file": record.topology_path,
            }
            for record in records
        ]
        print_json({"clusters": rows})
        return 0
    from slotwright.cli.views.screen import out, table

    if not records:
        out("no cluster was made here yet", "  next   slotwright demo        slotwright init")
        return 0
    table(
        ("name", "nodes", "server", "stage", "file"),
        [
            (each.name, str(len(each.blueprint.nodes)), each.version, each.stage.value, each.topology_path)
            for each in records
        ],
        right=("nodes",),
    )
    return 0
