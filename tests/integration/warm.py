"""Runs the command as a process of its own without starting Python anew: each run is a fork of one warm process.

Most of a short command's time is importing; with some six hundred runs that is most of the suite's. What a run is given
is its own all the same: process, arguments, folder, environment, stdin, stdout, stderr and exit code. Interrupts, kills
and terminals are tested with real starts (``Lab.popen``), and so is everything with ``SLOTWRIGHT_TEST_COLD=1``.

Started with the path of a socket to listen on; a request is a JSON text with three file descriptors beside it, the
answer the pid, then the exit code. A request may have more: ``closed`` are descriptors that the command begins without
(as after ``>&-``), ``encoding`` is that of its stdout and stderr; ``powerless``: root, as whom it runs, may do no more
than others with files.
"""

from __future__ import annotations

import contextlib
import ctypes
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

MODULES = ("slotwright.cli.main", "slotwright.api", "slotwright.features", "slotwright.console")


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
        for inner in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
            importlib.import_module(inner.name)


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
    sys.stdout, sys.stderr = (stream(number, request.get("encoding", "utf-8")) for number in (1, 2))
    for number in request.get("closed", ()):
        os.close(number)
        setattr(sys, ("stdin", "stdout", "stderr")[number], None)
    if request.get("powerless"):
        give_up_rights()
    sys.argv = ["slotwright", *request["arguments"]]
    try:
        importlib.import_module("slotwright.cli.main").run()
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    return end(code)


def give_up_rights() -> None:
    """No capability is left to this process and its children (capset(2)): root goes by owner and mode of files, too."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def end(code: int) -> int:
    """As the interpreter ends: what can't be flushed then is told in words that no user should see."""
    for each in (sys.stdout, sys.stderr):
        try:
            if each is not None:
                each.flush()
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(2, f"Traceback at the interpreter's end: {error!r}".encode())
            code = 120
    return code


def stream(number: int, encoding: str) -> TextIO:
    return io.TextIOWrapper(os.fdopen(number, "wb", closefd=False), encoding=encoding, line_buffering=number == 2)


if __name__ == "__main__":
    serve(sys.argv[1])
