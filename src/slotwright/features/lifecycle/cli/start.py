"""``slotwright start``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from slotwright.console.options import complete_target_or_node, json_option, perform
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from slotwright.app.context import Context
    from slotwright.app.targets import Target
    from slotwright.features.deploy.outcome import UpResult


@click.command(epilog="Example:  slotwright start cluster.yaml        slotwright start demo 127.0.1.1:7001")
@click.argument("target_and_nodes", nargs=-1, metavar="[FILE] [NODE...]", shell_complete=complete_target_or_node)
@json_option
def command(target_and_nodes: tuple[str, ...], as_json: bool) -> int:
    """Start the nodes of FILE (or of a cluster made here, by name) that don't run, or just the NODEs named.

    They start as they were made; what FILE says since then is `up`'s matter. Ends with a look at the whole cluster.
    """
    from slotwright.features.lifecycle.api import start

    async def verb(context: Context, _: object) -> UpResult:
        target, nodes = split_arguments(context, target_and_nodes)
        return await start(context, target, nodes)

    result = perform(verb, as_json=as_json)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.deploy.output import up_output

        print_json(up_output(result))
    else:
        from slotwright.features.deploy.views_up import show_up

        show_up(result, "start")
    return int(ExitCode.DONE if result.verdict.is_ok else ExitCode.FINDINGS)


def split_arguments(context: Context, texts: Sequence[str]) -> tuple[Target, tuple[str, ...]]:
    """``[FILE] [NODE...]``: a first argument that is the address of a known node is a node, not a target."""
    from slotwright.app.targets import find_by_node, find_target
    from slotwright.cluster.topology import Address

    if not texts:
        return find_target(context, None), ()
    try:
        owner = find_by_node(context, Address.parse(texts[0]))
    except ValueError:
        owner = None
    if owner is not None:
        return owner, tuple(texts)
    return find_target(context, texts[0]), tuple(texts[1:])
