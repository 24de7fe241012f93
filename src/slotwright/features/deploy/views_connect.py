"""How to talk to the cluster: lines that can be pasted as they are. They name where the password is, never itself."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from slotwright.cluster.observation import Role
from slotwright.cluster.survey import Survey
from slotwright.cluster.topology import Address, Mode, PasswordRef, PasswordSource
from slotwright.server.addresses import is_host

_OPEN = PasswordRef(PasswordSource.NONE)


def connect_lines(survey: Survey, password: PasswordRef = _OPEN, kept: str = "") -> list[str]:
    """A command line client where one is installed, a line of Python that needs nothing more, and what an application
    needs: its whole configuration is another verb's.

    ``kept`` is the file that the password was kept in, for one that was generated.
    """
    node = next(
        (node for node in survey.nodes if node.role is Role.PRIMARY and node.is_reachable and node.address), None
    )
    # It goes into a shell's line and into Python's: parsed at the wire, and looked at again.
    if node is None or node.address is None or not is_host(node.address.host):
        return []
    lines = []
    client = next((name for name in ("valkey-cli", "redis-cli") if shutil.which(name)), "")
    if client:
        cluster = "" if survey.mode is Mode.SINGLE else "-c "
        lines.append(
            f"{_shell_password(password, kept)}{client} {cluster}-h {node.address.host} -p {node.address.port}"
        )
    lines.append(_python_line(node.address, survey.mode, _python_password(password, kept)))
    if survey.mode is Mode.CLUSTER:
        lines.append(f"{command_name()} client spring-boot {shlex.quote(survey.name)}   (client list names all kinds)")
    return [f"  {'try' if number == 0 else '   '}    {line}" for number, line in enumerate(lines)]


def _shell_password(password: PasswordRef, kept: str) -> str:
    match password.source:
        case PasswordSource.NONE:
            return ""
        case PasswordSource.ENVIRONMENT:
            return f'REDISCLI_AUTH="${password.name}" '
        case PasswordSource.FILE:
            return f'REDISCLI_AUTH="$(cat {shlex.quote(password.name)})" '
        case _:
            return f'REDISCLI_AUTH="$(cat {shlex.quote(kept)})" '


def _python_password(password: PasswordRef, kept: str) -> str:
    match password.source:
        case PasswordSource.NONE:
            return ""
        case PasswordSource.ENVIRONMENT:
            return f", password=__import__('os').environ['{password.name}']"
        case PasswordSource.FILE:
            return f", password=open({password.name!r}).read().rstrip('\\r\\n')"
        case _:
            return f", password=open({kept!r}).read()"


def _python_line(address: Address, mode: Mode, password: str) -> str:
    name = "Redis" if mode is Mode.SINGLE else "RedisCluster"
    return f"{_python()} -c \"import redis; print(redis.{name}('{address.host}', {address.port}{password}).ping())\""


def command_name() -> str:
    """What to type for this command: its name where the shell finds it, else its path."""
    if shutil.which("slotwright"):
        return "slotwright"
    path = Path(sys.argv[0]).absolute()
    return f"{_python()} -m slotwright" if path.name == "__main__.py" else _shortest(path)


def _python() -> str:
    """The interpreter that runs us."""
    return _shortest(Path(sys.executable))


def _shortest(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
