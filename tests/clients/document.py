"""Run the whole suite and write what it came to into docs/clients.md: `python -m tests.clients.document`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "docs" / "clients.md"


def main() -> int:
    words = [sys.executable, "-m", "pytest", "tests/clients", "-p", "no:xdist", "--write-clients", str(PLACE)]
    return subprocess.run(words, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
