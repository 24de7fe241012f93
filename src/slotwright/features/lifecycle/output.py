"""The JSON of `stop` and `destroy`; that of `start` is `up`'s."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from slotwright.console.output import Output

if TYPE_CHECKING:
    from slotwright.features.lifecycle.destroy import Destroyed
    from slotwright.ops.stop_nodes import Stopped


class SavedFileOutput(Output, frozen=True, kw_only=True):
    """A data file in the node's folder, by its path below it."""

    file: str
    bytes: int


class StoppedNodeOutput(Output, frozen=True, kw_only=True):
    """One node; ``keys`` is null where it could not be asked before."""

    address: str
    keys: int | None
    killed: bool
    saved: tuple[SavedFileOutput, ...]


class StopOutput(Output, frozen=True, kw_only=True):
    """`stop`."""

    stopped: tuple[StoppedNodeOutput, ...]


class DestroyOutput(Output, frozen=True, kw_only=True):
    """`destroy`; ``kept`` are folders of data, ``aside`` what earlier repairs and rebuilds left."""

    name: str
    nodes: int
    keys: int
    kept: tuple[str, ...]
    aside: tuple[str, ...]


def stop_output(stopped: Iterable[Stopped]) -> StopOutput:
    """`stop`."""
    return StopOutput(stopped=tuple(map(_node_output, stopped)))


def _node_output(node: Stopped) -> StoppedNodeOutput:
    return StoppedNodeOutput(
        address=str(node.address),
        keys=node.keys,
        killed=node.was_killed,
        saved=tuple(SavedFileOutput(file=name, bytes=count) for name, count in node.saved),
    )


def destroy_output(gone: Destroyed) -> DestroyOutput:
    """`destroy`."""
    return DestroyOutput(name=gone.name, nodes=gone.nodes, keys=gone.keys, kept=gone.kept, aside=gone.aside)
