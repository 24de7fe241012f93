"""The rotation of the nodes' logs, as texts: a systemd service with its timer, or logrotate's file where there is none.

The server opens its log anew for each line, so renaming is all that is needed (server.c, serverLogRaw; 6.2 to 9.1).
"""

from __future__ import annotations

from slotwright.cluster.node_files import LOG_LIMIT_BYTES, LOGS_KEPT
from slotwright.hosts.scripts.systemd_unit import (
    DENIED_CALLS,
    SWITCHES,
    UnitSpec,
    hidden_folders,
    unit_program,
    unit_text,
)

ROTATION_MINUTES = 5
"""Short, because a replica that can't log in to its primary writes about 1 MB of log a second."""

_ROTATION_SCRIPT = (
    'for log in "$1"/*/server.log; do '
    '[ -f "$log" ] || continue; '
    f'[ "$(wc -c <"$log")" -ge {LOG_LIMIT_BYTES} ] || continue; '
    + "".join(
        f'[ ! -e "$log.{number}" ] || mv -f "$log.{number}" "$log.{number + 1}"; '
        for number in range(LOGS_KEPT - 1, 0, -1)
    )
    + 'mv -f "$log" "$log.1"; done'
)


def render_logrotate(spec: UnitSpec) -> str:
    """For /etc/logrotate.d: the server opens its log anew for each line, so renaming is all."""
    return (
        "# Written by slotwright.\n"
        f'"{spec.nodes_root}"/*/server.log {{\n'
        f"    su {spec.user} {spec.group}\n"
        f"    size {LOG_LIMIT_BYTES // 1024 // 1024}M\n"
        f"    rotate {LOGS_KEPT}\n"
        "    missingok\n    nocreate\n    nocompress\n"
        "}\n"
    )


def render_rotation_service(spec: UnitSpec) -> str:
    """The service that moves logs over the limit aside, started by the timer."""
    script = _ROTATION_SCRIPT.replace("%", "%%").replace("$", "$$")
    walls = (
        *("NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=full", "ProtectSystem=strict"),
        f'ReadWritePaths="{unit_text(spec.nodes_root)}"',
        *hidden_folders((spec.nodes_root,)),
        *(f"{name}=yes" for name in ("PrivateNetwork", "MemoryDenyWriteExecute", *SWITCHES)),
        *("DevicePolicy=closed", "ProtectProc=invisible", "RestrictAddressFamilies=AF_UNIX"),
        *("SystemCallArchitectures=native", f"SystemCallFilter=~{' '.join(DENIED_CALLS)}"),
        "SystemCallErrorNumber=EPERM",
    )
    return (
        "# Written by slotwright.\n[Unit]\n"
        f"Description=Rotation of the logs of the cluster {spec.cluster} (slotwright)\n"
        f"ConditionPathIsDirectory={unit_text(spec.nodes_root)}\n\n[Service]\nType=oneshot\n"
        f"User={spec.user}\nGroup={spec.group}\nUMask=0077\n"
        f"ExecStart=/bin/sh -c '{script}' sh {unit_program(spec.nodes_root)}\n" + "".join(f"{line}\n" for line in walls)
    )


def render_rotation_timer(spec: UnitSpec) -> str:
    """The timer of the log rotation."""
    return (
        "# Written by slotwright.\n[Unit]\n"
        f"Description=Rotation of the logs of the cluster {spec.cluster} (slotwright)\n\n[Timer]\n"
        f"OnBootSec={ROTATION_MINUTES}min\nOnUnitActiveSec={ROTATION_MINUTES}min\nAccuracySec=1min\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )
