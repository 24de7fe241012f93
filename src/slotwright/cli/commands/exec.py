"""``slotwright exec``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.cli.run import host_keys_option, json_option, perform
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from slotwright.api import Context, Ran
    from slotwright.cli.views.progress import Progress


@click.command(
    epilog="Example:  slotwright exec -- uptime        slotwright exec --host 10.0.0.2 -- 'df -h | tail -3'",
    context_settings={"ignore_unknown_options": True},
)
@click.option("--host", "hosts", multiple=True, help="Only on this host; can be given several times.")
@click.option("--root/--no-root", "as_root", default=False, help="As root, through sudo where the login is not root.")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds that the command may take.")
@host_keys_option
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[FILE] -- CMD...", type=click.UNPROCESSED)
def command(
    hosts: tuple[str, ...],
    as_root: bool,
    timeout_s: float,
    accepts_keys: bool,
    as_json: bool,
    words: tuple[str, ...],
) -> int:
    """Run CMD on every host of FILE (./cluster.yaml), side by side.

    One word is given to the host's shell as it is ('df -h | tail -3'); several are one command with its arguments.
    Exit code 0 when it ended with 0 everywhere, 1 when it did not, or a host could not be reached.
    """
    from slotwright import api

    file, line = _split(words)
    path = api.topology_file(file)

    async def verb(context: Context, _: Progress) -> tuple[Ran, ...]:
        return await api.execute(context, path, line, hosts, as_root=as_root, timeout_s=timeout_s)

    done = perform(verb, as_json=as_json, quiet=True, accepts_keys=accepts_keys)
    if as_json:
        from slotwright.cli.views.json import print_json
        from slotwright.cli.views.ran import ran_json

        print_json(ran_json(done))
    else:
        from slotwright.cli.views.ran import show_ran

        show_ran(done)
    return int(ExitCode.DONE if all(each.status == 0 for each in done) else ExitCode.FAILED)


def _split(words: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Click has taken the ``--`` away: a first word that names a YAML file is the file, when more follow."""
    if len(words) > 1 and words[0].endswith((".yaml", ".yml")):
        return words[0], words[1:]
    return None, words
