"""What package managers print, in the forms that they have on the distributions that are supported."""

from __future__ import annotations

import pytest

from slotwright.cluster.findings import Severity
from slotwright.cluster.topology import EngineKind
from slotwright.hosts.facts.engine import EngineHost, PackageOffer, PackageTool
from slotwright.hosts.scripts.packages import choose_offer, package_names, parse_offers, service_findings

REDIS, VALKEY = EngineKind.REDIS, EngineKind.VALKEY

DEBIAN_12 = """\
redis-server:
  Installed: (none)
  Candidate: 5:7.0.15-1~deb12u10
  Version table:
     5:7.0.15-1~deb12u10 500
        500 http://deb.debian.org/debian-security bookworm-security/main amd64 Packages
     5:7.0.15-1~deb12u7 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
"""
DEBIAN_13_VALKEY = """\
valkey-server:
  Installed: (none)
  Candidate: 8.1.1+dfsg1-3
  Version table:
     8.1.1+dfsg1-3 500
"""
NOTHING_FETCHED = """\
redis-server:
  Installed: (none)
  Candidate: (none)
  Version table:
"""
OPENEULER_22 = """\
Available Packages
redis.aarch64            4.0.14-6.oe2203sp3          OS
redis5.aarch64           5.0.4-2.oe2203sp3           everything
redis6.aarch64           6.2.7-1.oe2203sp3           everything
"""
ROCKY_9 = """\
Available Packages
redis.x86_64              6.2.18-1.el9_5              appstream
"""
CENTOS_7 = """\
Available Packages
redis.x86_64                        3.2.12-2.el7                         epel
"""
YUM_WRAPPED = """\
Available Packages
redis6.x86_64
                  6.2.14-2.a.very.long.release.of.a.vendor.el7
                                                      a-repository-with-a-long-name
"""
SUSE = """\
Loading repository data...
Reading installed packages...


Information for package redis:
------------------------------
Repository     : Main Repository (OSS)
Name           : redis
Version        : 7.2.4-150600.3.3.1
Arch           : x86_64
Vendor         : openSUSE
Installed Size : 4.2 MiB
Installed      : No
Status         : not installed
"""


def offers(tool: PackageTool, kind: EngineKind, text: str) -> list[tuple[str, tuple[int, ...], bool]]:
    return [(offer.name, offer.version, offer.is_installed) for offer in parse_offers(tool, kind, text)]


def test_apt_tells_the_candidate_without_epoch_and_revision() -> None:
    assert offers(PackageTool.APT, REDIS, DEBIAN_12) == [("redis-server", (7, 0, 15), False)]
    assert offers(PackageTool.APT, VALKEY, DEBIAN_13_VALKEY) == [("valkey-server", (8, 1, 1), False)]


def test_apt_without_lists_offers_nothing() -> None:
    assert offers(PackageTool.APT, REDIS, NOTHING_FETCHED) == []
    assert offers(PackageTool.APT, REDIS, "") == []


def test_what_dpkg_has_installed_is_enough() -> None:
    text = "installed redis-server 5:7.0.15-1~deb12u10\n"
    assert offers(PackageTool.APT, REDIS, text) == [("redis-server", (7, 0, 15), True)]


@pytest.mark.parametrize(
    ("tool", "text", "name", "version"),
    [
        (PackageTool.DNF, OPENEULER_22, "redis6", (6, 2, 7)),
        (PackageTool.DNF, ROCKY_9, "redis", (6, 2, 18)),
        (PackageTool.YUM, CENTOS_7, "redis", (3, 2, 12)),
        (PackageTool.YUM, YUM_WRAPPED, "redis6", (6, 2, 14)),
        (PackageTool.ZYPPER, SUSE, "redis", (7, 2, 4)),
        (PackageTool.DNF, "installed redis 4.0.14\n" + OPENEULER_22, "redis6", (6, 2, 7)),
        (PackageTool.DNF, "installed redis6 6.2.7\n" + ROCKY_9, "redis6", (6, 2, 7)),
    ],
)
def test_the_usual_name_if_it_is_new_enough_else_the_newest(
    tool: PackageTool, text: str, name: str, version: tuple[int, ...]
) -> None:
    chosen = choose_offer(tool, REDIS, parse_offers(tool, REDIS, text))
    assert chosen is not None
    assert (chosen.name, chosen.version) == (name, version)


def test_nothing_is_chosen_of_nothing() -> None:
    assert choose_offer(PackageTool.DNF, REDIS, ()) is None
    assert package_names(PackageTool.NONE, REDIS) == ()


def test_a_package_without_a_version_may_be_new_enough() -> None:
    offer = PackageOffer("redis-server")
    assert choose_offer(PackageTool.APT, REDIS, (offer,)) == offer


def test_the_distributions_own_service_is_a_finding() -> None:
    quiet = EngineHost("h", "/opt", True, "x86_64")
    busy = EngineHost("h", "/opt", True, "x86_64", active_services=("redis-server", "redis"))
    assert service_findings(quiet, (6379,)) == ()
    (grave,) = service_findings(busy, (6379, 6380))
    assert grave.severity is Severity.SERIOUS and "redis-server" in grave.what
    (note,) = service_findings(busy, (7001,))
    assert note.severity is Severity.NOTE
