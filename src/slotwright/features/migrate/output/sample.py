"""The commands that were listened to, in `migrate --plan --json`. Keys are abbreviated and printable."""

from __future__ import annotations

from msgspec import field

from slotwright.console.output import Output
from slotwright.features.migrate.model.command_sample import CommandSample, Crossing, TagAdvice


class CrossingOutput(Output, frozen=True, kw_only=True):
    """Commands, transactions or scripts with keys of several slots."""

    kind: str
    name: str
    calls: int
    across_slots: int
    examples: tuple[tuple[str, ...], ...]
    clients: tuple[str, ...]
    databases: tuple[int, ...]


class UndeclaredKeysOutput(Output, frozen=True, kw_only=True):
    """A script that reads keys which its caller did not name."""

    script: str
    calls: int
    undeclared: int
    examples: tuple[str, ...]


class HashTagOutput(Output, frozen=True, kw_only=True):
    """How keys that are used together could be named; ``for`` is what crosses."""

    kind: str
    crosser: str = field(name="for")
    before: str
    after: str
    groups: int
    tags: int
    largest_share: float


class OtherCommandOutput(Output, frozen=True, kw_only=True):
    """A command that works otherwise in a cluster."""

    name: str
    calls: int
    clients: tuple[str, ...]


class SampleOutput(Output, frozen=True, kw_only=True):
    """What was heard; ``ended_early`` says why it ended before its time."""

    span_s: float
    commands: int
    several_keys: int
    transactions: int
    scripts: int
    ended_early: str
    unread: int
    databases: dict[str, int]
    crossings: tuple[CrossingOutput, ...]
    undeclared: tuple[UndeclaredKeysOutput, ...]
    hash_tags: tuple[HashTagOutput, ...]
    commands_otherwise: tuple[OtherCommandOutput, ...]


def sample_output(sample: CommandSample) -> SampleOutput:
    """What was heard."""
    return SampleOutput(
        span_s=round(sample.span_s, 3),
        commands=sample.commands,
        several_keys=sample.several_keys,
        transactions=sample.transactions,
        scripts=sample.scripts,
        ended_early=sample.cut,
        unread=sample.unread,
        databases={str(number): count for number, count in sample.databases},
        crossings=tuple(map(_crossing_output, sample.crossings)),
        undeclared=tuple(
            UndeclaredKeysOutput(
                script=script.name, calls=script.calls, undeclared=script.undeclared, examples=script.examples
            )
            for script in sample.undeclared
        ),
        hash_tags=tuple(map(_hash_tag_output, sample.advice)),
        commands_otherwise=tuple(
            OtherCommandOutput(name=odd.name, calls=odd.calls, clients=odd.clients) for odd in sample.odd
        ),
    )


def _crossing_output(crossing: Crossing) -> CrossingOutput:
    return CrossingOutput(
        kind=crossing.kind.value,
        name=crossing.name,
        calls=crossing.calls,
        across_slots=crossing.across,
        examples=crossing.examples,
        clients=crossing.clients,
        databases=crossing.databases,
    )


def _hash_tag_output(advice: TagAdvice) -> HashTagOutput:
    return HashTagOutput(
        kind=advice.kind.value,
        crosser=advice.crosser,
        before=advice.before,
        after=advice.after,
        groups=advice.groups,
        tags=advice.tags,
        largest_share=round(advice.largest_share, 4),
    )
