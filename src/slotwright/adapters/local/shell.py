"""A shell on this machine: what the scripts for hosts can be tried with, and what a local host is asked by."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from slotwright.errors import HostError
from slotwright.ports import ShellResult


class LocalShell:
    """Implements :class:`slotwright.ports.Shell` as the user who runs us; ``as_root`` changes nothing here."""

    def __init__(self, host: str = "localhost") -> None:
        self._host = host

    @property
    def host(self) -> str:
        """As given."""
        return self._host

    async def run(
        self, script: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0, as_root: bool = True
    ) -> ShellResult:
        """In a session of its own, so that a script that takes too long ends with all that it started."""
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            script,
            "sh",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout_s):
                output, complaint = await process.communicate(stdin)
        except TimeoutError as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            raise HostError(
                f"{self._host} did not finish a script within {timeout_s:g} s", code="host-timeout", where=self._host
            ) from error
        return ShellResult(process.returncode or 0, output.decode(errors="replace"), complaint.decode(errors="replace"))

    async def stream(self, script: str, *arguments: str, to: str, timeout_s: float) -> ShellResult:
        """The output goes straight to the file."""
        with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", script, "sh", *arguments, stdout=file, stderr=asyncio.subprocess.PIPE
            )
            async with asyncio.timeout(timeout_s):
                _, complaint = await process.communicate()
            os.fsync(file.fileno())
        return ShellResult(process.returncode or 0, "", complaint.decode(errors="replace"))
