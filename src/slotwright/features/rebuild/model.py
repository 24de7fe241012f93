"""A rebuild under way: what was decided before the old cluster was ended, so that whoever goes on decides the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from slotwright.cluster.record import ClusterRecord, directory_name
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import Address


class RebuildPhase(StrEnum):
    """Where a rebuild is. Until ASIDE begins, the old cluster is untouched."""

    ARCHIVE = "archive"
    ASIDE = "aside"
    FORM = "form"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class PhaseStep:
    """A phase of the rebuild of the cluster ``name`` that is made of steps: ASIDE or FORM."""

    phase: RebuildPhase
    name: str

    @property
    def kind(self) -> str:
        """The phase."""
        return f"rebuild-{self.phase.value}"

    @property
    def where(self) -> str:
        """The cluster."""
        return self.name


@dataclass(frozen=True, slots=True)
class ShardCopy:
    """The folder that a shard's keys are brought back from: that of the old node at ``address``.

    ``slots`` are those whose keys count from it; ``append_log``: its append-only file is what holds the data, otherwise
    its snapshot does. ``has_data`` False: the shard has nothing on any disk. ``why`` is "" for a primary that answered,
    else why this one was taken.
    """

    address: Address
    shard: int
    slots: SlotSet
    has_data: bool
    append_log: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Rebuild:
    """``old`` is the record of the cluster that was; ``archive`` the folder of this machine that holds all of it;
    ``kept_root`` where its folders go on their hosts. ``left_behind`` are nodes that could not be reached: they are
    neither archived nor ended."""

    phase: RebuildPhase
    old: ClusterRecord
    archive: str
    kept_root: str
    is_empty: bool
    copies: tuple[ShardCopy, ...] = ()
    left_behind: tuple[Address, ...] = ()

    def kept_directory(self, address: Address) -> str:
        """Where the folder of the old node at ``address`` is from FORM on."""
        return f"{self.kept_root}/{directory_name(address)}"

    @property
    def marker_id(self) -> str:
        """What stands in the marker of a kept folder while its data is read."""
        return f"rebuild-{self.old.blueprint.cluster_id}"

    @property
    def steps_left(self) -> tuple[PhaseStep, ...]:
        """What comes before the copying. FORM also where it was done: the new cluster is looked at again, and what it
        lacks is made."""
        is_aside = self.phase in (RebuildPhase.FORM, RebuildPhase.COPY)
        phases = (RebuildPhase.FORM,) if is_aside else (RebuildPhase.ASIDE, RebuildPhase.FORM)
        return tuple(PhaseStep(phase, self.old.name) for phase in phases)

    def after(self, step: PhaseStep) -> Rebuild:
        """How far it is when that step is done."""
        return replace(self, phase=RebuildPhase.FORM if step.phase is RebuildPhase.ASIDE else RebuildPhase.COPY)
