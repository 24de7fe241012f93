"""A cluster's systemd units, as texts. The log rotation is in ``log_rotation.py``.

One template a cluster, ``slotwright-NAME@.service``; the instance is the name of the node's folder
(``192.0.2.7-6379``), so ``%i`` leads from the unit to the folder and back.

What a unit may do by itself follows from what is on the disk. A primary that comes back empty within the node timeout
makes its replicas empty as well, and one that comes back with an old snapshot throws away what they have beyond it. So
only a server with an append-only file is restarted after a crash; one with snapshots starts at boot, when its replica
has long taken over; one without either is started by people alone.

Made for systemd 219 (CentOS 7) and later. An older one ignores a key that it doesn't know, hence:

- ``Type=exec`` (since 240) reports a binary that can't run; before, it is taken as the default ``simple``. ``notify``
  would hang with servers built without libsystemd, and one can't tell them by their version.
- ``ProtectSystem=full`` stands before ``strict`` (since 232), which an old one can't read and skips.
- System calls are denied by group, not allowed by group: an old systemd skips a group that it doesn't know, which
  leaves such a list of denied calls shorter, but a list of allowed ones all but empty.
- ``PrivateUsers`` is only for hosts known to allow user namespaces: where they are switched off, as on some hardened
  hosts, it keeps the server from starting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

Directive = tuple[str, str]

# It answers on its bus once its rules are in; where it does not run, nothing is waited for.
_FIREWALL_IS_IN = (
    "systemctl -q is-active firewalld && exec timeout 20 busctl get-property org.fedoraproject.FirewallD1 "
    "/org/fedoraproject/FirewallD1 org.fedoraproject.FirewallD1 state >/dev/null"
)
_DEFAULT_MAXCLIENTS = 10000
_LEAST_FILES = 65536
_OWN_FILES = 1024
_HOMES = ("/home/", "/root/", "/run/user/")
_SCRATCH = ("/tmp/", "/var/tmp/")  # noqa: S108 - compared with, not used


class Persistence(StrEnum):
    """What a server finds on its disk when it starts again: all but the last second, an older state, or nothing."""

    APPEND_ONLY = "append-only"
    SNAPSHOTS = "snapshots"
    NONE = "none"

    @property
    def may_restart(self) -> bool:
        """Whether the unit may start the server again after a crash."""
        return self is Persistence.APPEND_ONLY

    @property
    def starts_at_boot(self) -> bool:
        """Whether the unit is enabled."""
        return self is not Persistence.NONE


def persistence_of(settings: Sequence[Directive]) -> Persistence:
    """From effective settings (:func:`slotwright.server.server_conf.effective_settings`), in the server's syntax.

    Without any ``save`` the server's own default counts, which does save; the first one replaces it, and an empty one
    forgets those before it (config.c, setConfigSaveOption).
    """
    appends, saves = False, True
    for name, value in settings:
        if name.lower() == "appendonly":
            appends = value.lower() == "yes"
        elif name.lower() == "save":
            saves = bool(value.strip("\"' "))
    if appends:
        return Persistence.APPEND_ONLY
    return Persistence.SNAPSHOTS if saves else Persistence.NONE


@dataclass(frozen=True, slots=True)
class UnitSpec:
    """What a cluster's unit is made from.

    ``binary`` is the absolute path of the server through the cluster's link; ``nodes_root`` the absolute folder that
    holds one folder a node; ``settings`` are the effective ones. ``has_user_namespaces``: the host is known to allow
    them (``/proc/sys/user/max_user_namespaces`` above 0).
    """

    cluster: str
    binary: str
    nodes_root: str
    user: str = "slotwright"
    group: str = "slotwright"
    settings: tuple[Directive, ...] = ()
    has_user_namespaces: bool = False

    @property
    def persistence(self) -> Persistence:
        """As its settings say."""
        return persistence_of(self.settings)


def template_name(cluster: str) -> str:
    """The file of the cluster's template."""
    return f"slotwright-{cluster}@.service"


def unit_name(cluster: str, instance: str) -> str:
    """The unit of one node; ``instance`` is the name of its folder."""
    return f"slotwright-{cluster}@{instance}.service"


def rotation_name(cluster: str) -> str:
    """The units of the log rotation, without their ending; no cluster's template can have that name."""
    return f"slotwright-{cluster}-logs"


def overrides_path(cluster: str, instance: str) -> str:
    """Where the directives of one hurried start stand while it happens."""
    return f"/run/slotwright/{cluster}/{instance}.env"


def render_overrides(overrides: Sequence[Directive]) -> str:
    """The environment file of one start: directives that win over the server's configuration file.

    The quotes round each word are for the unit, the single ones round all of them for the file.
    """
    fields = [word for name, value in overrides for word in (f"--{name}", f'"{value}"')]
    return f"SLOTWRIGHT_OVERRIDES='{' '.join(fields)}'\n" if fields else ""


def render_unit(spec: UnitSpec) -> str:
    """The template. It holds no secret."""
    folder = f"{unit_text(spec.nodes_root)}/%i"
    sections = (
        ("Unit", _unit_section(spec)),
        ("Service", (*_service_section(spec, folder), *_limits(spec), *_walls(spec, folder))),
        ("Install", ("WantedBy=multi-user.target",) if spec.persistence.starts_at_boot else ()),
    )
    texts = ["\n".join((f"[{name}]", *lines, "")) for name, lines in sections if lines]
    return "# Written by slotwright. What is changed here is lost; use `systemctl edit` for your own.\n" + "\n".join(
        texts
    )


def _unit_section(spec: UnitSpec) -> tuple[str, ...]:
    return (
        f"Description=Node %i of the cluster {spec.cluster} (slotwright)",
        # The server binds one address, which has to be there.
        "Wants=network-online.target",
        # firewalld counts as started before its rules are in. A connection that is made meanwhile is one that it does
        # not know: what comes back on it is rejected, and a replica waits for repl-timeout.
        "After=network-online.target firewalld.service",
    )


def _service_section(spec: UnitSpec, folder: str) -> Iterator[str]:
    yield "Type=exec"
    yield f"User={spec.user}"
    yield f"Group={spec.group}"
    yield f"EnvironmentFile=-{overrides_path(spec.cluster, '%i')}"
    # At boot alone: a start by hand has left its overrides there.
    at_boot = f"[ -e {overrides_path(spec.cluster, '%i')} ] || {{ {_FIREWALL_IS_IN}; }}"
    yield f"ExecStartPre=-+/bin/sh -c '{at_boot}'"
    if spec.persistence is Persistence.SNAPSHOTS:
        # A host that is back before its replica took over would bring an older state back.
        wait = f"[ -e {overrides_path(spec.cluster, '%i')} ] || sleep {_takeover_seconds(spec.settings)}"
        yield f"ExecStartPre=-+/bin/sh -c '{wait}'"
    yield f'ExecStart={unit_program(spec.binary)} "{folder.replace("$", "$$")}/server.conf" $SLOTWRIGHT_OVERRIDES'
    # To the server alone: a child that saves is ended by the server itself.
    yield "KillMode=mixed"
    yield "KillSignal=SIGTERM"
    yield "TimeoutStartSec=0"
    yield f"TimeoutStopSec={_stop_seconds(spec.persistence)}"
    if spec.persistence.may_restart:
        # Enough for an address that comes a minute late at boot; then it stays down, and its log stays small.
        yield from ("Restart=on-failure", "RestartSec=3", "StartLimitInterval=600", "StartLimitBurst=20")
    else:
        yield "Restart=no"


def _takeover_seconds(settings: Sequence[Directive]) -> int:
    """Two node time-outs and a little: suspicion, agreement, the vote (cluster.c, clusterHandleSlaveFailover)."""
    given = [value for name, value in settings if name.lower() == "cluster-node-timeout" and value.isdigit()]
    return 2 * int(given[-1]) // 1000 + 5 if given else 0


def _stop_seconds(persistence: Persistence) -> int:
    """Time for the last save. An append-only file is complete before that save begins (server.c, finishShutdown)."""
    return {Persistence.APPEND_ONLY: 900, Persistence.SNAPSHOTS: 3600, Persistence.NONE: 120}[persistence]


def _limits(spec: UnitSpec) -> Iterator[str]:
    yield f"LimitNOFILE={max(_LEAST_FILES, _maxclients(spec.settings) + _OWN_FILES)}"
    yield "UMask=0077"
    # The data goes after other programs, and before what keeps the host itself reachable.
    yield "OOMScoreAdjust=-200"


def _maxclients(settings: Sequence[Directive]) -> int:
    given = [value for name, value in settings if name.lower() == "maxclients" and value.isdigit()]
    return int(given[-1]) if given else _DEFAULT_MAXCLIENTS


def _walls(spec: UnitSpec, folder: str) -> Iterator[str]:
    names = {name.lower() for name, _ in spec.settings}
    yield "NoNewPrivileges=yes"
    yield "CapabilityBoundingSet="
    yield "AmbientCapabilities="
    yield "ProtectSystem=full"
    yield "ProtectSystem=strict"
    yield f'ReadWritePaths="{folder}"'
    yield from hidden_folders((spec.nodes_root, spec.binary))
    yield from (f"{name}=yes" for name in SWITCHES)
    if spec.has_user_namespaces:
        yield "PrivateUsers=yes"
    yield "DevicePolicy=closed"
    yield "ProtectProc=invisible"
    local = " AF_UNIX" if names & {"unixsocket", "syslog-enabled", "supervised", "loadmodule"} else ""
    yield f"RestrictAddressFamilies=AF_INET AF_INET6{local}"
    yield "SystemCallArchitectures=native"
    # Pinning to processors needs a call of @resources.
    resources = () if any(name.endswith(("cpulist", "cpu-list")) for name in names) else ("@resources",)
    yield f"SystemCallFilter=~{' '.join((*DENIED_CALLS, *resources))}"
    yield "SystemCallErrorNumber=EPERM"
    if "loadmodule" not in names:
        # A module may compile at run time, and lie anywhere.
        yield "MemoryDenyWriteExecute=yes"
        yield "NoExecPaths=/"
        yield f'ExecPaths="{unit_text(spec.binary)}" {_LIBRARIES}'


def hidden_folders(used: Sequence[str]) -> Iterator[str]:
    """Other people's folders, unless the node's own are among them."""
    yield f"ProtectHome={'read-only' if _is_below(used, _HOMES) else 'yes'}"
    yield f"PrivateTmp={'no' if _is_below(used, _SCRATCH) else 'yes'}"


SWITCHES = (
    "PrivateDevices",
    "ProtectClock",
    "ProtectControlGroups",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "LockPersonality",
    "RemoveIPC",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
)
DENIED_CALLS = (
    *("@clock", "@cpu-emulation", "@debug", "@keyring", "@module", "@mount"),
    *("@obsolete", "@privileged", "@raw-io", "@reboot", "@swap"),
)
_LIBRARIES = "-/lib -/lib64 -/usr/lib -/usr/lib64 -/usr/local/lib -/usr/local/lib64"


def _is_below(paths: Sequence[str], folders: Sequence[str]) -> bool:
    return any(path.startswith(folder) for path in paths for folder in folders)


def unit_text(path: str) -> str:
    """A path inside double quotes in a unit: specifiers, quotes and backslashes made plain."""
    return path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def unit_program(path: str) -> str:
    """The program of an ExecStart, where variables are expanded as well."""
    return f'"{unit_text(path).replace("$", "$$")}"'
