"""``slotwright slot``."""

from __future__ import annotations

import os

import click

from slotwright.console.options import json_option, perform


@click.command(epilog="Example:  slotwright slot user:1000 '{user:1000}:cart' demo")
@click.argument("keys", nargs=-1, required=True, metavar="KEY... [TARGET]")
@click.option("--target", help="The cluster; then every argument is a key.")
@json_option
def command(keys: tuple[str, ...], target: str | None, as_json: bool) -> int:
    """Show the slot of each KEY, and which node serves it now.

    The last argument is taken for the TARGET when it is a file, the name of a cluster made here, or host:port, and a
    key stands before it.
    """
    from slotwright.app.context import Context
    from slotwright.app.targets import find_target, is_target
    from slotwright.features.look.api import SlotOfKey, find_slots

    async def verb(context: Context, _: object) -> tuple[SlotOfKey, ...]:
        wanted, place = list(keys), target
        if place is None and len(wanted) > 1 and is_target(context, wanted[-1]):
            place = wanted.pop()
        result = find_target(context, place)
        return await find_slots(context, result, [os.fsencode(key) for key in wanted])

    slot_of_keys = perform(verb, as_json=as_json, quiet=True)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.look.output import slots_output

        print_json(slots_output(slot_of_keys))
    else:
        from slotwright.features.look.views import show_slots

        show_slots(slot_of_keys)
    return 0
