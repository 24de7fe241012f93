"""Makes of what is kept what a release wrote before files had formats: nothing else was another then."""

from __future__ import annotations

import json
from pathlib import Path

KEPT = ("record.json", "rebuild.json", "migration.json", "status.json", "process.json")


def remove_formats(state: Path) -> int:
    """How many files had one; the marker always had a number, and nobody's name."""
    changed = 0
    for path in state.rglob("*.json"):
        if path.name in (*KEPT, "slotwright.json"):
            content = json.loads(path.read_text())
            changed += "slotwright" in content
            heads = ("slotwright",) if path.name == "slotwright.json" else ("slotwright", "format")
            kept = {name: value for name, value in content.items() if name not in heads}
            path.write_text(json.dumps(kept, indent=None if path.name == "process.json" else 1))
    for path in state.rglob("journal.jsonl"):
        lines = path.read_text().splitlines(keepends=True)
        changed += '"format"' in lines[0]
        path.write_text("".join(line for line in lines if '"phase": "format"' not in line))
    return changed
