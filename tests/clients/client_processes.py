"""The applications, side by side: each a process that writes all the time and says what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
from pathlib import Path
from types import TracebackType

from tests.clients.builds import Program
from tests.clients.judge import Operation

_BEGIN = re.compile(r'\{"(?:t|ack)":')


def _operation(line: str) -> Operation | None:
    """Frameworks print banners, and libraries their own logs, which may stand before or behind on one line."""
    found = _BEGIN.search(line)
    if found is None:
        return None
    try:
        said, _ = json.JSONDecoder().raw_decode(line, found.start())
    except ValueError:
        return None
    return Operation(said["t"], said["shard"], said["n"], said["ack"], said["error"])


class Application:
    """One running program; its lines are read as they come."""

    def __init__(self, name: str, program: Program, environment: dict[str, str], log: Path) -> None:
        self.name = name
        self.operations: list[Operation] = []
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                program.words,
                cwd=program.folder,
                env=environment | program.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            operation = _operation(line)
            if operation is not None:
                self.operations.append(operation)

    @property
    def complaint(self) -> str:
        """The end of what it said on stderr."""
        return self._log.read_text(errors="replace")[-2000:]

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def good(self, shard: int, since: float) -> int:
        """How many operations went well on a shard since then."""
        count = 0
        for each in reversed(self.operations):
            # They come nearly in order.
            if each.at < since - 10:
                break
            count += each.shard == shard and each.is_good and each.at >= since
        return count

    def end(self) -> None:
        """By its input's end; by force where that is not enough."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)


class ClientProcesses:
    """A context manager: all that were started are ended with it."""

    def __init__(self) -> None:
        self.applications: list[Application] = []

    def start(self, name: str, program: Program, environment: dict[str, str], log: Path) -> Application:
        application = Application(name, program, os.environ | environment, log)
        self.applications.append(application)
        return application

    def serve(self, shards: range, since: float, at_least: int) -> bool:
        """Whether every application that lives did so many operations on every one of the shards since then."""
        alive = [each for each in self.applications if each.is_alive]
        return all(each.good(shard, since) >= at_least for each in alive for shard in shards)

    def __enter__(self) -> ClientProcesses:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for application in self.applications:
            application.end()
