"""``slotwright slot``."""

from __future__ import annotations

import os

import click

from slotwright.cli.run import json_option, perform


@click.command(epilog="Example:  slotwright slot user:1000 '{user:1000}:cart' demo")
@click.argument("keys", nargs=-1, required=True, metavar="KEY... [TARGET]")
@click.option("--target", help="The cluster; then every argument is a key.")
@json_option
def command(keys: tuple[str, ...], target: str | None, as_json: bool) -> int:
    """Show the slot of each KEY, and which node serves it now.

    The last argument is taken for the TARGET when it is a file, the name of a cluster made here, or host:port, and a
    key stands before it.
    """
    from slotwright import api

    async def verb(context: api.Context, _: object) -> tuple[api.SlotOfKey, ...]:
        wanted, place = list(keys), target
        if place is None and len(wanted) > 1 and api.is_target(context, wanted[-1]):
            place = wanted.pop()
        found = api.find_target(context, place)
        return await api.find_slots(context, found, [os.fsencode(key) for key in wanted])

    found = perform(verb, as_json=as_json, quiet=True)
    if as_json:
        from slotwright.cli.views.json import print_json, slot_json

        print_json({"keys": [slot_json(each) for each in found]})
    else:
        from slotwright.cli.views.human import show_slots

        show_slots(found)
    return 0
