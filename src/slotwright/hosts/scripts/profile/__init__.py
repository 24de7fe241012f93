"""The script that takes a host's profile: one pass, reading only, POSIX sh; and the arguments it takes.

It prints ``key=value`` lines; a text of several lines is the same key several times. The first line is ``HEADER``, the
last one ``FOOTER``: what comes before the header is the login's own chatter, and an output without footer was cut.
Every fact may be missing. What costs time (a fork) is asked only where no file of the kernel says it; the server's own
system check, which measures the clock for 50 ms, runs beside the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from slotwright.hosts.scripts.files import read_script

HEADER = "slotwright-profile=1"
FOOTER = "slotwright-profile=end"
SERVICE_USER = "slotwright"


def profile_arguments(engine: str = "", ports: Sequence[int] = (), directories: Sequence[str] = ()) -> tuple[str, ...]:
    """The script's arguments.

    ``engine`` is the absolute path of a server binary on the host to try, "" for none. ``ports`` limits the listeners
    that are reported (all of them when empty). ``directories`` are absolute paths, there or not.
    """
    return (engine, " ".join(str(port) for port in ports), *directories)


PROFILE_SCRIPT = read_script("profile/profile.sh")
