"""``slotwright jobs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slotwright.console.options import json_option, perform, yes_option
from slotwright.errors import ExitCode

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from slotwright.app.context import Context
    from slotwright.console.progress import ProgressReporter
    from slotwright.features.jobs.kinds import JobControl
    from slotwright.features.jobs.model import JobView

_NO_LIMIT = "none"
_LEAST_BYTES_S = 1024

_EPILOG = """\b
Example:  slotwright jobs
          slotwright jobs status
          slotwright jobs pace 10mb       10 MB a second from now on
          slotwright jobs pause           slotwright jobs resume goes on

NAME may be left out where one job is open. Each of them has --json; `jobs --all` also lists what is over.
"""


class JobCommands(click.Group):
    """What is done with jobs; without a word, they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are used."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`jobs --all` is `jobs list --all`."""
        is_list = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        # In the middle of a line that is being completed, nobody knows yet what it becomes.
        is_list = is_list and not ctx.resilient_parsing
        return super().parse_args(ctx, ["list", *args] if is_list else args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A misspelt word gets the nearest right one."""
        import difflib

        names = self.list_commands(ctx)
        if not ctx.resilient_parsing and args and args[0] not in names:
            near = difflib.get_close_matches(args[0], names, 1)
            hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(names)}."
            raise click.UsageError(f"There is no 'jobs {args[0]}'. {hint}", ctx)
        return super().resolve_command(ctx, args)


def complete_job(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the jobs that are open."""
    from click.shell_completion import CompletionItem

    from slotwright.app.context import Context
    from slotwright.features.jobs.api import jobs

    names = [job.name for job in jobs(Context()) if job.is_open]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


name_argument = click.argument("name", required=False, shell_complete=complete_job)


@click.group(cls=JobCommands, epilog=_EPILOG, subcommand_metavar="[COMMAND]")
def command() -> None:
    """Show and steer long work of any kind, on any cluster, from any terminal.

    A job is what takes long and is kept, so that it can be gone on with: a migration. Without a word: list.
    """


@command.command("list", short_help="List the jobs that are not over.")
@click.option("--all", "is_all", is_flag=True, help="Also those that are over.")
@json_option
def list_jobs(is_all: bool, as_json: bool) -> int:
    """List the jobs that run, or can be gone on with: what each does, since when, and how far it is."""
    from slotwright.app.context import Context
    from slotwright.features.jobs.api import jobs
    from slotwright.features.jobs.views import show_jobs

    known = jobs(Context())
    shown = [job for job in known if is_all or job.is_open]
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.jobs.output import jobs_output

        print_json(jobs_output(shown))
    else:
        show_jobs(shown, len(known) - len(shown))
    return int(ExitCode.DONE)


@command.command("status")
@name_argument
@json_option
def status(name: str | None, as_json: bool) -> int:
    """Show one job in full."""
    from slotwright.app.context import Context
    from slotwright.features.jobs.api import find_job
    from slotwright.features.jobs.views import show_unknown

    context = Context()
    job = find_job(context, name)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.jobs.output import JobDetailsOutput, job_output

        details = None if job.trouble else _control_of(job).output(context, job.name)
        print_json(JobDetailsOutput(job=job_output(job), details=details))
    elif job.trouble:
        show_unknown(job)
    else:
        _control_of(job).show(context, job.name)
    return int(ExitCode.DONE)


@command.command("pause", short_help="End the process of a job so that it can be gone on with.")
@name_argument
@json_option
def pause(name: str | None, as_json: bool) -> int:
    """Have the process of a job end, in a way that can be gone on with, and wait until it has."""
    from slotwright.features.jobs.api import find_known_job
    from slotwright.features.jobs.views import show_paused

    async def verb(context: Context, _: ProgressReporter) -> tuple[JobView, bool]:
        job = find_known_job(context, name)
        was_running = await _control_of(job).pause(context, job.name)
        return find_known_job(context, job.name), was_running

    job, was_running = perform(verb, as_json=as_json)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.jobs.output import JobPauseOutput, job_output

        print_json(JobPauseOutput(job=job_output(job), was_running=was_running))
    else:
        show_paused(job, was_running=was_running)
    return int(ExitCode.DONE)


@command.command("resume", short_help="Go on with one that was paused or cut, in this terminal.")
@name_argument
@json_option
def resume(name: str | None, as_json: bool) -> int:
    """Go on with a job that was paused or cut, in this terminal.

    It answers as the verb of its kind does. Exit code 4 where a process works on it already.
    """
    from slotwright.app.context import Context
    from slotwright.features.jobs.api import find_open_job

    job = find_open_job(Context(), name)
    return _control_of(job).resume(job.name, as_json=as_json)


@command.command("abort", short_help="Give one up.")
@name_argument
@click.option("--accept", "accepted", multiple=True, metavar="CODE", help="Accept this loss, instead of typing it.")
@yes_option
@json_option
def abort(name: str | None, accepted: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Give a job up: what it began is taken back as far as its kind can, and what would be lost is asked about.

    It asks and answers as the verb of its kind does.
    """
    from slotwright.app.context import Context
    from slotwright.features.jobs.api import find_known_job

    job = find_known_job(Context(), name)
    return _control_of(job).abort(job.name, accepted=accepted, yes=yes, as_json=as_json)


@command.command(
    "pace",
    short_help="Limit the rate of one, also while it runs.",
    epilog="Example:  slotwright jobs pace 10mb        slotwright jobs pace none",
)
@click.argument("name", required=False, shell_complete=complete_job)
@click.argument("rate", required=False, metavar="RATE|none")
@json_option
def pace(name: str | None, rate: str | None, as_json: bool) -> int:
    """Limit what a job takes, in bytes a second; a running one heeds it within a second, a resumed one has it.

    RATE is as sizes are in server.conf: 512kb, 10mb, 1gb.
    """
    from slotwright.features.jobs.api import find_known_job
    from slotwright.features.jobs.views import show_pace

    words = [word for word in (name, rate) if word is not None]
    if not words:
        raise click.UsageError("RATE is missing: 10mb, for example, or none.")
    chosen = words[0] if len(words) == 2 else None
    bytes_s = _bytes_s(words[-1])

    async def verb(context: Context, _: ProgressReporter) -> tuple[JobView, str]:
        job = find_known_job(context, chosen)
        note = await _control_of(job).pace(context, job.name, bytes_s)
        return find_known_job(context, job.name), note

    job, note = perform(verb, as_json=as_json)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.jobs.output import JobPaceOutput, job_output

        print_json(JobPaceOutput(job=job_output(job), pace_bytes=bytes_s or None))
    else:
        show_pace(job, bytes_s, note)
    return int(ExitCode.DONE)


def _bytes_s(text: str) -> int:
    from slotwright.cluster.sizes import parse_bytes

    if text == _NO_LIMIT:
        return 0
    bytes_s = parse_bytes(text)
    if bytes_s is None or bytes_s < _LEAST_BYTES_S:
        raise click.UsageError(f"'{text}' is no rate: {_NO_LIMIT}, or 1kb a second or more, with its unit: 10mb.")
    return bytes_s


def _control_of(job: JobView) -> JobControl:
    from slotwright.features.jobs.kinds import controls

    return next(control for control in controls() if control.kind.title == job.kind)
