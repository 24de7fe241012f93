"""The shells that hosts have, and a node's folder for their scripts."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from slotwright.cluster.node_files import MARKER

SHELLS = [("sh",), ("bash", "--posix"), ("busybox", "sh")]
OURS = '{"cluster_id": "c1", "name": "cache", "node_id": "n1"}\n'


@dataclass
class Sh:
    """One kind of shell, as a host would run a script."""

    words: tuple[str, ...]

    def run(self, script: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        words = [*self.words, "-c", script, "sh", *arguments]
        return subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=20, check=False)


def make_ours(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(OURS)
    for name in names:
        (folder / name).write_text(f"text of {name}\n")
