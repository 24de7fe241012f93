"""The command: verbs are loaded when they are called, errors become texts or JSON at this one edge."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from slotwright import __version__
from slotwright.errors import ExitCode, SlotwrightError

# Verb -> what the list of verbs says of it. Its module is cli/commands/<verb>.py.
VERBS: dict[str, str] = {
    "demo": "Make a real six-node cluster on this machine, and prove it.",
    "init": "Write a commented cluster.yaml.",
    "preflight": "Look at the hosts, and make right what can be.",
    "plan": "Show what `up` would do.",
    "up": "Make the world what the file says, then prove it.",
    "adopt": "Make a topology file of a cluster that was made by hand.",
    "status": "Show the nodes by shard, and who owns which slots.",
    "check": "Prove that the cluster is sound, or say what is not.",
    "repair": "Mend what is broken, losing nothing; ask before anything could be lost.",
    "resume": "Go on with work that was cut.",
    "abort": "Give up work that was cut, and take its moves back.",
    "failover": "Make a replica the primary, or bring primaries back.",
    "watch": "Show the cluster live, and what happens.",
    "client": "Print a client's configuration, or walk the way of a client.",
    "slot": "Show the slot of a key, and which node serves it.",
    "logs": "Show a node's log.",
    "start": "Start nodes that don't run.",
    "stop": "Stop nodes cleanly, with a save.",
    "destroy": "Take a cluster away with all of its files.",
    "list": "List the clusters made here.",
    "drill": "Kill a primary on purpose, and tell what clients saw.",
    "archive": "Set every node's data aside, with checksums.",
    "rebuild": "Archive, make a new cluster, bring the keys back: the last resort.",
    "migrate": "Move a running server's data into a cluster, live, with proof.",
    "compare": "Prove that a cluster has every key of another server.",
    "exec": "Run a command on every host, side by side.",
    "bundle": "Put everything that hosts without internet need into one folder.",
    "completion": "Print the shell's completion script.",
}


class Verbs(click.Group):
    """A group whose commands are imported on demand: `--help` costs nothing but this file."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are used."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's own module has a ``command``."""
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"slotwright.cli.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A misspelt verb gets the nearest right one."""
        import difflib

        if args and not args[0].startswith("-") and args[0] not in VERBS:
            near = [verb for verb in VERBS if verb.startswith(args[0])] or difflib.get_close_matches(args[0], VERBS, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"There is no verb '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table above, without importing a verb."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


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
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    wants_json = "--json" in arguments
    try:
        code = main.main(arguments, prog_name="slotwright", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        # Click makes an Abort of every Ctrl-C; without a cause it is one at a question, and those come before changes.
        is_answer = isinstance(error, click.Abort) and error.__cause__ is None
        more = {"left": "nothing was changed"} if is_answer else {"hint": "slotwright status tells what is there"}
        return _fail({"code": "interrupted", "what": "interrupted", **more}, wants_json, int(ExitCode.INTERRUPTED))
    except click.ClickException as error:
        return _usage(error, wants_json)
    except SlotwrightError as error:
        from slotwright.cli.views.errors import show_error

        show_error(error, wants_json)
        return int(error.exit_code)
    except BrokenPipeError:
        # The reader went away (`| head`): not our failure, and nothing more can be said to it.
        sys.stderr.close()
        return 0


def _usage(error: click.ClickException, wants_json: bool) -> int:
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help" if context is not None else "slotwright --help"
    return _fail({"code": "usage", "what": error.format_message(), "hint": hint}, wants_json, int(ExitCode.USAGE))


def _fail(fields: dict[str, Any], wants_json: bool, code: int) -> int:
    from slotwright.cli.views.errors import show_fields

    show_fields(fields, wants_json)
    return code


if __name__ == "__main__":
    run()
