"""``slotwright exec``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.console.options import host_keys_option, json_option, perform
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from slotwright.app.context import Context
    from slotwright.console.progress import ProgressReporter
    from slotwright.features.preflight.exec import Ran


@click.command(
    epilog="Example:  slotwright exec -- uptime        slotwright exec --host 10.0.0.2 -- 'df -h | tail -3'",
    context_settings={"ignore_unknown_options": True},
)
@click.option("--host", "hosts", multiple=True, help="Only on this host; can be given several times.")
@click.option("--root/--no-root", "as_root", default=False, help="As root, through sudo where the login is not root.")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds that the command may take.")
@host_keys_option
@json_option
@click.argument("arguments", nargs=-1, required=True, metavar="[FILE] -- CMD...", type=click.UNPROCESSED)
def command(
    hosts: tuple[str, ...],
    as_root: bool,
    timeout_s: float,
    accepts_keys: bool,
    as_json: bool,
    arguments: tuple[str, ...],
) -> int:
    """Run CMD on every host of FILE (./cluster.yaml), side by side.

    One word is given to the host's shell as it is ('df -h | tail -3'); several are one command with its arguments.
    Exit code 0 when it ended with 0 everywhere, 1 when it did not, or a host could not be reached.
    """
    from slotwright.app.targets import topology_file
    from slotwright.features.preflight.exec import execute

    file, line = _split(arguments)
    path = topology_file(file)

    async def verb(context: Context, _: ProgressReporter) -> tuple[Ran, ...]:
        return await execute(context, path, line, hosts, as_root=as_root, timeout_s=timeout_s)

    done = perform(verb, as_json=as_json, quiet=True, accepts_keys=accepts_keys)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.preflight.output.exec import exec_output

        print_json(exec_output(done))
    else:
        from slotwright.features.preflight.views_exec import show_ran

        show_ran(done)
    return int(ExitCode.DONE if all(ran.status == 0 for ran in done) else ExitCode.FAILED)


def _split(arguments: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Click has taken the ``--`` away: a first word that names a YAML file is the file, when more follow."""
    if len(arguments) > 1 and arguments[0].endswith((".yaml", ".yml")):
        return arguments[0], arguments[1:]
    return None, arguments
