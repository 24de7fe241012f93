"""What a repair must not do though a finding asks for it: the reason, and the way on.

These are no steps with a word: each of them could lose what a safe way keeps.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.observation import Role
from slotwright.cluster.steps import Refusal
from slotwright.cluster.survey import SurveyNode
from slotwright.features.repair.plan.members import is_given_up, most_advanced, takes_over
from slotwright.features.repair.plan.repair_input import RepairInput
from slotwright.features.repair.plan.slots import kept_by_replicas
from slotwright.health.members import votes


def refusals(repair_input: RepairInput) -> Iterator[Refusal]:
    """Promotions, starts and slots that are refused now; the same situation gives the same refusals."""
    if repair_input.is_cluster:
        yield from _promotions(repair_input)
        yield from _starts(repair_input)
        yield from _slots(repair_input)


def _promotions(repair_input: RepairInput) -> Iterator[Refusal]:
    """Primaries that are silent towards us, and of which nobody says that they are dead."""
    for node in repair_input.survey.nodes:
        best = most_advanced(repair_input, node)
        if node.role is not Role.PRIMARY or not node.slots or node.is_reachable or best is None:
            continue
        what = f"make {best.place} the primary of shard {node.shard} in place of {node.place}"
        if node.is_seen_alive:
            yield Refusal(
                what,
                f"{node.place} lives: other nodes have live links to it, only this machine can't get in "
                f"({_reason(repair_input, node)}); forced, a failover would lose what it acknowledges meanwhile",
                f"let this machine in to {node.place}; or slotwright failover {best.place}, which hands over without "
                "loss",
            )
        elif _is_in_doubt(repair_input, node, best):
            yield Refusal(
                what,
                f"nobody holds {node.place} failed, and its host can't be asked whether its process is gone",
                "reach its host, or wait until most primaries hold it failed; slotwright check "
                f"{repair_input.survey.name}",
            )


def _is_in_doubt(repair_input: RepairInput, node: SurveyNode, best: SurveyNode) -> bool:
    has_waited = takes_over(node, best) in repair_input.waited
    is_known = is_given_up(repair_input, node)
    return has_waited and votes(repair_input.survey).is_enough and not is_known and node.trouble != "wrong password"


def _reason(repair_input: RepairInput, node: SurveyNode) -> str:
    result = (silent.reason for silent in repair_input.observation.silent if silent.address == node.address)
    return next(result, node.trouble)


def _starts(repair_input: RepairInput) -> Iterator[Refusal]:
    """Nodes whose disk has less than a live replica of them that could not take over."""
    for _, planned in repair_input.planned():
        node = repair_input.node(planned.id)
        why = repair_input.is_behind(planned.address)
        best = most_advanced(repair_input, node) if node is not None else None
        if not why or node is None or best is None or takes_over(node, best) not in repair_input.waited:
            continue
        yield Refusal(
            f"start {planned.address}",
            f"{why}, and its replica {best.place} has {best.keys} keys: it would follow the emptier node",
            f"make {best.place} the primary first: slotwright failover {best.place} --force",
        )


def _slots(repair_input: RepairInput) -> Iterator[Refusal]:
    for replica, slots, keys in kept_by_replicas(repair_input):
        yield Refusal(
            f"give away {len(slots)} slots that belong to nobody",
            f"the only copy of {keys} of their keys is on the replica {replica.place}, which would lose them",
            f"bring its primary back, or make {replica.place} the primary (CLUSTER FAILOVER TAKEOVER on it), then "
            f"slotwright repair {repair_input.survey.name}",
        )
