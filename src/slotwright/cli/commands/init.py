"""``slotwright init``."""

from __future__ import annotations

from pathlib import Path

import click

from slotwright.cli.run import can_ask, json_option
from slotwright.errors import RefusedError


@click.command(epilog="Example:  slotwright init --name cache --hosts 127.0.1.1,127.0.1.2,127.0.1.3 --ports 7001,7002")
@click.argument("file", required=False, default="cluster.yaml", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", help="The cluster's name; cache unless told.")
@click.option("--engine", type=click.Choice(["valkey", "redis"]), help="The server; valkey unless told.")
@click.option("--from", "origin", metavar="WHERE", help="Where its binary is: embedded, path, or a folder.")
@click.option("--hosts", help="Addresses, separated by commas.")
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
    from slotwright.adapters.topology_file import parse_topology
    from slotwright.adapters.topology_template import InitAnswers, commented_topology
    from slotwright.model.topology import EngineKind, Mode

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
    some_ports = default.ports[:1] if single else default.ports
    answers = InitAnswers(
        name=_answer(asks, name, "Name of the cluster", default.name),
        kind=EngineKind(_answer(asks, engine, "Server (valkey or redis)", default.kind.value)),
        origin=_answer(asks, origin, "Its binary (embedded, path, or a folder)", default.origin),
        hosts=_list(_answer(asks, hosts, "Hosts, separated by commas", ",".join(some_hosts))),
        ports=_numbers(_answer(asks, ports, "Ports of every host", ",".join(map(str, some_ports)))),
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
        from slotwright.cli.views.json import print_json

        print_json({"file": str(file)})
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


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in _list(text))
    except ValueError:
        raise click.BadParameter(f"ports are numbers separated by commas, not {text!r}", param_hint="--ports") from None
