"""``slotwright bundle``."""

from __future__ import annotations

import re
from pathlib import Path

import click

from slotwright.console.options import json_option, perform


@click.command(epilog="Example:  slotwright bundle cluster.yaml -o slotwright-bundle")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The folder to make.")
@click.option(
    "--arch",
    "machines",
    multiple=True,
    type=click.Choice(["x86_64", "aarch64"]),
    help="Only for this architecture; may be given again.",
)
@click.option("--python", "pythons", multiple=True, metavar="3.N", help="Only for this Python; may be given again.")
@json_option
def command(file: Path | None, output: Path, machines: tuple[str, ...], pythons: tuple[str, ...], as_json: bool) -> int:
    """Collect everything for hosts and a control machine without internet.

    The folder holds slotwright, its dependencies, the servers for both architectures as far as FILE's engine can give
    them, FILE itself (cluster.yaml, if it is there) without its password, and an install.sh.
    """
    from slotwright.features.bundle.api import MACHINES, PYTHONS, BundleOptions, make_bundle

    for python in pythons:
        if not re.fullmatch(r"3\.\d+", python) or int(python[2:]) < 11:
            raise click.BadParameter(f"{python} is not 3.11 or a newer one", param_hint="--python")
    options = BundleOptions(machines or MACHINES, pythons or PYTHONS)
    default = Path("cluster.yaml")
    chosen = file or (default if default.is_file() else None)
    made = perform(lambda context, _: make_bundle(context, chosen, output, options), as_json=as_json)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.bundle.output import bundle_output

        print_json(bundle_output(made))
        return 0
    from slotwright.console.screen import out, size, wrapped

    out(f"{made.folder}: {made.files} files, {size(made.size_bytes)}", f"  servers  {made.engine}")
    for note in made.notes:
        out(*wrapped("note", note, 7))
    out("", "  next   copy the folder to the control machine, and there: sh install.sh")
    return 0
