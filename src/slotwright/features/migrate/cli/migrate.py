"""``slotwright migrate``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slotwright.console.options import (
    ask,
    ask_word,
    can_ask,
    complete_target,
    json_option,
    need_yes,
    perform,
    yes_option,
)
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from slotwright.app.context import Context
    from slotwright.console.progress import ProgressReporter
    from slotwright.features.migrate.abort import AbortPreview, AgreeToAbort
    from slotwright.features.migrate.api import AgreeToMigrate, MigrateOptions, MigrationView
    from slotwright.features.migrate.model.migration import MigrationLimits
    from slotwright.features.migrate.model.plan import MigrationPlan
    from slotwright.features.migrate.process import Migrated

LOSE_WRITES = "lose-writes"
REMOVE_COPY = "remove-copy"

_EPILOG = """\b
Example:  slotwright migrate 10.0.0.9:6379 cluster.yaml --plan
          slotwright migrate 10.0.0.9:6379 cluster.yaml      copies, follows, says when ready
          slotwright migrate --cutover                       in another terminal
          slotwright migrate 10.0.0.9:6379 cluster.yaml --cutover --yes
          slotwright migrate --status, --resume or --abort   the only one, or name its SOURCE

The source's password: the variable SOURCE_PASSWORD, --source-password-file, or a question.
"""


@click.command(epilog=_EPILOG)
@click.argument("source", required=False)
@click.argument("target", required=False, shell_complete=complete_target)
@click.option(
    "--plan", "mode", flag_value="plan", help="Say what stands in the way and what would be done. Reads only."
)
@click.option("--status", "mode", flag_value="status", help="How far it is.")
@click.option("--resume", "mode", flag_value="resume", help="Go on with one that was stopped or cut.")
@click.option("--abort", "mode", flag_value="abort", help="Give it up: the source takes writes as before.")
@click.option("--cutover", is_flag=True, help="Cut over: as soon as it is ready, or the one that follows already.")
@click.option("--source-user", default="", help="Log in to the source as this user.")
@click.option(
    "--source-password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the source's password.",
)
@click.option(
    "--databases",
    type=click.Choice(["refuse", "prefix", "keep"]),
    default="refuse",
    show_default=True,
    help="Databases other than 0: refuse, a prefix for their keys, or the same database (Valkey 9).",
)
@click.option("--prefix", default="db{db}:", show_default=True, help="With --databases prefix; {db} is the number.")
@click.option("--sample", default=0.0, metavar="SECONDS", help="Listen to the source's commands (MONITOR) for so long.")
@click.option("--full", is_flag=True, help="The plan looks at every key, not at a sample.")
@click.option("--accept", "accepted", multiple=True, metavar="CODE", help="Go on in spite of this finding of the plan.")
@click.option(
    "--limit",
    "limit_ms",
    type=float,
    metavar="MS",
    help="Take less when the source's clients wait longer.  [default: 10]",
)
@click.option(
    "--pace",
    type=float,
    metavar="MB",
    help="Megabytes a second to copy at the most; 0 for no such limit.  [default: 0]",
)
@click.option("--remove-copy", is_flag=True, help="With --abort: also empty the target.")
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page about it.")
@yes_option
@json_option
def command(
    source: str | None,
    target: str | None,
    mode: str | None,
    cutover: bool,
    source_user: str,
    source_password_file: Path | None,
    databases: str,
    prefix: str,
    sample: float,
    full: bool,
    accepted: tuple[str, ...],
    limit_ms: float | None,
    pace: float | None,
    remove_copy: bool,
    page: Path | None,
    yes: bool,
    as_json: bool,
) -> int:
    """Move a running server's data into a cluster: live, with proof, nothing lost.

    SOURCE is host:port of a stand-alone or replicated Redis or Valkey, or another cluster; it goes on serving. TARGET
    is a cluster, as for `status`. All is copied and followed, then every key is compared, both ways. The cutover holds
    the source's writes for a moment, proves what changed last, and leaves the source read-only. Until the first write
    to the target, --abort gives the source back with nothing lost.

    Exit code 0: done. 3: keys differ, or the plan has findings. 4: refused, nothing was changed. 5: can be resumed.
    """
    if mode is not None and cutover and mode != "resume":
        raise click.UsageError(f"--cutover does not go with --{mode}.")
    if (limit_ms is not None and limit_ms <= 0) or (pace is not None and pace < 0) or sample < 0:
        raise click.UsageError("--limit must be above 0, --pace and --sample not below.")
    if databases == "prefix" and "{db}" not in prefix:
        raise click.UsageError("--prefix must have {db} in it, where the database's number stands.")
    if remove_copy and mode != "abort":
        raise click.UsageError("--remove-copy goes with --abort.")
    if mode == "status":
        return _status(source, as_json)
    if mode == "abort":
        return give_up(source, accepted, yes, remove_copy, as_json)
    if mode == "resume" or (cutover and target is None):
        if mode != "resume" and (limit_ms is not None or pace is not None):
            raise click.UsageError("--limit and --pace go with a migration that begins, or with --resume.")
        return go_on(source, cutover, mode == "resume", _limits(limit_ms, pace), yes, page, as_json)
    if source is None:
        raise click.UsageError("SOURCE is missing: host:port of the server whose data is to be moved.")
    from slotwright.features.migrate.api import MigrateOptions
    from slotwright.features.migrate.model.migration import MigrationLimits
    from slotwright.keys.model.databases import DatabaseMap, DatabaseRule

    options = MigrateOptions(
        source,
        target,
        source_user,
        source_password_file,
        DatabaseMap(DatabaseRule(databases), prefix),
        _limits(limit_ms, pace)(MigrationLimits()),
        frozenset(accepted),
        sample,
        full,
        cutover,
    )
    if mode == "plan":
        return _plan(options, as_json)
    return _migrate(options, yes, page, as_json)


def _plan(options: MigrateOptions, as_json: bool) -> int:
    from slotwright.features.migrate.api import plan_move

    plan = perform(lambda context, _: plan_move(context, options), as_json=as_json)
    _show_plan(plan, as_json)
    return int(ExitCode.FINDINGS if plan.is_refused else ExitCode.DONE)


def _show_plan(plan: MigrationPlan, as_json: bool) -> None:
    from slotwright.features.migrate.views_plan import show_migration_plan

    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.migrate.output.plan import migration_plan_output

        print_json(migration_plan_output(plan))
    else:
        show_migration_plan(plan)


def _migrate(options: MigrateOptions, yes: bool, page: Path | None, as_json: bool) -> int:
    from slotwright.features.migrate.api import migrate
    from slotwright.features.migrate.make_plan import MigrationUnfitError
    from slotwright.features.migrate.views_plan import show_migration_plan

    async def verb(context: Context, progress: ProgressReporter) -> Migrated:
        def agree(plan: MigrationPlan) -> bool:
            if not yes and (as_json or not can_ask()):
                raise need_yes("migrate")
            progress.pause()
            if not as_json:
                show_migration_plan(plan, is_all=False)
            return yes or ask("begin?" if not options.cuts_over else "begin, and cut over when it is ready?")

        give: AgreeToMigrate = agree
        return await migrate(context, options, give)

    try:
        return _report(perform(verb, as_json=as_json), page, as_json)
    except MigrationUnfitError as error:
        if not as_json:
            _show_plan(error.plan, as_json=False)
        raise


def _limits(limit_ms: float | None, pace: float | None) -> Callable[[MigrationLimits], MigrationLimits]:
    """What was given, in place of what holds."""

    def changed(limits: MigrationLimits) -> MigrationLimits:
        latency_ms = limits.latency_ms if limit_ms is None else limit_ms
        pace_bytes = limits.pace_bytes if pace is None else int(pace * 1_000_000)
        return replace(limits, latency_ms=latency_ms, pace_bytes=pace_bytes)

    return changed


def go_on(
    name: str | None,
    cutover: bool,
    is_resume: bool,
    limits: Callable[[MigrationLimits], MigrationLimits],
    yes: bool,
    page: Path | None,
    as_json: bool,
) -> int:
    """`migrate --resume` and `migrate --cutover`."""
    from slotwright.features.migrate import api as migrating

    if cutover and not yes:
        if as_json or not can_ask():
            raise need_yes("migrate --cutover")
        if not ask("hold the source's writes, prove what is left, and leave the source read-only?"):
            raise click.Abort

    async def verb(context: Context, _: ProgressReporter) -> Migrated | MigrationView:
        if is_resume:
            return await migrating.resume_migration(context, name, cuts_over=cutover, limits=limits)
        return await migrating.cut_over(context, name)

    result = perform(verb, as_json=as_json)
    if isinstance(result, migrating.MigrationView):
        _show_migrations([result], as_json)
        return int(ExitCode.DONE)
    return _report(result, page, as_json)


def _report(done: Migrated, page: Path | None, as_json: bool) -> int:
    from slotwright.features.migrate.views import show_migrated, write_migration_page

    if page is not None:
        write_migration_page(done, page)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.migrate.output.migration import migrated_output

        print_json(migrated_output(done))
    else:
        show_migrated(done, page)
    return int(ExitCode.DONE if done.is_ok else ExitCode.FINDINGS)


def _status(name: str | None, as_json: bool) -> int:
    from slotwright.app.context import Context
    from slotwright.features.migrate.api import migration_status, migrations

    context = Context()
    _show_migrations([migration_status(context, name)] if name is not None else list(migrations(context)), as_json)
    return int(ExitCode.DONE)


def _show_migrations(seen: list[MigrationView], as_json: bool) -> None:
    from slotwright.features.migrate.views import show_migrations

    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.migrate.output.migration import migrations_output

        print_json(migrations_output(seen))
    else:
        show_migrations(seen)


def give_up(
    name: str | None,
    accepted: tuple[str, ...],
    yes: bool,
    remove_copy: bool,
    as_json: bool,
    verb_words: str = "migrate --abort",
) -> int:
    """`migrate --abort`. ``verb_words`` is how it was typed."""
    from slotwright.features.migrate.abort import Aborted, abort_migration

    if not yes and (as_json or not can_ask()):
        raise need_yes(verb_words)

    async def verb(context: Context, progress: ProgressReporter) -> Aborted:
        def agree(preview: AbortPreview) -> bool:
            from slotwright.features.migrate.views import show_abort

            progress.pause()
            if not as_json:
                show_abort(preview)
            for word in _losses(preview):
                if word not in accepted and not (can_ask() and not as_json and ask_word(word)):
                    return False
            return yes or ask("give it up?")

        give: AgreeToAbort = agree
        return await abort_migration(context, name, give, removes_copy=remove_copy)

    done = perform(verb, as_json=as_json)
    from slotwright.features.migrate.views import show_aborted

    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.migrate.output.migration import migration_abort_output

        print_json(migration_abort_output(done))
    else:
        show_aborted(done)
    return int(ExitCode.DONE)


def _losses(preview: AbortPreview) -> list[str]:
    """The words that have to be typed, or given with --accept."""
    needed = [LOSE_WRITES] if preview.may_lose else []
    return [*needed, REMOVE_COPY] if preview.removes_copy and preview.target_keys else needed
