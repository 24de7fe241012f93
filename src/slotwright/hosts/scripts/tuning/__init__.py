"""The scripts that mend a host for good: POSIX sh, run as root, harmless when run again.

They print one line a deed: ``did WHAT``, ``failed WHAT``, or ``overruled FILE`` (another file of the host sets the same
thing after ours, so that it won't last). They print nothing when nothing had to be done. The exit status is 1 when
something failed. A file is written whole: beside its place, then moved there.
"""

from __future__ import annotations

from slotwright.hosts.scripts.files import read_script

FAILED = "failed"
OVERRULED = "overruled"

SYSCTL_SCRIPT = read_script("tuning/sysctl.sh")
THP_SCRIPT = read_script("tuning/thp.sh")
LIMITS_SCRIPT = read_script("tuning/limits.sh")
