"""Where a secret is looked for: every process of this machine and its hosts, files, memory file systems, journals.

The hosts' processes are in this machine's own ``/proc``: one pair of scanner sees them all, and the control machine's.
"""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.machine import Host

IN_MEMORY = "grep -rlsF -f - /run /tmp /dev/shm --exclude-dir=journal --exclude-dir=lab-kernel; true"


@dataclass
class SecretScanner:
    """Looks at every process of every host, again and again, until told to stop."""

    words: Sequence[str]
    seen: set[tuple[str, str]] = field(default_factory=set)
    """What it was found in (``cmdline`` or ``environ``), and the command."""
    rounds: int = 0
    looked_at: Counter[str] = field(default_factory=Counter)

    def look(self, *, at_all: bool = True) -> None:
        """At all processes, or at the young: most live shorter than a round, and become another program meanwhile."""
        there = {path.name for path in Path("/proc").iterdir() if path.name.isdigit()}
        self.looked_at = Counter({name: self.looked_at[name] + 1 for name in there})
        for name, times in self.looked_at.items():
            if times > 5 and not at_all:
                continue
            try:
                command = Path("/proc", name, "cmdline").read_bytes()
                environment = Path("/proc", name, "environ").read_bytes()
            except OSError:  # it has ended meanwhile
                continue
            if not command:  # it is about to become another program: the next round sees which
                continue
            words = command.replace(b"\0", b" ").decode(errors="replace")
            if any(word.encode() in command for word in self.words):
                self.seen.add(("cmdline", words))
            # The operator gave the passwords to the command itself, and to nobody else.
            if any(word.encode() in environment for word in self.words) and "-m slotwright" not in words:
                self.seen.add(("environ", words))
        self.rounds += 1

    def watch(self, stop: threading.Event) -> None:
        while not stop.wait(0.01):
            self.look(at_all=self.rounds % 50 == 0)

    @contextmanager
    def open(self) -> Iterator[None]:
        """They look within the context."""
        stop = threading.Event()
        watcher = threading.Thread(target=self.watch, args=(stop,))
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()


def files_on(host: Host, words: Sequence[str]) -> list[str]:
    """What the host wrote on its disk (its layer, read from outside) and in its memory file systems."""
    upper = host.layer / "upper"
    on_disk = [f"/{path.relative_to(upper)}" for path in _files_below(upper, words)]
    return sorted([*on_disk, *host.run(IN_MEMORY, stdin=_lines(words)).stdout.split()])


def files_below(folder: Path, words: Sequence[str]) -> list[str]:
    """Files of the control machine that hold one of the words."""
    return sorted(str(path.relative_to(folder)) for path in _files_below(folder, words))


def _files_below(folder: Path, words: Sequence[str]) -> list[Path]:
    done = subprocess.run(
        ["grep", "-rlsaF", "-f", "-", str(folder)], input=_lines(words), capture_output=True, text=True
    )
    return [Path(line) for line in done.stdout.splitlines()]


def _lines(words: Sequence[str]) -> str:
    return "".join(f"{word}\n" for word in words)


def journal_lines(host: Host, words: Sequence[str]) -> int:
    """How many lines of the journal hold one; its files pack long lines, so that only its reader can tell."""
    text = host.run("journalctl --no-pager -o export --all").stdout
    return sum(text.count(word) for word in words)
