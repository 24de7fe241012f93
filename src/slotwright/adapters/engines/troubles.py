"""A script's failure on a host -> an error that says what is wrong there and what to do."""

from __future__ import annotations

from slotwright.adapters.engines.wheels import last_words
from slotwright.adapters.supervisors.refusals import refused_by
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind
from slotwright.errors import HostError
from slotwright.hosts.facts.engine import EngineForm, EngineHost, PackageTool, WantedEngine
from slotwright.hosts.scripts.engine import BUILD_FAILED, NO_CHECKSUM_TOOL, PACKAGE_FAILED, UNUSABLE, WRONG_CHECKSUM
from slotwright.ports import ShellResult
from slotwright.server.capabilities import is_supported

_COMPILERS = {
    PackageTool.APT: "apt-get install make gcc libc6-dev",
    PackageTool.DNF: "dnf install make gcc",
    PackageTool.YUM: "yum install make gcc",
    PackageTool.ZYPPER: "zypper install make gcc",
    PackageTool.NONE: "install make and a C compiler",
}
_RETRY = "run the same command again: it goes on from here"


def script_error(result: ShellResult, host: EngineHost, wanted: WantedEngine) -> HostError:
    """The error for a script of ``hosts/scripts/engine.py`` that did not end with 0. Raises RefusedError for one that
    refused."""
    refused = refused_by(result, host.host, host.root)
    if refused is not None:
        raise refused
    text = result.complaint.strip()
    if "No space left" in text or "Disk quota" in text:
        return HostError(
            f"the disk of {host.host} is full: {wanted.title} could not be written",
            code="disk-full",
            where=f"{host.host}:{host.root}",
            seen=last_words(text),
            left="nothing half-written was left",
            hint=f"free some room on the disk of {host.root}",
        )
    match result.status:
        case code if code == UNUSABLE:
            return unusable(host, wanted, text)
        case code if code == WRONG_CHECKSUM:
            return HostError(
                f"{wanted.title} did not arrive as a whole on {host.host}",
                code="engine-damaged",
                where=host.host,
                seen=text,
                hint=_RETRY,
            )
        case code if code == NO_CHECKSUM_TOOL:
            return HostError(f"{host.host} can't compute a SHA-256", code="tool-missing", where=host.host, seen=text)
        case code if code == BUILD_FAILED:
            return _build_failed(host, wanted, text)
        case code if code == PACKAGE_FAILED:
            return _package_failed(host, wanted, text)
    return HostError(
        f"{wanted.title} could not be installed on {host.host}",
        code="not-writable" if "ermission denied" in text or "Read-only" in text else "engine-failed",
        where=f"{host.host}:{host.root}",
        seen=last_words(text) or f"the script ended with {result.status}",
        hint=f"see that {host.root} can be written, by root or with sudo",
    )


def unusable(host: EngineHost, wanted: WantedEngine, seen: str) -> HostError:
    """A server that does not start on its host."""
    hint = "use `engine: {from: package}`, or a source tarball, which is built on the host"
    if host.libc == "musl" and wanted.form is EngineForm.BINARIES:
        why = ": it is made for glibc, the host has musl"
    elif "GLIBC_" in seen or "libc" in seen:
        have = ".".join(map(str, host.libc_version))
        why = f": it wants a newer libc than the host's {host.libc} {have}".rstrip()
    elif "page size" in seen:
        why = f": it was built for smaller memory pages than the host's {host.page_bytes // 1024} KiB"
    elif "ermission denied" in seen:
        why = ": the host does not allow programs there to run"
        hint = f"see whether the disk of {host.root} is mounted noexec"
    elif "shared librar" in seen:
        why = ": a library is missing on the host"
    else:
        why = ""
    return HostError(
        f"{wanted.title} can't run on {host.host}{why}",
        code="binary-unusable",
        where=host.host,
        seen=seen[:300],
        left="it was not installed",
        hint=hint,
    )


def wrong_machine(host: EngineHost, wanted: WantedEngine, made_for: str) -> HostError:
    """A binary tarball of another architecture."""
    return HostError(
        f"{wanted.source} is made for {made_for}, {host.host} is {host.machine}",
        code="binary-wrong-architecture",
        where=host.host,
        hint=f"put the tarball for {host.machine} beside it, with a name that differs only in the architecture, "
        "or name a source tarball",
    )


def cant_build(host: EngineHost, wanted: WantedEngine) -> HostError:
    """No host of this architecture and libc can compile."""
    missing = [tool for tool in ("make", "cc", "tar", "gzip", "base64") if tool not in host.tools]
    what = f"{', '.join(missing)} missing" if missing else "the hosts that can have a newer libc"
    return HostError(
        f"{wanted.title} can't be built for {host.host} ({host.machine}): {what}",
        code="build-tools-missing",
        where=host.host,
        hint=f"on one host of its kind: {_COMPILERS[host.package_tool]} (it can be removed afterwards)",
    )


def not_available(host: EngineHost, kind: EngineKind, what: str, hint: str = "") -> HostError:
    """The host does not have, and can't get, what the file asks for."""
    return HostError(
        f"{host.host}: {what}",
        code="engine-not-available",
        where=host.host,
        hint=hint or f"`engine: {{kind: {kind.value}, from: embedded}}` or a tarball needs nothing of the host",
    )


def version_error(host: EngineHost, kind: EngineKind, version: ServerVersion, where: str) -> HostError | None:
    """A server of the other family, or too old; None where it fits."""
    if version.kind is not kind:
        return HostError(
            f"{where} on {host.host} is {version.title}, but the file asks for {kind.value}",
            code="binary-wrong-engine",
            where=host.host,
            hint=f"write `engine: {{kind: {version.kind.value}, ...}}`",
        )
    if not is_supported(version):
        return HostError(
            f"{where} on {host.host} is {version.title}: 6.2 is the oldest that is supported",
            code="binary-too-old",
            where=host.host,
            hint=f"`engine: {{kind: {kind.value}, from: embedded}}` or a tarball brings a newer one",
        )
    return None


def _build_failed(host: EngineHost, wanted: WantedEngine, seen: str) -> HostError:
    log = f"{host.root}/build-{wanted.kind.value}-{wanted.digest[:12]}.log"
    return HostError(
        f"{wanted.title} could not be built on {host.host}",
        code="build-failed",
        where=host.host,
        seen="\n".join(seen.splitlines()[-15:]),
        hint=f"the whole log is {log} on {host.host}",
    )


def _package_failed(host: EngineHost, wanted: WantedEngine, seen: str) -> HostError:
    log = f"{host.root}/.install-{wanted.package}.log"
    return HostError(
        f"{host.package_tool.value or 'a package manager'} could not install {wanted.package} on {host.host}",
        code="package-manager-failed",
        where=host.host,
        seen="\n".join(seen.splitlines()[-15:]),
        hint=f"see {log} on {host.host}; a host without its repositories takes `from: embedded` or a tarball",
    )
