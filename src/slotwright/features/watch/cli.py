"""``slotwright watch``."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import click

from slotwright.console.options import complete_target, json_option, perform
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from slotwright.app.context import Context
    from slotwright.features.watch.views import View


@click.command(epilog="Example:  slotwright watch cluster.yaml        slotwright watch 10.0.0.5:6379 --json")
@click.argument("target", required=False, shell_complete=complete_target)
@click.option("-n", "--interval", "interval_s", default=1.0, show_default=True, help="Seconds between two looks.")
@json_option
def command(target: str | None, interval_s: float, as_json: bool) -> int:
    """Show a cluster as it is now, its findings, and what happens: failovers, nodes and links that go and come back.

    Ctrl-C ends it. Without a terminal, or with --json, what happens is told line by line. Nothing is written to the
    cluster. TARGET is as for `status`.
    """
    from slotwright.app.targets import find_target
    from slotwright.features.watch.api import watch

    if interval_s < 0.1:
        raise click.UsageError("--interval must be 0.1 s or more.")

    async def verb(context: Context, _: object) -> None:
        result = find_target(context, target)
        with _view(as_json) as view:
            async for moment in watch(context, result, interval_s):
                view.show(moment)

    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        perform(verb, as_json=as_json, quiet=True)
    return int(ExitCode.DONE)


def _view(as_json: bool) -> AbstractContextManager[View]:
    if as_json:
        from slotwright.features.watch.output import JsonLines

        return contextlib.nullcontext(JsonLines())
    from slotwright.features.watch.views import open_view

    return open_view()
