"""``adopt``: what was found, where it was written, and what a cluster made by slotwright would have otherwise."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slotwright.cli.views.human import counted, show_finding_list, show_survey
from slotwright.cli.views.json import finding_json, survey_json
from slotwright.cli.views.screen import out

if TYPE_CHECKING:
    from slotwright.api import Adopted


def show_adopted(adopted: Adopted) -> None:
    """The nodes, the file, the findings, and what to type next; a file that is printed stands alone on stdout."""
    name = adopted.record.name
    if adopted.path is None:
        out(adopted.text.rstrip("\n"))
        _aside(f"{name} is known here now; it has {counted(len(adopted.findings), 'finding')}")
        _aside(f"  next   slotwright check {name} --no-canary        slotwright plan FILE")
        return
    show_survey(replace(adopted.verdict.survey, name=name))
    out("", f"  wrote  {adopted.path}", f"         {_said(adopted)}")
    out(f"  known here as {name}; nothing was changed on its nodes")
    if adopted.findings:
        out("")
        show_finding_list(adopted.findings)
    named = "" if adopted.path.name == "cluster.yaml" else f" {adopted.path.name}"
    out("", f"  next   slotwright check {name} --no-canary        slotwright plan{named}")


def _said(adopted: Adopted) -> str:
    topology = adopted.record.topology
    names = list(dict.fromkeys(name for name, _ in topology.settings))
    told = f"{counted(len(names), 'setting')}: {', '.join(names)}" if names else "no settings"
    return f"{counted(len(topology.addresses), 'node')}, {told}"


def _aside(text: str) -> None:
    print(text, file=sys.stderr)


def adopted_json(adopted: Adopted) -> dict[str, Any]:
    """`adopt`; ``topology`` is the file's text, which never holds the password."""
    return {
        "name": adopted.record.name,
        "file": str(adopted.path) if adopted.path else None,
        "topology": adopted.text,
        "settings": dict(adopted.record.settings),
        "findings": [finding_json(found) for found in adopted.findings],
        "status": survey_json(adopted.verdict.survey) | {"name": adopted.record.name},
    }
