"""What the control machine keeps, in memory: the ports for state, locks and journals.

Every change is one effect of the world that it belongs to: a test can cut the operator's process before any of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from slotwright.cluster.baseline import Baseline
from slotwright.cluster.jobs import OpenJob
from slotwright.cluster.kept_copies import KeptCopies
from slotwright.cluster.key_holders import QuarantinedKey
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.secret import Secret
from slotwright.errors import RefusedError
from tests.fakes.build import DATA_ROOT

Effect = Callable[[str], None]
ROOT = Path("/nowhere/state")


@dataclass
class MemoryQuarantine:
    """Implements :class:`slotwright.ports.Quarantine`."""

    effect: Effect
    path: Path
    copies: list[QuarantinedKey] = field(default_factory=list)

    @property
    def written(self) -> int:
        return len(self.copies)

    async def write(self, copies: Sequence[QuarantinedKey]) -> None:
        for copy in copies:
            if copy not in self.copies:
                self.effect(f"quarantine {copy.node}")
                self.copies.append(copy)


@dataclass
class MemoryClusterStore:
    """Implements :class:`slotwright.ports.ClusterStore`. ``entries`` are those of its journal."""

    name: str
    effect: Effect
    folder: Path = ROOT
    record: ClusterRecord | None = None
    password: Secret | None = None
    baseline: Baseline | None = None
    copies: KeptCopies = field(default_factory=KeptCopies)
    maps: dict[str, str] = field(default_factory=dict)
    entries: list[dict[str, object]] = field(default_factory=list)
    quarantines: list[MemoryQuarantine] = field(default_factory=list)
    rebuild: object = None
    holder: str = ""

    def __post_init__(self) -> None:
        self.journal_path = self.folder / self.name / "journal.jsonl"
        self.topology_path = self.folder / self.name / "topology.yaml"
        self.rehearsal_path = self.folder / self.name / "rehearsal"
        self.archives_path = self.folder / self.name / "archives"
        self.quarantine_path = self.folder / self.name / "quarantine"
        self.password_path = self.folder / self.name / "password"
        self.nodes_path = Path(DATA_ROOT)

    @contextmanager
    def hold(self, verb: str) -> Iterator[None]:
        """The system frees it with its holder's death: that is no effect."""
        if self.holder:
            raise RefusedError(f"somebody else is working on {self.name}", code="locked", seen=self.holder)
        self.holder = verb
        try:
            yield
        finally:
            self.holder = ""

    def exists(self) -> bool:
        return bool(self.record or self.password or self.maps or self.entries)

    def has_topology(self) -> bool:
        return False

    def prepare(self) -> None:
        pass

    def demand_known_formats(self) -> None:
        pass

    def read_record(self) -> ClusterRecord | None:
        return self.record

    def write_record(self, record: ClusterRecord) -> None:
        self.effect(f"record {record.stage}")
        self.record = record

    def forget_record(self) -> None:
        self.effect("forget record")
        self.record, self.baseline, self.copies = None, None, KeptCopies()

    def record_text(self) -> str:
        return repr(self.record)

    def as_unknown(self) -> MemoryClusterStore:
        return replace(self, record=None)

    def read_journal(self) -> str:
        return "".join(json.dumps(entry) + "\n" for entry in self.entries)

    def read_password(self) -> Secret | None:
        return self.password

    def write_password(self, password: Secret) -> None:
        self.effect("password")
        self.password = password

    def read_map(self, label: str) -> str | None:
        return self.maps.get(label)

    def write_map(self, label: str, text: str) -> None:
        self.effect(f"copy {label}")
        self.maps[label] = text

    def read_rebuild(self, kind: type[Any]) -> Any:
        return self.rebuild

    def write_rebuild(self, rebuild: object) -> None:
        self.effect("note of the rebuild")
        self.rebuild = rebuild

    def forget_rebuild(self) -> None:
        self.effect("forget the rebuild")
        self.rebuild = None

    def has_rebuild(self) -> bool:
        return self.rebuild is not None

    def read_baseline(self) -> Baseline | None:
        return self.baseline

    def write_baseline(self, baseline: Baseline) -> None:
        self.effect("baseline")
        self.baseline = baseline

    def forget_baseline(self) -> None:
        if self.baseline is not None:
            self.effect("forget baseline")
            self.baseline = None

    def has_baseline(self) -> bool:
        return self.baseline is not None

    def read_copies(self) -> KeptCopies:
        return self.copies

    def write_copies(self, copies: KeptCopies) -> None:
        self.effect("copies")
        self.copies = copies

    def quarantine(self, label: str) -> MemoryQuarantine:
        self.quarantines.append(MemoryQuarantine(self.effect, self.quarantine_path / f"{label}.jsonl"))
        return self.quarantines[-1]

    def remove(self) -> None:
        if self.exists():
            self.effect(f"forget {self.name}")
        self.record, self.password, self.baseline, self.copies = None, None, None, KeptCopies()
        self.maps.clear()
        self.entries.clear()


@dataclass
class StoredJournal:
    """Implements :class:`slotwright.ports.Journal`."""

    store: MemoryClusterStore
    burn: Effect

    def write(self, entry: Mapping[str, object]) -> None:
        self.burn(f"journal {entry.get('phase')} {entry.get('step', '')} {entry.get('where', '')}")
        self.store.entries.append(dict(entry))

    def close(self) -> None:
        pass


@dataclass
class MemoryState:
    """Implements :class:`slotwright.ports.State`. ``effect`` is called before each change but those of journals, for
    which ``burn`` is: they can be cut, and no test counts them."""

    effect: Effect
    burn: Effect
    root: Path = ROOT
    stores: dict[str, MemoryClusterStore] = field(default_factory=dict)
    jobs: tuple[OpenJob, ...] = ()

    def cluster(self, name: str) -> MemoryClusterStore:
        if name not in self.stores:
            self.stores[name] = MemoryClusterStore(name, self.effect)
        return self.stores[name]

    def clusters(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, store in self.stores.items() if store.record is not None))

    def open_jobs(self, cluster: str) -> tuple[OpenJob, ...]:
        return tuple(job for job in self.jobs if cluster in job.summary.clusters)

    def open_journal(self, path: Path) -> StoredJournal:
        """The :data:`slotwright.ports.JournalOpener` of this state."""
        return StoredJournal(self.cluster(path.parent.name), self.burn)


@dataclass(frozen=True, slots=True)
class MemorySecrets:
    """Implements :class:`slotwright.ports.Secrets`; ``variables`` are all that the machine has."""

    variables: Mapping[str, Secret] = field(default_factory=dict)

    def generate(self) -> Secret:
        return Secret("generated")

    def in_variable(self, name: str) -> Secret | None:
        return self.variables.get(name)

    def in_file(self, path: str) -> Secret | None:
        return None
