"""Run the scripts that make hosts right for good. What would not hold is told; whether it holds, the next look says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slotwright.features.preflight.plan import HostTuning
from slotwright.hosts.scripts.tuning import FAILED, OVERRULED
from slotwright.ops.runner import StepHandler
from slotwright.ports import Shell

_SCRIPT_S = 60.0


@dataclass(frozen=True, slots=True)
class TuningResult:
    """A tuning that was done: what its script reported as changed, and what would not hold."""

    tuning: HostTuning
    changes_made: tuple[str, ...]
    troubles: tuple[str, ...]


@dataclass
class TuningSteps(StepHandler[HostTuning]):
    """How hosts are tuned, each by its shell; ``results`` are those of the scripts that ended.

    A script looks itself whether anything is left to do, and changes nothing where there is not.
    """

    shells: Mapping[str, Shell]
    results: dict[HostTuning, TuningResult] = field(default_factory=dict)

    def fields(self, step: HostTuning) -> Mapping[str, object]:
        """What is changed."""
        return {"changes": [change.what for change in step.changes]}

    async def act(self, step: HostTuning) -> str:
        """Raises HostError for a host that can't be reached, or was lost meanwhile."""
        result = await self.shells[step.host].run(step.script, *step.arguments, timeout_s=_SCRIPT_S)
        lines = result.output.splitlines()
        troubles = tuple(line for line in lines if line.startswith((FAILED, OVERRULED)))
        if result.status != 0 and not troubles:
            troubles = (result.complaint.strip()[-200:] or f"the script ended with status {result.status}",)
        changes = tuple(line.partition(" ")[2] for line in lines if line.startswith("did "))
        self.results[step] = TuningResult(step, changes, troubles)
        return ""
