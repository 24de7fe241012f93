"""client: configurations for applications, made from the cluster as it is now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slotwright.adapters.files import make_directory, write_atomically
from slotwright.app.context import Context
from slotwright.app.targets import Target, open_verifier
from slotwright.cluster.observation import Observation
from slotwright.cluster.take_survey import take_survey
from slotwright.cluster.topology import Mode
from slotwright.errors import AuthenticationError, InputError, ServerError
from slotwright.features.clients.configs.facts import ASKED, client_facts
from slotwright.features.clients.configs.generate import generate
from slotwright.features.clients.configs.kinds import kind_of
from slotwright.features.clients.model import ClientConfig, ClientFacts
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import observe

PASSWORD_VARIABLE = "REDIS_PASSWORD"
"""What an application's password is called unless told."""


async def look_for_clients(
    context: Context,
    target: Target,
    *,
    username: str = "",
    variable: str = PASSWORD_VARIABLE,
    is_tls: bool | None = None,
) -> ClientFacts:
    """What clients need to know of a cluster, from one look at every node.

    Raises InputError (not-a-cluster), ServerError (no-node-answers), AuthenticationError, and what
    :func:`open_verifier` raises.
    """
    async with context.fleet(target.topology) as fleet, ConnectionPool(fleet.login(target.password, "")) as pool:
        verifier = await open_verifier(context, target, fleet, pool)
        observation = await observe(pool, verifier.addresses, ASKED)
    survey = take_survey(target.name, observation, target.record.blueprint if target.record else None)
    if survey.mode is Mode.SINGLE:
        raise InputError(
            f"{target.name} is one stand-alone server, not a cluster",
            code="not-a-cluster",
            where=target.name,
            hint="its clients need host, port and password alone",
        )
    if not observation.views:
        raise _nobody_answers(target.name, observation)
    needs_password = bool(username) or target.password is not None
    return client_facts(survey, observation, variable if needs_password else "", username, is_tls)


def _nobody_answers(name: str, observation: Observation) -> ServerError:
    text = observation.silent[0].reason if observation.silent else ""
    if observation.silent and all(silent.code == "wrong-password" for silent in observation.silent):
        return AuthenticationError(f"every node of {name} refuses our password", where=name, seen=text)
    return ServerError(
        f"no node of {name} answers",
        code="no-node-answers",
        where=name,
        seen=text,
        hint=f"slotwright check {name}",
    )


async def client_config(
    context: Context,
    kind: str,
    target: Target,
    *,
    boot: int = 3,
    username: str = "",
    variable: str = PASSWORD_VARIABLE,
    is_tls: bool | None = None,
) -> ClientConfig:
    """The configuration for one kind of client. Raises InputError (unknown-kind, ...) before anything is asked."""
    chosen = kind_of(kind, boot)
    facts = await look_for_clients(context, target, username=username, variable=variable, is_tls=is_tls)
    return generate(chosen, facts)


def write_config(config: ClientConfig, folder: Path) -> Sequence[Path]:
    """The files, below ``folder`` as they stand in a project. Raises InputError (file-exists), and then none is
    written."""
    paths = [folder / file.name for file in config.files]
    there = [path for path in paths if path.exists()]
    if there:
        raise InputError(
            f"{there[0]} exists, and is not overwritten",
            code="file-exists",
            where=str(there[0]),
            hint="name another folder, or move the file away",
        )
    for path, file in zip(paths, config.files, strict=True):
        make_directory(path.parent, 0o755)
        write_atomically(path, file.text, mode=0o644)
    return paths
