"""``slotwright init``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slotwright.console.options import can_ask, json_option
from slotwright.errors import RefusedError

if TYPE_CHECKING:
    from slotwright.cluster.topology import SshSpec

_REMOTE_PORTS = "6379,6380"
"""On hosts of their own the servers take their usual port."""


@click.command(
    epilog="\b\nExample:  slotwright init --name cache --hosts 127.0.1.1,127.0.1.2,127.0.1.3\n"
    "          slotwright init --hosts 10.0.0.1,10.0.0.2,10.0.0.3 --user admin --clients 10.0.0.0/24"
)
@click.argument("file", required=False, default="cluster.yaml", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", help="The cluster's name; cache unless told.")
@click.option("--engine", type=click.Choice(["valkey", "redis"]), help="The server; valkey unless told.")
@click.option(
    "--from", "origin", metavar="WHERE", help="Where its binary is: embedded, path, package, a folder or an archive."
)
@click.option("--hosts", help="Addresses, separated by commas.")
@click.option("--ssh/--no-ssh", default=None, help="Reach the hosts by SSH; usual for all but loopback addresses.")
@click.option("--user", help="Who logs in by SSH; as ~/.ssh/config says unless told.")
@click.option("--key", metavar="FILE", help="The private key for it; the agent's and ~/.ssh/config's unless told.")
@click.option("--clients", help="Networks that may reach the client ports, separated by commas; with SSH only.")
@click.option("--ports", help="Ports of every host, separated by commas.")
@click.option("--replicas", type=click.IntRange(0), help="Replicas a primary; 1 unless told.")
@click.option("--password", metavar="WHERE", help="generate (unless told), none, env:NAME or file:PATH.")
@click.option("--single", is_flag=True, help="One stand-alone instance instead of a cluster.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@json_option
def command(
    file: Path,
    name: str | None,
    engine: str | None,
    origin: str | None,
    hosts: str | None,
    ssh: bool | None,
    user: str | None,
    key: str | None,
    clients: str | None,
    ports: str | None,
    replicas: int | None,
    password: str | None,
    single: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Write a commented cluster.yaml (or FILE), ready for `slotwright up`.

    On a terminal, what no option says is asked; without one, the defaults are taken.
    """
    from slotwright.adapters.topology.file import parse_topology
    from slotwright.adapters.topology.template import InitAnswers, commented_topology
    from slotwright.cluster.topology import EngineKind, Mode

    if file.exists() and not force:
        raise RefusedError(
            f"{file} exists already",
            code="file-exists",
            where=str(file),
            left="it was not touched",
            hint=f"slotwright init --force {file} overwrites it; slotwright init OTHER.yaml writes another",
        )
    default = InitAnswers()
    asks = can_ask() and not as_json
    mode = Mode.SINGLE if single else Mode.CLUSTER
    some_hosts = default.hosts[:1] if single else default.hosts
    called = _answer(asks, name, "Name of the cluster", default.name)
    kind = EngineKind(_answer(asks, engine, "Server (valkey or redis)", default.kind.value))
    binary = _answer(asks, origin, "Its binary (embedded, path, package, a folder or an archive)", default.origin)
    addresses = _list(_answer(asks, hosts, "Hosts, separated by commas", ",".join(some_hosts)))
    is_remote = _is_remote(ssh, addresses, (("--user", user), ("--key", key), ("--clients", clients)))
    some_ports = _list(_REMOTE_PORTS) if is_remote else tuple(map(str, default.ports))
    answers = InitAnswers(
        name=called,
        kind=kind,
        origin=binary,
        hosts=addresses,
        ssh=_ssh(asks, user, key) if is_remote else None,
        clients=_list(_answer(asks, clients, "Networks of the clients (empty: none)", "")) if is_remote else (),
        ports=_numbers(_answer(asks, ports, "Ports of every host", ",".join(some_ports[:1] if single else some_ports))),
        replicas=0 if single else _number(asks, replicas, "Replicas a primary", default.replicas),
        password=_answer(asks, password, "Password (generate, none, env:NAME, file:PATH)", default.password),
        mode=mode,
    )
    try:
        text = commented_topology(answers)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    parse_topology(text, where=str(file), base=file.absolute().parent)
    _write(file, text)
    if as_json:
        from slotwright.console.json import print_json
        from slotwright.features.deploy.output import InitOutput

        print_json(InitOutput(file=str(file)))
    else:
        named = "" if str(file) == "cluster.yaml" else f" {file}"
        click.echo(f"wrote {file}\n  next   slotwright plan{named}        slotwright up{named}")
    return 0


def _write(file: Path, text: str) -> None:
    from slotwright.adapters.files import write_atomically

    write_atomically(file, text, mode=0o644)


def _answer(asks: bool, given: str | None, question: str, default: str) -> str:
    if given is not None or not asks:
        return given if given is not None else default
    return str(click.prompt(question, default=default, err=True))


def _number(asks: bool, given: int | None, question: str, default: int) -> int:
    if given is not None or not asks:
        return given if given is not None else default
    return int(click.prompt(question, default=default, type=click.IntRange(0), err=True))


def _is_remote(is_there: bool | None, hosts: tuple[str, ...], given: tuple[tuple[str, str | None], ...]) -> bool:
    """Whether the file says ssh: as told, else when others than this machine are meant."""
    from slotwright.cluster.topology import Address

    for option, value in given:
        if value is not None and is_there is False:
            raise click.UsageError(f"{option} is for hosts that are reached by SSH, and --no-ssh says they are not")
    if is_there is not None or any(value is not None for _, value in given):
        return is_there is not False
    return not all(Address(host, 0).is_loopback for host in hosts)


def _ssh(asks: bool, user: str | None, key: str | None) -> SshSpec:
    from slotwright.cluster.topology import SshSpec

    return SshSpec(user=_answer(asks, user, "Who logs in by SSH (empty: as ~/.ssh/config says)", ""), key=key or "")


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in _list(text))
    except ValueError:
        raise click.BadParameter(f"ports are numbers separated by commas, not {text!r}", param_hint="--ports") from None
