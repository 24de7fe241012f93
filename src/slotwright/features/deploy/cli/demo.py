"""``slotwright demo``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.console.options import json_option, perform
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from slotwright.cluster.topology import Engine


@click.command(epilog="Example:  slotwright demo --nodes 9 --replicas 2")
@click.option("--nodes", type=int, help="How many nodes; 6 unless told, or what the replicas need.")
@click.option("--replicas", type=int, help="Replicas a primary; 1 unless told.")
@click.option("--engine", type=click.Choice(["valkey", "redis"]), help="The server; the embedded Valkey unless told.")
@click.option("--from", "origin", metavar="WHERE", help="Where its binary is: embedded, path, or a folder.")
@click.option("--first-port", type=click.IntRange(1, 55535), help="The first port to try; 7001 unless told.")
@json_option
def command(
    nodes: int | None,
    replicas: int | None,
    engine: str | None,
    origin: str | None,
    first_port: int | None,
    as_json: bool,
) -> int:
    """Make a real cluster on this machine, prove it, and leave it running.

    Three "hosts" (loopback addresses), six nodes: three primaries, each with a replica on another host. Called again,
    it finds the same cluster and starts what is down. `slotwright destroy demo` takes it away.
    """
    from slotwright.features.deploy.demo import DemoOptions, demo

    options = DemoOptions(nodes, replicas, _engine(engine, origin), first_port)
    result = perform(lambda context, _: demo(context, options), as_json=as_json)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.deploy.output import up_output

        print_json(up_output(result))
    else:
        from slotwright.console.screen import out
        from slotwright.features.deploy.views_connect import command_name, connect_lines
        from slotwright.features.deploy.views_up import show_up

        show_up(result, "demo")
        out("", *connect_lines(result.verdict.survey))
        out(f"  next   {command_name()} status demo        {command_name()} destroy demo")
    return int(ExitCode.DONE if result.verdict.is_ok else ExitCode.FINDINGS)


def _engine(kind: str | None, origin: str | None) -> Engine | None:
    if kind is None and origin is None:
        return None
    from slotwright.adapters.homes import expand_home
    from slotwright.cluster.topology import Engine, EngineKind, EngineOrigin

    chosen = EngineKind(kind or "valkey")
    if origin in (None, "embedded", "path"):
        return Engine(chosen, EngineOrigin(origin or "embedded"))
    return Engine(chosen, EngineOrigin.DIRECTORY, str(expand_home(str(origin)).absolute()))
