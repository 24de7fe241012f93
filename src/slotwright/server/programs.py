"""What the executables of servers are called.

After an upgrade in place a server runs a file that is there no more (``/usr/bin/redis-server (deleted)``), after a
change of a link one by another path than the file has now. So a process is known as a server by its program's name, or
by being the very file that servers are started with. Debian's ``redis-server`` is a link to ``redis-check-rdb``: one
program, that looks at the name it was called by.
"""

from __future__ import annotations

import re

_DELETED = " (deleted)"
_NAME = re.compile(r"\.*(?:redis|valkey)-(?:server|check-rdb|check-aof|sentinel)(?:[-.].*)?")


def is_server_program(executable: str, known: frozenset[str] = frozenset()) -> bool:
    """Whether the executable of a process (``/proc/PID/exe``) is a server's; ``known`` are the files, without links,
    that servers are started with."""
    path = executable.removesuffix(_DELETED)
    return path in known or _NAME.fullmatch(path.rpartition("/")[2]) is not None
