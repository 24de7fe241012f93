"""exec: one command on every host of a file, side by side."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slotwright.app.context import Context
from slotwright.app.session import at_hosts, load
from slotwright.errors import HostError, InputError
from slotwright.ports import Shell


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of it on one host; ``status`` None: it could not be reached, and ``complaint`` says why."""

    host: str
    status: int | None
    output: str
    complaint: str


async def execute(
    context: Context,
    path: Path,
    arguments: Sequence[str],
    hosts: Sequence[str] = (),
    *,
    as_root: bool = False,
    timeout_s: float = 60.0,
) -> tuple[Ran, ...]:
    """Run ``words`` on all hosts of the file, or on those named. One word is a line for the shell.

    A host that can't be reached is part of the answer. Raises InputError (unknown-host, no-hosts).
    """
    loaded = load(context, path)
    known = [host.address for host in loaded.topology.hosts]
    unknown = [host for host in hosts if host not in known]
    if unknown:
        raise InputError(
            f"{path} has no host {unknown[0]}",
            code="unknown-host",
            where=unknown[0],
            hint=f"its hosts: {', '.join(known)}",
        )
    if not loaded.topology.is_remote:
        raise InputError(
            f"the hosts of {path} are this machine",
            code="no-hosts",
            where=str(path),
            hint="exec is for hosts that are reached by SSH: give them `ssh:` in the file",
        )
    # As a login would: in its own folder.
    line = "cd\n" + (arguments[0] if len(arguments) == 1 else shlex.join(arguments))
    async with at_hosts(context, loaded, "exec", is_change=False) as work:
        from slotwright.adapters.ssh.fleet import SshFleet

        fleet = work.fleet
        assert isinstance(fleet, SshFleet)
        chosen = list(hosts) or known

        async def run(host: str) -> Ran:
            if host in fleet.errors:
                error = fleet.errors[host]
                return Ran(host, None, "", f"{error.what}: {error.seen}" if error.seen else error.what)
            return await _run(fleet.shells[host], line, as_root=as_root, timeout_s=timeout_s)

        return tuple(await asyncio.gather(*map(run, chosen)))


async def _run(shell: Shell, line: str, *, as_root: bool, timeout_s: float) -> Ran:
    try:
        result = await shell.run(line, timeout_s=timeout_s, as_root=as_root)
    except HostError as error:
        return Ran(shell.host, None, "", f"{error.what}: {error.seen}" if error.seen else error.what)
    return Ran(shell.host, result.status, result.output, result.complaint)
