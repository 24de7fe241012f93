"""The scripts that look at, install and build engines on a host, and the reading of what they print.

POSIX sh with coreutils or busybox. Each can be cut anywhere and run again: what is made is made in a folder with the
script's pid in its name, and moved into place as a whole; such folders of dead scripts are removed by the next one.
"""

from __future__ import annotations

import re

from slotwright.cluster.topology import EngineKind
from slotwright.hosts.facts.engine import EngineHost, KeptEngine, OwnServer, PackageTool
from slotwright.hosts.scripts.files import read_script
from slotwright.hosts.scripts.packages import parse_offers
from slotwright.server.capabilities import parse_version_output

NO_CHECKSUM_TOOL, WRONG_CHECKSUM, UNUSABLE, BUILD_FAILED, PACKAGE_FAILED = 41, 42, 43, 44, 45
"""What a script ends with, beside 0, and 40 where it can't write."""

LOOK = read_script("engine/look.sh")
INSTALL = read_script("engine/install.sh")
MAKE_LINKS = read_script("engine/make_links.sh")
USE = read_script("engine/use.sh")
BUILD = read_script("engine/build.sh")
INSTALL_PACKAGE = read_script("engine/install_package.sh")
FIND_OWN = read_script("engine/find_own.sh")


_MACHINES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "armv8l": "aarch64"}


def machine_name(text: str) -> str:
    """One spelling an architecture: ``arm64`` is ``aarch64``, ``amd64`` is ``x86_64``."""
    return _MACHINES.get(text.strip().lower(), text.strip().lower())


def parse_look(host: str, root: str, kind: EngineKind, text: str) -> EngineHost:
    """What :data:`LOOK` printed. Raises ValueError where it was cut short."""
    plain, _, packages = text.partition("\npackages\n")
    pairs = [(key, value) for key, tab, value in (line.partition("\t") for line in plain.splitlines()) if tab]
    one = dict(pairs)
    if "machine" not in one or "manager" not in one:
        raise ValueError("the script did not get to its end")
    libc, _, libc_version = one.get("libc", "").partition(" ")
    tool = PackageTool(one["manager"])
    own = None
    if "own" in one:
        name = one.get("own_version", "")
        version = parse_version_output(name)
        own = OwnServer(one["own"], version, "" if version else name.strip())
    return EngineHost(
        host=host,
        root=root,
        is_root=one.get("uid") == "0",
        machine=machine_name(one["machine"]),
        libc=libc,
        libc_version=tuple(int(part) for part in re.findall(r"\d+", libc_version)[:3]),
        page_bytes=int(one.get("page") or 4096),
        package_tool=tool,
        tools=frozenset(value for key, value in pairs if key == "tool"),
        kept=tuple(_kept(value) for key, value in pairs if key == "kept"),
        own=own,
        offers=parse_offers(tool, kind, packages),
        active_services=tuple(value for key, value in pairs if key == "active"),
        half_installed=tuple(value for key, value in pairs if key == "half"),
    )


def _kept(text: str) -> KeptEngine:
    name, state, leads_to, line = [*text.split("\t"), "", "", ""][:4]
    return KeptEngine(name, state == "whole", parse_version_output(line), leads_to)
