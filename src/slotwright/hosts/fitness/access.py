"""What the login may do on a host: become root, write the folders, run the tools; and who starts nodes after a boot."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.hosts.facts.profile import HostProfile, Room, Selinux, SudoRights
from slotwright.hosts.fitness.requirements import Requirements

_WHY_NOT_ROOT = {
    SudoRights.ABSENT: "there is no sudo",
    SudoRights.PASSWORD: "sudo asks for a password",
    SudoRights.REFUSED: "sudo refuses",
    SudoRights.UNKNOWN: "sudo was not tried",
}


def rights(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """Remote nodes belong to a service user of their own and start at boot: that takes root."""
    login = profile.login
    is_without = profile.host in wants.without_root and not login.is_root
    if not wants.is_remote or login.uid is None or (login.can_be_root and not is_without):
        return
    if profile.host in wants.without_root:
        yield Finding(
            "without-root",
            Severity.NOTE,
            profile.host,
            "`sudo: never`: nodes run as the login, without units and without a service user",
            "after a reboot: slotwright start; let the ports in by hand where a firewall runs",
        )
        return
    asks = login.sudo is SudoRights.PASSWORD
    yield Finding(
        "cannot-become-root",
        Severity.SERIOUS,
        profile.host,
        f"{login.user or f'user {login.uid}'} is not root there and can't become it",
        "give the password with `password: {env: NAME}` or `ask` under `ssh:` in the file, or allow sudo without one"
        if asks
        else f"log in as root, or let {login.user or 'this user'} use sudo (as root: echo '{login.user or 'USER'} "
        "ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/slotwright)",
        seen=f"uid {login.uid}; {_WHY_NOT_ROOT.get(login.sudo, str(login.sudo))}",
        risk="no service user, no units and no firewall rules can be made",
    )


def service_managers(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """Without systemd, nodes are started detached, and somebody has to start them after a boot."""
    if wants.is_remote and not profile.has_systemd:
        yield Finding(
            "no-service-manager",
            Severity.NOTE,
            profile.host,
            "there is no systemd: nodes are started detached, and not by themselves after a reboot",
            "after a reboot: slotwright start",
            risk="after a reboot of this host its nodes stay down until somebody starts them",
        )


def tool_boxes(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """What installing takes (the caller says), and what making the service user and a detached start take."""
    if not wants.is_remote or not profile.tools:
        return
    missing = [tool for tool in wants.tools if tool not in profile.tools]
    if profile.user(wants.service_user) is None and not profile.tools & {"useradd", "adduser"}:
        missing.append("useradd (or adduser)")
    if not profile.has_systemd:
        if "setsid" not in profile.tools:
            missing.append("setsid")
        if not profile.tools & {"setpriv", "runuser", "su"}:
            missing.append("setpriv (or runuser, or su)")
    if profile.selinux is Selinux.ENFORCING and "restorecon" not in profile.tools:
        missing.append("restorecon")
    if missing:
        yield Finding(
            "tools-missing",
            Severity.SERIOUS,
            profile.host,
            f"commands that are needed there are missing: {', '.join(missing)}",
            _how_to_install(profile, missing),
            risk="`up` would stop half-way on this host",
        )


_PACKAGES = {
    "gcc": "gcc",
    "make": "make",
    "tar": "tar",
    "gzip": "gzip",
    "xz": "xz",
    "sha256sum": "coreutils",
    "setsid": "util-linux",
    "setpriv (or runuser, or su)": "util-linux",
    "useradd (or adduser)": "shadow-utils",
    "restorecon": "policycoreutils",
}
_DEBIAN = {"xz": "xz-utils", "useradd (or adduser)": "passwd"}


def _how_to_install(profile: HostProfile, missing: list[str]) -> str:
    tool = profile.package_tool
    if not tool:
        return "install them"
    names = {name: _PACKAGES.get(name, name) for name in missing}
    if tool in ("apt-get", "apk"):
        names |= {name: _DEBIAN[name] for name in missing if name in _DEBIAN and tool == "apt-get"}
        names |= {name: "shadow" for name in missing if name.startswith("useradd") and tool == "apk"}
    verb = "add" if tool == "apk" else "install"
    return f"as root: {tool} {verb} {' '.join(dict.fromkeys(names.values()))}"


def folders(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """The places that the nodes and the server's binaries are to have."""
    roots = dict.fromkeys(path for path in (wants.data_root, wants.engine_root) if path)
    for path in roots:
        room = profile.room(path)
        if room is not None:
            yield from _folder(profile, room, wants)


def _folder(profile: HostProfile, room: Room, wants: Requirements) -> Iterator[Finding]:
    """On remote hosts root makes the folders: what this user may not write follows from ``cannot-become-root``."""
    place = f"{room.path} is on {room.mount_point or room.existing}"
    elsewhere = "choose another place with `data:` in the file"
    if room.is_read_only:
        yield Finding(
            "directory-read-only",
            Severity.SERIOUS,
            profile.host,
            f"{place}, which is mounted read-only",
            f"as root: mount -o remount,rw {room.mount_point}; or {elsewhere}",
            risk="nothing can be written there",
        )
    elif room.is_writable is False and not wants.is_remote:
        yield Finding(
            "directory-not-writable",
            Severity.SERIOUS,
            profile.host,
            f"{room.path} can't be made or written by {profile.login.user or 'this user'}",
            f"make {room.existing} writable for that user, or {elsewhere}",
            seen=f"the nearest folder that is there: {room.existing}",
        )
    if room.path == wants.engine_root and room.is_noexec:
        yield Finding(
            "directory-noexec",
            Severity.SERIOUS,
            profile.host,
            f"{place}, which is mounted noexec: no program runs from there",
            f"as root: mount -o remount,exec {room.mount_point}; or {elsewhere}",
            risk="the server can't be started",
        )


def selinux_modes(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """Told because it explains refusals that file modes don't."""
    if profile.selinux is Selinux.ENFORCING and wants.is_remote:
        yield Finding(
            "selinux-enforcing",
            Severity.NOTE,
            profile.host,
            "SELinux is enforcing: slotwright labels what it installs with restorecon, and leaves SELinux on",
            "none; if a node is refused something: ausearch -m avc -ts recent",
        )
