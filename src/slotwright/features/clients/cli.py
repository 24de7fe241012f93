"""``slotwright client``."""

from __future__ import annotations

from pathlib import Path

import click

from slotwright.console.options import complete_target, host_keys_option, json_option, perform
from slotwright.errors import ExitCode


class Kinds(click.Group):
    """``list``, and a command for every kind of client: they differ in their names, and by one option."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """What is no client comes first."""
        from slotwright.features.clients.configs.kinds import KINDS

        return [*super().list_commands(ctx), *(kind.name for kind in KINDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A kind's command is made when it is called."""
        from slotwright.features.clients.configs.kinds import KINDS

        own = super().get_command(ctx, cmd_name)
        kind = next((kind for kind in KINDS if kind.name == cmd_name), None)
        return own or (_command_of(kind.name, kind.title) if kind else None)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A misspelt kind gets the nearest right one."""
        import difflib

        names = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in names:
            near = difflib.get_close_matches(args[0], names, 1)
            hint = f"Did you mean '{near[0]}'?" if near else "slotwright client list names all."
            raise click.UsageError(f"There is no client '{args[0]}'. {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=Kinds,
    epilog="Example:  slotwright client spring-boot > src/main/resources/application.yml",
    subcommand_metavar="KIND [TARGET] | test [TARGET] | list",
)
def command() -> None:
    """Print a ready configuration for an application, made from the cluster as it is now; or walk the way of a client.

    The password is never in it: the application takes it from an environment variable. Each takes --json.
    """


@command.command("list")
@json_option
def list_kinds(as_json: bool) -> int:
    """Name the clients, with the version of each that slotwright's own tests run."""
    from slotwright.features.clients.configs.kinds import KINDS
    from slotwright.features.clients.views import show_kinds

    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.clients.output.config import kinds_output

        print_json(kinds_output(KINDS))
    else:
        show_kinds(KINDS)
    return 0


@command.command(
    "test",
    epilog="Example:  slotwright client test demo        slotwright client test --from 10.0.0.9",
)
@click.argument("target", required=False, shell_complete=complete_target)
@click.option("--from", "host", default="", metavar="HOST", help="From there, through SSH, instead of this machine.")
@click.option("--user", default="", metavar="NAME", help="Log in as this user; the default user unless told.")
@host_keys_option
@json_option
def walk(target: str | None, host: str, user: str, accepts_keys: bool, as_json: bool) -> int:
    """Go the way of a client: dial every address that TARGET announces, and follow every redirection.

    Nothing is written. Exit code 0 when a client at that place finds every node, 3 when it does not.
    """
    from slotwright.app.targets import find_target
    from slotwright.features.clients.path_api import client_test

    walked = perform(
        lambda context, _: client_test(context, find_target(context, target), host, user),
        as_json=as_json,
        quiet=True,
        accepts_keys=accepts_keys,
    )
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.clients.output.path import client_test_output

        print_json(client_test_output(walked))
    else:
        from slotwright.features.clients.path_views import show_walked

        show_walked(walked)
    return int(ExitCode.DONE if walked.is_ok else ExitCode.FINDINGS)


def _command_of(kind: str, title: str) -> click.Command:
    @click.argument("target", required=False, shell_complete=complete_target)
    @click.option("--user", default="", metavar="NAME", help="Log in as this user; the default user unless told.")
    @click.option(
        "--password-env",
        "variable",
        default="REDIS_PASSWORD",
        show_default=True,
        metavar="NAME",
        help="The variable that the application takes the password from.",
    )
    @click.option("--tls/--no-tls", default=None, help="With TLS or without; as the cluster is unless told.")
    @click.option("-o", "--output", type=click.Path(path_type=Path), help="Write into this project's folder instead.")
    @json_option
    def run(
        target: str | None,
        user: str,
        variable: str,
        tls: bool | None,
        output: Path | None,
        as_json: bool,
        boot: str = "3",
    ) -> int:
        return _print_config(kind, target, int(boot), user, variable, tls, output, as_json=as_json)

    if kind == "spring-boot":
        run = click.option(
            "--boot", type=click.Choice(["2", "3"]), default="3", show_default=True, help="3 is 3 and later."
        )(run)
    return click.command(
        kind,
        help=f"Print the configuration of {title} for TARGET.",
        short_help=title,
        epilog=f"Example:  slotwright client {kind} demo        slotwright client {kind} -o my-service",
    )(run)


def _print_config(
    kind: str,
    target: str | None,
    boot: int,
    user: str,
    variable: str,
    is_tls: bool | None,
    output: Path | None,
    *,
    as_json: bool,
) -> int:
    from slotwright.app.targets import find_target
    from slotwright.features.clients.api import client_config, write_config
    from slotwright.features.clients.views import show_config, show_written

    config = perform(
        lambda context, _: client_config(
            context,
            kind,
            find_target(context, target),
            boot=boot,
            username=user,
            variable=variable,
            is_tls=is_tls,
        ),
        as_json=as_json,
        quiet=True,
    )
    written = write_config(config, output) if output is not None else None
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.clients.output.config import config_output

        print_json(config_output(config, written))
    elif written is not None:
        show_written(config, written)
    else:
        show_config(config)
    return 0
