"""Whether others than us and root could have made, or can change, what is at a path of this machine.

Every entry on the way is looked at, links are followed by hand, and each of their hops is looked at as well. A folder
that everybody may write to is passed only where it is sticky: an entry of ours can't be renamed or removed by others
there (``/tmp``). A group counts as somebody else unless nobody but the owner and root is in it, so that the private
groups of users, whose files are often group-writable (umask 002), are no obstacle.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from slotwright.errors import RefusedError
from slotwright.hosts.facts.path_ownership import Distrust, Doubt

_MOST_LINKS = 40
_FIRST_USERS_GROUP = 1000
"""Below are the groups of the system itself (login.defs(5), GID_MIN); all of their members stand in its own files."""
_ACL = "system.posix_acl_access"


def distrust(path: Path, owners: frozenset[int] = frozenset(), *, below: Path | None = None) -> Distrust | None:
    """The first entry on the way to ``path`` that can't be believed, None for a path that can. What is not there yet
    counts for nothing: whoever makes it does so in the folder above.

    ``owners`` are believed besides us and root. ``below``: a folder that is believed, and what leads to it.
    """
    believed = owners | {0, os.geteuid()}
    known = (
        {str(place) for candidate in (below, below.resolve()) for place in (candidate, *candidate.parents)}
        if below
        else set[str]()
    )
    for entry, status, is_last in _way_to(path):
        result = None if entry in known else _doubt_of(entry, status, believed, is_last=is_last)
        if result is not None:
            return result
    return None


def distrust_entries(folder: Path, names: Iterable[str]) -> Distrust | None:
    """The same for entries of a folder that is believed itself."""
    believed = frozenset({0, os.geteuid()})
    for entry in (f"{folder}/{name}" for name in names):
        try:
            status = os.lstat(entry)
        except OSError:
            continue
        is_link = stat.S_ISLNK(status.st_mode)
        result = distrust(Path(entry)) if is_link else _doubt_of(entry, status, believed, is_last=True)
        if result is not None:
            return result
    return None


def link_found(entry: Path) -> Distrust:
    """That ``entry`` is a link, where that alone is the trouble."""
    return _distrust_of(str(entry), Doubt.LINK, entry.lstat())


def demand_own(path: Path, *, instead: str = "") -> None:
    """Raises RefusedError (folder-unsafe) where others could have made or can change ``path``, or what leads to it.
    ``instead``: where else it could be."""
    result = distrust(path)
    if result is not None:
        raise refusal(result, instead=instead)


def demand_program(path: Path) -> None:
    """The same for a program that is about to be run (code ``program-unsafe``).

    Where Python itself loads its code from is believed as far as this very command is: a server that was installed
    beside it (``embedded``) is run by whoever runs this.
    """
    base = next((code_folder for code_folder in _code_folders() if path.is_relative_to(code_folder)), None)
    owners = frozenset({base.stat().st_uid}) if base else frozenset[int]()
    result = distrust(path, owners, below=base)
    if result is not None:
        raise refusal(result, code="program-unsafe")


def refusal(
    result: Distrust, *, code: str = "folder-unsafe", instead: str = "", host: str = "", user: str = ""
) -> RefusedError:
    """What is said of it. ``host``: where it was seen, "" for this machine."""
    return RefusedError(
        f"{f'{host}: ' if host else ''}{result.what}: what is there can't be believed",
        code=code,
        where=f"{host}:{result.path}" if host else result.path,
        seen=result.seen,
        left="nothing was changed",
        hint=result.remedy(user or user_name(os.geteuid())) + (f"; or {instead}" if instead else ""),
    )


def user_name(uid: int) -> str:
    """The name of a user, its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _code_folders() -> Iterator[Path]:
    """Not ``sys.path``: the current folder may stand in it."""
    paths = sysconfig.get_paths()
    for entry in (paths["purelib"], paths["platlib"], sys.prefix):
        folder = Path(entry)
        if folder.is_absolute() and folder.is_dir():
            yield folder


def _way_to(path: Path) -> Iterator[tuple[str, os.stat_result, bool]]:
    """Each entry that is there, from the root on, links and then what they lead to; and whether it is the last one."""
    rest, here, links = [*reversed(path.absolute().parts[1:])], "", 0
    while rest:
        name = rest.pop()
        if name == "..":
            here = here.rpartition("/")[0]
            continue
        entry = f"{here}/{name}"
        try:
            status = os.lstat(entry)
        except OSError:
            return
        is_link = stat.S_ISLNK(status.st_mode)
        yield entry, status, not rest and not is_link
        if not is_link:
            here = entry
            continue
        links += 1
        if links > _MOST_LINKS:
            return
        target = Path(entry).readlink()
        here = "" if target.is_absolute() else here
        rest += reversed([part for part in target.parts if part != "/"])


def _doubt_of(entry: str, status: os.stat_result, believed: frozenset[int], *, is_last: bool) -> Distrust | None:
    mode = status.st_mode
    if status.st_uid not in believed:
        return _distrust_of(entry, Doubt.OWNER, status)
    if stat.S_ISLNK(mode) or (mode & stat.S_ISVTX and not is_last and stat.S_ISDIR(mode)):
        return None
    if mode & stat.S_IWOTH:
        return _distrust_of(entry, Doubt.OTHERS, status)
    if mode & stat.S_IWGRP and (_has_acl(entry) or not _is_private(status.st_gid, status.st_uid)):
        return _distrust_of(entry, Doubt.GROUP, status)
    return None


def _distrust_of(entry: str, doubt: Doubt, status: os.stat_result) -> Distrust:
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return Distrust(entry, doubt, user_name(status.st_uid), group, stat.filemode(status.st_mode))


def _has_acl(entry: str) -> bool:
    """An access list may let others write where the mode shows the group alone (acl(5): the mask stands there)."""
    try:
        return bool(os.getxattr(entry, _ACL))
    except (OSError, AttributeError):
        return False


def _is_private(gid: int, uid: int) -> bool:
    """Whether nobody but the owner and root is in the group.

    Who has a group as his own may stand in a directory service that tells nobody; so a group of users must also be
    named after its owner, as the private ones are.
    """
    try:
        group, owner = grp.getgrgid(gid), user_name(uid)
    except KeyError:
        return False
    if gid >= _FIRST_USERS_GROUP and group.gr_name != owner:
        return False
    members = {*group.gr_mem, *(user.pw_name for user in pwd.getpwall() if user.pw_gid == gid)}
    return members <= {owner, "root"}
