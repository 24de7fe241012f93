"""Runs the command as a process of its own without starting Python anew: each run is a fork of one warm process.

Most of a short command's time is importing; with some six hundred runs that is most of the suite's. What a run is given
is its own all the same: process, arguments, folder, environment, stdin, stdout, stderr and exit code. Interrupts, kills
and terminals are tested with real starts (``Lab.popen``), and so is everything with ``SLOTWRIGHT_TEST_COLD=1``.

Started with the path of a socket to listen on; a request is a JSON text with three file descriptors beside it, the
answer the pid, then the exit code.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import pkgutil
import signal
import socket
import sys
import traceback
from typing import TextIO

MODULES = ("slotwright.cli.main", "slotwright.api", "slotwright.cli.commands", "slotwright.cli.views")


def serve(path: str) -> None:
    """Until the one who started us closes our stdin."""
    import_all()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen(16)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        end_with_stdin()
        print("ready", flush=True)
        while True:
            visitor, _ = door.accept()
            if os.fork() == 0:
                door.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                attend(visitor)
                os._exit(0)
            visitor.close()


def end_with_stdin() -> None:
    """A child that ends us when our stdin is closed; nobody else, should we be gone by then."""
    us = os.getpid()
    if os.fork() == 0:
        os.read(0, 1)
        if os.getppid() == us:
            os.kill(us, signal.SIGTERM)
        os._exit(0)


def import_all() -> None:
    for name in MODULES:
        module = importlib.import_module(name)
        for inner in pkgutil.iter_modules(getattr(module, "__path__", ())):
            importlib.import_module(f"{name}.{inner.name}")


def attend(visitor: socket.socket) -> None:
    """Fork once more, tell the pid, wait, and tell what came of it."""
    message, descriptors, _, _ = socket.recv_fds(visitor, 1 << 20, 3)
    pid = os.fork()
    if pid == 0:
        visitor.close()
        os._exit(become(json.loads(message), descriptors))
    for descriptor in descriptors:
        os.close(descriptor)
    visitor.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    visitor.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def become(request: dict, descriptors: list[int]) -> int:
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = stream(1), stream(2)
    sys.argv = ["slotwright", *request["arguments"]]
    try:
        importlib.import_module("slotwright.cli.main").run()
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def stream(number: int) -> TextIO:
    return io.TextIOWrapper(os.fdopen(number, "wb", closefd=False), encoding="utf-8", line_buffering=number == 2)


if __name__ == "__main__":
    serve(sys.argv[1])
