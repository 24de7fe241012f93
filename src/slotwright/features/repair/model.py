"""A plan of repairs: small steps, safest first, each with what it mends, what it risks, and how it is confirmed.

The plan is made again from what is observed after every stage, so what stands in it beyond the first stage is a
forecast. An action is a value: ``operations/mend_*.py`` know how to do it and how to read back that it was done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from slotwright.cluster.findings import Finding
from slotwright.cluster.steps import Refusal
from slotwright.cluster.topology import Address
from slotwright.keys.model.slot_moves import SettleSlots


class Risk(StrEnum):
    """NONE: nothing is lost or interrupted. SERVICE: clients of a shard wait for a moment. LOSS: data may be lost."""

    NONE = "none"
    SERVICE = "service"
    LOSS = "loss"


class Way(StrEnum):
    """How a replica takes over from a primary that is gone: FORCE with votes, TAKEOVER without."""

    FORCE = "force"
    TAKEOVER = "takeover"


@dataclass(frozen=True, slots=True)
class Thaw:
    """Let a process that somebody stopped go on (SIGCONT)."""

    address: Address

    kind = "thaw"


@dataclass(frozen=True, slots=True)
class EndNode:
    """End a server; with a save where it ``saves`` (it answers, and holds keys)."""

    address: Address
    saves: bool = False

    kind = "end"


@dataclass(frozen=True, slots=True)
class WriteMap:
    """Give a node that does not run its place in the cluster back: ``text`` is its whole ``nodes.conf``.

    ``is_new``: its folder is gone as well, and is made anew with its configuration.
    """

    address: Address
    text: str = field(repr=False)
    is_new: bool = False

    kind = "map"


@dataclass(frozen=True, slots=True)
class SetDataAside:
    """Move damaged data files of a node out of the server's way; they stay in its folder."""

    address: Address

    kind = "aside"


@dataclass(frozen=True, slots=True)
class CutAppendLog:
    """Cut what can't be read off the end of an append-only file, with the server's own tool."""

    address: Address

    kind = "mend-log"


@dataclass(frozen=True, slots=True)
class StartServer:
    """Start the server of a folder that is ready."""

    address: Address

    kind = "start"


@dataclass(frozen=True, slots=True)
class Await:
    """Give the servers the time to do by themselves what they do best; ``until`` names what."""

    until: str
    timeout_s: float

    kind = "wait"


@dataclass(frozen=True, slots=True)
class SetPassword:
    """Set ``masterauth`` (and with ``is_own`` also ``requirepass``) to the cluster's password, for good."""

    address: Address
    is_own: bool = False

    kind = "password"


@dataclass(frozen=True, slots=True)
class Announce:
    """Have the node at ``address``, which is ``node_id``, announce where it answers: ``values`` are settings, set for
    good."""

    address: Address
    node_id: str
    values: tuple[tuple[str, str], ...]

    kind = "announce"


@dataclass(frozen=True, slots=True)
class Meet:
    """Tell the node at ``via`` where the member ``node_id`` is now. Never sent for a node of another cluster.

    ``bus_port`` None: the usual one.
    """

    via: Address
    node_id: str
    address: Address
    bus_port: int | None = None

    kind = "meet"


@dataclass(frozen=True, slots=True)
class Forget:
    """Have a member forgotten by the nodes at ``on``, all within the minute in which gossip could bring it back."""

    node_id: str
    on: tuple[Address, ...]

    kind = "forget"


@dataclass(frozen=True, slots=True)
class Promote:
    """Make the replica at ``address`` the primary in place of ``primary_id``."""

    address: Address
    node_id: str
    primary_id: str
    primary: str
    shard: int
    way: Way

    kind = "promote"


@dataclass(frozen=True, slots=True)
class Follow:
    """Make the node at ``address`` a replica of ``primary_id``, which forks on ``primary_host`` for a full copy."""

    address: Address
    primary_id: str
    primary_host: str = ""

    kind = "follow"


@dataclass(frozen=True, slots=True)
class BumpEpoch:
    """Give the primary at ``address`` a config epoch of its own."""

    address: Address

    kind = "epoch"


Action = (
    Thaw
    | EndNode
    | WriteMap
    | SetDataAside
    | CutAppendLog
    | StartServer
    | Await
    | SetPassword
    | Announce
    | Meet
    | Forget
    | Promote
    | Follow
    | BumpEpoch
    | SettleSlots
)


@dataclass(frozen=True, slots=True)
class RepairStep:
    """``why`` is the code of the finding that it mends; ``where`` the place, ``what`` the sentence, for people.

    A step of Risk.LOSS is done only when its ``word`` was given; ``loss`` says what may be lost.
    """

    action: Action
    why: str
    where: str
    what: str
    risk: Risk = Risk.NONE
    word: str = ""
    loss: str = ""

    @property
    def kind(self) -> str:
        """What is done, in the journal's word."""
        return self.action.kind

    @property
    def key(self) -> str:
        """The same for the same step in a later plan; slots that are to come from other nodes are another step."""
        action = self.action
        subject: object = self.what
        if isinstance(action, SettleSlots):
            subject = f"{action.slots} {','.join(map(str, action.holders))} {','.join(map(str, action.open_at))}"
        return f"{self.action.kind} {self.where} {subject} {self.risk}"


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """``stages`` in order; after each the cluster is looked at and the plan made again. ``unrepaired`` are the findings
    that no step mends, with their own remedies; ``refusals`` what must not be done, though a finding asks for it."""

    name: str
    stages: tuple[tuple[RepairStep, ...], ...] = ()
    unrepaired: tuple[Finding, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def steps(self) -> tuple[RepairStep, ...]:
        """All steps in order."""
        return tuple(step for stage in self.stages for step in stage)
