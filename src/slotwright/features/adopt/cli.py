"""``slotwright adopt``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slotwright.console.options import complete_target, host_keys_option, json_option, perform

if TYPE_CHECKING:
    from slotwright.cluster.topology import PasswordRef, SshSpec
    from slotwright.features.adopt.api import AdoptOptions


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}(?<!\.yaml)(?<!\.yml)")
"""As the topology file has it: the name is a folder's name, too."""


@click.command(
    epilog="\b\nExample:  slotwright adopt 10.0.0.5:6379 --name cache --user admin\n"
    "          slotwright adopt --forget cache"
)
@click.argument("seed", required=False, metavar="[HOST:PORT]")
@click.option("-o", "--output", default="cluster.yaml", metavar="FILE", help="The file to write; - prints it.")
@click.option("--name", help="What the cluster is called here; after the seed's host, or adopted, unless told.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@click.option(
    "--password", metavar="WHERE", help="env:NAME or file:PATH; the variable SLOTWRIGHT_PASSWORD unless told."
)
@click.option("--ssh/--no-ssh", default=None, help="Reach the hosts by SSH; usual for all but loopback addresses.")
@click.option("--user", help="Who logs in by SSH; as ~/.ssh/config says unless told.")
@click.option("--key", metavar="FILE", help="The private key for it; the agent's and ~/.ssh/config's unless told.")
@click.option("--forget", metavar="NAME", shell_complete=complete_target, help="Forget an adopted cluster instead.")
@host_keys_option
@json_option
def command(
    seed: str | None,
    output: str,
    name: str | None,
    force: bool,
    password: str | None,
    ssh: bool | None,
    user: str | None,
    key: str | None,
    forget: str | None,
    accepts_keys: bool,
    as_json: bool,
) -> int:
    """Make a topology file of a cluster that was made by hand, and know it here from now on.

    Asks the node at HOST:PORT for the others, and each of them for its own view; nothing is changed on any of them.
    Where the cluster can't be told for sure, it says why and writes nothing.
    """
    if (seed is None) == (forget is None):
        raise click.UsageError("Name the HOST:PORT of one node, or --forget NAME.")
    if forget is not None:
        return _forget(forget, as_json)
    from slotwright.features.adopt.api import adopt

    options = _options(str(seed), output, name, force, password, _login(ssh, user, key))
    adopted = perform(
        lambda context, _: adopt(context, options), as_json=as_json, quiet=True, accepts_keys=accepts_keys
    )
    from slotwright.features.adopt.views import show_adopted

    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.adopt.output import adopt_output

        print_json(adopt_output(adopted))
    else:
        show_adopted(adopted)
    return 0


def _forget(name: str, as_json: bool) -> int:
    from slotwright.app.context import Context
    from slotwright.features.adopt.api import forget

    record = forget(Context(), name)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.adopt.output import forget_output

        print_json(forget_output(record))
    else:
        click.echo(f"{record.name} is forgotten here; its nodes and its file stay as they are")
    return 0


def _login(is_there: bool | None, user: str | None, key: str | None) -> tuple[bool | None, SshSpec]:
    """Whether the hosts are reached by SSH (None: as their addresses suggest), and how."""
    from slotwright.adapters.homes import expand_home
    from slotwright.cluster.topology import SshSpec

    for option, value in (("--user", user), ("--key", key)):
        if value is not None and is_there is False:
            raise click.UsageError(f"{option} is for hosts that are reached by SSH, and --no-ssh says they are not")
    path = str(expand_home(key).absolute()) if key else ""
    return (True if user or key else is_there), SshSpec(user=user or "", key=path)


def _options(
    seed: str,
    output: str,
    name: str | None,
    force: bool,
    password: str | None,
    login: tuple[bool | None, SshSpec],
) -> AdoptOptions:
    from slotwright.adapters.topology.addresses import AddressError, canonical_host
    from slotwright.cluster.topology import Address
    from slotwright.features.adopt.api import AdoptOptions

    try:
        address = Address.parse(seed)
        address = Address(canonical_host(address.host), address.port)
    except (ValueError, AddressError):
        raise click.BadParameter(f"{seed!r} is not host:port", param_hint="HOST:PORT") from None
    if name is not None and not _NAME.fullmatch(name):
        raise click.BadParameter(f"{name!r} can't be a name", param_hint="--name")
    return AdoptOptions(
        seed=address,
        name=name or "",
        output=None if output == "-" else Path(output),
        force=force,
        password=_reference(password),
        ssh=login[0],
        login=login[1],
    )


def _reference(text: str | None) -> PasswordRef | None:
    """``env:NAME`` or ``file:PATH``; the text is never quoted: it may be the password itself."""
    from slotwright.adapters.homes import expand_home
    from slotwright.cluster.topology import PasswordRef, PasswordSource

    if text is None:
        return None
    kind, _, rest = text.partition(":")
    if kind == "env" and rest:
        return PasswordRef(PasswordSource.ENVIRONMENT, rest)
    if kind == "file" and rest:
        return PasswordRef(PasswordSource.FILE, str(expand_home(rest).absolute()))
    raise click.BadParameter("it is env:NAME or file:PATH, never the password itself", param_hint="--password")
