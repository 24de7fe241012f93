"""``slotwright logs``."""

from __future__ import annotations

import json

import click

from slotwright.cli.run import complete_node, json_option, perform


@click.command(epilog="Example:  slotwright logs 127.0.1.1:7001 -f")
@click.argument("node", shell_complete=complete_node)
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is added, until Ctrl-C.")
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(0), help="How many lines at first.")
@click.option("--target", help="The cluster, where the node alone doesn't tell.")
@json_option
def command(node: str, follow: bool, lines: int, target: str | None, as_json: bool) -> int:
    """Show the server's log of NODE: host:port, or the beginning of its id."""
    from slotwright import api

    async def verb(context: api.Context, _: object) -> None:
        found, address = api.find_node(context, node, target)
        text, offset = await api.read_log(context, found, address)
        last = text.splitlines()[-lines:] if lines else []
        if as_json and not follow:
            from slotwright.cli.views.json import print_json

            print_json({"node": str(address), "lines": last})
            return
        for line in last:
            click.echo(json.dumps({"line": line}) if as_json else line)
        if follow:
            rest = ""
            async for added in api.follow_log(context, found, address, offset):
                *whole, rest = (rest + added).split("\n")
                for line in whole:
                    click.echo(json.dumps({"line": line}) if as_json else line)

    try:
        perform(verb, as_json=as_json, quiet=True)
    except KeyboardInterrupt:
        # The one way to end -f: nothing was interrupted that anybody waits for.
        return 130 if not follow else 0
    return 0
