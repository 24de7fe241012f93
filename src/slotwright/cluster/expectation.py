"""What a check holds the servers against: the blueprint, the settings, and what the file allows."""

from __future__ import annotations

from dataclasses import dataclass, field

from slotwright.cluster.blueprint import Blueprint


@dataclass(frozen=True, slots=True)
class Expectation:
    """``settings`` are canonical values by directive (empty: not judged; secrets inside, so no ``repr``).

    ``allow_colocated_replicas`` as in the file.
    """

    blueprint: Blueprint
    settings: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    allow_colocated_replicas: bool = False
