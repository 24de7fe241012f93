"""What a formed cluster was before a verb began to change it: the past can't be observed, and so it is kept.

It is kept before the first change, and forgotten when the change is proved or taken back. The values of secret settings
are not in it; the record in it holds no more than the record itself, and like that it is for its owner's eyes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.topology import Address


@dataclass(frozen=True, slots=True)
class FormerSetting:
    """``old`` is what the server said before the first change, ``new`` each value that was to take its place since."""

    name: str
    old: str
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FormerNode:
    """The settings of one node that were to be changed."""

    address: Address
    settings: tuple[FormerSetting, ...]


@dataclass(frozen=True, slots=True)
class Baseline:
    """``record`` is the one from before, ``verb`` and ``at`` (UTC) say what began to change it, and when."""

    record: ClusterRecord
    verb: str
    at: str
    nodes: tuple[FormerNode, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The directives that were to be changed on any node."""
        return tuple(dict.fromkeys(setting.name for node in self.nodes for setting in node.settings))

    def fits(self, record: ClusterRecord) -> bool:
        """Whether the cluster still has the nodes that it had, at their addresses and in their folders."""
        return (self.record.blueprint, self.record.folders) == (record.blueprint, record.folders)

    def settings_of(self, address: Address) -> tuple[FormerSetting, ...]:
        """Of one node; none where nothing of it was to be changed."""
        return next((node.settings for node in self.nodes if node.address == address), ())

    def extended(self, later: Baseline) -> Baseline:
        """With what ``later`` has besides: the first change counts, so an old value that is known stays."""
        addresses = dict.fromkeys(node.address for node in (*self.nodes, *later.nodes))
        nodes = tuple(
            FormerNode(address, _extended(self.settings_of(address), later.settings_of(address)))
            for address in addresses
        )
        return replace(self, nodes=nodes)


def _extended(settings: tuple[FormerSetting, ...], later: tuple[FormerSetting, ...]) -> tuple[FormerSetting, ...]:
    by_name = {setting.name: setting for setting in settings}
    for setting in later:
        known = by_name.get(setting.name)
        if known is None:
            by_name[setting.name] = setting
        else:
            by_name[setting.name] = replace(known, new=tuple(dict.fromkeys((*known.new, *setting.new))))
    return tuple(by_name.values())
