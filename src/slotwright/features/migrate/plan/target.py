"""Whether the target can take what the source has: room, versions, modules, and that it is sound and empty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.sizes import COPY_SHARE, PROCESS_BYTES, shown_bytes
from slotwright.cluster.slots import SLOT_COUNT
from slotwright.features.migrate.model.plan import MigrationOptions, PrimaryShare
from slotwright.features.migrate.model.surveys import SourceSurvey, TargetPrimary, TargetSurvey
from slotwright.keys.model.databases import DatabaseRule
from slotwright.keys.model.sample import PLAIN_TYPES
from slotwright.server.capabilities import Capability, can_read_data

_NEARLY_FULL = 0.85


def shares_of(source: SourceSurvey, target: TargetSurvey) -> tuple[PrimaryShare, ...]:
    """What each primary gets: by the slots of the keys that were looked at, else by the number of its slots."""
    total = sum(source.keys.bytes_by_slot)
    result = []
    for primary in target.primaries:
        share = len(primary.slots) / SLOT_COUNT
        if total:
            share = sum(source.keys.bytes_by_slot[slot] for slot in primary.slots) / total
        added = round(share * source.data_bytes)
        result.append(PrimaryShare(primary.address, share, added, primary.used_bytes, primary.maxmemory_bytes))
    return tuple(result)


def check_target(
    source: SourceSurvey, target: TargetSurvey, options: MigrationOptions, shares: Sequence[PrimaryShare]
) -> Iterator[Finding]:
    """All of it."""
    if not target.is_cluster:
        yield Finding(
            "target-not-cluster",
            Severity.SERIOUS,
            target.name,
            "the target is a stand-alone server, not a cluster",
            "make one: slotwright init, then slotwright up",
        )
        return
    yield from _soundness(target)
    yield from _emptiness(source, target)
    yield from _room(source, target, shares)
    yield from _versions(source, target)
    yield from _databases(source, target, options)


def _soundness(target: TargetSurvey) -> Iterator[Finding]:
    if len(target.served) < SLOT_COUNT:
        yield Finding(
            "slots-uncovered",
            Severity.SERIOUS,
            target.name,
            f"{SLOT_COUNT - len(target.served):,} slots of the target are served by nobody",
            "slotwright check, then slotwright repair",
            seen=str(target.served.complement())[:80],
        )
    elif not target.state_is_ok:
        yield Finding(
            "cluster-state-fail",
            Severity.SERIOUS,
            target.name,
            "a node of the target says cluster_state:fail",
            "slotwright check",
        )
    if target.silent:
        yield Finding(
            "node-down",
            Severity.WARNING,
            target.name,
            f"{len(target.silent)} members of the target don't answer",
            "slotwright check, then slotwright repair",
            seen=", ".join(map(str, target.silent)),
        )
    lonely = [str(primary.address) for primary in target.primaries if not primary.replicas]
    if lonely:
        yield Finding(
            "shard-without-replica",
            Severity.WARNING,
            target.name,
            "primaries of the target have no replica that is in sync",
            "give them one before the clients come",
            seen=", ".join(lonely),
        )


def _emptiness(source: SourceSurvey, target: TargetSurvey) -> Iterator[Finding]:
    if target.keys:
        text = ", ".join(f"{primary.address}: {primary.keys:,}" for primary in target.primaries if primary.keys)
        yield Finding(
            "target-not-empty",
            Severity.SERIOUS,
            target.name,
            f"the target has {target.keys:,} keys already, and after the move nobody could tell which are whose",
            "give an empty cluster; of one whose data may go: FLUSHALL on every primary",
            seen=text,
        )
    twice = sorted(set(source.functions) & set(target.functions))
    if twice:
        yield Finding(
            "functions-on-target",
            Severity.WARNING,
            target.name,
            "libraries of functions are on the target already; those of the source take their place",
            "nothing, if they are the same; else FUNCTION DELETE or another name first",
            seen=", ".join(twice),
        )


def _room(source: SourceSurvey, target: TargetSurvey, shares: Sequence[PrimaryShare]) -> Iterator[Finding]:
    by_address = {primary.address: primary for primary in target.primaries}
    for share in shares:
        if not share.limit_bytes:
            continue
        evicts = by_address[share.address].policy not in ("", "noeviction")
        text = (
            f"about {shown_bytes(share.expected_bytes)} of {shown_bytes(share.limit_bytes)}, "
            f"{share.share:.0%} of the data; maxmemory-policy {by_address[share.address].policy or 'unknown'}"
        )
        if share.expected_bytes > share.limit_bytes:
            yield Finding(
                "target-too-small",
                Severity.SERIOUS,
                str(share.address),
                "its share of the data does not fit into this primary",
                "raise maxmemory in the topology file and run slotwright up, or add primaries",
                seen=text,
                risk="keys would be evicted while they are copied" if evicts else "it would refuse writes (OOM)",
            )
        elif share.expected_bytes > _NEARLY_FULL * share.limit_bytes:
            yield Finding(
                "target-nearly-full",
                Severity.WARNING,
                str(share.address),
                "its share of the data nearly fills this primary",
                "raise maxmemory in the topology file and run slotwright up",
                seen=text,
            )
    yield from _policies(source, target)
    yield from _hosts(target.primaries, shares)


def _policies(source: SourceSurvey, target: TargetSurvey) -> Iterator[Finding]:
    evicting = [one for one in target.primaries if one.maxmemory_bytes and one.policy not in ("", "noeviction")]
    if evicting and source.memory.policy in ("", "noeviction"):
        yield Finding(
            "target-evicts",
            Severity.WARNING,
            target.name,
            f"the target evicts keys when it is full ({evicting[0].policy}), which the source does not",
            "maxmemory-policy: noeviction in the topology file, then slotwright up",
            risk="keys that nobody deleted would be gone",
        )


def _hosts(primaries: Sequence[TargetPrimary], shares: Sequence[PrimaryShare]) -> Iterator[Finding]:
    expected: dict[str, int] = defaultdict(int)
    for share in shares:
        expected[share.address.host] += round(share.expected_bytes * (1 + COPY_SHARE)) + PROCESS_BYTES
    memory = {primary.address.host: primary.system_bytes for primary in primaries if primary.system_bytes}
    for host, needed in expected.items():
        if host in memory and needed > memory[host]:
            yield Finding(
                "target-memory-short",
                Severity.WARNING,
                host,
                "the primaries of this host, with what a save copies, need more memory than it has",
                "spread the data over more hosts",
                seen=f"about {shown_bytes(needed)} of {shown_bytes(memory[host])}; replicas there come on top",
            )


def _versions(source: SourceSurvey, target: TargetSurvey) -> Iterator[Finding]:
    versions = sorted({*target.versions, *target.replica_versions})
    if len(versions) > 1:
        yield Finding(
            "versions-mixed",
            Severity.NOTE,
            target.name,
            "more than one server version runs in the target",
            "finish the upgrade before the move",
            seen=", ".join(version.title for version in versions),
        )
    titles = ", ".join(version.title for version in versions)
    hashes = sum(database.with_field_ttl for database in source.databases)
    if hashes and not all(member.may_have(Capability.FIELD_EXPIRY) for member in target.capabilities):
        yield Finding(
            "field-ttl-unsupported",
            Severity.SERIOUS,
            target.name,
            f"{hashes:,} hashes have fields that expire, which the target does not know ({titles})",
            "a target of Valkey 9, or Redis 7.4 or later; or HPERSIST those fields first",
            risk="the fields would stay for ever",
        )
    if source.functions and not all(member.may_have(Capability.FUNCTIONS) for member in target.capabilities):
        yield Finding(
            "functions-unsupported",
            Severity.SERIOUS,
            target.name,
            f"the source has functions, which the target does not know ({titles})",
            "a target of Redis 7.0 or later, or any Valkey; or FUNCTION DELETE what nobody calls",
            seen=", ".join(source.functions),
        )
    yield from _modules(source, target)
    if any(not can_read_data(version, source.version) for version in versions):
        yield Finding(
            "version-older",
            Severity.NOTE,
            target.name,
            f"{titles} does not read the files of {source.version.title}; values are written anew for it",
            "see that no client uses commands that the target does not have",
        )


def _modules(source: SourceSurvey, target: TargetSurvey) -> Iterator[Finding]:
    strange = [kind for kind in source.keys.kinds if kind.type not in PLAIN_TYPES]
    if not strange:
        return
    missing = sorted(set(source.modules) - set(target.modules))
    text = ", ".join(f"{kind.type}: {kind.keys:,}" for kind in strange)
    yield Finding(
        "module-keys",
        Severity.SERIOUS if missing or not target.modules else Severity.WARNING,
        str(source.address),
        "keys have types of modules"
        + (f", and the target lacks: {', '.join(missing)}" if missing else ": they are carried, and can't be compared"),
        "load the same modules on every node of the target"
        if missing
        else "compare these with the module's own commands",
        seen=text,
    )


def _databases(source: SourceSurvey, target: TargetSurvey, options: MigrationOptions) -> Iterator[Finding]:
    used = [database.number for database in source.databases if database.keys]
    if options.databases.rule is not DatabaseRule.KEEP or not used or max(used) == 0:
        return
    if max(used) >= target.databases:
        yield Finding(
            "databases-missing",
            Severity.SERIOUS,
            target.name,
            f"the source uses database {max(used)}, and the target has {target.databases} "
            f"database{'s' if target.databases > 1 else ''}",
            f"Valkey 9 with cluster-databases {max(used) + 1} or more, set at its start; or a prefix for each database",
        )
