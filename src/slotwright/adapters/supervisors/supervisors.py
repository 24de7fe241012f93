"""Servers on a host that is reached by a shell: under systemd, or started detached where there is none.

Both supervisors have one shape, :class:`RemoteSupervisor`. Each method is one run of one script. A process is believed
to be ours only by its pid together with its start, and signalled only after that was looked at again in the same run:
as the main process of its unit, or by its user, its program and its folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Protocol

from slotwright.adapters.supervisors.refusals import refused_by
from slotwright.cluster.node_files import SERVER_CONF, Launch
from slotwright.errors import HostError
from slotwright.hosts.facts.installation import SERVICE_USER
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.hosts.scripts import supervisors as scripts
from slotwright.hosts.scripts.files import assigned, given
from slotwright.hosts.scripts.log_rotation import render_logrotate, render_rotation_service, render_rotation_timer
from slotwright.hosts.scripts.systemd_unit import (
    UnitSpec,
    overrides_path,
    render_overrides,
    render_unit,
    rotation_name,
    template_name,
    unit_name,
)
from slotwright.ports import Shell, ShellResult

_UNITS = "/etc/systemd/system"
_LOGROTATE = "/etc/logrotate.d"


class RemoteSupervisor(Protocol):
    """Starts, finds and ends the servers of one cluster on one host."""

    async def start(self, launch: Launch) -> ProcessId:
        """Start the server; back as soon as the process exists. Its ``started`` is "" when it ended at once: its log
        says why. Raises HostError."""
        ...

    async def find(self, directory: str) -> ProcessId | None:
        """The live process of the node whose folder this is."""
        ...

    async def find_all(self, directories: Sequence[str]) -> dict[str, ProcessId | None]:
        """The same for many folders, in one run."""
        ...

    async def is_running(self, processes: Sequence[ProcessId]) -> set[ProcessId]:
        """Which of them are alive, in one run."""
        ...

    async def kill(self, process: ProcessId, directory: str) -> None:
        """End exactly that process at once, and see that nobody starts it again. Raises RefusedError (process-foreign)
        for one that can't be the server of the node whose folder that is."""
        ...

    async def give_up(self, directory: str) -> None:
        """See that nobody starts the node's server again, after a start that came to nothing."""
        ...

    async def hold(self, directory: str) -> None:
        """See that nobody starts the node's server again where that is tried in vain again and again; one that runs is
        left alone."""
        ...

    async def early_output(self, directory: str) -> str:
        """What the server said of its last start outside of its log, "" when that can't be known."""
        ...

    def unit_of(self, directory: str) -> str:
        """The service manager's name for the node whose folder this is, "" where there is none."""
        ...

    async def install(self, spec: UnitSpec, instances: Sequence[str]) -> bool:
        """Make what the host needs to run and to keep these nodes, and to start them at boot where their persistence
        allows it; True when something changed."""
        ...

    async def remove(self) -> None:
        """Take away all that ``install`` made."""
        ...


class _Supervisor:
    """What both have in common."""

    def __init__(self, shell: Shell, owner: str = "", program: str = "") -> None:
        self._shell = shell
        self._owner = owner
        self._believed = assigned(owner=owner, program=program)

    async def kill(self, process: ProcessId, directory: str) -> None:
        """Look at it once more, kill it, then stop its unit before that starts it anew."""
        arguments = (str(process.pid), process.started, directory, self.unit_of(directory))
        result = await self._shell.run(self._believed + scripts.KILL, *arguments)
        self._refuse(result, directory)
        self._demand(result, f"end process {process.pid}", "kill-failed")

    def unit_of(self, directory: str) -> str:
        """None."""
        return ""

    async def is_running(self, processes: Sequence[ProcessId]) -> set[ProcessId]:
        """Which of them are alive, in one run."""
        if not processes:
            return set()
        arguments = [word for process in processes for word in (str(process.pid), process.started or "-")]
        result = await self._shell.run(scripts.RUNNING, *arguments)
        self._demand(result, "look for processes")
        alive = {_process(line) for line in result.output.splitlines()}
        return {process for process in processes if process in alive}

    def _refuse(self, result: ShellResult, directory: str) -> None:
        refused = refused_by(result, self._shell.host, directory)
        if refused is not None:
            raise refused

    def _demand(self, result: ShellResult, action: str, code: str = "host-script") -> None:
        if result.status:
            raise HostError(
                f"can't {action} on {self._shell.host}",
                code=code,
                where=self._shell.host,
                seen=result.complaint.strip()[-500:],
            )


class SystemdSupervisor(_Supervisor):
    """Nodes as instances of the cluster's template unit."""

    def __init__(self, shell: Shell, cluster: str, program: str = "", owner: str = SERVICE_USER) -> None:
        super().__init__(shell, owner, program)
        self._cluster = cluster

    async def start(self, launch: Launch) -> ProcessId:
        """Through its unit, whose file names the binary. Raises HostError, code ``start-failed``, with the words of
        the journal."""
        instance = PurePosixPath(launch.directory).name
        result = await self._shell.run(
            self._believed + scripts.SYSTEMD_START,
            unit_name(self._cluster, instance),
            overrides_path(self._cluster, instance),
            launch.directory,
            launch.binary,
            stdin=render_overrides(launch.overrides).encode(),
        )
        self._refuse(result, launch.directory)
        if result.status:
            raise HostError(
                f"can't start {launch.address}: its unit failed",
                code="start-failed",
                where=str(launch.address),
                seen=result.complaint.strip()[-500:],
                hint=f"look with `systemctl status {unit_name(self._cluster, instance)}` on {self._shell.host}",
            )
        return _process(result.output) or ProcessId(0, "")

    async def find(self, directory: str) -> ProcessId | None:
        """The main process of the node's unit."""
        return (await self.find_all([directory]))[directory]

    async def find_all(self, directories: Sequence[str]) -> dict[str, ProcessId | None]:
        """The main processes of many units, in one run."""
        if not directories:
            return {}
        units = [self.unit_of(directory) for directory in directories]
        result = await self._shell.run(scripts.SYSTEMD_FIND, *units)
        self._demand(result, "ask systemd for the nodes")
        return dict(zip(directories, map(_process, result.output.splitlines()), strict=True))

    async def give_up(self, directory: str) -> None:
        """Stop the unit, which may be about to start its server once more."""
        unit = self.unit_of(directory)
        result = await self._shell.run(scripts.GIVE_UP, unit)
        self._demand(result, f"stop {unit}", "kill-failed")

    async def hold(self, directory: str) -> None:
        """Stop the unit between two of its tries."""
        unit = self.unit_of(directory)
        result = await self._shell.run(scripts.HOLD, unit)
        self._demand(result, f"stop {unit}", "kill-failed")

    async def early_output(self, directory: str) -> str:
        """What the server printed at its last start: a complaint about its configuration, for one."""
        unit = self.unit_of(directory)
        result = await self._shell.run(scripts.SYSTEMD_WORDS, unit)
        return result.output

    def unit_of(self, directory: str) -> str:
        """An instance of the template."""
        return unit_name(self._cluster, PurePosixPath(directory).name)

    async def install(self, spec: UnitSpec, instances: Sequence[str]) -> bool:
        """The template, the timer that rotates the logs, and what starts at boot: all nodes, unless one would come back
        from a reboot empty. systemd is told only of what changed."""
        units = [unit_name(self._cluster, instance) for instance in instances]
        texts = (render_unit(spec), render_rotation_service(spec), render_rotation_timer(spec))
        result = await self._shell.run(
            scripts.SYSTEMD_INSTALL,
            f"{_UNITS}/{template_name(self._cluster)}",
            f"{_UNITS}/{rotation_name(self._cluster)}",
            "yes" if spec.persistence.starts_at_boot else "no",
            *units,
            stdin="".join(f"{text}#--\n" for text in texts).encode(),
        )
        self._demand(result, "install the units", "unit-not-installed")
        return "changed=yes" in result.output

    async def remove(self) -> None:
        """Stop what is left of the cluster's units and take their files, links and leftovers away."""
        result = await self._shell.run(
            scripts.SYSTEMD_REMOVE,
            f"{_UNITS}/{template_name(self._cluster)}",
            f"{_UNITS}/{rotation_name(self._cluster)}",
            f"/run/slotwright/{self._cluster}",
            f"{_LOGROTATE}/slotwright-{self._cluster}",
            timeout_s=1200,
        )
        self._demand(result, "remove the units", "unit-not-removed")


class DetachedSupervisor(_Supervisor):
    """Nodes in sessions of their own, found again by what stands in their folders; nothing starts them at boot."""

    def __init__(
        self, shell: Shell, cluster: str, user: str = "slotwright", owner: str = "", program: str = ""
    ) -> None:
        super().__init__(shell, owner, program)
        self._cluster = cluster
        self._user = user

    async def start(self, launch: Launch) -> ProcessId:
        """As the service user where the login is root, otherwise as the login itself. Raises HostError with code
        ``directory-missing``, ``binary-missing``, ``user-missing``, ``login-ends-processes`` or ``start-failed``."""
        script = self._believed + scripts.DETACHED_START
        result = await self._shell.run(script, launch.directory, self._user, _as_user(launch), launch.binary)
        self._refuse(result, launch.directory)
        if result.status:
            raise self._not_started(launch, result)
        return _process(result.output) or ProcessId(0, "")

    def _not_started(self, launch: Launch, result: ShellResult) -> HostError:
        reasons = {
            3: ("directory-missing", "its folder is gone", ""),
            6: ("binary-missing", f"{launch.binary} is not there, or can't be run", ""),
            4: ("user-missing", f"there is no user {self._user}", ""),
            5: (
                "login-ends-processes",
                "this host ends a user's processes with the login (KillUserProcesses=yes)",
                "log in as root or with sudo, or set KillUserProcesses=no in /etc/systemd/logind.conf",
            ),
        }
        code, reason, hint = reasons.get(result.status, ("start-failed", "the server was not started", ""))
        return HostError(
            f"can't start {launch.address} on {self._shell.host}: {reason}",
            code=code,
            where=str(launch.address),
            seen=result.complaint.strip()[-500:],
            hint=hint,
        )

    async def find(self, directory: str) -> ProcessId | None:
        """By the note of its start, else by the server's own pid file and the folder it works in."""
        return (await self.find_all([directory]))[directory]

    async def find_all(self, directories: Sequence[str]) -> dict[str, ProcessId | None]:
        """The same for many, in one run."""
        if not directories:
            return {}
        script = self._believed + scripts.DETACHED_FIND
        result = await self._shell.run(script, *directories)
        self._demand(result, "look for the nodes")
        return dict(zip(directories, map(_process, result.output.splitlines()), strict=True))

    async def give_up(self, directory: str) -> None:
        """Nothing starts it again."""

    async def hold(self, directory: str) -> None:
        """Nothing starts it again."""

    async def early_output(self, directory: str) -> str:
        """Nothing: its early words stand in its log."""
        return ""

    async def install(self, spec: UnitSpec, instances: Sequence[str]) -> bool:
        """A file for logrotate, where that is there and we may write it."""
        path = f"{_LOGROTATE}/slotwright-{self._cluster}"
        result = await self._shell.run(scripts.INSTALL_LOGROTATE, path, stdin=render_logrotate(spec).encode())
        self._demand(result, "write the rotation of the logs", "rotation-not-installed")
        return "changed=yes" in result.output

    async def remove(self) -> None:
        """Take away the file for logrotate."""
        result = await self._shell.run('rm -f "$1"', f"{_LOGROTATE}/slotwright-{self._cluster}")
        self._demand(result, "remove the rotation of the logs", "rotation-not-removed")


def _as_user(launch: Launch) -> str:
    """What the service user's shell does: note its pid, then become the server, its early words going to the log."""
    overrides = [word for name, value in launch.overrides for word in (f"--{name}", value)]
    server = (launch.binary, f"{launch.directory}/{SERVER_CONF}", *overrides)
    return given(launch.directory, *server) + scripts.BECOME_SERVER


def _process(line: str) -> ProcessId | None:
    pid, _, started = line.strip().partition(" ")
    return ProcessId(int(pid), started) if pid.isdigit() and started else None
