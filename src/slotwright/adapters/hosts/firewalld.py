"""firewalld on a host: read in one run, changed in one run, and read again to see what came of it.

``firewall-cmd`` starts a Python for each call (0.3 s); ``busctl`` asks the running firewalld within 10 ms, so it is
preferred where it prints JSON (systemd >= 239), for one rule as for a hundred (15 ms a rule either way). Nothing here
reloads firewalld, starts or stops it: a reload would drop what an administrator changed at run time only.
"""

from __future__ import annotations

from collections.abc import Sequence

from slotwright.errors import HostError
from slotwright.hosts.facts.firewall import FirewallFacts, FirewallPlan, FirewallRule
from slotwright.hosts.scripts.files import read_script
from slotwright.hosts.scripts.firewalld import parse_facts
from slotwright.ports import Shell

_READ = read_script("firewalld/read.sh")
_APPLY = read_script("firewalld/apply.sh")


async def read_firewall(shell: Shell, address: str, zones: Sequence[str] = ()) -> FirewallFacts:
    """The facts of a host whose nodes listen on ``address``; ``zones`` are those that hold rules of ours already.

    Raises HostError; code ``firewall-unreadable`` when firewalld's answers make no sense.
    """
    result = await shell.run(_READ, address, " ".join(dict.fromkeys(zones)))
    return _facts(shell, result.output, result.complaint)


async def apply_firewall(shell: Shell, plan: FirewallPlan) -> None:
    """Do what the plan says, in both scopes, and read back that it is so. Doing it twice changes nothing more.

    Raises HostError; code ``firewall-refused`` with what is missing or still there.
    """
    if plan.is_empty:
        return
    changes = (("add", plan.add), ("remove", plan.remove))
    lines = [f"{verb} {rule.zone} {rule.scope} {rule.text}" for verb, rules in changes for rule in rules]
    zones = " ".join(dict.fromkeys(rule.zone for rule in (*plan.add, *plan.remove)))
    result = await shell.run(_APPLY, zones, stdin=("\n".join(lines) + "\n").encode(), timeout_s=30 + 0.1 * len(lines))
    facts = _facts(shell, result.output, result.complaint)
    missing = tuple(rule for rule in plan.add if not facts.has(rule))
    left = tuple(rule for rule in plan.remove if facts.has(rule))
    if missing or left:
        raise _refused(shell.host, missing, left, result.complaint)


def _facts(shell: Shell, output: str, complaint: str) -> FirewallFacts:
    try:
        return parse_facts(output)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise HostError(
            f"can't read the firewall of {shell.host}: {error}",
            code="firewall-unreadable",
            where=shell.host,
            seen=complaint.strip()[-300:],
            hint="look with `firewall-cmd --list-all-zones` there; root is needed to read it",
        ) from error


def _refused(host: str, missing: Sequence[FirewallRule], left: Sequence[FirewallRule], complaint: str) -> HostError:
    results = [f"missing: {rule}" for rule in missing] + [f"still there: {rule}" for rule in left]
    return HostError(
        f"firewalld on {host} did not take {len(results)} of the changes",
        code="firewall-refused",
        where=host,
        seen=complaint.strip()[-300:],
        left="\n".join(results[:10]),
        hint="look with `firewall-cmd --list-all-zones` there, then run the same command again",
    )
