"""What of the source stands in the way of moving it, or would be felt by its clients meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Role
from slotwright.cluster.sizes import shown_bytes
from slotwright.cluster.topology import Mode
from slotwright.features.migrate.model.surveys import Right, SourceSurvey
from slotwright.features.migrate.plan.big_keys import BASIS, NOTED_S, WARNED_S, blocking_of
from slotwright.features.migrate.plan.hash_tags import shown_key
from slotwright.features.migrate.plan.load import check_load
from slotwright.keys.model.databases import DatabaseMap, DatabaseRule
from slotwright.keys.model.sample import PLAIN_TYPES
from slotwright.server.capabilities import Capability, capabilities_of, is_supported

NEEDED = ("psync", "replconf", "info", "scan", "type", "pttl", "dump", "client|pause")
"""Without these nothing can be copied, compared or cut over."""
WANTED = ("config|get", "memory|usage")
"""Without these the plan knows less."""
FENCE = ("config|get", "config|set")
"""Without these writes can't be refused after a cutover (``run/fence.py``)."""
FENCE_OF_SCRIPTS = ("acl|setuser",)
"""And these, where a script's own writes are not asked for replicas."""

_OF_THE_SERVER = frozenset({"vectorset"})
"""Modules that Redis 8 brings with it."""


def check_source(
    source: SourceSurvey, databases: DatabaseMap, copy_s: float, *, cuts_over: bool = False
) -> Iterator[Finding]:
    """``copy_s`` is how long the copy will take, by estimate; ``cuts_over``: it is to be cut over at once."""
    yield from _server(source)
    if cuts_over:
        yield from _cutover(source)
    else:
        yield from _fence(source, Severity.WARNING)
    yield from _databases(source, databases)
    yield from _rights(source)
    yield from check_load(source, copy_s)
    yield from _keys(source)
    if source.unread:
        yield Finding(
            "facts-unread",
            Severity.NOTE,
            str(source.address),
            "not everything could be read",
            "see what it is; what depends on it is not judged",
            seen="; ".join(source.unread),
        )


def _server(source: SourceSurvey) -> Iterator[Finding]:
    where = str(source.address)
    if source.mode is Mode.CLUSTER:
        yield Finding(
            "source-in-cluster",
            Severity.WARNING,
            where,
            "the source is a member of a cluster: all of its primaries are moved, and the figures here are of this one",
            "move no slots in the source until it is done",
        )
    if not is_supported(source.version):
        yield Finding(
            "source-version-untested",
            Severity.WARNING,
            where,
            f"nothing older than Redis 6.2 was tried as a source; this is {source.version.title}",
            "try it with a copy of the data first",
        )
    if source.primary_fault:
        yield Finding(
            "address-not-valid",
            Severity.SERIOUS,
            where,
            "what the source tells as the address of its primary is none",
            "find out who set it (REPLICAOF); give the primary itself as the source",
            seen=source.primary_fault,
            risk="nobody can tell whose data this is",
        )
    # Of a cluster the primaries are moved, whoever was asked for them.
    if source.role is Role.REPLICA and not (source.mode is Mode.CLUSTER and source.link_is_up):
        yield _replica(source, where)
    if not source.saving.last_save_ok:
        yield Finding(
            "persistence-failing",
            Severity.SERIOUS,
            where,
            "its last snapshot failed, and a copy begins with one",
            "see the end of its log for the cause, then try BGSAVE",
            seen="rdb_last_bgsave_status:err",
        )
    if source.notifications:
        yield Finding(
            "keyspace-notifications",
            Severity.WARNING,
            where,
            "it sends keyspace notifications; in a cluster each node tells those of its own keys alone",
            "set notify-keyspace-events in the topology file, and let who listens subscribe on every primary",
            seen=f"notify-keyspace-events {source.notifications}",
        )


def _replica(source: SourceSurvey, where: str) -> Finding:
    primary = str(source.primary) if source.primary else "unknown"
    obstacle = _obstacle(source, primary)
    if not source.link_is_up:
        return Finding(
            "source-is-replica",
            Severity.SERIOUS,
            where,
            f"the source is a replica whose link to its primary {primary} is down: its data is old",
            f"give the primary: slotwright migrate {primary}",
            risk="the cutover is refused as long as that is so: what the primary takes does not get here",
        )
    return Finding(
        "source-is-replica",
        Severity.WARNING,
        where,
        f"the source is a replica of {primary}: the copy spares the primary, but it is there that writes have to stop. "
        f"The cutover {'would be refused now: ' + obstacle if obstacle else 'is refused unless that stands still'}",
        "stop the writers before the cutover, or let the primary refuse writes; or give it: slotwright migrate "
        f"{primary}",
        risk="what is written to the primary after the cutover would be missing in the target",
    )


def _obstacle(source: SourceSurvey, primary: str) -> str:
    """Why a replica would not be cut over as it is now (``cutover_refusal.py``); "" where it may be."""
    if source.takes_writes:
        return "clients may write to the replica itself (replica-read-only no), and nothing tells of these writes"
    if not source.link_is_up:
        return f"what {primary} takes does not get here"
    writes = source.traffic.writes_per_s
    return f"{primary} takes writes, {writes:,.1f} a second just now, and nobody holds them" if writes > 0 else ""


def _cutover(source: SourceSurvey) -> Iterator[Finding]:
    """What is to be cut over at once, and can't be."""
    yield from _fence(source, Severity.SERIOUS)
    if source.role is not Role.REPLICA or source.mode is Mode.CLUSTER:
        return
    primary = str(source.primary) if source.primary else "its primary"
    obstacle = _obstacle(source, primary)
    if obstacle:
        yield Finding(
            "cutover-refused",
            Severity.SERIOUS,
            str(source.address),
            f"as the source is now, a replica, its cutover is refused: {obstacle}",
            f"give the primary: slotwright migrate {primary}; or stop its writers first, or begin without --cutover",
            risk="what was written to the primary would be missing in the target",
        )


def _fence(source: SourceSurvey, severity: Severity) -> Iterator[Finding]:
    """What keeps a cutover from having the source refuse writes."""
    if _refuses_writes(source):
        return
    asks_scripts = capabilities_of(source.version).has(Capability.SCRIPT_REPLICA_CHECK)
    names = FENCE if asks_scripts else FENCE + FENCE_OF_SCRIPTS
    for right, how, remedy in (
        (
            Right.ABSENT,
            "the server does not know: {}; renamed or removed",
            "restart it without rename-command for these; or give a replica of it that has them as the source",
        ),
        (Right.DENIED, "the user {user} may not do: {}", "ACL SETUSER {user} {rights}"),
    ):
        lacking = [name for name in names if source.rights.of(name) is right]
        if lacking:
            user, rights = source.rights.user, " ".join(f"+{name}" for name in lacking)
            yield Finding(
                "cutover-refused",
                severity,
                str(source.address),
                "its cutover is refused: it can't be made to refuse writes, for "
                + how.format(", ".join(map(_spoken, lacking)), user=user),
                remedy.format(user=user, rights=rights)
                + ("" if severity is Severity.WARNING else "; or begin without --cutover: the copy needs none of it"),
                seen=source.rights.denial if right is Right.DENIED else "",
                risk="clients that were not moved would go on writing to it, into nothing",
            )


def _refuses_writes(source: SourceSurvey) -> bool:
    """A replica by itself: no fence is put up there."""
    return source.role is Role.REPLICA and source.mode is not Mode.CLUSTER


def _databases(source: SourceSurvey, databases: DatabaseMap) -> Iterator[Finding]:
    others = [database for database in source.databases if database.number and database.keys]
    if not others:
        return
    text = ", ".join(f"db{other.number}: {other.keys:,}" for other in others)
    if databases.rule is DatabaseRule.REFUSE:
        prefix = databases.template.replace("{db}", str(others[0].number))
        yield Finding(
            "databases-in-use",
            Severity.SERIOUS,
            str(source.address),
            "keys are in databases other than 0, which a cluster does not have",
            f"choose what becomes of them: a prefix for each ({prefix}KEY), or the same databases where the target is "
            "Valkey 9 with cluster-databases",
            seen=text,
        )
    elif databases.rule is DatabaseRule.PREFIX:
        names = ", ".join(databases.prefix(other.number).decode(errors="replace") for other in others)
        yield Finding(
            "databases-in-use",
            Severity.WARNING,
            str(source.address),
            "keys of databases other than 0 get a prefix, by which clients have to ask for them afterwards",
            f"give the clients the prefixes: {names}",
            seen=text,
        )
        if source.keys.prefixed:
            yield Finding(
                "prefix-taken",
                Severity.WARNING,
                str(source.address),
                f"{source.keys.prefixed:,} of the keys looked at in database 0 begin with one of these prefixes",
                "choose another template for the prefix",
                risk="a key of another database takes the place of a key of database 0 that has its new name",
            )


def _rights(source: SourceSurvey) -> Iterator[Finding]:
    rights, where = source.rights, str(source.address)
    # What the fence wants is told with the cutover.
    wanted = tuple(name for name in WANTED if name not in FENCE or _refuses_writes(source))
    for names, severity in ((NEEDED, Severity.SERIOUS), (wanted, Severity.WARNING)):
        denied = [name for name in names if rights.of(name) is Right.DENIED]
        if denied:
            yield Finding(
                "right-missing",
                severity,
                where,
                f"the user {rights.user} may not do: {', '.join(map(_spoken, denied))}",
                f"ACL SETUSER {rights.user} {' '.join(f'+{name}' for name in denied)}"
                "   (then ACL SAVE or CONFIG REWRITE, to outlive a restart)",
                seen=rights.denial,
            )
        absent = [name for name in names if rights.of(name) is Right.ABSENT]
        if absent:
            yield Finding(
                "command-renamed",
                severity,
                where,
                f"the server does not know: {', '.join(map(_spoken, absent))}",
                "restart it without rename-command for these; or give a replica of it that has them as the source",
            )
    untold = [name for name in NEEDED if rights.of(name) is Right.UNKNOWN]
    if rights.rights and untold:
        yield Finding(
            "right-untold",
            Severity.NOTE,
            where,
            f"whether the user {rights.user} may {', '.join(map(_spoken, untold))} shows only when it is tried",
            f"ACL SETUSER {rights.user} {' '.join(f'+{name}' for name in untold)}   (if it is refused)",
        )
    if rights.all_keys is False:
        yield Finding(
            "keys-forbidden",
            Severity.SERIOUS,
            where,
            f"the user {rights.user} may not read every key",
            f"ACL SETUSER {rights.user} allkeys",
        )


def _spoken(name: str) -> str:
    return name.replace("|", " ").upper()


def _keys(source: SourceSurvey) -> Iterator[Finding]:
    sample, where = source.keys, str(source.address)
    if not sample.is_complete:
        yield Finding(
            "keys-sampled",
            Severity.NOTE,
            where,
            f"{sample.looked_at:,} of {sample.total:,} keys were looked at: sizes are estimates, and a rare big key or "
            "type may have been missed",
            "look at all of them: --full",
        )
    slow = [
        (blocking.restore_s, key, blocking)
        for key in sample.biggest
        if (blocking := blocking_of(key)) is not None and blocking.restore_s >= NOTED_S
    ]
    if slow:
        worst = max(seconds for seconds, _, _ in slow)
        shown = [
            f"{shown_key(key.named[1])} ({key.type}, {shown_bytes(key.bytes)}, {blocking.restore_s * 1e3:,.0f} ms)"
            for _, key, blocking in sorted(slow, key=lambda result: -result[0])[:3]
        ]
        yield Finding(
            "big-keys",
            Severity.WARNING if worst >= WARNED_S else Severity.NOTE,
            where,
            f"{'a big key holds' if len(slow) == 1 else f'{len(slow)} big keys hold'} a primary of the target up, "
            f"for {worst * 1e3:,.0f} ms at the most",
            "split what the data allows to be split; before the cutover nobody waits for the target",
            seen="; ".join(shown),
            risk=f"a change that has to be carried by its value does the same after the copy ({BASIS})",
        )
    strange = sorted({kind.type for kind in sample.kinds} - set(PLAIN_TYPES))
    loaded = [name for name in source.modules if name not in _OF_THE_SERVER]
    if loaded and not strange and not sample.is_complete:
        yield Finding(
            "modules-loaded",
            Severity.WARNING,
            where,
            "modules are loaded, and not all keys were looked at for theirs",
            "look at all of them: --full",
            seen=", ".join(loaded),
        )
