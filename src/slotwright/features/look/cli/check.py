"""``slotwright check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.console.options import complete_target, json_option, perform
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from slotwright.app.context import Context
    from slotwright.ops.verify import Verdict


@click.command(epilog="Example:  slotwright check cluster.yaml        slotwright check 10.0.0.5:6379 --no-canary")
@click.argument("target", required=False, shell_complete=complete_target)
@click.option(
    "--canary/--no-canary",
    default=None,
    help="Write, read and remove a key on every shard; the default for clusters made here, not for others.",
)
@click.option("--keys", "is_deep", is_flag=True, help="Also count keys in every slot: finds keys in the wrong node.")
@json_option
def command(target: str | None, canary: bool | None, is_deep: bool, as_json: bool) -> int:
    """Prove that the cluster is sound, or say what is not: what, where, what it risks, what to do.

    Exit code 0 when it is sound (notes don't count), 3 when it is not. TARGET is as for `status`.
    """
    from slotwright.app.targets import find_target
    from slotwright.cluster.record import Stage
    from slotwright.features.look.api import check

    is_ours = True
    wrote = False

    async def verb(context: Context, _: object) -> Verdict:
        nonlocal is_ours, wrote
        result = find_target(context, target)
        is_ours = result.record is not None
        # A cluster that was adopted is somebody's own: nothing is written to it unasked.
        is_adopted = result.record is not None and result.record.stage is Stage.ADOPTED
        wrote = (is_ours and not is_adopted) if canary is None else canary
        return await check(context, result, with_canaries=wrote, is_deep=is_deep)

    verdict = perform(verb, as_json=as_json, quiet=True)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.console.output import check_output

        print_json(check_output(verdict))
    else:
        from slotwright.console.cluster_view import show_findings

        show_findings(verdict, is_ours=is_ours, wrote=wrote)
    return int(ExitCode.DONE if verdict.is_ok else ExitCode.FINDINGS)
