"""A plan: what would be done, step by step, and what can't be done now, with the reason.

The plan is the contract between deciding and doing. Steps that stand in one wave may run side by side; a wave starts
when the one before it is done. ``facts`` are what the plan rests on, and ``digest`` is taken from them, so that a stale
plan is noticed and the fact that changed is named.
"""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Role
from slotwright.cluster.topology import Address


@dataclass(frozen=True, slots=True)
class PrepareHost:
    """Make a remote host ready for nodes: ``what`` names each thing that it lacks (server program, user, unit)."""

    host: str
    what: tuple[str, ...]

    kind = "prepare"

    @property
    def where(self) -> str:
        """The host."""
        return self.host


@dataclass(frozen=True, slots=True)
class ChangeFirewall:
    """Add and take back rules of the host's firewall, running and permanent, each as the firewall spells it; ``what``
    says it in few words."""

    host: str
    what: tuple[str, ...]
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    kind = "firewall"

    @property
    def where(self) -> str:
        """The host."""
        return self.host


@dataclass(frozen=True, slots=True)
class ProveReach:
    """Connect from every host to every other, on the client ports and the bus ports, before a node is there."""

    hosts: int
    ports: tuple[int, ...]

    kind = "reach"

    @property
    def where(self) -> str:
        """The cluster, whichever it is."""
        return ""


HostStep = PrepareHost | ChangeFirewall | ProveReach


@dataclass(frozen=True, slots=True)
class CreateNode:
    """Make the node's folder with its marker, its configuration and its part of the cluster's map."""

    address: Address
    role: Role
    shard: int

    kind = "create"

    @property
    def where(self) -> str:
        """The node."""
        return str(self.address)


@dataclass(frozen=True, slots=True)
class StartNode:
    """Start the server of a folder that is ready. ``is_hurried``: with lowered timings, put back later."""

    address: Address
    role: Role
    shard: int
    why: str
    is_hurried: bool = False

    kind = "start"

    @property
    def where(self) -> str:
        """The node."""
        return str(self.address)


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A directive that runs with another value than it should; values are canonical, secrets print as ``***``."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ApplySettings:
    """Change settings on a running node (CONFIG SET), write its configuration anew, and read both back."""

    address: Address
    changes: tuple[SettingChange, ...]

    kind = "set"

    @property
    def where(self) -> str:
        """The node."""
        return str(self.address)


@dataclass(frozen=True, slots=True)
class AwaitUsable:
    """Wait until the servers say that the cluster is usable."""

    nodes: int

    kind = "wait"

    @property
    def where(self) -> str:
        """The cluster, whichever it is."""
        return ""


@dataclass(frozen=True, slots=True)
class MarkFormed:
    """Remember that the cluster is formed: from now on no node is ever made anew by itself."""

    name: str

    kind = "seal"

    @property
    def where(self) -> str:
        """The cluster."""
        return self.name


@dataclass(frozen=True, slots=True)
class RememberFile:
    """The file says something new that no server has to be told; keep it. ``is_former``: a change is taken back, and
    what is kept is the file from before."""

    name: str
    what: str
    is_former: bool = False

    kind = "remember"

    @property
    def where(self) -> str:
        """The cluster."""
        return self.name


Step = HostStep | CreateNode | StartNode | ApplySettings | AwaitUsable | MarkFormed | RememberFile


def canary_of(wave: tuple[Step, ...]) -> ApplySettings | None:
    """The step of a wave that goes alone before the others: the first that changes a setting of a running server; None
    where nothing is tried, or nobody else is left."""
    steps = [step for step in wave if isinstance(step, ApplySettings) and step.changes]
    return steps[0] if steps and len(wave) > 1 else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that the file asks for and that can't be done now: ``what``, ``why``, and the way there."""

    what: str
    why: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a plan rests on: ``127.0.0.1:7001 setting maxmemory``, and its value. It holds no secret."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``up`` would do to ``name``. Empty waves and no refusals: the world is what the file says, but for the
    ``unseen`` hosts, which could not be reached."""

    name: str
    waves: tuple[tuple[Step, ...], ...] = ()
    refusals: tuple[Refusal, ...] = ()
    findings: tuple[Finding, ...] = ()
    digest: str = ""
    unseen: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in order."""
        return tuple(step for wave in self.waves for step in wave)

    @property
    def host_waves(self) -> tuple[tuple[Step, ...], ...]:
        """The first waves, in which hosts are made ready; a plan for the nodes is made again after them."""
        return tuple(wave for wave in self.waves if isinstance(wave[0], HostStep))

    @property
    def is_empty(self) -> bool:
        """Nothing to do, nothing refused, and every host was seen."""
        return not self.steps and not self.refusals and not self.blockers and not self.unseen

    @property
    def blockers(self) -> tuple[Finding, ...]:
        """The findings that forbid going on."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.SERIOUS)
