"""How to talk to the cluster: lines that can be pasted as they are."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slotwright.model.cluster import Role
from slotwright.model.survey import Survey
from slotwright.model.topology import Address, Mode, PasswordSource

if TYPE_CHECKING:
    from slotwright.model.record import ClusterRecord


def connect_lines(survey: Survey, record: ClusterRecord | None = None) -> list[str]:
    """A command line client where one is installed, and a line of Python that needs nothing more."""
    node = next(
        (node for node in survey.nodes if node.role is Role.PRIMARY and node.is_reachable and node.address), None
    )
    if node is None or node.address is None:
        return []
    address = node.address
    lines = []
    with_password = record is not None and record.topology.password.source is not PasswordSource.NONE
    client = next((name for name in ("valkey-cli", "redis-cli") if shutil.which(name)), "")
    if client:
        prefix = f"REDISCLI_AUTH={_password_words(record)} " if with_password else ""
        cluster = "" if survey.mode is Mode.SINGLE else "-c "
        lines.append(f"{prefix}{client} {cluster}-h {address.host} -p {address.port}")
    if not with_password:
        lines.append(_python_line(address, survey.mode))
    return [f"  {'try' if number == 0 else '   '}    {line}" for number, line in enumerate(lines)]


def _python_line(address: Address, mode: Mode) -> str:
    module, name = ("redis", "Redis") if mode is Mode.SINGLE else ("redis.cluster", "RedisCluster")
    code = (
        f"from {module} import {name} as R; r = R('{address.host}', {address.port}); r.set('k', 'v'); print(r.get('k'))"
    )
    return f'{_python()} -c "{code}"'


def _python() -> str:
    """The interpreter that runs us, in its shortest form."""
    path = Path(sys.executable)
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _password_words(record: ClusterRecord | None) -> str:
    assert record is not None
    reference = record.topology.password
    if reference.source is PasswordSource.ENVIRONMENT:
        return f'"${reference.name}"'
    if reference.source is PasswordSource.FILE:
        return f'"$(cat {reference.name})"'
    return "..."
