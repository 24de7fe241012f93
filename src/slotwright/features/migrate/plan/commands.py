"""What clients do that a cluster does otherwise: by the command statistics, and by a sample where there is one.

Statistics say that a command was called, not with which keys: they can warn, and only a sample can tell. A sample that
shows no crossing proves nothing of the time when nobody listened, so what was called and not heard is still told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slotwright.cluster.findings import Finding, Severity
from slotwright.features.migrate.model.command_sample import CommandSample, Crosser, Crossing, TagAdvice
from slotwright.features.migrate.model.surveys import SourceSurvey
from slotwright.features.migrate.plan.cluster_habits import (
    BROADCAST,
    COPY_TO_DATABASE,
    ONE_NODE,
    REFUSED,
    SCRIPTS,
    SPLIT_BY_CLIENTS,
    Habit,
    counted,
    habit_of,
)

_SAMPLE = "let slotwright listen for a while: --sample 60"
_HUGE_SHARE = 0.1
_OF_DATABASES = frozenset({"select", "move", COPY_TO_DATABASE})
_NOT_OF_CLIENTS = frozenset({"debug", "memory", "migrate"})
_SHOWN = 6
_TAG = "give keys that are used together the same hash tag"


def check_commands(
    source: SourceSurvey, sample: CommandSample | None, *, keeps_databases: bool = False
) -> Iterator[Finding]:
    """Both. ``keeps_databases``: the target has several, so that SELECT and MOVE go on working."""
    yield from _statistics(source, sample)
    if sample is not None:
        yield from _crossings(source, sample)
        yield from _undeclared(source, sample)
    yield from _habits(source, sample, _OF_DATABASES if keeps_databases else frozenset())


def _statistics(source: SourceSurvey, sample: CommandSample | None) -> Iterator[Finding]:
    """What was called since the start and, where somebody listened, was not heard."""
    heard = {name for name, _ in sample.heard} if sample is not None else set()
    several = frozenset(name for name, entry in source.commands.named() if entry.may_have_several_keys)
    for code, names, what in (
        ("several-keys-unseen", several - SCRIPTS - _NOT_OF_CLIENTS, "commands that may have several keys"),
        ("transactions-unseen", frozenset({"multi"}), "transactions"),
        ("scripts-unseen", SCRIPTS, "scripts or functions"),
    ):
        calls = counted(source.calls, names - heard)
        if not calls:
            continue
        listened = f", and none of these was heard in {sample.span_s:.0f} s" if sample is not None else ""
        yield Finding(
            code,
            Severity.WARNING,
            str(source.address),
            f"{what} were called since the server was started{listened}: whether across slots can't be told",
            _SAMPLE if sample is None else "listen for longer, or at another time of the day",
            seen=_called(calls),
            risk="a cluster answers CROSSSLOT where the keys of one call are not in one slot",
        )


def _crossings(source: SourceSurvey, sample: CommandSample) -> Iterator[Finding]:
    for kind, code, title in (
        (Crosser.COMMAND, "commands-across-slots", "commands"),
        (Crosser.TRANSACTION, "transactions-across-slots", "transactions"),
        (Crosser.SCRIPT, "scripts-across-slots", "scripts"),
    ):
        for crossing in (result for result in sample.crossings if result.kind is kind):
            matching = (one for one in sample.advice if (one.kind, one.crosser) == (kind, crossing.name))
            advice = next(matching, None)
            name = crossing.name if kind is not Crosser.TRANSACTION else f"MULTI … EXEC of {crossing.name}"
            yield Finding(
                code,
                Severity.SERIOUS,
                str(source.address),
                f"{crossing.across:,} of {crossing.calls:,} {title} {name} span slots: a cluster refuses these",
                _remedy(crossing, advice),
                seen=_examples(crossing),
                risk="clients get CROSSSLOT errors from the cutover on",
            )


def _remedy(crossing: Crossing, advice: TagAdvice | None) -> str:
    if advice is None:
        remedy = f"{_TAG}, if they are few; else one call for each key"
    elif advice.tags == 1 and advice.groups > 1:
        remedy = (
            f"one call for each key, pipelined: all that these keys have in common is one part "
            f"({advice.before} -> {advice.after}), which would put all of them into one slot"
        )
    else:
        remedy = f"{_TAG}: {advice.before} -> {advice.after}"
        if advice.largest_share > _HUGE_SHARE:
            remedy += f" (the largest tag has {advice.largest_share:.0%} of all keys heard, in one slot)"
    if crossing.name.lower() in SPLIT_BY_CLIENTS:
        remedy += "; or a client that cuts the call by slot (Lettuce does), which is then not atomic"
    return remedy


def _examples(crossing: Crossing) -> str:
    keys = "; ".join(" ".join(group) for group in crossing.examples)
    return f"{keys} (from {', '.join(crossing.clients[:3])}{', …' if len(crossing.clients) > 3 else ''})"


def _undeclared(source: SourceSurvey, sample: CommandSample) -> Iterator[Finding]:
    for script in sample.undeclared:
        yield Finding(
            "script-keys-undeclared",
            Severity.WARNING,
            str(source.address),
            f"{script.undeclared:,} of {script.calls:,} calls of {script.name} used keys that were not given as KEYS",
            "give every key that it uses as KEYS: a client sends a script to the node of these",
            seen=", ".join(script.examples),
            risk="the cluster refuses a key of another node or slot in the middle of the script",
        )


def _habits(source: SourceSurvey, sample: CommandSample | None, allowed: frozenset[str]) -> Iterator[Finding]:
    where = str(source.address)
    refused = [results for results in _of(Habit.REFUSED, REFUSED, source, sample) if results[0] not in allowed]
    if refused:
        yield Finding(
            "commands-refused",
            Severity.WARNING,
            where,
            "commands were called that a node of a cluster refuses",
            "take them out of the clients; SELECT 0 is harmless, and is not told from others by statistics",
            seen=_called(refused),
        )
    single = _of(Habit.ONE_NODE, ONE_NODE, source, sample)
    if single:
        yield Finding(
            "commands-of-one-node",
            Severity.WARNING,
            where,
            "commands were called that in a cluster see or change one node only",
            "call them on every primary, as most cluster clients can; look at what relies on KEYS, DBSIZE or WAIT",
            seen=_called(single),
        )
    broadcast = _of(Habit.BROADCAST, BROADCAST, source, sample)
    if broadcast:
        yield Finding(
            "pubsub-broadcast",
            Severity.NOTE,
            where,
            "messages are published: in a cluster each goes to every node, over the bus",
            "SPUBLISH and SSUBSCRIBE keep them in a shard (Redis 7.0, any Valkey)",
            seen=_called(broadcast),
        )


def _of(
    habit: Habit, names: frozenset[str], source: SourceSurvey, sample: CommandSample | None
) -> tuple[tuple[str, int], ...]:
    """By the statistics since the start, and what only a sample can tell (SORT … BY)."""
    values = dict(counted(source.calls, names))
    for odd in sample.odd if sample else ():
        if habit_of(odd.name) is habit:
            values.setdefault(odd.name, odd.calls)
    return tuple(sorted(values.items(), key=lambda pair: (-pair[1], pair[0])))


def _called(calls: Sequence[tuple[str, int]]) -> str:
    shown = [f"{name.replace('|', ' ').upper()} {count:,}×" for name, count in calls[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(calls) - _SHOWN} more" if len(calls) > _SHOWN else "")
