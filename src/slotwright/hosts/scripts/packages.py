"""What package managers print -> which package carries the server, and in which version.

The names of the packages differ: Debian and Ubuntu have ``redis-server`` and ``valkey-server``; Fedora, Rocky and
openSUSE ``redis`` and ``valkey``; openEuler and Kylin keep old lines under ``redis`` and newer ones under ``redis5``,
``redis6``, ``redis7``.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.topology import EngineKind
from slotwright.hosts.facts.engine import EngineHost, PackageOffer, PackageTool
from slotwright.server.capabilities import OLDEST

_RPM_NAMES = {
    EngineKind.REDIS: ("redis", "redis7", "redis6", "redis5"),
    EngineKind.VALKEY: ("valkey", "valkey8", "valkey9"),
}
_APT_NAMES = {EngineKind.REDIS: ("redis-server",), EngineKind.VALKEY: ("valkey-server", "valkey")}

SERVICES = {
    EngineKind.REDIS: ("redis-server", "redis"),
    EngineKind.VALKEY: ("valkey-server", "valkey"),
}
"""The packages' own services; the first is the unit, the second may be its other name."""

_DEFAULT_PORT = 6379


def package_names(tool: PackageTool, kind: EngineKind) -> tuple[str, ...]:
    """The names to ask for, the usual one first; () where the package manager isn't known."""
    match tool:
        case PackageTool.APT:
            return _APT_NAMES[kind]
        case PackageTool.NONE:
            return ()
        case _:
            return _RPM_NAMES[kind]


def parse_offers(tool: PackageTool, kind: EngineKind, text: str) -> tuple[PackageOffer, ...]:
    """The packages that ``text`` tells of, those installed first.

    ``text`` is what the script LOOK prints of dpkg-query, apt-cache, rpm, dnf, yum or zypper.
    """
    names = package_names(tool, kind)
    match tool:
        case PackageTool.APT:
            package_offers = _apt(text)
        case PackageTool.ZYPPER:
            package_offers = _zypper(text)
        case _:
            package_offers = _rpm(text)
    kept = [offer for offer in package_offers if offer.name in names]
    return tuple(sorted(kept, key=lambda offer: (not offer.is_installed, names.index(offer.name))))


def choose_offer(tool: PackageTool, kind: EngineKind, offers: tuple[PackageOffer, ...]) -> PackageOffer | None:
    """The package to take: what is installed, else the usual name if it is new enough, else the newest of the others.

    None where nothing is offered. One without a version is taken to be new enough: the server itself tells later.
    """
    installed = [offer for offer in offers if offer.is_installed and _is_new_enough(offer)]
    fit = [offer for offer in offers if _is_new_enough(offer)]
    usual = [offer for offer in fit if offer.name == package_names(tool, kind)[0]]
    for choices in (installed, usual):
        if choices:
            return choices[0]
    return max(fit or offers, key=lambda offer: offer.version, default=None)


def _is_new_enough(offer: PackageOffer) -> bool:
    return not offer.version or offer.version >= OLDEST


def _numbers(text: str) -> tuple[int, ...]:
    """``5:7.0.15-1~deb12u7`` -> (7, 0, 15): without the epoch, up to the packager's own number."""
    upstream = re.sub(r"^\d+:", "", text.strip())
    match = re.match(r"\d+(?:\.\d+)*", upstream)
    return tuple(int(part) for part in match[0].split(".")[:3]) if match else ()


def _installed(text: str) -> list[PackageOffer]:
    lines = re.findall(r"(?m)^installed (\S+) (\S+)$", text)
    return [PackageOffer(name, _numbers(version), is_installed=True) for name, version in lines]


def _apt(text: str) -> list[PackageOffer]:
    """``installed NAME VERSION`` lines, or the blocks of ``apt-cache policy``."""
    offers = _installed(text)
    if offers:
        return offers
    for block in re.split(r"(?m)^(?=\S+:$)", text):
        name = re.match(r"(\S+):$", block, re.MULTILINE)
        fields = dict(re.findall(r"(?m)^ +(Installed|Candidate): (\S+)", block))
        installed, candidate = (fields.get(key, "(none)") for key in ("Installed", "Candidate"))
        if name and installed != "(none)":
            offers.append(PackageOffer(name[1], _numbers(installed), is_installed=True))
        elif name and candidate != "(none)":
            offers.append(PackageOffer(name[1], _numbers(candidate)))
    return offers


def _rpm(text: str) -> list[PackageOffer]:
    """``installed NAME VERSION`` lines, then the table of ``list available``; yum breaks its long lines in two."""
    offers = _installed(text)
    there = {offer.name for offer in offers}
    best: dict[str, PackageOffer] = {}
    for name, version in re.findall(r"(?m)^(\S+)\.(?:x86_64|aarch64|noarch)\s+(\S+)\s+\S+", text):
        offer = PackageOffer(name, _numbers(version))
        if name not in there and offer.version > best.get(name, PackageOffer(name)).version:
            best[name] = offer
    return offers + list(best.values())


def _zypper(text: str) -> list[PackageOffer]:
    offers = []
    for block in re.split(r"(?m)^(?=Information for )", text):
        fields = dict(re.findall(r"(?m)^(Name|Version|Installed) *: *(\S+)", block))
        if "Name" in fields and "Version" in fields:
            is_installed = fields.get("Installed", "").startswith("Yes")
            offers.append(PackageOffer(fields["Name"], _numbers(fields["Version"]), is_installed))
    return offers


def service_findings(host: EngineHost, ports: Collection[int]) -> tuple[Finding, ...]:
    """The distribution's own instance runs: it takes port 6379 (its packages' setting), whoever installed it.

    Looking at the ports tells that one is taken; this tells by what, and that it is left alone.
    """
    if not host.active_services:
        return ()
    unit = host.active_services[0]
    is_in_the_way = _DEFAULT_PORT in ports
    return (
        Finding(
            "package-service-runs",
            Severity.SERIOUS if is_in_the_way else Severity.NOTE,
            host.host,
            f"the distribution's own {unit}.service runs on {host.host}",
            f"if nobody needs it: systemctl disable --now {unit}" + (", or choose other ports" * is_in_the_way),
            f"systemctl is-active {unit}: active",
            f"it usually has port {_DEFAULT_PORT}, which this file wants" if is_in_the_way else "",
        ),
    )
