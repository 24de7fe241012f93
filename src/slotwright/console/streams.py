"""stdin, stdout and stderr as they may be: closed, full, a pipe without a reader, of another encoding.

Nothing that is printed may end the work, or end it with a traceback: a line of progress that nobody can read is no
reason to leave a cluster half made. stderr never fails. stdout does, and then it is said on stderr, with exit code 1;
only a reader that went away (``| head``) is no failure.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from typing import IO, Any, TextIO, cast

_PLAIN = str.maketrans({"✓": "+", "✗": "x", "·": "-", "…": "...", "—": "-", "–": "-", "→": "->", "µ": "u"})
_PLAIN_NAME = "slotwright-plain"


class OutputError(Exception):
    """The answer could not be written to stdout; its text is the system's word for why."""


class _Watched:
    """A stream that is asked what to do when it can't be written to; from then on it leads to nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As of the stream."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """As of the stream."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """As of the stream."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        silence(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Answer(_Watched):
    """stdout. A reader that went away is told apart from a disk that is full; the latter is told once more when all is
    flushed, as who prints may not have heard of it (click tries what a stream takes)."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._refused = ""

    def flush(self) -> None:
        """As of the stream. Raises OutputError, until it was heard."""
        super().flush()
        if self._refused:
            raise OutputError(self._refused)

    def forget(self) -> None:
        """It was heard."""
        self._refused = ""

    def _give_up(self, error: OSError) -> None:
        silence(self._stream)
        if isinstance(error, BrokenPipeError):
            raise error
        self._refused = error.strerror or type(error).__name__
        raise OutputError(self._refused) from error


def prepare() -> None:
    """To be called before anything is opened or printed.

    A descriptor that was closed (``>&-``) would be given to the next file that is opened, and what a child process
    prints would land in it: so it becomes /dev/null.
    """
    codecs.register_error(_PLAIN_NAME, _plainly)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is the one that is missing: those below are there by now.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_PLAIN_NAME)
    sys.stdout = cast("TextIO", _Answer(sys.stdout))
    sys.stderr = cast("TextIO", _Watched(sys.stderr))


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """What a terminal's encoding lacks is shown in ASCII: a sign by one that means the same, all else escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = text.translate(_PLAIN)
    return plain.encode("ascii", "backslashreplace").decode("ascii"), error.end


def printable(text: str) -> str:
    """``text`` from a file or a server in one line: what a terminal would obey is escaped, all letters stay."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def print_out(*lines: str) -> None:
    """Lines of an answer, on stdout. A reader that went away takes the rest with it, and the exit code stays what it
    would have been. Raises OutputError."""
    with contextlib.suppress(BrokenPipeError):
        for line in lines:
            print(line)


def as_json(value: object, stream: IO[str], *, indent: int | None = None) -> str:
    """``value`` as JSON that ``stream`` can take, whatever its encoding is."""
    import json

    encoding = getattr(stream, "encoding", None) or "utf-8"
    return json.dumps(value, indent=indent, ensure_ascii=codecs.lookup(encoding).name != "utf-8")


def flush_out() -> None:
    """Everything that was printed, out of our hands. Raises OutputError."""
    # Somebody may have closed it: then nothing is left to be written.
    with contextlib.suppress(BrokenPipeError, ValueError):
        sys.stdout.flush()


def forget_refusal() -> None:
    """Somebody says what :class:`OutputError` said; nothing raises it again."""
    if isinstance(sys.stdout, _Answer):
        sys.stdout.forget()


def silence(stream: IO[str]) -> None:
    """Send the rest to nowhere: the interpreter flushes once more at its end, and would complain."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
