"""`client test`: the addresses that clients are sent to, and what each comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slotwright.cluster.announced import Announced
from slotwright.console.cluster_view import counted, show_finding_list
from slotwright.console.screen import out, paint, table
from slotwright.features.clients.path_model import ClientPath, DialledNode

if TYPE_CHECKING:
    from slotwright.features.clients.path_api import ClientPathResult


def show_walked(walked: ClientPathResult) -> None:
    """The verdict, a row a node, and what is wrong."""
    walk = walked.walk
    here = walk.place or "this machine"
    good = sum(walk.leads_home(node) for node in walk.nodes)
    head = f"{paint(walked.name, 'bold')}, as a client at {here} sees it: "
    if walked.is_ok:
        followed = sum(redirect.goal is not None for redirect in walk.redirects)
        out(f"{head}{paint('every node is found', 'good')}", "")
        _rows(walk)
        out("", f"  {good} announced addresses reached, {counted(followed, 'redirection')} followed")
    else:
        count = len(walk.nodes) + len(walk.untold)
        out(f"{head}{paint(f'{good} of {count} nodes are found', 'bad')}", "")
        _rows(walk)
    if walked.findings:
        out("")
        show_finding_list(walked.findings)


def _rows(walk: ClientPath) -> None:
    rows = []
    for number, shard in enumerate(walk.shards, 1):
        for node in shard.nodes:
            trial = walk.dialled_of(node)
            rows.append(
                (
                    str(number),
                    node.role.value,
                    ("no address" if node.fault else "no name") if trial is None else str(trial.address),
                    _outcome(trial, node),
                    _redirected(walk, node),
                )
            )
    table(("shard", "role", "announced as", "reached", "redirections to it"), rows)


def _outcome(trial: DialledNode | None, node: Announced) -> str:
    if trial is None:
        return paint("nowhere to go", "bad")
    if trial.is_good and trial.id == node.id:
        return f"{trial.took_ms:.0f} ms" if trial.took_ms is not None else "yes"
    return paint("another node" if trial.is_good else trial.code, "bad")


def _redirected(walk: ClientPath, node: Announced) -> str:
    """Of those that should lead to this primary, how many do."""
    meant = [
        redirect for redirect in walk.redirects if redirect.owner == node.id and redirect.asked != walk.address_of(node)
    ]
    if not meant:
        return "-"
    right = sum(_is_right(walk, redirect.goal, node) for redirect in meant)
    return f"{right} of {len(meant)}"


def _is_right(walk: ClientPath, goal: Any, node: Announced) -> bool:
    trial = walk.trial_of(goal) if goal is not None else None
    return trial is not None and trial.id == node.id
