"""Why a folder or a file can't be believed: somebody else made it, or may put something else in its place.

What lies on a disk decides what is started, ended and removed, often by root. So it counts only where nobody but root
and whoever runs slotwright can change it: the entry itself, every folder that leads to it, and every link on the way.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum


class Doubt(StrEnum):
    """OWNER: it is somebody else's. OTHERS, GROUP: everybody, or a group with somebody else in it, may write to it.
    LINK: it is a link, and what it leads to would be taken away in its place."""

    OWNER = "owner"
    OTHERS = "others"
    GROUP = "group"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Distrust:
    """The first entry on the way to a path that can't be believed; ``mode`` as ``ls -l`` shows it, ``owner`` and
    ``group`` by name where they have one."""

    path: str
    doubt: Doubt
    owner: str
    group: str
    mode: str

    @property
    def what(self) -> str:
        """One sentence, without a full stop."""
        return {
            Doubt.OWNER: f"{self.path} belongs to {self.owner}",
            Doubt.OTHERS: f"everybody may write to {self.path}",
            Doubt.GROUP: f"the group {self.group} may write to {self.path}",
            Doubt.LINK: f"{self.path} is a link",
        }[self.doubt]

    @property
    def seen(self) -> str:
        """The evidence."""
        return f"{self.mode} {self.owner}:{self.group} {self.path}"

    def remedy(self, user: str) -> str:
        """The command that mends it, where ``user`` is whose it should be."""
        path = shlex.quote(self.path)
        look = "look at what others may have put there, then"
        return {
            Doubt.OWNER: f"if it is yours: chown {user} {path}; if it is {self.owner}'s: run this as {self.owner}",
            Doubt.OTHERS: f"{look}: chmod go-w {path}",
            Doubt.GROUP: f"{look}: chmod g-w {path}",
            Doubt.LINK: f"put the folder itself where the link is: ls -l {path}",
        }[self.doubt]
