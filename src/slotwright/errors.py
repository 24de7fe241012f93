"""The exception tree: every error says who must act, what, where, what was left behind and what to type next.

There is one root, :class:`SlotwrightError`. Its subclasses differ in who can mend the fault: the author of the
topology file, the operator, the host, or the server. The exit code is part of the class, so a program that runs the
command can tell a typing mistake from a half-done change without reading the text.

Exit codes: 0 done, 1 failed, 2 usage or bad input, 3 findings or pending changes, 4 refused as unsafe (nothing was
changed), 5 partly applied and resumable, 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller; see the module's text."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    FINDINGS = 3
    REFUSED = 4
    PARTIAL = 5
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input: what, where (``file:line`` or a path of keys) and how to mend it."""

    what: str
    where: str = ""
    hint: str = ""


class SlotwrightError(Exception):
    """Root of all errors that slotwright raises on purpose.

    ``code`` is a stable kebab-case name; ``what`` one sentence; ``where`` a file, host or ``host:port``; ``seen`` the
    evidence; ``left`` what was left behind (empty: say nothing); ``hint`` the next thing to do or type.
    """

    exit_code: ExitCode = ExitCode.FAILED
    default_code: str = "failed"

    def __init__(
        self,
        what: str,
        *,
        code: str = "",
        where: str = "",
        seen: str = "",
        left: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(what)
        self.code = code or self.default_code
        self.what = what
        self.where = where
        self.seen = seen
        self.left = left
        self.hint = hint


class InputError(SlotwrightError):
    """The author of the file or of the command line must act: nothing was touched."""

    exit_code = ExitCode.USAGE
    default_code = "bad-input"

    def __init__(self, what: str, *, problems: Sequence[Problem] = (), **fields: str) -> None:
        super().__init__(what, **fields)
        self.problems = tuple(problems)


class RefusedError(SlotwrightError):
    """The operator must decide: going on could lose something, so nothing was changed."""

    exit_code = ExitCode.REFUSED
    default_code = "refused"


class HostError(SlotwrightError):
    """Something on the host is in the way: a directory, a disk, a port, a missing binary."""

    default_code = "host"


class ServerError(SlotwrightError):
    """A server refused, died or answered with something else than it should."""

    default_code = "server"


class NodeUnreachableError(ServerError):
    """No answer from a node within the time allowed; ``code`` says which way it failed."""

    default_code = "node-unreachable"


class AnswerError(NodeUnreachableError):
    """A server answers, and what it says can't be read: too long, or not of the form that the command's answers have.

    As with a connection that was lost, whether the last command took effect is unknown.
    """

    default_code = "answers-unreadable"


class AuthenticationError(ServerError):
    """The server wants another password than the one that we have."""

    default_code = "wrong-password"


class SnapshotError(ServerError):
    """A server's snapshot (RDB), or a value out of one, is not what its format says. ``where`` has the byte."""

    default_code = "rdb-unreadable"


class PartialError(SlotwrightError):
    """Some steps were done and some were not; the same command finishes the work."""

    exit_code = ExitCode.PARTIAL
    default_code = "partly-applied"


class OperatorInterruptError(SlotwrightError):
    """Ctrl-C, SIGTERM or SIGHUP: ``left`` says what is still running."""

    exit_code = ExitCode.INTERRUPTED
    default_code = "interrupted"
