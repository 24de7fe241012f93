"""What the shell functions of ``trust.sh`` and ``claims.sh`` print: whether others could have made, or can change, what
is at a path of a host; and whether a process is what a node's folder says it is.

On this machine ``adapters/path_ownership.py`` and ``adapters/local/claims.py`` do the same, and say why. Two variables
may be assigned before them: ``owner``, the user that nodes run as ("" for whoever runs the script), and ``program``,
what their servers are started by. A script that refuses ends with ``REFUSED``, after one line of facts on its error
output.
"""

from __future__ import annotations

import shlex

from slotwright.hosts.facts.path_ownership import Distrust, Doubt


def parse_distrust(facts: str) -> Distrust | None:
    """What ``judge`` printed: ``DOUBT MODE OWNER GROUP PATH``; None for anything else."""
    fields = facts.split(" ", 4)
    if len(fields) != 5 or fields[0] not in list(Doubt):
        return None
    return Distrust(fields[4], Doubt(fields[0]), fields[2], fields[3], fields[1])


def explain_unsafe(facts: str, user: str = "root") -> tuple[str, str]:
    """Reason and remedy, in words, for what ``judge`` printed; ``user`` is whose it should be."""
    distrust = parse_distrust(facts)
    if distrust is None:
        return "it could not be told why", "look at it with ls -ld"
    return f"{distrust.what} ({distrust.seen})", distrust.remedy(user)


def explain_misfit(facts: str) -> str:
    """The reason in words for ``PID REASON``."""
    pid, _, reason = facts.partition(" ")
    return f"its process.json names pid {pid}, and {reason}"


def claim_remedy(folder: str) -> str:
    """What to do about a note of a process that is not true."""
    return (
        f"find out who wrote that: ls -l {shlex.quote(folder)}; then remove process.json and server.pid there: "
        "a server that works in the folder is found without them"
    )
