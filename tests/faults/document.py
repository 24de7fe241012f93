"""Run the whole suite and write what it came to into docs/faults.md: `python -m tests.faults.document [WORKERS]`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "docs" / "faults.md"


def main() -> int:
    workers = sys.argv[1] if len(sys.argv) > 1 else "2"
    words = [sys.executable, "-m", "pytest", "tests/faults", "-n", workers, "--write-faults", str(PLACE)]
    return subprocess.run(words, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
