"""The host against the server's binary: system, architecture, C library, page size."""

from __future__ import annotations

import re
from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.hosts.facts.profile import EngineTrial, HostProfile
from slotwright.hosts.fitness.requirements import Requirements, version_numbers

KNOWN_SYSTEMS = frozenset(
    {"debian", "ubuntu", "openeuler", "kylin", "uos", "anolis", "opencloudos"}
    | {"centos", "rocky", "almalinux", "rhel", "fedora", "ol", "amzn"}
)
TRIED_ARCHITECTURES = frozenset({"x86_64", "aarch64"})
USUAL_PAGE_BYTES = 4096

_SAME = {"amd64": "x86_64", "arm64": "aarch64"}


def systems(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """A system that slotwright was never tried on; it may do all the same."""
    system = profile.system
    if not wants.is_remote:
        return
    if not ({system.os_id} | set(system.os_like)) & KNOWN_SYSTEMS:
        yield Finding(
            "os-unknown",
            Severity.NOTE,
            profile.host,
            f"slotwright was not tried on {system.os_name or system.os_id or 'this system'}",
            "none: it goes on with what every POSIX system has",
            seen=f"ID={system.os_id or '?'}, kernel {system.kernel or '?'}",
        )
    if system.architecture and system.architecture not in TRIED_ARCHITECTURES:
        yield Finding(
            "architecture-unknown",
            Severity.NOTE,
            profile.host,
            f"slotwright was not tried on {system.architecture}",
            "none, if there is a server for it: `engine: {from: package}`, or `archive` with its source",
        )


def engines(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """A binary that was tried there and did not run, by what it said; and a glibc that is known to be too old."""
    trial, system = profile.engine, profile.system
    if trial is not None and trial.is_there and trial.status is not None and not trial.runs:
        yield _does_not_run(profile, trial)
        return
    needed, has = version_numbers(wants.glibc_needed), version_numbers(system.libc_version)
    if trial is not None and trial.runs:
        return
    if needed and system.libc == "musl":
        yield _glibc(
            profile, f"the server needs glibc {wants.glibc_needed}; this host has musl instead", "no trial yet"
        )
    elif needed and has and has < needed:
        text = f"glibc {system.libc_version} here"
        yield _glibc(profile, f"the server needs glibc {wants.glibc_needed} or newer", text)


def _does_not_run(profile: HostProfile, trial: EngineTrial) -> Finding:
    text = trial.output.strip().replace("\n", " / ")[:300] or f"exit status {trial.status}"
    wanted = re.search(r"version `(GLIBC(?:XX)?_[\d.]+)' not found", trial.output)
    if wanted:
        return _glibc(profile, f"{trial.path} needs {wanted[1].replace('_', ' ')}", text)
    if trial.machine and trial.machine != _machine(profile):
        return _wrong_architecture(profile, f"{trial.path} is for {trial.machine}", text)
    if "Unsupported system page size" in trial.output:
        return _page_size(profile, trial, text)
    if library := re.search(r"loading shared libraries: ([^\s:]+)", trial.output):
        what, remedy = f"{trial.path} needs the library {library[1]}", "install the package that has it"
    elif profile.system.libc == "musl" and "not found" in trial.output:
        return _glibc(profile, f"{trial.path} is made for glibc, and this host has musl", text)
    else:
        what, remedy = f"{trial.path} does not run there", f"look at it on the host: {trial.path} --version"
    return Finding(
        "engine-does-not-run",
        Severity.SERIOUS,
        profile.host,
        what,
        f"{remedy}, or take the host's own: `engine: {{from: package}}`",
        seen=text,
        risk="no node can start there",
    )


def _glibc(profile: HostProfile, what: str, seen: str) -> Finding:
    return Finding(
        "glibc-too-old",
        Severity.SERIOUS,
        profile.host,
        f"the C library does not fit: {what}",
        "take a server made for this host: `engine: {from: package}`, or `archive` with its source (built there)",
        seen=seen,
        risk="no node can start there",
    )


def _machine(profile: HostProfile) -> str:
    return _SAME.get(profile.system.architecture, profile.system.architecture)


def architectures(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """A binary that is there for another machine runs only where something emulates it: told by its trial."""
    offered = {_SAME.get(name, name) for name in wants.architectures}
    if offered and profile.system.architecture and _machine(profile) not in offered:
        yield _wrong_architecture(
            profile, "there is no server for it", f"there is one for {', '.join(sorted(offered))}"
        )


def _wrong_architecture(profile: HostProfile, why: str, seen: str) -> Finding:
    return Finding(
        "binary-wrong-architecture",
        Severity.SERIOUS,
        profile.host,
        f"this host is {_machine(profile)}: {why}",
        "take the host's own server: `engine: {from: package}`, or `archive` with its source (built there)",
        seen=seen,
        risk="no node can start there",
    )


def page_sizes(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """jemalloc is built for one page size and stops on a larger one (jemalloc, pages.c: "Unsupported system page
    size"); and a save copies whole pages, so that large ones cost more memory under writes."""
    size, trial = profile.system.page_bytes, profile.engine
    if size is None or size <= USUAL_PAGE_BYTES or (trial and trial.is_there and trial.status not in (None, 0)):
        return
    runs = bool(trial and trial.runs)
    yield Finding(
        "page-size-64k" if size == 65536 else "page-size-large",
        Severity.NOTE if runs else Severity.WARNING,
        profile.host,
        f"memory pages are {size // 1024} KB here, not 4 KB",
        "none: leave more memory free for saves than elsewhere"
        if runs
        else "take the host's own server (`engine: {from: package}`) or build it there (`archive` with its source); "
        "one with libc's malloc runs as well",
        seen="the server runs here" if runs else "the server was not tried here yet",
        risk="one changed byte during a save copies a whole page"
        if runs
        else 'a server whose jemalloc was built for smaller pages aborts: "Unsupported system page size"',
    )


def _page_size(profile: HostProfile, trial: EngineTrial, text: str) -> Finding:
    size = profile.system.page_bytes or 0
    return Finding(
        "engine-page-size",
        Severity.SERIOUS,
        profile.host,
        f"{trial.path} was built for smaller memory pages than the {size // 1024} KB of this host",
        "take the host's own server: `engine: {from: package}`, or `archive` with its source (built there)",
        seen=text,
        risk="no node can start there",
    )


def mixtures(profiles: tuple[HostProfile, ...], wants: Requirements) -> Iterator[Finding]:
    """Saves and replication don't depend on the architecture; binaries do."""
    kinds: dict[str, list[str]] = {}
    for profile in profiles:
        if profile.system.architecture:
            kinds.setdefault(_machine(profile), []).append(profile.host)
    if len(kinds) > 1:
        yield Finding(
            "architecture-mixed",
            Severity.NOTE,
            ", ".join(host for hosts in kinds.values() for host in hosts),
            f"the hosts are of {len(kinds)} architectures: each gets a server of its own kind",
            "none: data moves between them unharmed",
            seen="; ".join(f"{kind}: {', '.join(hosts)}" for kind, hosts in sorted(kinds.items())),
        )
