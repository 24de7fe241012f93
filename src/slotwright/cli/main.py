"""The command: verbs are loaded when they are called, errors become texts or JSON at this one edge."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any

import click

from slotwright import __version__
from slotwright.console import streams
from slotwright.console.crash import COURSE, be_quiet, crash_fields, known_error, leaves
from slotwright.console.signals import INTERRUPTION, end_at_once, give_back_ctrl_c
from slotwright.console.verbs import VERBS
from slotwright.errors import ExitCode


class Verbs(click.Group):
    """A group whose commands are imported on demand: `--help` costs nothing but this file."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are used."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's own module has a ``command``."""
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"slotwright.{VERBS[cmd_name].module}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A misspelt verb gets the nearest right one, but in the middle of a line that is being completed."""
        import difflib

        if not ctx.resilient_parsing and args and not args[0].startswith("-") and args[0] not in VERBS:
            near = [verb for verb in VERBS if verb.startswith(args[0])] or difflib.get_close_matches(args[0], VERBS, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"There is no verb '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table above, without importing a verb."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.text) for name, verb in VERBS.items()])


_EPILOG = """\b
First try:   slotwright demo
Your own:    slotwright init, then slotwright plan, then slotwright up

\b
Exit codes:  0 done, 1 failed, 2 usage or bad input, 3 findings or pending changes,
             4 refused as unsafe (nothing was changed), 5 partly applied and resumable,
             130 interrupted
"""


@click.group(
    cls=Verbs,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="slotwright %(version)s")
def main() -> None:
    """Deploy and operate real Redis and Valkey Clusters from one topology file."""


def run() -> None:
    """The entry point: exit codes and error texts are made here and nowhere else."""
    # Without /dev/null there is nothing to put in the place of a stream that is missing.
    with contextlib.suppress(OSError):
        streams.prepare()
    be_quiet()
    INTERRUPTION.install()
    code = _run(sys.argv[1:])
    # What is left is the interpreter's own end, which may wait for a thread.
    end_at_once(code)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    wants_json = "--json" in own
    COURSE.verb = next((word for word in own if word in VERBS), "")
    code = int(ExitCode.DONE)
    try:
        try:
            code = _called(arguments, wants_json)
            streams.flush_out()
        except streams.OutputError as error:
            code = _unprinted(error, code)
        sys.stderr.flush()
        return code
    except KeyboardInterrupt as error:
        # While something else was being said.
        give_back_ctrl_c()
        with contextlib.suppress(Exception):
            return _interrupted(error, wants_json)
        return _barely(error, wants_json)
    except BaseException as error:
        # The handler itself failed: without memory, without descriptors.
        return _barely(error, wants_json)


def _called(arguments: list[str], wants_json: bool) -> int:
    """The verb's exit code. Raises OutputError."""
    try:
        return int(main.main(arguments, prog_name="slotwright", standalone_mode=False) or 0)
    except streams.OutputError:
        raise
    except BaseException as error:
        return _failed(error, arguments, wants_json)


def _failed(error: BaseException, arguments: list[str], wants_json: bool) -> int:
    """Say what went wrong, and return the exit code."""
    if any(isinstance(leave, KeyboardInterrupt) for leave in leaves(error)):
        error = KeyboardInterrupt()
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case SystemExit():
            return error.code if isinstance(error.code, int) else int(error.code is not None)
        case click.Abort() | KeyboardInterrupt():
            return _interrupted(error, wants_json)
        case click.ClickException():
            return _usage(error, wants_json)
        case BrokenPipeError():
            # The reader went away (`| head`): not our failure, and nothing more can be said to it.
            return int(ExitCode.DONE)
    if "_SLOTWRIGHT_COMPLETE" in os.environ:
        # In the middle of a line that somebody types.
        return int(ExitCode.FAILED)
    known = known_error(error)
    if known is not None:
        from slotwright.console.errors import error_fields

        return _fail(error_fields(known), wants_json, int(known.exit_code))
    fields, code = crash_fields(error, arguments)
    return _fail(fields, wants_json, code)


def _interrupted(error: BaseException, wants_json: bool) -> int:
    # Click makes an Abort of every Ctrl-C; without a cause it is one at a question. Most come before changes; those of
    # `repair` that accept a loss come between its steps.
    is_answer = isinstance(error, click.Abort) and error.__cause__ is None and not COURSE.entries
    left = "nothing was changed" if is_answer else COURSE.left()[0]
    fields = {"code": "interrupted", "what": "interrupted", "left": left}
    if not is_answer:
        fields["hint"] = "slotwright status tells what is there"
    return _fail(fields, wants_json, int(ExitCode.INTERRUPTED))


def _usage(error: click.ClickException, wants_json: bool) -> int:
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help" if context is not None else "slotwright --help"
    return _fail({"code": "usage", "what": error.format_message(), "hint": hint}, wants_json, int(ExitCode.USAGE))


def _fail(fields: dict[str, Any], wants_json: bool, code: int) -> int:
    from slotwright.console.errors import show_fields

    try:
        show_fields(fields, wants_json)
        streams.flush_out()
    except streams.OutputError:
        # What went wrong counts more than that it can't be said there.
        streams.forget_refusal()
        show_fields(fields, as_json=False)
    return code


def _unprinted(error: streams.OutputError, code: int) -> int:
    """The answer could not be written: said on stderr, with --json as well, as stdout takes nothing."""
    streams.forget_refusal()
    if INTERRUPTION.is_asked and code in (ExitCode.DONE, ExitCode.INTERRUPTED):
        # A terminal that went away takes no answer, and nobody is there to miss it.
        return int(ExitCode.INTERRUPTED)
    left, _ = COURSE.left()
    fields = {
        "code": "output-failed",
        "what": f"the answer can't be written to stdout: {error}",
        "where": "stdout",
        "left": left,
        "hint": "send it to a place with room, then type the command again",
    }
    is_answer = code in (ExitCode.DONE, ExitCode.FINDINGS)
    return _fail(fields, False, int(ExitCode.FAILED) if is_answer else code)


def _barely(error: BaseException, wants_json: bool) -> int:
    """With nothing but a descriptor: no import, no file, hardly any memory."""
    is_interrupt = isinstance(error, KeyboardInterrupt)
    code, what = b"internal-error", b"slotwright failed, and could not say how: " + type(error).__name__.encode()
    if is_interrupt:
        code, what = b"interrupted", b"interrupted"
    text = b"error: %b\n  next   slotwright status\n" % what
    if wants_json:
        text = b'{"format": 1, "error": {"code": "%b", "what": "%b", "where": "", "hint": "slotwright status"}}\n'
        text %= (code, what)
    with contextlib.suppress(OSError):
        os.write(1 if wants_json else 2, text)
    for stream in (sys.stdout, sys.stderr):
        streams.silence(stream)
    return int(ExitCode.INTERRUPTED if is_interrupt else ExitCode.FAILED)


if __name__ == "__main__":
    run()
