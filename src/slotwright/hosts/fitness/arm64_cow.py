"""The ARM64 copy-on-write bug, told apart: present, fixed, or not to be known.

Kernels of arm64 lost the dirty bit of a page across a fork; under memory pressure a background save then writes zeros
for live data (redis issue 8124). Mended by Linux commit ff1712f953e2 ("arm64: pgtable: Ensure dirty bit is preserved
across pte_wrprotect()"): mainline 5.10, and the stable releases 4.14.210, 4.19.161, 5.4.81 and 5.9.12. A server since
6.2 tests for it at its start and exits both when it is there and when the test can't be made (server.c), unless
``ignore-warnings ARM64-COW-BUG`` is set; that line is never ours to add.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from slotwright.cluster.findings import Finding, Severity
from slotwright.hosts.facts.profile import HostProfile
from slotwright.hosts.fitness.requirements import Requirements, version_numbers

MENDED_IN = {(4, 14): 210, (4, 19): 161, (5, 4): 81, (5, 9): 12}
"""The first release of each stable branch that has the fix."""

NEVER_MENDED = frozenset({(5, 5), (5, 6), (5, 7), (5, 8)})
"""Branches that had ended before the fix; 5.8.1 was seen to have the bug."""

_OF_A_DISTRIBUTION = re.compile(
    r"\.(el|oe|ky|uel|an|al|amzn|fc|tl|up|nl)\d|-generic|-azure|-aws|-gcp|-raspi|-v8|-arm64|-default"
)


class CowBug(StrEnum):
    """What is known of it on a host."""

    PRESENT = "present"
    UNTESTABLE = "untestable"
    FIXED = "fixed"


def check_result(profile: HostProfile, name: str) -> str:
    """What the server's own ``--check-system`` said of one check: OK, WARNING, skipped; "" where it did not speak."""
    text = profile.engine.check_output if profile.engine else ""
    match = re.search(rf"^\[{re.escape(name)}\]\.\.\.(OK|WARNING|skipped)", text, re.MULTILINE)
    return match[1] if match else ""


def cow_bug(profile: HostProfile) -> tuple[CowBug, str]:
    """The state and how it is known: by the server's own test where it ran, by the kernel's version otherwise."""
    text = check_result(profile, "madvise-free-fork-bug")
    if text:
        states = {"OK": CowBug.FIXED, "WARNING": CowBug.PRESENT, "skipped": CowBug.UNTESTABLE}
        return states[text], f"the server's --check-system: {text}"
    return _by_kernel(profile.system.kernel), f"kernel {profile.system.kernel or 'unknown'}"


def _by_kernel(release: str) -> CowBug:
    """Distributions take fixes over under old numbers, so of theirs an old number proves nothing."""
    numbers = version_numbers(release)
    if len(numbers) < 2:
        return CowBug.UNTESTABLE
    branch, patch = numbers[:2], numbers[2] if len(numbers) > 2 else 0
    if branch >= (5, 10) or branch < (4, 5):
        # Before 4.5 there is no MADV_FREE, without which the bug does not show.
        return CowBug.FIXED
    is_patched_late = branch in MENDED_IN and patch >= MENDED_IN[branch]
    if is_patched_late:
        return CowBug.FIXED
    is_known = branch in MENDED_IN or branch in NEVER_MENDED
    if not is_known or patch == 0 or _OF_A_DISTRIBUTION.search(release):
        return CowBug.UNTESTABLE
    return CowBug.PRESENT


def cow_bugs(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """On arm64 only; a file that silences the server's refusal gets what that means instead."""
    if profile.system.architecture != "aarch64":
        return
    state, known_by = cow_bug(profile)
    if state is CowBug.FIXED:
        return
    if state is CowBug.PRESENT:
        yield _present(profile, wants, known_by)
    else:
        yield _untestable(profile, wants, known_by, is_tested=bool(check_result(profile, "madvise-free-fork-bug")))


_UPGRADE = "upgrade the kernel (5.10 or newer, or the distribution's latest of its own) and reboot"


def _present(profile: HostProfile, wants: Requirements, known_by: str) -> Finding:
    if wants.ignores_cow_bug:
        return Finding(
            "arm64-cow-bug",
            Severity.WARNING,
            profile.host,
            "the kernel's copy-on-write bug is present, and the file tells the server to run all the same",
            f"{_UPGRADE}; then take `ignore-warnings` out of the file",
            seen=known_by,
            risk="a save or a replica's first copy can hold zeros instead of data, found only when it is loaded",
        )
    return Finding(
        "arm64-cow-bug",
        Severity.SERIOUS,
        profile.host,
        "the kernel has a bug that corrupts saves (copy-on-write on ARM64): the server will refuse to start",
        f"{_UPGRADE}. Nothing else makes saves safe here",
        seen=known_by,
        risk="a save or a replica's first copy can hold zeros instead of data",
    )


def _untestable(profile: HostProfile, wants: Requirements, known_by: str, *, is_tested: bool) -> Finding:
    """Where the server's own test can't run, the server won't; where only the version is unclear, it will test."""
    ignored, code = wants.ignores_cow_bug, "arm64-cow-bug-untestable"
    if is_tested and not ignored:
        return Finding(
            code,
            Severity.SERIOUS,
            profile.host,
            "whether the kernel corrupts saves (copy-on-write on ARM64) can't be tested here: the server will refuse "
            "to start",
            "find out why the test can't run (it reads /proc/self/smaps: containers and kernels without "
            f"CONFIG_PROC_PAGE_MONITOR hide it), or {_UPGRADE}. If you know that the kernel is sound, "
            "`ignore-warnings: ARM64-COW-BUG` under `settings:` is yours to write",
            seen=f"{known_by}, kernel {profile.system.kernel}",
        )
    return Finding(
        code,
        Severity.NOTE if ignored else Severity.WARNING,
        profile.host,
        "whether the kernel corrupts saves (copy-on-write on ARM64) is not known yet"
        + (", and the file tells the server not to ask" if ignored else ": its version alone does not tell"),
        "none if the maker of the kernel has the fix (Linux commit ff1712f953e2); else " + _UPGRADE,
        seen=known_by,
        risk="saves with zeros in them"
        if ignored
        else "a server that finds the bug, or can't test for it, won't start",
    )
