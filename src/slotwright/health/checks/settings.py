"""What runs with other settings than the file gives, and more than one version."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.health.check_context import CheckContext
from slotwright.server.server_conf import SECRET_DIRECTIVES, is_secret


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
                "slotwright up",
                seen=text,
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
