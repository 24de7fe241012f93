"""The JSON of `slot`, `list` and `logs`; that of `status` and `check` is in ``console/output.py``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from slotwright.cluster.record import ClusterRecord
from slotwright.console.output import Output

if TYPE_CHECKING:
    from slotwright.features.look.api import SlotOfKey


class SlotOfKeyOutput(Output, frozen=True, kw_only=True):
    """One key: its slot, and who serves it. Bytes that are no UTF-8 are written as ``\\xNN``."""

    key: str
    slot: int
    primary: str | None
    replicas: tuple[str, ...]


class SlotsOutput(Output, frozen=True, kw_only=True):
    """`slot`."""

    keys: tuple[SlotOfKeyOutput, ...]


class KnownClusterOutput(Output, frozen=True, kw_only=True):
    """One cluster that is known here."""

    name: str
    stage: str
    nodes: int
    version: str
    file: str


class ClustersOutput(Output, frozen=True, kw_only=True):
    """`list`."""

    clusters: tuple[KnownClusterOutput, ...]


class LogOutput(Output, frozen=True, kw_only=True):
    """`logs`: the last lines of a server's log."""

    node: str
    lines: tuple[str, ...]


class LogLineOutput(Output, frozen=True, kw_only=True):
    """A line of `logs -f`."""

    line: str


def slots_output(slots_of_keys: Iterable[SlotOfKey]) -> SlotsOutput:
    """`slot`."""
    return SlotsOutput(
        keys=tuple(
            SlotOfKeyOutput(
                key=slot_of_key.key.decode(errors="backslashreplace"),
                slot=slot_of_key.slot,
                primary=slot_of_key.primary.place if slot_of_key.primary else None,
                replicas=tuple(node.place for node in slot_of_key.replicas),
            )
            for slot_of_key in slots_of_keys
        )
    )


def clusters_output(records: Iterable[ClusterRecord]) -> ClustersOutput:
    """`list`."""
    return ClustersOutput(
        clusters=tuple(
            KnownClusterOutput(
                name=record.name,
                stage=record.stage.value,
                nodes=len(record.blueprint.nodes),
                version=record.version,
                file=record.topology_path,
            )
            for record in records
        )
    )
