"""The catalogue of faults: how each is made, what `check` may say of it, and what `repair` needs to mend it.

`must` are codes that have to be told, of `one_of` at least one, `may` are consequences that may be told beside them,
and nothing else may be told. Every id of the catalogue is in exactly one of ROWS, ELSEWHERE and NOT_INJECTED.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.engines import LABELS
from tests.faults import copies, files, members, process_faults, slots
from tests.faults.cluster import PATIENT, QUICK
from tests.faults.injected import Injection

WIDELY_USED = ("redis-7.0", "valkey-9.1")
"""The oldest server in wide use and the newest."""

KEEPS_NOTHING = 'appendonly: "no", save: "", cluster-node-timeout: 6000'
NO_REPLICAS = {"replicas": 0, "per_host": 1}


@dataclass(frozen=True)
class Row:
    """``words``: without these, typed, the repair's dangerous part is not done. ``is_fleeting``: the servers settle it
    themselves within a second, so `check` may come too late. ``needs_operator``: the first repair can't mend it; the
    second can, after the operator did what only an operator can do. ``is_quick``: it is in `make test` as well.
    ``is_note``: it has mended itself, and is only told. ``lacks``: what slotwright can't do here yet.
    ``engines``: the servers that it is tried on."""

    id: str
    title: str
    inject: Injection
    must: frozenset[str] = frozenset()
    one_of: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    settings: str = QUICK
    shape: dict[str, Any] = field(default_factory=dict)
    is_fleeting: bool = False
    needs_operator: bool = False
    is_quick: bool = False
    check_options: tuple[str, ...] = ()
    is_note: bool = False
    lacks: str = ""
    engines: tuple[str, ...] = WIDELY_USED

    @property
    def label(self) -> str:
        return f"{self.id}-{self.inject.__name__}"

    def faults_in(self, told: set[str]) -> list[str]:
        """What is wrong with the codes that `check` told."""
        wrong = [f"not told: {code}" for code in sorted(self.must - told)]
        if self.one_of and not self.one_of & told:
            wrong.append(f"none told of: {', '.join(sorted(self.one_of))}")
        wrong += [f"invented: {code}" for code in sorted(told - self.must - self.one_of - self.may)]
        return wrong


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _row(
    fault: str,
    title: str,
    inject: Injection,
    must: str = "",
    *,
    one_of: str = "",
    may: str = "",
    words: str = "",
    settings: str = QUICK,
    shape: dict[str, Any] | None = None,
    is_fleeting: bool = False,
    needs_operator: bool = False,
    is_quick: bool = False,
    check_options: tuple[str, ...] = (),
    is_note: bool = False,
    lacks: str = "",
    engines: tuple[str, ...] = WIDELY_USED,
) -> Row:
    return Row(
        fault,
        title,
        inject,
        _codes(must),
        _codes(one_of),
        _codes(may),
        _codes(words),
        settings,
        shape or {},
        is_fleeting,
        needs_operator,
        is_quick,
        check_options,
        is_note,
        lacks,
        engines,
    )


ROWS: tuple[Row, ...] = (
    _row("F01", "a slot left open on its source", slots.open_on_source, "open-slot", is_quick=True),
    _row("F02", "a slot left open on its target, with keys there", slots.open_on_target, "open-slot"),
    _row("F03", "a move cut in the middle, keys on both sides", slots.half_moved, "open-slot", is_quick=True),
    _row(
        "F04",
        "a move finalised on the source first: no owner",
        slots.finalised_on_source,
        one_of="slots-uncovered open-slot",
        may="views-disagree",
        is_fleeting=True,  # Valkey settles it within a second or so
    ),
    _row(
        "F05",
        "the same keys on two nodes, equal",
        slots.held_twice,
        "keys-misplaced",
        check_options=("--keys",),
        is_quick=True,
    ),
    _row(
        "F05",
        "the same keys on two nodes, equal, in an open slot",
        slots.held_twice_in_an_open_slot,
        "key-held-twice",
        may="open-slot",
    ),
    _row(
        "F06",
        "the same key on two nodes, different",
        slots.differing,
        "keys-misplaced",
        words="keep-owners",
        check_options=("--keys",),
        is_quick=True,
    ),
    _row(
        "F06",
        "the same key on two nodes, different, in an open slot",
        slots.differing_in_an_open_slot,
        "key-differs",
        may="open-slot",
        words="keep-owners",
    ),
    _row(
        "F07",
        "a slot with two owners",
        slots.owned_twice,
        one_of="slot-owned-twice views-disagree",
        is_fleeting=True,
    ),
    _row("F08", "a slot without an owner, empty", slots.unowned_empty, "slots-uncovered", may="cluster-state-fail"),
    _row(
        "F09",
        "a slot without an owner, with keys",
        slots.unowned_with_keys,
        "slots-uncovered",
        may="cluster-state-fail",
    ),
    _row(
        "F12",
        "a MIGRATE that timed out and came through all the same",
        slots.big_key_unanswered,
        "open-slot",
        may="key-held-twice",
    ),
    _row(
        "F14",
        "the target of a move is out of memory",
        slots.target_full,
        "open-slot",
        may="memory-near-limit memory-full canary-failed",
        needs_operator=True,
    ),
    _row(
        "F15",
        "a primary killed; its replica took over",
        process_faults.primary_killed,
        "node-down",
        may="role-moved",
        is_quick=True,
    ),
    _row(
        "F16",
        "a primary without a replica killed",
        process_faults.lone_primary_killed,
        "node-down",
        may="cluster-state-fail",
        shape=NO_REPLICAS,
    ),
    _row("F17", "a whole shard killed", process_faults.shard_killed, "node-down", may="cluster-state-fail"),
    _row(
        "F17",
        "a whole shard that can't start for now",
        process_faults.shard_that_can_not_start,
        "node-down",
        may="cluster-state-fail port-taken",
        needs_operator=True,
    ),
    _row(
        "F18",
        "most primaries killed",
        process_faults.majority_killed,
        "majority-lost node-down",
        may="cluster-state-fail",
    ),
    _row(
        "F18",
        "most primaries lost with their disks: only replicas are left",
        process_faults.majority_with_its_disks,
        "majority-lost folder-lost",
        may="node-down cluster-state-fail",
    ),
    _row("F19", "a replica killed", process_faults.replica_killed, "node-down", is_quick=True),
    _row(
        "F20",
        "a primary frozen; its replica took over",
        process_faults.primary_frozen,
        "node-stopped",
        may="role-moved",
    ),
    _row("F20", "a replica frozen", process_faults.replica_frozen, "node-stopped"),
    _row("F25", "a replica's nodes.conf cut off", files.map_of_a_replica, "map-broken", may="node-down"),
    _row(
        "F25",
        "a lone primary's nodes.conf cut off",
        files.map_of_a_lone_primary,
        "map-broken",
        may="node-down cluster-state-fail",
        shape=NO_REPLICAS,
    ),
    _row(
        "F27",
        "a primary's folder is gone; its replica took over",
        files.folder_deleted,
        "folder-lost",
        may="node-down role-moved",
    ),
    _row(
        "F27",
        "wiped and started anew by hand: a new id and a ghost",
        files.wiped_and_started,
        "id-changed",
        may="ghost-node node-down role-moved",
    ),
    _row(
        "F28",
        "two primaries with one config epoch",
        members.epoch_collision,
        one_of="epoch-collision views-disagree",
        may="replica-link-down",
        is_fleeting=True,
    ),
    _row(
        "F29",
        "one host has another address",
        members.one_address_changed,
        "node-down",
        may="role-moved",
    ),
    _row(
        "F30",
        "all addresses changed: gossip never heals it",
        members.all_addresses_changed,
        "address-changed",
        may="node-down majority-lost cluster-state-fail canary-failed",
    ),
    _row(
        "F33",
        "a stranger joined by the bus",
        members.rogue_node,
        "unknown-node",
        words="forget",
    ),
    _row("F35", "a replica without masterauth", members.without_masterauth, "replica-auth-missing", is_quick=True),
    _row("F35", "a replica with a wrong masterauth", members.with_wrong_masterauth, "replica-auth-rejected"),
    _row(
        "F37",
        "the end of an append-only file is cut off",
        files.append_log_cut,
        "append-log-cut",
        may="role-moved",
        is_note=True,
    ),
    _row(
        "F38",
        "an append-only file damaged in the middle; the replica took over",
        files.append_log_damaged,
        "append-log-damaged",
        may="node-down role-moved",
    ),
    _row(
        "F38",
        "a replica's append-only file damaged in the middle",
        files.append_log_of_a_replica_damaged,
        "append-log-damaged",
        may="node-down",
    ),
    _row(
        "F39",
        "saves fail",
        files.save_fails,
        "persistence-failing",
        may="canary-failed",
        needs_operator=True,
    ),
    _row(
        "F40",
        "the disk of an append-only file is full",
        files.disk_full,
        "persistence-failing",
        may="canary-failed disk-full disk-filling disk-short",
        needs_operator=True,
    ),
    _row("F46", "a small limit of open files", files.few_open_files, "nofile-low", needs_operator=True),
    _row(
        "F47",
        "a replica beside its primary, and a shard without one",
        members.replica_beside_primary,
        one_of="replica-beside-primary replica-misplaced",
        may="shard-without-replica",
    ),
    _row(
        "F49",
        "a shard away, full coverage required",
        process_faults.lone_primary_killed,
        "node-down",
        may="cluster-state-fail",
        settings=f"{QUICK}, cluster-require-full-coverage: yes",
        shape=NO_REPLICAS,
    ),
    _row(
        "F49",
        "a shard away, full coverage not required",
        process_faults.lone_primary_left_out,
        "node-down",
        settings=f"{QUICK}, cluster-require-full-coverage: no",
        shape=NO_REPLICAS,
    ),
    _row(
        "F50",
        "a password rotation half done",
        members.rotated_half,
        "wrong-password",
        may="replica-auth-rejected replica-auth-missing replica-link-down",
        shape={"password": "{env: CACHE_PASSWORD}"},
    ),
    _row(
        "F53",
        "a primary killed and its append-only file gone, before anybody took over",
        copies.log_of_a_primary_lost,
        "node-down",
        may="role-moved",
        settings=PATIENT,
        engines=LABELS,
    ),
    _row(
        "F54",
        "a primary killed and the end of its append-only file cut off, before anybody took over",
        copies.log_of_a_primary_cut,
        "node-down",
        may="role-moved append-log-cut",
        settings=PATIENT,
        engines=LABELS,
    ),
    _row(
        "F55",
        "an append-only file switched off, writes, and the primary killed",
        copies.log_switched_off,
        "node-down",
        may="role-moved",
        settings=PATIENT,
        engines=LABELS,
    ),
    _row(
        "F56",
        "primary and replica killed; only the replica's append-only file is left",
        copies.log_lost_and_both_killed,
        "node-down",
        may="cluster-state-fail",
        engines=LABELS,
    ),
    _row(
        "F57",
        "slots of a shard that nobody owns, whose only copy is on a replica",
        copies.slots_taken_and_folder_lost,
        "slots-uncovered folder-lost",
        may="node-down cluster-state-fail",
        settings=f"{QUICK}, cluster-replica-no-failover: 'yes'",
        engines=LABELS,
    ),
    _row(
        "F58",
        "a replica with another shard's data, and the only copy of its own shard's on a disk",
        copies.replica_with_other_data,
        "node-down",
        may="folder-lost cluster-state-fail replica-misplaced shard-without-replica role-moved views-disagree",
        engines=LABELS,
    ),
    _row(
        "F59",
        "the source of a move died in the middle; its replica took over",
        copies.half_moved_and_source_killed,
        "node-down",
        may="open-slot role-moved cluster-state-fail key-held-twice views-disagree canary-failed",
        engines=LABELS,
    ),
    _row(
        "F60",
        "FLUSHALL while the replica was away: the emptier copy is the right one",
        copies.flushed_while_its_replica_was_away,
        "node-down",
        engines=LABELS,
    ),
    _row(
        "F62",
        "the only copy of a key is with a primary that does not own its slot, and that one died",
        copies.only_copy_in_another_primary,
        "node-down",
        may="keys-misplaced role-moved",
        settings=PATIENT,
        engines=tuple(label for label in LABELS if label != "valkey-9.1"),  # its replica deletes the key as it leads
    ),
    _row(
        "F61",
        "a living primary lets no more clients in",
        copies.clients_at_their_limit,
        "node-out-of-reach",
        may="canary-failed",
        needs_operator=True,
        engines=LABELS,
    ),
)

ELSEWHERE: dict[str, str] = {
    "F13": "prevented: tests/faults/test_prevention.py",
    "F21": "prevented: tests/integration/test_unpersisted.py; told afterwards: tests/faults/test_losses.py",
    "F23": "tests/integration/test_failover.py",
    "F32": "prevented: tests/faults/test_prevention.py; told afterwards: tests/faults/test_losses.py",
    "F34": "prevented: tests/faults/test_prevention.py; a second server that Valkey 9.1 lets in by hand is not told",
    "F24": "tests/lab/test_faults_of_hosts.py: a partition between real hosts",
    "F42": "tests/lab/test_preflight.py: blocked ports between real hosts, told before anything is formed; "
    "tests/lab/test_faults_of_hosts.py: in a cluster that runs",
    "F43": "tests/faults/test_prevention.py",
    "F44": "tests/tables/fitness: kernel settings and the ARM64 bug; tests/lab/test_preflight.py mends them",
    "F45": "tests/tables/fitness: clocks that differ; measured on real hosts in tests/lab/test_preflight.py",
    "F51": "prevented: tests/faults/test_prevention.py",
}

NOT_INJECTED: dict[str, str] = {
    "F41": "an OOM kill needs a memory limit of a host's own (tests/lab/test_faults_of_nodes.py, where systemd can set "
    "one); to the cluster it is F15 or F19",
    "F52": "import from other clusters is not there yet",
}

IDS: tuple[str, ...] = tuple(f"F{number:02}" for number in range(1, 63) if number not in (10, 11, 22, 26, 31, 36, 48))
