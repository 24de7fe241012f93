"""A control group of each host's own: without one, all hosts' systemds would manage the same groups."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

WATCHES = 14
"""More than a host has of them at any time of its life (measured: 11 when it is up)."""
_MOUNTS = {"0": ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"), "name=systemd": ("/sys/fs/cgroup/systemd",)}


def bases() -> list[Path]:
    """The top of each hierarchy that a systemd would manage: found again from any session of this machine."""
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, _ = line.split(":", 2)
        there = (Path(mount) for mount in _MOUNTS.get(controllers or number, ()))
        found += [mount for mount in there if (mount / "cgroup.procs").exists()][:1]
    return found


def make(name: str) -> list[Path]:
    """The host's groups in each hierarchy, one for its keeper and one for itself in each: no process is above."""
    groups = [base / name for base in bases()]
    for group in groups:
        (group / "keeper").mkdir(parents=True, exist_ok=True)
        (group / "host").mkdir(exist_ok=True)
    return groups


def names(prefix: str) -> set[str]:
    """The names of all groups that begin so."""
    return {group.name for base in bases() for group in base.glob(f"{prefix}*") if group.is_dir()}


def processes(name: str) -> list[int]:
    """The ids of all processes of a host, its container's keeper among them; nobody else's."""
    found: dict[int, None] = {}
    for base in bases():
        for folder, _, _ in os.walk(base / name):
            with suppress(OSError):  # a service that ends takes its group along
                words = Path(folder, "cgroup.procs").read_text().split()
                found.update(dict.fromkeys(int(word) for word in words))
    return [process for process in found if process > 0]


def leader(name: str) -> int | None:
    """The process that is number 1 inside the host; None where it isn't running."""
    for process in processes(name):
        with suppress(OSError):
            for line in Path(f"/proc/{process}/status").read_text().splitlines():
                if line.startswith("State:") and "Z" in line:
                    break
                if line.startswith("NSpid:") and line.split()[2:] == ["1"]:
                    return process
    return None


def watches_left() -> int:
    """How many more inotify instances root may have on this machine: each host's services need :data:`WATCHES`.

    The kernel counts them for each user over all containers; the limit is 128 where nobody has raised it."""
    used = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.stat().st_uid == 0:
                used += sum(str(handle.readlink()) == "anon_inode:inotify" for handle in _handles(process))
    return int(Path("/proc/sys/fs/inotify/max_user_instances").read_text()) - used


def _handles(process: Path) -> list[Path]:
    return list((process / "fd").iterdir())


def remove(name: str) -> bool:
    """Takes the host's groups away; False while a process that is ending is still in one."""
    for base in bases():
        for folder, _, _ in os.walk(base / name, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
    return not any((base / name).exists() for base in bases())
