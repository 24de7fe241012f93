"""What was seen of a cluster that others made, and what the operator adds to make it one that is known here."""

from __future__ import annotations

from dataclasses import dataclass, field

from slotwright.cluster.findings import Finding
from slotwright.cluster.observation import Observation
from slotwright.cluster.secret import Secret
from slotwright.cluster.survey import Survey
from slotwright.cluster.topology import Address, PasswordRef, SshSpec


@dataclass(frozen=True, slots=True)
class NodeAccount:
    """What a node says of itself besides its view. ``mode`` is the server's word (cluster, standalone, sentinel);
    ``executable`` and ``config_file`` are paths on its host, "" where it has none; ``shard_id`` "" before 7.2.
    ``settings`` are canonical values, secrets among them."""

    address: Address
    mode: str
    executable: str
    config_file: str
    shard_id: str = ""
    settings: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def setting(self, name: str) -> str | None:
        """None where the server has no such directive, or doesn't show it."""
        return dict(self.settings).get(name)


@dataclass(frozen=True, slots=True)
class AdoptInput:
    """All that was seen of a cluster from ``seed``; ``findings`` are those of a diagnosis without a file."""

    seed: Address
    survey: Survey
    observation: Observation
    findings: tuple[Finding, ...]
    accounts: tuple[NodeAccount, ...]


@dataclass(frozen=True, slots=True)
class AdoptChoices:
    """What the operator adds: the name, how hosts are reached (None: this machine), where the password is (and the
    password itself), fresh ids, and which of the executables named are really there."""

    name: str
    password: PasswordRef
    secret: Secret | None = field(repr=False)
    ssh: SshSpec | None = None
    programs: frozenset[str] = frozenset()
    cluster_id: str = ""
    single_id: str = ""
