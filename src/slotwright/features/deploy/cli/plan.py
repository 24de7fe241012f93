"""``slotwright plan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slotwright.console.options import complete_target, host_keys_option, json_option, perform
from slotwright.errors import ExitCode, InputError
from slotwright.features.deploy.sheet_texts import LANGUAGES

if TYPE_CHECKING:
    from slotwright.cluster.steps import Plan


@click.command(epilog="Example:  slotwright plan cluster.yaml -o change.plan")
@click.argument("file", required=False, shell_complete=complete_target)
@click.option("-o", "--output", metavar="PLAN", help="Write the plan to this file, for approval; `up PLAN` does it.")
@click.option("--sheet", metavar="SHEET", help="Where its change and rollback sheet goes; PLAN.md unless told.")
@click.option("--lang", type=click.Choice(LANGUAGES), help="The language of the sheet; en unless told.")
@host_keys_option
@json_option
def command(
    file: str | None, output: str | None, sheet: str | None, lang: str | None, as_json: bool, accepts_keys: bool
) -> int:
    """Show what `up` would do to make the world what FILE (./cluster.yaml) says. Nothing is changed.

    With -o the plan is also written to a file, and beside it a change and rollback sheet to read and sign. Exit code 3
    when changes are pending, 0 when there are none.
    """
    from slotwright.app.targets import topology_file
    from slotwright.features.deploy import api
    from slotwright.features.deploy.plan_files import is_plan_file

    if (sheet or lang) and not output:
        raise click.UsageError("--sheet and --lang belong to -o.")
    path = topology_file(file)
    if is_plan_file(path):
        raise InputError(
            f"{path} is a plan, not a topology file",
            code="is-plan",
            where=str(path),
            hint=f"its sheet says what it does; slotwright up {path} does it",
        )
    target = _Target(Path(output), Path(sheet or f"{output}.md"), lang or LANGUAGES[0]) if output else None
    if target is not None:
        target.demand_place(path)
    plan = perform(lambda context, _: api.plan(context, path), as_json=as_json, quiet=True, accepts_keys=accepts_keys)
    is_written = target is not None and target.write(plan, path)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.deploy.output import plan_output

        written = (str(target.plan), str(target.sheet)) if target and is_written else ()
        print_json(plan_output(plan, *written))
    else:
        from slotwright.features.deploy.views import show_plan, show_written

        show_plan(plan, str(target.plan) if target and is_written else file)
        if target is not None:
            show_written(plan, str(target.plan), str(target.sheet), is_written=is_written)
    return int(ExitCode.DONE if plan.is_empty else ExitCode.FINDINGS)


class _Target:
    """Where the plan and its sheet go."""

    def __init__(self, plan: Path, sheet: Path, language: str) -> None:
        self.plan, self.sheet, self._language = plan, sheet, language

    def demand_place(self, topology: Path) -> None:
        """Refuse before anything is looked at, and again when the files are written."""
        from slotwright.adapters.topology.file import load_topology
        from slotwright.features.deploy.plan_files import demand_place

        demand_place(self.plan, self.sheet, load_topology(topology).topology.name)

    def write(self, plan: Plan, topology: Path) -> bool:
        """Write both, if there is something to do and nothing in the way."""
        from slotwright.app.context import Context
        from slotwright.features.deploy.plan_files import made_now, write_plan
        from slotwright.features.deploy.views_sheet import sheet_text

        if not plan.steps or plan.refusals or plan.blockers:
            return False
        approved = made_now(plan, topology, Context().operator())
        write_plan(approved, self.plan, sheet_text(plan, approved, str(self.plan), self._language), self.sheet)
        return True
