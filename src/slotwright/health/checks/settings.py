"""What runs with other settings than the file gives, and more than one version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.topology import Mode
from slotwright.health.check_context import CheckContext
from slotwright.server.integers import integer_in
from slotwright.server.server_conf import SECRET_DIRECTIVES, is_secret
from slotwright.server.setting_values import SHORTEST_NODE_TIMEOUT_MS


def settings_differ(case: CheckContext) -> Iterator[Finding]:
    """Settings that run with another value than the file gives."""
    if case.expected is None or not case.expected.settings:
        return
    wanted = dict(case.expected.settings)
    locked_out = {address for address, _ in case.observation.login_faults}
    for node, view in case.views():
        # A wrong masterauth that has shown its consequence is told with it.
        told_apart = SECRET_DIRECTIVES if view.address in locked_out else ()
        wrong = [
            (name, value)
            for name, value in view.settings
            if wanted.get(name, value) != value and name not in told_apart
        ]
        if wrong:
            text = ", ".join(_difference(name, value, wanted[name]) for name, value in wrong)
            yield Finding(
                "settings-differ",
                Severity.WARNING,
                node.place,
                "a setting is not that of the file" if len(wrong) == 1 else f"{len(wrong)} settings are not the file's",
                "slotwright up" + (_OPEN_FILES if any(_is_lowered(*pair, wanted) for pair in wrong) else ""),
                seen=text,
            )


_OPEN_FILES = (
    "; a server takes fewer clients where it may open fewer files: slotwright preflight --fix, then restart it"
)


def _is_lowered(name: str, value: str, wanted: Mapping[str, str]) -> bool:
    now, then = integer_in(value), integer_in(wanted[name])
    return name == "maxclients" and now is not None and then is not None and now < then


def short_timeouts(case: CheckContext) -> Iterator[Finding]:
    """Nodes that give others up before these can answer."""
    timeouts = {
        node.place: timeout_ms
        for node, view in case.views()
        if view.mode is Mode.CLUSTER
        and (timeout_ms := integer_in(view.setting("cluster-node-timeout"))) is not None
        and timeout_ms < SHORTEST_NODE_TIMEOUT_MS
    }
    if timeouts:
        yield Finding(
            "node-timeout-short",
            Severity.WARNING,
            next(iter(timeouts)) if len(timeouts) == 1 else case.survey.name,
            f"cluster-node-timeout is {min(timeouts.values())} ms: nodes that are well hold each other failed",
            "CONFIG SET cluster-node-timeout 15000 on every node, then CONFIG REWRITE"
            if case.expected is None
            else "a longer cluster-node-timeout in the file (15000 is usual, in milliseconds), then slotwright up",
            seen=", ".join(list(timeouts)[:6]) + (" ..." if len(timeouts) > 6 else ""),
            risk="failovers without need, and times in which nothing is served",
        )


def versions(case: CheckContext) -> Iterator[Finding]:
    """More than one server version."""
    result = sorted({view.version for _, view in case.views()})
    if len(result) > 1:
        yield Finding(
            "versions-mixed",
            Severity.NOTE,
            case.survey.name,
            f"{len(result)} server versions run",
            "finish the upgrade",
            seen=", ".join(version.title for version in result),
        )


def _difference(name: str, now: str, wanted: str) -> str:
    return f"{name} differs" if is_secret(name) else f"{name} is {now}, the file says {wanted}"
