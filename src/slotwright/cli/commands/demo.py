"""``slotwright demo``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.cli.run import json_option, perform
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from slotwright.model.topology import Engine


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
    from slotwright import api

    wish = api.DemoWish(nodes, replicas, _engine(engine, origin), first_port)
    result = perform(lambda context, _: api.demo(context, wish), as_json=as_json)
    if as_json:
        from slotwright.cli.views.json import print_json, up_json

        print_json(up_json(result))
    else:
        from slotwright.cli.views.connect import command_name, connect_lines
        from slotwright.cli.views.human import show_up
        from slotwright.cli.views.screen import out

        show_up(result, "demo")
        out("", *connect_lines(result.verdict.survey))
        out(f"  next   {command_name()} status demo        {command_name()} destroy demo")
    return int(ExitCode.DONE if result.verdict.is_ok else ExitCode.FINDINGS)


def _engine(kind: str | None, origin: str | None) -> Engine | None:
    if kind is None and origin is None:
        return None
    from pathlib import Path

    from slotwright.model.topology import Engine, EngineKind, EngineOrigin

    chosen = EngineKind(kind or "valkey")
    if origin in (None, "embedded", "path"):
        return Engine(chosen, EngineOrigin(origin or "embedded"))
    return Engine(chosen, EngineOrigin.DIRECTORY, str(Path(str(origin)).expanduser().absolute()))
