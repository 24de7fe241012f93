"""Server binaries on hosts: what a host has, what it should get, and what it then runs. Values only.

On a host each version has a folder of its own below the engine root, ``<kind>-<version>-<digest>/bin``, and versions
live side by side. A host's own binaries (package, path, directory) get a folder of links, ``<kind>-package/bin``: the
links keep their names, because Debian's ``redis-server`` is itself a link to a program that looks at the name that it
was called by. What a cluster runs is a link of its own to one of these folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind, EngineOrigin

ENGINE_ROOT = "/opt/slotwright/engines"
"""Where engines are kept on a host on which we are root."""


class PackageTool(StrEnum):
    """The package managers that are known."""

    APT = "apt"
    DNF = "dnf"
    YUM = "yum"
    ZYPPER = "zypper"
    NONE = ""


@dataclass(frozen=True, slots=True)
class PackageOffer:
    """A package that carries the server, in the host's own naming. ``version`` is the newest that it offers, or what is
    installed; () where the package manager doesn't tell."""

    name: str
    version: tuple[int, ...] = ()
    is_installed: bool = False


@dataclass(frozen=True, slots=True)
class KeptEngine:
    """A folder below the engine root. ``is_whole``: every file has the checksum that was written with it (or, for a
    folder of links, leads somewhere). ``leads_to`` is where a link to the host's own server points, else ""."""

    name: str
    is_whole: bool
    version: ServerVersion | None
    leads_to: str = ""


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A server that the host has of itself: absolute path, and its version or the reason why it does not run."""

    path: str
    version: ServerVersion | None
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class EngineHost:
    """Everything about a host that decides on its engine; read in one pass.

    ``machine`` is what ``uname -m`` says, in one spelling an architecture (``x86_64``, ``aarch64``). ``libc`` is
    "glibc", "musl" or "", ``libc_version`` its numbers. ``tools`` are the programs that were looked for and found.
    ``active_services`` are services of the distribution's own packages that run. ``half_installed`` names the packages
    whose installation by us was cut.
    """

    host: str
    root: str
    is_root: bool
    machine: str
    libc: str = ""
    libc_version: tuple[int, ...] = ()
    page_bytes: int = 4096
    package_tool: PackageTool = PackageTool.NONE
    tools: frozenset[str] = frozenset()
    kept: tuple[KeptEngine, ...] = ()
    own: OwnServer | None = None
    offers: tuple[PackageOffer, ...] = ()
    active_services: tuple[str, ...] = ()
    half_installed: tuple[str, ...] = ()

    @property
    def can_build(self) -> bool:
        """Whether there is a compiler, make and what a source tarball is unpacked with."""
        return {"make", "cc", "tar", "gzip", "base64"} <= self.tools

    def kept_as(self, name: str) -> KeptEngine | None:
        """The folder of this name, if it is there."""
        return next((kept for kept in self.kept if kept.name == name), None)


class EngineForm(StrEnum):
    """What has to be done on a host: ship BINARIES, build SOURCE, install a PACKAGE, or LINK to what is there."""

    BINARIES = "binaries"
    SOURCE = "source"
    PACKAGE = "package"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class WantedEngine:
    """What a host should get. ``source`` is a file of the control machine (the server's binary, or a tarball) and
    ``digest`` its SHA-256; for LINK ``source`` is the server's path on the host, and ``digest`` the path's where there
    can be several (DIRECTORY); ``package`` is the package's name.

    ``version`` is None where only the host can tell, after installation.
    """

    kind: EngineKind
    origin: EngineOrigin
    form: EngineForm
    machine: str
    version: ServerVersion | None = None
    source: str = ""
    digest: str = ""
    package: str = ""

    @property
    def name(self) -> str:
        """The folder's name below the engine root."""
        if self.form in (EngineForm.PACKAGE, EngineForm.LINK):
            return "-".join(filter(None, (self.kind.value, self.origin.value, self.digest[:8])))
        parts = [self.kind.value, str(self.version) if self.version else "", self.digest[:12]]
        return "-".join(part for part in parts if part)

    @property
    def title(self) -> str:
        """For people: ``Valkey 9.1.2``, or the package's name where the version isn't known."""
        return self.version.title if self.version else (self.package or self.kind.value.capitalize())


@dataclass(frozen=True, slots=True)
class EngineOnHost:
    """An engine that is ready on a host: ``folder`` is what the cluster's link leads to, ``server`` its program."""

    folder: str
    server: str
    version: ServerVersion


@dataclass(frozen=True, slots=True)
class Binaries:
    """Files of a ``bin`` folder, as (name, content); the server is the first."""

    files: tuple[tuple[str, bytes], ...]
