"""``adopt``: what was found, where it was written, and what a cluster made by slotwright would have otherwise."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from slotwright.console.cluster_view import counted, show_finding_list, show_survey
from slotwright.console.screen import out

if TYPE_CHECKING:
    from slotwright.features.adopt.api import Adopted


def show_adopted(adopted: Adopted) -> None:
    """The nodes, the file, the findings, and what to type next; a file that is printed stands alone on stdout."""
    name = adopted.record.name
    if adopted.path is None:
        out(adopted.text.rstrip("\n"))
        _aside(f"{name} is known here now; it has {counted(len(adopted.findings), 'finding')}")
        _aside(f"  next   slotwright check {name} --no-canary        slotwright plan FILE")
        return
    show_survey(replace(adopted.verdict.survey, name=name))
    out("", f"  wrote  {adopted.path}", f"         {_summary(adopted)}")
    out(f"  known here as {name}; nothing was changed on its nodes")
    if adopted.findings:
        out("")
        show_finding_list(adopted.findings)
    named = "" if adopted.path.name == "cluster.yaml" else f" {adopted.path.name}"
    out("", f"  next   slotwright check {name} --no-canary        slotwright plan{named}")


def _summary(adopted: Adopted) -> str:
    topology = adopted.record.topology
    names = list(dict.fromkeys(name for name, _ in topology.settings))
    text = f"{counted(len(names), 'setting')}: {', '.join(names)}" if names else "no settings"
    if any(finding.code == "settings-unread" for finding in adopted.findings):
        text += ", as far as they could be read"
    return f"{counted(len(topology.addresses), 'node')}, {text}"


def _aside(text: str) -> None:
    print(text, file=sys.stderr)
