"""What a diagnosis is made from. Every judge takes the same :class:`Case` and yields what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.expectation import Expectation
from slotwright.cluster.findings import Finding
from slotwright.cluster.key_holders import Contents
from slotwright.cluster.observation import NodeView, Observation
from slotwright.cluster.survey import Survey, SurveyNode
from slotwright.hosts.facts.exam import HostExam


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What there is to judge; ``expected`` None: a cluster without a file.

    ``exams`` are the hosts' side, as far as there is one that can be asked; ``contents`` the keys of the slots that are
    doubtful (``health/slot_claims.py``), or of all.
    """

    survey: Survey
    observation: Observation
    expected: Expectation | None = None
    exams: tuple[HostExam, ...] = ()
    contents: Contents = field(default_factory=Contents)

    @property
    def blueprint(self) -> Blueprint | None:
        """What the file wants; None for a cluster without one."""
        return self.expected.blueprint if self.expected else None

    def views(self) -> Iterator[tuple[SurveyNode, NodeView]]:
        """The nodes that answered, with what they said; another node in a node's place speaks for itself alone."""
        for node in self.survey.nodes:
            view = self.observation.view_of(node.address) if node.address else None
            if view is not None and view.id == node.id:
                yield node, view

    def repair(self, otherwise: str) -> str:
        """``slotwright repair NAME`` for a cluster that slotwright knows, else what a person does by hand."""
        return f"slotwright repair {self.survey.name}" if self.expected else otherwise


Check = Callable[[CheckContext], Iterator[Finding]]
