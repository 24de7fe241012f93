"""``slotwright compare``."""

from __future__ import annotations

from pathlib import Path

import click

from slotwright.console.options import complete_target, json_option, perform
from slotwright.errors import ExitCode


@click.command(
    epilog="Example:  slotwright compare 10.0.0.9:6379 cluster.yaml --html proof.html\n\n"
    "The source's password: the variable SOURCE_PASSWORD, --source-password-file, or a question."
)
@click.argument("source")
@click.argument("target", required=False, shell_complete=complete_target)
@click.option("--source-user", default="", help="Log in to the source as this user.")
@click.option(
    "--source-password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the source's password.",
)
@click.option(
    "--prefix",
    is_flag=False,
    flag_value="db{db}:",
    help="Keys of the source's databases other than 0 have this before them in the target, {db} for the number; "
    "'db{db}:' unless told. Without it the same database is meant.",
)
@click.option("--pace", default=0.0, help="Keys a second at the most.")
@click.option(
    "--limit", "limit_ms", default=10.0, show_default=True, help="Hold back when the source lets wait longer, in ms."
)
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page about it.")
@json_option
def command(
    source: str,
    target: str | None,
    source_user: str,
    source_password_file: Path | None,
    prefix: str | None,
    pace: float,
    limit_ms: float,
    page: Path | None,
    as_json: bool,
) -> int:
    """Prove that a cluster has every key of another server, and no other one.

    SOURCE is host:port of a stand-alone or replicated Redis or Valkey, or a cluster as TARGET may name one. Every key
    of every database is compared, both ways: type, value, expiry to the millisecond, a stream's groups, the expiries
    of fields. Nothing is written. Exit code 0 when all are equal; 3 otherwise.
    """
    from slotwright.app.source import find_source
    from slotwright.app.targets import find_target
    from slotwright.features.compare.api import CompareOptions, compare
    from slotwright.keys.model.databases import DatabaseMap, DatabaseRule

    if pace < 0 or limit_ms <= 0:
        raise click.UsageError("--pace and --limit must be above 0.")
    if prefix is not None and "{db}" not in prefix:
        raise click.UsageError("--prefix must have {db} in it, where the database's number stands.")
    databases = DatabaseMap(DatabaseRule.KEEP) if prefix is None else DatabaseMap(DatabaseRule.PREFIX, prefix)
    options = CompareOptions(databases, pace, limit_ms)
    comparison = perform(
        lambda context, _: compare(
            context,
            find_source(context, source, source_user, source_password_file),
            find_target(context, target),
            options,
        ),
        as_json=as_json,
    )
    from slotwright.features.compare.views import show_comparison, write_page

    if page is not None:
        write_page(comparison, page)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.compare.output import comparison_output

        print_json(comparison_output(comparison))
    else:
        show_comparison(comparison, page)
    return int(ExitCode.DONE if comparison.is_equal else ExitCode.FINDINGS)
