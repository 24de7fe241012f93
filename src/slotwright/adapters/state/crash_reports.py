"""Reports of what went wrong in a way that nothing was prepared for: a file each, for who has to find the fault.

A report has no secret: no values of variables, no environment, no argument of the command line, and messages without
the texts of the passwords that were in use. ::

    STATE/crashes/20260102T030405.678901Z-1234.txt     0600
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import stat
import sys
import traceback
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType

from slotwright import __version__
from slotwright.adapters.files import make_directory
from slotwright.cluster.secret import redacted
from slotwright.errors import HostError

MOST_REPORTS = 20
"""The oldest go: what crashes again and again must not fill a disk."""

MOST_FRAMES = 60
_MOST_CHAINED = 8
_MOST_CHARACTERS = 1000
_PACKAGE = Path(__file__).parents[2]
_LIBRARIES = ("asyncssh", "click", "hiredis", "msgspec", "pydantic", "redis", "rich", "ruamel.yaml")
_USER_INFO = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Crash:
    """``verb`` is what was run, ``arguments`` what is taken out of messages; ``left`` what is known of the work.

    ``besides`` are errors of tasks and threads that nobody waited for.
    """

    error: BaseException
    verb: str
    exit_code: int
    left: str = ""
    arguments: tuple[str, ...] = ()
    besides: tuple[BaseException, ...] = ()


def keep_report(state: Path, crash: Crash) -> Path:
    """Write the report and return its path. Raises HostError or OSError where it can't be written."""
    folder = state / "crashes"
    make_directory(folder)
    result = folder.lstat()
    if not stat.S_ISDIR(result.st_mode) or result.st_uid != os.geteuid():
        raise HostError(f"{folder} is not a folder of this user", code="host-files", where=str(folder))
    now = datetime.now(UTC)
    path = folder / f"{now:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}.txt"
    text = report_text(crash, now).encode(errors="backslashreplace")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(text)
    for old in sorted(folder.glob("*.txt"))[:-MOST_REPORTS]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path


def report_text(crash: Crash, now: datetime) -> str:
    """The report: what ran where, then every error of the chain, the first cause first."""
    lines = [
        f"slotwright {__version__} failed in a way that it does not know",
        "",
        f"at         {now:%Y-%m-%dT%H:%M:%SZ}",
        f"verb       {crash.verb or '-'}",
        f"exit code  {crash.exit_code}",
        f"left       {_clean(crash.left, crash.arguments) or '-'}",
        f"python     {platform.python_version()} ({platform.python_implementation()})",
        f"platform   {platform.platform()}",
        f"encoding   {sys.getfilesystemencoding()}, stdout {getattr(sys.stdout, 'encoding', None)}",
        f"libraries  {', '.join(_versions())}",
    ]
    for error in _chain(crash.error):
        lines += ["", *_error_lines(error, crash.arguments)]
    for error in crash.besides:
        lines += ["", "besides, in a task or a thread:", *_error_lines(error, crash.arguments)]
    return "\n".join([*lines, ""])


def place_of(error: BaseException) -> str:
    """Where it happened: the innermost line of ours, ``slotwright/wire/info.py:40``; "" where none is."""
    own = [frame for frame in _frames(error.__traceback__) if frame[0].startswith("slotwright/")]
    return f"{own[-1][0]}:{own[-1][1]}" if own else ""


def message_of(error: BaseException, arguments: Collection[str] = ()) -> str:
    """``TypeError: ...`` in one line, without secrets, arguments, and what a terminal would obey."""
    try:
        text = str(error)
    except Exception:
        text = "(its message can't be made)"
    name = type(error).__name__
    return f"{name}: {_clean(text, arguments)}" if text else name


def _clean(text: str, arguments: Collection[str]) -> str:
    text = _USER_INFO.sub("***@", redacted(text[: 4 * _MOST_CHARACTERS]))
    for argument in sorted(arguments, key=len, reverse=True):
        text = text.replace(argument, "<argument>")
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return shown if len(shown) <= _MOST_CHARACTERS else f"{shown[:_MOST_CHARACTERS]} ..."


def _chain(error: BaseException) -> list[BaseException]:
    """The causes, the first one first, and the members of groups."""
    errors: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting and len(errors) < _MOST_CHAINED:
        outcome = waiting.pop(0)
        if outcome is None or any(outcome is known for known in errors):
            continue
        errors.append(outcome)
        if isinstance(outcome, BaseExceptionGroup):
            waiting += outcome.exceptions
        waiting.append(outcome.__cause__ or (None if outcome.__suppress_context__ else outcome.__context__))
    return errors[::-1]


def _error_lines(error: BaseException, arguments: Collection[str]) -> Iterator[str]:
    yield message_of(error, arguments)
    frames = list(_frames(error.__traceback__))
    half = MOST_FRAMES // 2
    shown = frames if len(frames) <= MOST_FRAMES else [*frames[:half], None, *frames[-half:]]
    for frame in shown:
        if frame is None:
            yield f"  ... {len(frames) - MOST_FRAMES} more"
        else:
            yield f"  {frame[0]}:{frame[1]} in {frame[2]}"


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, int, str]]:
    """File, line and function, without the source's text and without values."""
    for frame, line in traceback.walk_tb(trace):
        yield _shown_path(frame.f_code.co_filename), line, frame.f_code.co_qualname


def _shown_path(path: str) -> str:
    """Relative to the package, to the library's folder or to Python's: where these are is nobody's business."""
    if Path(path).is_relative_to(_PACKAGE):
        return f"slotwright/{Path(path).relative_to(_PACKAGE)}"
    for mark in ("site-packages/", "dist-packages/", f"python{sys.version_info[0]}.{sys.version_info[1]}/"):
        if mark in path:
            return path.rpartition(mark)[2]
    return Path(path).name


def _versions() -> Iterator[str]:
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield f"{name} {metadata.version(name)}"
