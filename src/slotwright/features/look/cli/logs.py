"""``slotwright logs``."""

from __future__ import annotations

import click

from slotwright.console.options import complete_node, json_option, perform


@click.command(epilog="Example:  slotwright logs 127.0.1.1:7001 -f")
@click.argument("node", shell_complete=complete_node)
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is added, until Ctrl-C.")
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(0), help="How many lines at first.")
@click.option("--target", help="The cluster, where the node alone doesn't tell.")
@json_option
def command(node: str, follow: bool, lines: int, target: str | None, as_json: bool) -> int:
    """Show the server's log of NODE: host:port, or the beginning of its id."""
    from slotwright.app.context import Context
    from slotwright.features.look.api import find_node, follow_log, read_log

    async def verb(context: Context, _: object) -> None:
        result, address = find_node(context, node, target)
        text, offset = await read_log(context, result, address)
        last = text.splitlines()[-lines:] if lines else []
        if as_json and not follow:
            from slotwright.console.json import print_json
            from slotwright.features.look.output import LogOutput

            print_json(LogOutput(node=str(address), lines=tuple(last)))
            return
        for line in last:
            _print_line(line, as_json)
        if follow:
            rest = ""
            async for added in follow_log(context, result, address, offset):
                *whole, rest = (rest + added).split("\n")
                for line in whole:
                    _print_line(line, as_json)

    try:
        perform(verb, as_json=as_json, quiet=True)
    except KeyboardInterrupt:
        # The one way to end -f: nothing was interrupted that anybody waits for.
        return 130 if not follow else 0
    return 0


def _print_line(line: str, as_json: bool) -> None:
    if not as_json:
        click.echo(line)
        return
    from slotwright.console.json import print_json_line
    from slotwright.features.look.output import LogLineOutput

    print_json_line(LogLineOutput(line=line))
