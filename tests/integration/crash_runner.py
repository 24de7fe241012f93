"""Runs the command with one verb more, ``boom KIND``, that fails in a way which nothing is prepared for; or, as
``python crash_runner.py N VERB ...``, any verb with a journal after whose n-th entry such an error comes.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import types
from collections.abc import Mapping
from pathlib import Path

import click

from slotwright.adapters.state import noted_journal
from slotwright.cli.main import run
from slotwright.cluster.events import Began, Ended
from slotwright.cluster.secret import Secret
from slotwright.console.options import json_option, perform
from slotwright.console.verbs import VERBS, Verb
from slotwright.errors import HostError, PartialError
from slotwright.ports import ReplyError

PASSWORD = "hunter2-hunter2"


class FailingJournal(noted_journal.NotedJournal):
    """The n-th entry is on disk, and then something is wrong with us."""

    left = 0

    def write(self, entry: Mapping[str, object]) -> None:
        super().write(entry)
        type(self).left -= 1
        if self.left == 0:
            raise RuntimeError("the n-th entry is written")


class Dying:
    def __del__(self) -> None:
        raise ValueError("in __del__")


async def in_a_task() -> None:
    raise ValueError(f"in a task, with {PASSWORD}")


def dive() -> None:
    dive()


async def boom(kind: str, context: object, journal: noted_journal.NotedJournal) -> None:
    Secret(PASSWORD)
    match kind:
        case "value":
            local = "the value of a variable"
            raise ValueError(f"{PASSWORD} is no number, {local[:0]}nor is \x1b[31mthis")
        case "assertion":
            raise AssertionError
        case "memory":
            bytearray(1 << 62)
        case "recursion":
            dive()
        case "cancelled":
            raise asyncio.CancelledError
        case "interrupt":
            raise KeyboardInterrupt
        case "exit":
            sys.exit(3)
        case "exit-text":
            sys.exit("a text")
        case "generator-exit":
            raise GeneratorExit
        case "group":
            raise ExceptionGroup("two", [ValueError("one"), ExceptionGroup("in", [KeyError("other")])])
        case "group-of-ours":
            raise ExceptionGroup("ours", [PartialError("half of it", code="half", hint="again"), HostError("x")])
        case "group-with-interrupt":
            raise BaseExceptionGroup("both", [ValueError("one"), KeyboardInterrupt()])
        case "no-space":
            Path("/dev/full").write_text("x" * 100_000)
        case "no-access" | "a-folder" | "no-file":
            places = {"no-access": "secret", "a-folder": "/", "no-file": "/nowhere/at/all"}
            Path(places[kind]).read_text()
        case "read-only":
            raise OSError(30, "Read-only file system", "/proc/version")
        case "descriptors":
            held = []
            while True:
                held.append(Path("/dev/null").open())  # noqa: SIM115
        case "unicode":
            "é".encode("ascii")
        case "bytes":
            b"\xff".decode()
        case "refused":
            error = ReplyError(f"ERR unknown command 'CONFIG', with args beginning with: 'SET' '{PASSWORD}'")
            error.where, error.command = "127.0.0.1:7001", "CONFIG SET"
            raise error
        case "nobody-refused":
            raise ReplyError("NOPERM no")
        case "half-done":
            journal.write({"phase": "begin", "verb": "boom"})
            journal.write({"phase": "intent", "step": "start", "where": "h1:7001"})
            journal.write({"phase": "done", "step": "start", "where": "h1:7001"})
            journal.write({"phase": "intent", "step": "start", "where": "h2:7001"})
            raise ValueError("in the middle")
        case "declined-half-way":
            journal.write({"phase": "begin", "verb": "boom"})
            journal.write({"phase": "intent", "step": "start", "where": "h1:7001"})
            journal.write({"phase": "done", "step": "start", "where": "h1:7001"})
            raise click.Abort from None
        case "all-done":
            journal.write({"phase": "begin", "verb": "boom"})
            journal.write({"phase": "end", "verb": "boom"})
            raise ValueError("afterwards")
        case "half-done-unjournaled":
            context.report(Began("survey", "look"))
            context.report(Ended("survey", "look"))
            context.report(Began("remove", "remove 6 nodes"))
            raise ValueError("in the middle")
        case "task":
            task = asyncio.create_task(in_a_task())
            await asyncio.wait([task])
            del task
            gc.collect()
        case "thread":
            thread = threading.Thread(target=lambda: dive())
            thread.start()
            thread.join()
        case "lost-task":
            task = asyncio.create_task(lost())
            await asyncio.wait([task])
            del task
            gc.collect()
        case "unraisable":
            dying = Dying()
            del dying
        case "never-awaited":
            in_a_task()
            gc.collect()


async def lost() -> None:
    raise ConnectionResetError("a host went away")


@click.command()
@click.argument("kind")
@click.option("--secret", default="")
@json_option
def command(kind: str, secret: str, as_json: bool) -> int:
    async def verb(context: object, _: object) -> None:
        await boom(kind, context, context.open_journal(Path("journal.jsonl")))

    perform(verb, as_json=as_json)
    print('{"format": 1}' if as_json else "done")
    return 0


if __name__ == "__main__":
    if sys.argv[1].isdigit():
        FailingJournal.left = int(sys.argv.pop(1))
        noted_journal.NotedJournal = FailingJournal
    module = types.ModuleType("slotwright.cli.boom")
    module.command = command
    sys.modules[module.__name__] = module
    VERBS["boom"] = Verb("cli.boom", "Fail.")
    run()
