"""The texts of a bundle: the script that installs from it, and what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence

from slotwright.hosts.scripts.files import assigned
from slotwright.package_data import read_text


def install_script(machines: Sequence[str], pythons: Sequence[str]) -> str:
    """``install.sh``: POSIX sh, told for what the bundle was made."""
    names = " ".join(f"python{python}" for python in pythons)
    head, _, body = read_text("slotwright.adapters.bundle", "install.sh").partition("\n\n")
    return f"{head}\n{assigned(PYTHONS=names, MACHINES=' '.join(machines))}{body}"


def readme(
    version: str, machines: Sequence[str], pythons: Sequence[str], file: str, engine: str, notes: Sequence[str]
) -> str:
    """``README.txt``."""
    steps = ["  sh install.sh                  (into ~/slotwright; or: sh install.sh FOLDER)"]
    if file:
        steps.append(f"  ~/slotwright/bin/slotwright up {file}")
    else:
        steps.append("  ~/slotwright/bin/slotwright demo")
    lines = [
        f"slotwright {version}, with all that it needs where there is no internet",
        "",
        "On the control machine, in this folder:",
        "",
        *steps,
        "",
        f"Control machine: Linux with glibc, {' or '.join(machines)}, Python {', '.join(pythons)}.",
        "Hosts: need an SSH server and a POSIX shell.",
        f"Servers: {engine}",
        "",
        *([f"Note: {note}" for note in notes]),
        *([""] if notes else []),
        "No password and no SSH key is in here.",
        "SHA256SUMS has the checksums of all files: sha256sum -c SHA256SUMS",
    ]
    return "\n".join(lines) + "\n"
