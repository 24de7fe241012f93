"""What a host looks like, by its own tools: nothing of slotwright is asked."""

from __future__ import annotations

import re
from difflib import unified_diff
from typing import NamedTuple

from tests.lab.machine import Host
from tests.lab.machines import Lab

ALWAYS_OPEN = frozenset({"0.0.0.0:22", "[::]:22"})
ZONE_AT_FIRST = {"services": "dhcpv6-client ssh", "ports": "", "sources": "", "protocols": "", "forward-ports": ""}
"""What the lab's hosts let in before anybody changes that."""

_FINGERPRINT = r"""
find /etc /usr/local /opt /root /home /tmp /var/tmp /var/lib/slotwright /lib/systemd/system /run/systemd/system \
  /run/systemd/transient /run/slotwright -xdev ! -type d ! -path '/etc/firewalld/*' \
  -printf '%p %y %m %U:%G %s %T@ %l\n' 2>/dev/null | sort
# Written anew at each change, with a backup: what they say is what counts.
find /etc/firewalld -type f ! -name '*.old' | sort | while read -r file; do sha256sum "$file"; done
getent passwd; getent group
nft list ruleset
ss -ltnH | awk '{ print $4 }' | sort
dpkg-query -W
cat /proc/sys/vm/overcommit_memory /proc/sys/net/core/somaxconn /sys/kernel/mm/transparent_hugepage/enabled
"""

_OF_CLUSTER = r"""
name=$1
find /etc /var /run /usr /opt /root /home /tmp -xdev \( -name "*slotwright-$name*" -o -path "*slotwright*/$name/*" \
  -o -name "$name" -path '*slotwright*' \) 2>/dev/null
systemctl list-units --all --plain --no-legend --no-pager "slotwright-$name*" | awk '{ print "unit " $1 }'
ps -eo user:20,args | grep -E '^slotwright|[/](redis|valkey)-server' | sed 's/^/process /'
firewall-cmd --list-all-zones | grep 'rule ' | sed 's/^/running /'
firewall-cmd --permanent --list-all-zones | grep 'rule ' | sed 's/^/permanent /'
true
"""


class Rule(NamedTuple):
    """A rule that lets somebody in."""

    source: str
    ports: str


def fingerprint(host: Host) -> list[str]:
    """Files (so units and permanent rules) with modes, owners, sizes and times; users; running rules; listeners.

    Of a node's folder only what slotwright writes: servers write the rest all the time."""
    lines = host.run(_FINGERPRINT).stdout.splitlines()
    return [line for line in lines if "/nodes/" not in line or "/server.conf " in line]


def fingerprints(lab: Lab) -> dict[str, list[str]]:
    """Those of all hosts."""
    return {name: fingerprint(host) for name, host in lab.hosts.items()}


def differences(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    """What a change of hosts shows in their fingerprints; nothing when they are the same."""
    return [
        f"{name}: {line}"
        for name in before
        for line in unified_diff(before[name], after[name], lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]


def traces(host: Host, cluster: str = "cache") -> list[str]:
    """All that is on the host of a cluster: files, units, processes, rules. Nothing, once it is destroyed."""
    return host.run(_OF_CLUSTER, cluster).stdout.splitlines()


def listeners(host: Host) -> set[str]:
    """``address:port`` of everything that listens on TCP, but sshd."""
    return set(host.run("ss -ltnH | awk '{ print $4 }'").stdout.split()) - ALWAYS_OPEN


def rules(host: Host, *, permanent: bool = False) -> set[Rule]:
    """Every rule of the firewall's zones; fails on one that is more than source, ports and accept."""
    words = "--permanent" if permanent else ""
    found = set()
    for line in host.run(f"firewall-cmd {words} --list-all-zones").stdout.splitlines():
        text = line.strip()
        if not text.startswith("rule "):
            continue
        match = re.fullmatch(
            r'rule family="ipv4" source address="([^"]+)" port port="([^"]+)" protocol="tcp" accept', text
        )
        assert match, text
        found.add(Rule(match[1].removesuffix("/32"), match[2]))
    return found


def zone(host: Host, *, permanent: bool = False) -> dict[str, str]:
    """What else the default zone lets in, under the keys of :data:`ZONE_AT_FIRST`."""
    words = "--permanent" if permanent else ""
    lines = host.run(f"firewall-cmd {words} --list-all").stdout.splitlines()
    found = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return {name: found[name] for name in ZONE_AT_FIRST}


def pids(host: Host) -> dict[int, int]:
    """Port -> main process of the node, by its unit; 0 where it does not run."""
    found = {}
    units = host.run("systemctl list-units --all --plain --no-legend --no-pager 'slotwright-*@*'").stdout
    for line in units.splitlines():
        unit = line.split()[0]
        pid = host.run("systemctl show -p MainPID --value $1", unit).stdout.strip()
        found[int(unit.removesuffix(".service").rpartition("-")[2])] = int(pid)
    return found


def unit(host: Host, port: int, name: str, cluster: str = "cache") -> str:
    """A property of a node's unit."""
    return host.run(
        "systemctl show -p $1 --value $2", name, f"slotwright-{cluster}@{host.address}-{port}.service"
    ).stdout.strip()


def folder(host: Host, port: int, cluster: str = "cache") -> str:
    """The node's folder."""
    return f"/var/lib/slotwright/clusters/{cluster}/nodes/{host.address}-{port}"
